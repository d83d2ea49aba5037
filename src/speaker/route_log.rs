//! The last changes of best paths, for whoever asks later what happened to a prefix.
//!
//! One ring for all prefixes: a change costs one entry, whatever the size of the table, and the memory has a fixed bound. A burst that
//! is longer than the ring leaves its end.

use crate::rib::{Changed, PeerId, Rib};
use ipnet::IpNet;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

/// What became of the best path of a prefix.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RouteChange {
    pub at: Instant,
    pub prefix: IpNet,
    /// The best path from then on; `None` where no path was left that can be used.
    pub best: Option<Best>,
}

/// A path in few octets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Best {
    /// `None` for a route of our own.
    pub peer: Option<IpAddr>,
    pub next_hop: IpAddr,
    pub local_pref: Option<u32>,
    /// As the decision process counts it.
    pub as_path_length: u16,
}

/// The ring.
#[derive(Debug, Default)]
pub struct RouteLog {
    changes: VecDeque<RouteChange>,
    /// Changes since the start, those that the ring has lost among them.
    pub total: u64,
}

impl RouteLog {
    /// Changes that are kept.
    pub const KEPT: usize = 16_384;
    /// What the ring costs at most, in octets.
    pub const MAX_BYTES: usize = Self::KEPT * size_of::<RouteChange>();

    /// Notes the changes of a turn, before the destinations that have no path left are freed.
    pub fn note(&mut self, rib: &Rib, changed: &Changed, at: Instant) {
        self.total += changed.best.len() as u64;
        // The paths of a turn are mostly of one peer.
        let mut last: Option<(PeerId, Option<IpAddr>)> = None;
        for id in changed.best.iter().skip(changed.best.len().saturating_sub(Self::KEPT)) {
            let Some(dest) = rib.dest(changed.family, *id) else { continue };
            let best = dest.best().map(|path| {
                let peer = match last {
                    Some((source, peer)) if source == path.source => peer,
                    _ if path.source == PeerId::LOCAL => None,
                    _ => rib.peer(path.source).map(|peer| peer.addr),
                };
                last = Some((path.source, peer));
                let head = path.attrs.head();
                let next_hop = path.attrs.next_hop().address();
                Best { peer, next_hop, local_pref: head.local_pref(), as_path_length: head.path_len }
            });
            self.push(RouteChange { at, prefix: dest.prefix(), best });
        }
    }

    fn push(&mut self, change: RouteChange) {
        if self.changes.len() == Self::KEPT {
            self.changes.pop_front();
        } else if self.changes.len() == self.changes.capacity() {
            // Doubling, but never beyond the bound.
            let more = self.changes.len().clamp(FIRST, Self::KEPT - self.changes.len());
            self.changes.reserve_exact(more);
        }
        self.changes.push_back(change);
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &RouteChange> {
        self.changes.iter()
    }

    /// What the ring costs now, in octets.
    pub fn bytes(&self) -> usize {
        self.changes.capacity() * size_of::<RouteChange>()
    }
}

/// Room at first.
const FIRST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn change(n: u32, at: Instant) -> RouteChange {
        let prefix = IpNet::new(Ipv4Addr::from(n << 8).into(), 24).unwrap();
        let next_hop = Ipv4Addr::LOCALHOST.into();
        RouteChange { at, prefix, best: Some(Best { peer: None, next_hop, local_pref: None, as_path_length: 0 }) }
    }

    #[test]
    fn the_newest_changes_are_kept_within_the_stated_memory() {
        assert!(size_of::<RouteChange>() <= 88, "{}", size_of::<RouteChange>());
        const { assert!(RouteLog::MAX_BYTES <= 1_441_792, "1.4 MiB for all prefixes together") };
        let now = crate::speaker::now();
        let mut log = RouteLog::default();
        assert_eq!(log.bytes(), 0, "nothing before the first change");
        let kept = RouteLog::KEPT as u32;
        for n in 0..3 * kept {
            log.push(change(n, now));
            assert!(log.bytes() <= RouteLog::MAX_BYTES);
        }
        assert_eq!((log.iter().count(), log.bytes()), (RouteLog::KEPT, RouteLog::MAX_BYTES));
        assert_eq!(log.iter().next(), Some(&change(2 * kept, now)));
        assert_eq!(log.iter().next_back(), Some(&change(3 * kept - 1, now)));
    }
}
