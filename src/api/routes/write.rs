//! Requests that change something; each leaves an audit line.

use axum::Json;
use axum::extract::{Path, State};

use super::extract::{Body, Params};
use crate::api::query::{PrefixQuery, Selector};
use crate::api::server::{Caller, Shared};
use crate::api::types::{
    ActionOutcome, ActionRequest, Document, Drain, DrainRequest, List, LogRequest, LogStatus, Network, NetworkRequest, PolicyTableRequest,
    PolicyTableResult, PolicyTestRequest, PolicyTestResult, Problem, ReloadRequest, ReloadResult,
};

type Doc<T> = Result<Json<Document<T>>, Problem>;

/// Acts on the neighbors that `id` means: an address, name, interface or description, `group G`, or `all`.
#[utoipa::path(post, path = "/v1/neighbors/{id}/actions", params(("id" = String, Path)), request_body = ActionRequest,
    responses((status = 200, body = List<ActionOutcome>), (status = 404, body = Problem)))]
pub(super) async fn act(
    State(backend): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    Body(request): Body<ActionRequest>,
) -> Result<Json<List<ActionOutcome>>, Problem> {
    let (operation, reason) = (request.action.name(), request.reason.clone());
    let outcomes = caller.audited(operation, &id, &reason, backend.act(Selector::parse(&id), request)).await?;
    Ok(Json(outcomes.into()))
}

/// Originates a prefix until the daemon restarts.
#[utoipa::path(post, path = "/v1/networks", request_body = NetworkRequest,
    responses((status = 200, body = Document<Network>), (status = 409, body = Problem)))]
pub(super) async fn add_network(State(backend): State<Shared>, caller: Caller, Body(request): Body<NetworkRequest>) -> Doc<Network> {
    let prefix = request.prefix.to_string();
    let network = caller.audited("addNetwork", &prefix, "", backend.add_network(request)).await?;
    Ok(Json(network.into()))
}

/// Withdraws a prefix that was added at run time.
#[utoipa::path(delete, path = "/v1/networks", params(PrefixQuery),
    responses((status = 200, body = Document<Network>), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn delete_network(State(backend): State<Shared>, caller: Caller, Params(query): Params<PrefixQuery>) -> Doc<Network> {
    let network = caller.audited("deleteNetwork", &query.prefix.to_string(), "", backend.delete_network(query.prefix)).await?;
    Ok(Json(network.into()))
}

/// Runs a route through a policy; changes nothing, and so leaves no audit line.
#[utoipa::path(post, path = "/v1/policy/test", request_body = PolicyTestRequest,
    responses((status = 200, body = Document<PolicyTestResult>), (status = 404, body = Problem)))]
pub(super) async fn test_policy(State(backend): State<Shared>, Body(request): Body<PolicyTestRequest>) -> Doc<PolicyTestResult> {
    Ok(Json(backend.test_policy(request).await?.into()))
}

/// Runs the routes of a table through a policy; changes nothing.
#[utoipa::path(post, path = "/v1/policy/table", request_body = PolicyTableRequest,
    responses((status = 200, body = Document<PolicyTableResult>), (status = 404, body = Problem)))]
pub(super) async fn test_policy_on_table(State(backend): State<Shared>, Body(request): Body<PolicyTableRequest>) -> Doc<PolicyTableResult> {
    Ok(Json(backend.test_policy_on_table(request).await?.into()))
}

/// Checks the configuration file and compares it with what runs; changes nothing.
#[utoipa::path(post, path = "/v1/config/check", responses((status = 200, body = Document<ReloadResult>), (status = 422, body = Problem)))]
pub(super) async fn check(State(backend): State<Shared>) -> Doc<ReloadResult> {
    Ok(Json(backend.reload(ReloadRequest { dry_run: true, confirm_seconds: None }).await?.into()))
}

/// Loads the configuration file again.
#[utoipa::path(post, path = "/v1/config/reload", request_body = ReloadRequest,
    responses((status = 200, body = Document<ReloadResult>), (status = 422, body = Problem)))]
pub(super) async fn reload(State(backend): State<Shared>, caller: Caller, Body(request): Body<ReloadRequest>) -> Doc<ReloadResult> {
    let detail = if request.dry_run { "dry run" } else { "" };
    let result = caller.audited("reload", "config", detail, backend.reload(request)).await?;
    Ok(Json(result.into()))
}

/// Keeps a configuration that was loaded with a confirmation time.
#[utoipa::path(post, path = "/v1/config/confirm", responses((status = 200, body = Document<ReloadResult>), (status = 409, body = Problem)))]
pub(super) async fn confirm(State(backend): State<Shared>, caller: Caller) -> Doc<ReloadResult> {
    Ok(Json(caller.audited("confirm", "config", "", backend.confirm()).await?.into()))
}

/// Goes back to the former configuration.
#[utoipa::path(post, path = "/v1/config/rollback", responses((status = 200, body = Document<ReloadResult>), (status = 409, body = Problem)))]
pub(super) async fn rollback(State(backend): State<Shared>, caller: Caller) -> Doc<ReloadResult> {
    Ok(Json(caller.audited("rollback", "config", "", backend.rollback()).await?.into()))
}

/// Lets traffic leave this node: marks our prefixes with GRACEFUL_SHUTDOWN, and withdraws them after the grace period.
#[utoipa::path(post, path = "/v1/drain", request_body = DrainRequest, responses((status = 200, body = Document<Drain>), (status = 400, body = Problem)))]
pub(super) async fn start_drain(State(backend): State<Shared>, caller: Caller, Body(request): Body<DrainRequest>) -> Doc<Drain> {
    Ok(Json(caller.audited("drain", "node", "", backend.start_drain(request)).await?.into()))
}

/// Takes that back.
#[utoipa::path(delete, path = "/v1/drain", responses((status = 200, body = Document<Drain>)))]
pub(super) async fn end_drain(State(backend): State<Shared>, caller: Caller) -> Doc<Drain> {
    Ok(Json(caller.audited("undrain", "node", "", backend.end_drain()).await?.into()))
}

/// Changes what is logged.
#[utoipa::path(put, path = "/v1/log", request_body = LogRequest, responses((status = 200, body = Document<LogStatus>), (status = 400, body = Problem)))]
pub(super) async fn set_log(State(backend): State<Shared>, caller: Caller, Body(request): Body<LogRequest>) -> Doc<LogStatus> {
    let directives = request.directives.clone();
    Ok(Json(caller.audited("setLog", "log", &directives, backend.set_log(request)).await?.into()))
}
