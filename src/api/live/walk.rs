//! The walk over the tables that answers a RIB query: one slice of 4096 destinations between two turns of the RIB, never all.

use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::mpsc;

use super::Daemon;
use super::filter::Filter;
use super::rows::{self, Names};
use crate::api::backend::{Batch, Rows};
use crate::api::query::{PrefixMatch, RibView};
use crate::api::types::{ListMeta, Problem, RibCount, RibEntry};
use crate::rib::{DestRef, DumpCursor, PathView};
use crate::speaker::{HandleError, RibState};
use crate::wire::Family;

/// Where a walk is: the family and the place in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Place {
    family: usize,
    at: u32,
}

/// A walk under way.
pub(super) struct Walk {
    filter: Arc<Filter>,
    names: Names,
    /// `None` at the end.
    place: Option<Place>,
    /// Rows of the first slice that an earlier answer gave.
    skip: usize,
}

/// What a walk finds, before it is a row.
enum Found<'a> {
    Path(DestRef<'a>, &'a PathView<'a>),
    Sent(crate::export::Advertised),
}

impl Walk {
    /// `resume` is the token of a former answer.
    ///
    /// # Errors
    /// A token that no answer gave.
    pub fn new(filter: Filter, names: Names, resume: Option<&str>) -> Result<Self, Problem> {
        let start = Place { family: 0, at: 0 };
        let (place, skip) = match resume {
            None => (start, 0),
            Some(token) => parse_token(token).ok_or_else(|| Problem::usage("`continue` is no token of a former answer"))?,
        };
        let place = Some(place).filter(|p| p.family < filter.families.len());
        Ok(Self { filter: Arc::new(filter), names, place, skip })
    }

    pub fn is_over(&self) -> bool {
        self.place.is_none()
    }

    /// The rows of one prefix, wherever the walk is.
    pub fn rows_of(&self, state: &RibState, prefix: &IpNet) -> Vec<RibEntry> {
        let mut out = Vec::new();
        if self.filter.reaches(prefix) {
            Self::by_prefix(state, &self.filter, prefix, PrefixMatch::Exact, &mut |found| {
                out.push(row(state, &self.names, &self.filter, found));
            });
        }
        out
    }

    /// The rows of the next slice.
    pub fn rows(&mut self, state: &RibState) -> Vec<RibEntry> {
        let (names, filter) = (self.names.clone(), Arc::clone(&self.filter));
        let mut out = Vec::new();
        self.step(state, &mut |found| out.push(row(state, &names, &filter, found)));
        out
    }

    /// Visits one slice and moves on.
    fn step(&mut self, state: &RibState, found: &mut dyn FnMut(Found<'_>)) {
        let Some(Place { family: index, at }) = self.place else { return };
        let filter = Arc::clone(&self.filter);
        let Some(family) = filter.families.get(index).copied() else { return };
        let next = match filter.prefix {
            Some((prefix, how)) if how != PrefixMatch::Longer => {
                Self::by_prefix(state, &filter, &prefix, how, found);
                None
            }
            _ => Self::slice(state, &filter, family, at, found),
        };
        self.place = match next {
            Some(at) => Some(Place { family: index, at }),
            None => Some(Place { family: index + 1, at: 0 }).filter(|p| p.family < filter.families.len()),
        };
    }

    /// The destinations that a prefix leads to: few, and found without a walk.
    fn by_prefix(state: &RibState, filter: &Filter, prefix: &IpNet, how: PrefixMatch, found: &mut dyn FnMut(Found<'_>)) {
        for dest in state.rib.covering(prefix) {
            if how == PrefixMatch::Exact && dest.prefix() != *prefix {
                return;
            }
            let mut any = false;
            let mut note = |hit: Found<'_>| {
                any = true;
                found(hit);
            };
            if filter.view == RibView::Out {
                Self::sent_of(state, filter, &dest, &mut note);
            } else {
                Self::paths_of(filter, dest, &mut note);
            }
            if how == PrefixMatch::Exact || (how == PrefixMatch::Longest && any) {
                return;
            }
        }
    }

    /// One slice of a family from `at`; where the next one begins.
    fn slice(state: &RibState, filter: &Filter, family: Family, at: u32, found: &mut dyn FnMut(Found<'_>)) -> Option<u32> {
        if filter.view == RibView::Out {
            return Self::sent(state, filter, family, at, found);
        }
        let mut cursor = Some(DumpCursor::at(at));
        let visit = |dest: DestRef<'_>| {
            if filter.admits_prefix(&dest.prefix()) {
                Self::paths_of(filter, dest, found);
            }
        };
        match filter.peer {
            Some((peer, _)) => state.rib.dump_peer(peer, family, &mut cursor).for_each(visit),
            None => state.rib.dump(family, &mut cursor).for_each(visit),
        }
        cursor.map(DumpCursor::position)
    }

    fn paths_of(filter: &Filter, dest: DestRef<'_>, found: &mut dyn FnMut(Found<'_>)) {
        for view in dest.explain().iter().filter(|view| filter.admits(view)) {
            found(Found::Path(dest, view));
        }
    }

