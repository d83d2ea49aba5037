//! The life of a peer's routes across sessions: stale marks by epoch, sweeps (RFC 4724 4.2, RFC 7313 4, RFC 9494 4.2).
//!
//! A path is stale when its epoch is not its peer's. Raising the epoch marks a whole table without touching it.

use super::peer::{Peer, PeerFamily, PeerInfo};
use super::tables::{Rib, on_table};
use super::{AttrId, PeerId};
use crate::wire::attr::community::Community;
use crate::wire::attr::{AttrSet, Marks, PathAttributes};
use crate::wire::{Family, FamilySet};

impl Rib {
    /// A session is up. Routes that are left from an earlier one are stale from now on, if they are not already. Also tells of
    /// changed facts about a peer whose session stays up (say, it became a client).
    pub fn peer_up(&mut self, peer: PeerId, info: PeerInfo) {
        let entry = self.peers.entry(peer).or_insert_with(|| Peer::new(info));
        let (other, again) = (entry.info != info, entry.up);
        (entry.info, entry.up) = (info, true);
        for family in Family::ALL {
            if !again {
                self.mark_stale(peer, family);
                if let Some(state) = self.state(peer, family) {
                    state.refreshing = false;
                    state.awaits_end_of_rib = info.end_of_rib.contains(family) || state.counters.stale > 0;
                }
            }
        }
        if other {
            self.touch_peer(peer);
        }
    }

    /// The session is gone. Families in `retain` keep their routes as stale ones, but for those that were stale already
    /// (RFC 4724 4.2: consecutive restarts); routes of other families are removed.
    pub fn peer_down(&mut self, peer: PeerId, retain: FamilySet) {
        for family in Family::ALL {
            if retain.contains(family) {
                self.remove_paths(peer, family, true);
                self.mark_stale(peer, family);
            } else {
                self.remove_paths(peer, family, false);
            }
            if let Some(state) = self.state(peer, family) {
                (state.refreshing, state.awaits_end_of_rib) = (false, false);
            }
        }
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.up = false;
        }
        self.forget_idle(peer);
    }

    /// End-of-RIB from the peer: what is still stale is removed. One that is not expected changes nothing.
    pub fn end_of_rib(&mut self, peer: PeerId, family: Family) {
        if let Some(state) = self.state(peer, family)
            && std::mem::take(&mut state.awaits_end_of_rib)
        {
            self.remove_paths(peer, family, true);
        }
    }

    /// BoRR from the peer: its routes are stale until they come again. Ignored (`false`) before an End-of-RIB that is due
    /// (RFC 7313 4). A second one starts anew. The caller runs a timer and then calls [`Rib::sweep_stale`].
    pub fn begin_refresh(&mut self, peer: PeerId, family: Family) -> bool {
        let Some(entry) = self.peers.get_mut(&peer).filter(|p| p.up) else { return false };
        let state = &mut entry.families[family.index()];
        if state.awaits_end_of_rib {
            return false;
        }
        state.refreshing = true;
        self.mark_stale(peer, family);
        true
    }

    /// EoRR from the peer: what did not come again is removed. Ignored (`false`) without BoRR.
    pub fn end_refresh(&mut self, peer: PeerId, family: Family) -> bool {
        let refreshing = self.state(peer, family).is_some_and(|state| std::mem::take(&mut state.refreshing));
        if refreshing {
            self.remove_paths(peer, family, true);
        }
        refreshing
    }

    /// A timer ran out, or the new session did not preserve these families: removes what is stale in them.
    pub fn sweep_stale(&mut self, peer: PeerId, families: FamilySet) {
        for family in families.iter() {
            self.remove_paths(peer, family, true);
            if let Some(state) = self.state(peer, family) {
                (state.refreshing, state.awaits_end_of_rib) = (false, false);
            }
        }
        self.forget_idle(peer);
    }

    /// The restart time is over, and the peer has long-lived graceful restart for these families: stale routes with NO_LLGR are
    /// removed, the others get the LLGR_STALE community and with it the last place in the decision (RFC 9494 4.2, 4.3).
    pub fn begin_long_lived(&mut self, peer: PeerId, families: FamilySet) {
        for family in families.iter() {
            let Some(entry) = self.peers.get_mut(&peer) else { return };
            let from = &mut entry.families[family.index()];
            let (epoch, attrs) = (from.epoch, &mut self.attrs);
            let old = on_table!(self, family, table => table.stale_attrs(peer, from));
            let marks = |id: &AttrId| attrs.get(*id).head().marks;
            let forbidden: Vec<AttrId> = old.iter().copied().filter(|id| marks(id).contains(Marks::NO_LLGR)).collect();
            let unmarked = old.into_iter().filter(|id| !marks(id).contains(Marks::NO_LLGR) && !marks(id).contains(Marks::LLGR_STALE));
            let unmarked: Vec<AttrId> = unmarked.collect();
            let marked: Vec<AttrId> = unmarked.iter().map(|id| attrs.intern(&with_llgr_stale(attrs.get(*id)), peer)).collect();
            let change = |id| unmarked.binary_search(&id).ok().map(|at| marked[at]);
            on_table!(self, family, table => {
                table.remove_all(peer, from, attrs, |p| p.epoch() != epoch && forbidden.binary_search(&p.attr).is_ok());
                table.rewrite_stale(peer, from, attrs, change);
            });
            marked.iter().for_each(|id| attrs.release(*id));
        }
        self.forget_idle(peer);
    }

    /// Makes all paths of the peer stale.
    fn mark_stale(&mut self, peer: PeerId, family: Family) {
        let Some(state) = self.state(peer, family) else { return };
        if state.counters.stale == 0 {
            state.old_epochs = 0;
        }
        if state.counters.stale == state.counters.received {
            return;
        }
        if state.old_epochs == u8::MAX - 1 {
            // The next epoch would be that of the oldest stale paths: make all of them as young as stale paths can be.
            let Some(entry) = self.peers.get(&peer) else { return };
            let from = &entry.families[family.index()];
            on_table!(self, family, table => table.renumber_stale(peer, from, from.epoch.wrapping_sub(1)));
            if let Some(state) = self.state(peer, family) {
                state.old_epochs = 1;
            }
        }
        if let Some(state) = self.state(peer, family) {
            state.epoch = state.epoch.wrapping_add(1);
            state.old_epochs += 1;
            state.counters.stale = state.counters.received;
        }
    }

    fn remove_paths(&mut self, peer: PeerId, family: Family, stale_only: bool) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let from = &mut entry.families[family.index()];
        let epoch = from.epoch;
        if !stale_only || from.counters.stale > 0 {
            on_table!(self, family, table => table.remove_all(peer, from, &mut self.attrs, |p| !stale_only || p.epoch() != epoch));
        }
    }

    fn forget_idle(&mut self, peer: PeerId) {
        if self.peers.get(&peer).is_some_and(Peer::is_idle) {
            self.peers.remove(&peer);
        }
    }

    fn state(&mut self, peer: PeerId, family: Family) -> Option<&mut PeerFamily> {
        Some(&mut self.peers.get_mut(&peer)?.families[family.index()])
    }
}

fn with_llgr_stale(set: &AttrSet) -> AttrSet {
    let mut attributes = PathAttributes::from(set);
    attributes.communities.push(Community::LLGR_STALE.0);
    AttrSet::from(&attributes)
}
