//! Commands that change something.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Context;
use super::args::{Log, NeighborAction, Network, PolicyTest};
use super::failure::Failure;
use super::output::Text;
use super::words;
use crate::api::client::escape;
use crate::api::types::{
    Action, ActionOutcome, ActionRequest, Document, Drain, DrainRequest, DrainStage, List, LogRequest, LogStatus, MatchAction,
    Network as NetworkInfo, PolicyTableRequest, PolicyTableResult, PolicyTestRequest, PolicyTestResult, ReloadRequest, ReloadResult,
};

pub(super) async fn clear(context: &mut Context<'_>, words: &[String], reason: &str) -> Result<(), Failure> {
    let (peer, action) = words::clear(words)?;
    act(context, &peer, action, reason).await
}

pub(super) async fn neighbor(context: &mut Context<'_>, peer: &str, action: NeighborAction, reason: &str) -> Result<(), Failure> {
    let action = match action {
        NeighborAction::Up => Action::Enable,
        NeighborAction::Down => Action::Disable,
        NeighborAction::Clear => Action::Reset,
        NeighborAction::Refresh => Action::SoftIn,
    };
    act(context, peer, action, reason).await
}

pub(super) async fn reload(context: &mut Context<'_>, dry_run: bool, confirm: Option<Duration>) -> Result<(), Failure> {
    let request = ReloadRequest { dry_run, confirm_seconds: confirm.map(|period| period.as_secs_f64()) };
    submit::<ReloadResult>(context, "POST", "/v1/config/reload", &request).await
}

pub(super) async fn confirm(context: &mut Context<'_>) -> Result<(), Failure> {
    submit::<ReloadResult>(context, "POST", "/v1/config/confirm", &()).await
}

pub(super) async fn rollback(context: &mut Context<'_>) -> Result<(), Failure> {
    submit::<ReloadResult>(context, "POST", "/v1/config/rollback", &()).await
}

/// With a time to wait: 0 when our prefixes are withdrawn, else 6.
pub(super) async fn drain(context: &mut Context<'_>, wait: Option<Duration>) -> Result<(), Failure> {
    let request = DrainRequest { wait_seconds: wait.map(|time| time.as_secs_f64()) };
    let drain: Document<Drain> = context.client.submit("POST", "/v1/drain", &request).await?;
    context.printer.document(&drain)?;
    if wait.is_some() && drain.body.stage != DrainStage::Left {
        return Err(Failure::Condition("our prefixes are not withdrawn yet".to_owned()));
    }
    Ok(())
}

pub(super) async fn undrain(context: &mut Context<'_>) -> Result<(), Failure> {
    submit::<Drain>(context, "DELETE", "/v1/drain", &()).await
}

pub(super) async fn log(context: &mut Context<'_>, action: &Log) -> Result<(), Failure> {
    let Log::Level { directives, period } = action;
    let request = LogRequest { directives: directives.clone(), for_seconds: period.map(|period| period.as_secs_f64()) };
    submit::<LogStatus>(context, "PUT", "/v1/log", &request).await
}

/// All done: 0. Some done: 5. None done: 1.
async fn act(context: &mut Context<'_>, peer: &str, action: Action, reason: &str) -> Result<(), Failure> {
    let request = ActionRequest { action, reason: reason.to_owned() };
    let path = format!("/v1/neighbors/{}/actions", escape(peer));
    let outcomes: List<ActionOutcome> = context.client.submit("POST", &path, &request).await?;
    context.printer.list(&outcomes)?;
    let failed = outcomes.items.iter().filter(|outcome| !outcome.ok).count();
    let text = format!("{failed} of {} neighbors refused", outcomes.items.len());
    match failed {
        0 => Ok(()),
        _ if failed == outcomes.items.len() => Err(Failure::Refused(text)),
        _ => Err(Failure::Partial(text)),
    }
}

pub(super) async fn network(context: &mut Context<'_>, action: &Network) -> Result<(), Failure> {
    match action {
        Network::Add { prefix, words } => submit::<NetworkInfo>(context, "POST", "/v1/networks", &words::network(*prefix, words)?).await,
        Network::Delete { prefix } => {
            let path = format!("/v1/networks?prefix={}", escape(&prefix.to_string()));
            submit::<NetworkInfo>(context, "DELETE", &path, &()).await
        }
        Network::List => {
            let list: List<NetworkInfo> = context.client.get("/v1/networks", &()).await?;
            context.printer.list(&list)
        }
    }
}

/// Exit 6 when the policy rejects, so that scripts can test policies.
pub(super) async fn policy_test(context: &mut Context<'_>, test: &PolicyTest) -> Result<(), Failure> {
    if let Some(view) = test.rib {
        let (policy, neighbor) = (test.policy.clone(), test.neighbor.clone());
        let request = PolicyTableRequest { policy, view, neighbor, limit: test.limit };
        return submit::<PolicyTableResult>(context, "POST", "/v1/policy/table", &request).await;
    }
    let Some(prefix) = test.prefix else { return Err(Failure::usage("give --prefix or --rib")) };
    let request = PolicyTestRequest {
        policy: test.policy.clone(),
        prefix,
        from: test.from.clone(),
        as_path: test.as_path.clone(),
        communities: test.community.clone(),
        large_communities: test.large_community.clone(),
        next_hop: test.nexthop,
        origin: test.origin,
        local_pref: test.localpref,
        med: test.med,
    };
    let result: Document<PolicyTestResult> = context.client.submit("POST", "/v1/policy/test", &request).await?;
    context.printer.document(&result)?;
    match result.body.action {
        MatchAction::Accept => Ok(()),
        MatchAction::Reject => Err(Failure::Condition("rejected".to_owned())),
    }
}

async fn submit<T: Text + Serialize + DeserializeOwned>(
    context: &mut Context<'_>,
    method: &str,
    path: &str,
    request: &(impl Serialize + Sync),
) -> Result<(), Failure> {
    let document: Document<T> = context.client.submit(method, path, request).await?;
    context.printer.document(&document)
}