    fn sent(state: &RibState, filter: &Filter, family: Family, at: u32, found: &mut dyn FnMut(Found<'_>)) -> Option<u32> {
        let (peer, _) = filter.peer?;
        let group = state.groups.of(peer, family)?;
        let mut from = Some(at);
        let sent = group.view(&state.rib, peer, &mut from).into_iter();
        sent.filter(|a| filter.admits_prefix(&a.nlri.prefix) && filter.admits_attributes(&a.attrs)).for_each(|a| found(Found::Sent(a)));
        from
    }

    fn sent_of(state: &RibState, filter: &Filter, dest: &DestRef<'_>, found: &mut dyn FnMut(Found<'_>)) {
        let Some((peer, _)) = filter.peer else { return };
        let Some(group) = state.groups.of(peer, dest.family()) else { return };
        let sent = group.view_prefix(&state.rib, peer, &dest.prefix()).into_iter();
        sent.filter(|a| filter.admits_attributes(&a.attrs)).for_each(|a| found(Found::Sent(a)));
    }

    fn token(place: Place, rows: usize) -> String {
        format!("{}.{}.{rows}", place.family, place.at)
    }
}

fn row(state: &RibState, names: &Names, filter: &Filter, found: Found<'_>) -> RibEntry {
    match found {
        Found::Path(dest, view) => {
            let mut row = rows::path(state, names, dest.prefix(), view);
            row.advertised = row.best && state.groups.advertises(dest.family(), dest.id());
            row
        }
        Found::Sent(sent) => {
            let mut row = rows::attributes(sent.nlri.prefix, &sent.attrs);
            row.peer = filter.peer.map(|(_, address)| address);
            row.peer_name = row.peer.and_then(|peer| names.get(peer));
            row.path_id = Some(sent.nlri.path_id).filter(|id| *id != 0);
            row.best = true;
            row.advertised = true;
            row
        }
    }
}

fn parse_token(token: &str) -> Option<(Place, usize)> {
    let mut parts = token.split('.');
    let place = Place { family: parts.next()?.parse().ok()?, at: parts.next()?.parse().ok()? };
    let rows = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((place, rows))
}

/// Sends the rows of a walk while the RIB goes on between the slices; at most `limit`.
pub(super) fn stream(daemon: Daemon, mut walk: Walk, limit: Option<u64>) -> Rows<RibEntry> {
    let (rows, answer) = mpsc::channel(BATCHES);
    tokio::spawn(async move {
        let mut left = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        while let Some(place) = walk.place {
            let skip = std::mem::take(&mut walk.skip);
            let looked = daemon.speaker().inspect(move |state| {
                let rows = walk.rows(state);
                (walk, rows)
            });
            let items = match looked.await {
                Ok((back, items)) => {
                    walk = back;
                    items
                }
                // The reader may have gone; there is nobody else to tell.
                Err(e) => return drop(rows.send(Err(problem(&e))).await),
            };
            let more = items.len().saturating_sub(skip) > left;
            let items: Vec<_> = items.into_iter().skip(skip).take(left).collect();
            left -= items.len();
            let resume = match walk.place {
                _ if more => Some(Walk::token(place, skip + items.len())),
                Some(next) if left == 0 => Some(Walk::token(next, 0)),
                _ => None,
            };
            let cut = resume.is_some();
            let batch = Batch { items, metadata: resume.map(|token| ListMeta { resume: Some(token), snapshot: None }) };
            let nothing = batch.items.is_empty() && !cut;
            if (!nothing && rows.send(Ok(batch)).await.is_err()) || cut {
                return;
            }
        }
    });
    answer
}

/// Counts what a walk finds, without making rows.
///
/// # Errors
/// The daemon stops.
pub(super) async fn count(daemon: &Daemon, mut walk: Walk) -> Result<RibCount, Problem> {
    let mut total = RibCount { prefixes: 0, paths: 0 };
    let mut last = None;
    while walk.place.is_some() {
        let looked = daemon.speaker().inspect(move |state| {
            let mut seen = RibCount { prefixes: 0, paths: 0 };
            walk.step(state, &mut |found| {
                let prefix = match &found {
                    Found::Path(dest, _) => dest.prefix(),
                    Found::Sent(sent) => sent.nlri.prefix,
                };
                seen.paths += 1;
                // Paths of one destination come one after the other.
                seen.prefixes += u64::from(last.replace(prefix) != Some(prefix));
            });
            (walk, last, seen)
        });
        let seen;
        (walk, last, seen) = looked.await.map_err(|e| problem(&e))?;
        total.prefixes += seen.prefixes;
        total.paths += seen.paths;
    }
    Ok(total)
}

pub(super) fn problem(error: &HandleError) -> Problem {
    match error {
        HandleError::Stopped => Problem::unavailable(error.to_string()),
        HandleError::NoSuchPeer | HandleError::NoSuchNetwork => Problem::not_found(error.to_string()),
        HandleError::Config(diagnostics) => Problem::config_invalid(diagnostics.complaints.iter().map(ToString::to_string).collect()),
        HandleError::NothingToConfirm | HandleError::ConfiguredNetwork => Problem::conflict(error.to_string()),
    }
}

/// Slices that wait for a slow reader; then the walk waits.
const BATCHES: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_place() {
        let place = Place { family: 1, at: 8192 };
        assert_eq!(parse_token(&Walk::token(place, 17)), Some((place, 17)));
        for wrong in ["", "1", "1.2", "1.2.3.4", "a.b.c", "-1.0.0"] {
            assert_eq!(parse_token(wrong), None, "{wrong}");
        }
    }
}
