//! What a station was sent, and how the tables differ from it.

use crate::rib::{DestRef, DumpCursor, PeerId};
use crate::speaker::RibState;
use crate::wire::attr::AttrSet;
use crate::wire::{BmpPeer, Family, Nlri, bmp_route};
use bytes::BytesMut;
use ipnet::IpNet;
use std::collections::BTreeMap;

use super::sessions::Known;

/// Whose path: a peer with the path identifier that it sent, or our choice.
pub(super) type Key = Option<(PeerId, u32)>;

/// The paths of a prefix.
pub(super) type Paths = Vec<(Key, AttrSet)>;

/// What import accepted of a destination, and which of it is best.
fn paths(dest: &DestRef<'_>) -> Paths {
    // Without an identifier to send it was rejected.
    let accepted = dest.all_paths().filter(|path| path.path_id_tx != 0 && path.source != PeerId::LOCAL);
    let mut paths: Paths = accepted.map(|path| (Some((path.source, path.path_id_rx)), path.attrs.clone())).collect();
    paths.extend(dest.best().map(|best| (None, best.attrs.clone())));
    paths
}

/// One slice of the table.
pub(super) fn slice(state: &RibState, family: Family, cursor: &mut Option<DumpCursor>) -> Vec<(IpNet, Paths)> {
    state.rib.dump(family, cursor).map(|dest| (dest.prefix(), paths(&dest))).collect()
}

/// These prefixes as they are now.
pub(super) fn prefixes(state: &RibState, wanted: &[IpNet]) -> Vec<(IpNet, Paths)> {
    wanted.iter().map(|prefix| (*prefix, state.rib.lookup(prefix).map(|dest| paths(&dest)).unwrap_or_default())).collect()
}

/// What was sent over one connection.
pub(super) struct Feed {
    /// Our Loc-RIB.
    pub router: BmpPeer,
    /// Sessions that the station knows.
    pub known: BTreeMap<PeerId, Known>,
    sent: BTreeMap<IpNet, Paths>,
}

impl Feed {
    pub fn new(router: BmpPeer) -> Self {
        Self { router, known: BTreeMap::new(), sent: BTreeMap::new() }
    }

    /// A peer is down: the station forgets its routes by itself.
    pub fn forget(&mut self, peer: PeerId) {
        self.known.remove(&peer);
        self.sent.retain(|_, paths| {
            paths.retain(|(key, _)| key.is_none_or(|(source, _)| source != peer));
            !paths.is_empty()
        });
    }

    /// Writes how the paths of a prefix differ from what was sent, and how many messages that took. Paths of sessions that the station
    /// does not know wait until it does.
    pub fn tell(&mut self, out: &mut BytesMut, prefix: IpNet, mut now: Paths) -> u64 {
        now.retain(|(key, _)| key.is_none_or(|(source, _)| self.known.contains_key(&source)));
        let before = self.sent.remove(&prefix).unwrap_or_default();
        let mut messages = 0;
        for (key, _) in before.iter().filter(|(key, _)| !now.iter().any(|(other, _)| other == key)) {
            messages += self.write(out, prefix, *key, None);
        }
        let is_sent = |key: &Key, attrs: &AttrSet| before.iter().any(|(other, sent)| other == key && sent == attrs);
        for (key, attrs) in now.iter().filter(|(key, attrs)| !is_sent(key, attrs)) {
            messages += self.write(out, prefix, *key, Some(attrs));
        }
        if !now.is_empty() {
            self.sent.insert(prefix, now);
        }
        messages
    }

    fn write(&self, out: &mut BytesMut, prefix: IpNet, key: Key, attrs: Option<&AttrSet>) -> u64 {
        let (peer, path_id, add_path) = match key {
            None => (&self.router, 0, false),
            Some((source, path_id)) => match self.known.get(&source) {
                Some(known) => (&known.peer, path_id, known.add_path.contains(Family::of(&prefix))),
                None => return 0,
            },
        };
        bmp_route(out, peer, &Nlri { prefix, path_id }, attrs, add_path);
        1
    }
}
