//! What happened to a prefix: the changes of its best path that the ring still holds.

use super::Daemon;
use super::clock::{Clock, seconds};
use super::walk::problem;
use crate::api::query::HistoryQuery;
use crate::api::types::{Problem, RouteChange, RouteChangeKind};
use crate::speaker::RouteLog;

/// Oldest first.
///
/// # Errors
/// Nothing is known, which says since when; or the daemon stops.
pub(super) async fn changes(daemon: &Daemon, query: HistoryQuery) -> Result<Vec<RouteChange>, Problem> {
    let prefix = query.prefix;
    let look = move |log: &RouteLog| {
        let found: Vec<_> = log.iter().filter(|change| query.matches(&change.prefix)).copied().collect();
        (found, log.iter().next().map(|change| change.at), log.total)
    };
    let (found, oldest, total) = daemon.speaker().inspect(move |state| look(&state.route_log)).await.map_err(|e| problem(&e))?;
    let clock = Clock::now();
    if found.is_empty() {
        let since =
            oldest.map_or_else(|| "there was none at all".to_owned(), |at| format!("the oldest is of {} s ago", seconds(clock.since(at))));
        let kept = RouteLog::KEPT;
        return Err(Problem::not_found(format!("no change of {prefix} is known"))
            .with_detail(format!("the last {kept} changes of all best paths are kept, of {total} so far; {since}")));
    }
    let names = daemon.names();
    let row = |change: &crate::speaker::RouteChange| {
        let best = change.best;
        let peer = best.and_then(|best| best.peer);
        RouteChange {
            at: clock.at(change.at),
            prefix: change.prefix,
            kind: if best.is_some() { RouteChangeKind::Best } else { RouteChangeKind::Gone },
            peer,
            peer_name: peer.and_then(|peer| names.get(peer)),
            next_hop: best.map(|best| best.next_hop).filter(|address| !address.is_unspecified()),
            local_pref: best.and_then(|best| best.local_pref),
            as_path_length: best.map(|best| best.as_path_length),
        }
    };
    Ok(found.iter().map(row).collect())
}
