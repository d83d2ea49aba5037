//! What a configuration would do on this machine; there is no daemon to ask.

use super::kernel::{Devices, hop};
use crate::api::types::{Preview, PreviewRoute, PreviewSession, Problem, RouteFate, RouteForm, RouteShape};
use crate::config::plan::{PeerPlan, RemoteAs};
use crate::fib::preview::{Fate, Forecast};
use crate::fib::{Action, Route};
use crate::operator::preview::Error;
use crate::operator::{Report, preview as operator};
use crate::speaker::PreviewError;
use std::path::Path;

/// What the file, and the objects of the cluster that it names, would do; with kernel routes if the flag is set.
///
/// # Errors
/// The configuration is not good, or the API server or the kernel does not answer.
pub async fn preview(file: &Path, with_kernel: bool) -> Result<Preview, Problem> {
    let (found, reports) = operator::preview(file, with_kernel).await.map_err(|e| problem(&e))?;
    let own = found.plan.fib.protocol;
    Ok(Preview {
        sessions: found.plan.peers.values().map(session).collect(),
        routes: found.routes.map(|routes| routes.iter().map(|forecast| route(forecast, own)).collect()),
        remarks: reports.iter().map(Report::to_string).collect(),
    })
}

fn problem(error: &Error) -> Problem {
    match error {
        Error::Speaker(PreviewError::Config(diagnostics)) => Problem::config_invalid(vec![diagnostics.render(false)]),
        Error::Speaker(PreviewError::Kernel(_)) | Error::Objects(_) => Problem::failed(error.to_string()),
    }
}

fn session(peer: &PeerPlan) -> PreviewSession {
    PreviewSession {
        name: peer.name.clone(),
        address: peer.address,
        port: peer.port,
        remote_asn: match peer.session.remote_as {
            RemoteAs::Fixed(asn) => Some(asn.get()),
            _ => None,
        },
        passive: peer.session.passive,
        held_down: !peer.session.admin_up,
    }
}

fn route(forecast: &Forecast, own: u8) -> PreviewRoute {
    let (fate, reason) = match forecast.fate {
        Fate::Keep => (RouteFate::Keep, None),
        Fate::Adopt => (RouteFate::Adopt, None),
        Fate::Add => (RouteFate::Add, None),
        Fate::Replace => (RouteFate::Replace, None),
        Fate::Remove => (RouteFate::Remove, None),
        Fate::Leave(left) => (RouteFate::Leave, left.map(|left| left.to_string())),
        Fate::Fail(failure) => (RouteFate::Fail, Some(failure.to_string())),
    };
    PreviewRoute {
        prefix: forecast.prefix,
        fate,
        now: forecast.now.as_ref().map(|(route, protocol)| form(route, *protocol)),
        then: forecast.then.as_ref().map(|route| form(route, own)),
        reason,
    }
}

fn form(route: &Route, protocol: u8) -> RouteForm {
    let shape = match &route.action {
        Action::Unicast(_) => RouteShape::Unicast,
        Action::Blackhole => RouteShape::Blackhole,
        Action::Unreachable => RouteShape::Unreachable,
        Action::Prohibit => RouteShape::Prohibit,
    };
    let hops = match &route.action {
        // Devices have their names already.
        Action::Unicast(hops) => hops.iter().map(|h| hop(h, &Devices::new())).collect(),
        Action::Blackhole | Action::Unreachable | Action::Prohibit => Vec::new(),
    };
    RouteForm { shape, hops, metric: route.metric, protocol }
}
