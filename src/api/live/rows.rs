//! Routes as rows.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::api::types::{Community, LargeCommunity, Origin, RibEntry};
use crate::config::Plan;
use crate::policy::{NEXT_HOP_SELF, PeerKind};
use crate::rib::{PathView, PeerId, Verdict};
use crate::speaker::RibState;
use crate::wire::attr::as_path::PathView as AsPathView;
use crate::wire::attr::community::ExtCommunity;
use crate::wire::attr::{AttrSet, Origin as WireOrigin, SegmentKind};

/// Names of the neighbors that have one, by address.
#[derive(Clone, Debug)]
pub(super) struct Names(Arc<BTreeMap<IpAddr, String>>);

impl Names {
    pub fn of(plan: &Plan) -> Self {
        let named = plan.peers.values().filter(|p| p.name.parse::<IpAddr>() != Ok(p.address));
        Self(Arc::new(named.map(|p| (p.address, p.name.clone())).collect()))
    }

    pub fn get(&self, address: IpAddr) -> Option<String> {
        self.0.get(&address).cloned()
    }
}

/// What the attributes alone say.
pub(super) fn attributes(prefix: IpNet, attrs: &AttrSet) -> RibEntry {
    let head = attrs.head();
    let path = AsPathView::of(attrs);
    let plain = path.segments().all(|s| s.kind == SegmentKind::Sequence);
    let communities: Vec<Community> = attrs.communities().map(Community).collect();
    RibEntry {
        prefix,
        best: false,
        multipath: false,
        peer: None,
        peer_name: None,
        local: false,
        internal: false,
        next_hop: next_hop(attrs),
        as_path: path.asns().collect(),
        as_path_text: (!plain).then(|| path.to_string()),
        origin: match head.origin {
            WireOrigin::Igp => Origin::Igp,
            WireOrigin::Egp => Origin::Egp,
            WireOrigin::Incomplete => Origin::Incomplete,
        },
        local_pref: head.local_pref(),
        med: attrs.med(),
        well_known_communities: communities.iter().filter_map(|c| c.well_known_name()).map(str::to_owned).collect(),
        communities,
        large_communities: attrs.large_communities().map(|[a, b, c]| LargeCommunity(a, b, c)).collect(),
        extended_communities: attrs.ext_communities().map(|c| ExtCommunity(c).to_string()).collect(),
        originator_id: head.originator_id.map(|id| id.to_string()),
        cluster_list: attrs.cluster_list().map(|id| Ipv4Addr::from(id).to_string()).collect(),
        path_id: None,
        stale: false,
        filtered: false,
        valid: true,
        advertised: false,
        reason: None,
        age_seconds: None,
    }
}

/// Absent where each session puts its own address.
pub(super) fn next_hop(attrs: &AttrSet) -> Option<IpAddr> {
    let (address, tags) = (attrs.next_hop().address(), attrs.head().tags);
    Some(address).filter(|a| !(a.is_unspecified() && tags.0 & NEXT_HOP_SELF.0 != 0))
}

/// A path of the tables.
pub(super) fn path(state: &RibState, names: &Names, prefix: IpNet, view: &PathView<'_>) -> RibEntry {
    let path = &view.path;
    let mut row = attributes(prefix, path.attrs);
    let source = state.rib.peer(path.source);
    row.local = path.source == PeerId::LOCAL;
    row.internal = source.is_some_and(|p| p.kind.is_internal());
    row.peer = source.filter(|p| p.kind != PeerKind::Local).map(|p| p.addr);
    row.peer_name = row.peer.and_then(|peer| names.get(peer));
    row.path_id = Some(path.path_id_rx).filter(|id| *id != 0);
    row.stale = path.stale;
    match view.verdict {
        Verdict::Best(_) => row.best = true,
        Verdict::Multipath(_) => row.multipath = true,
        Verdict::NotBest(_) => row.reason = Some(crate::policy::Reason::NotBest.code().to_owned()),
        Verdict::Undecided => {}
        Verdict::Ineligible(reason) => {
            row.valid = false;
            row.filtered = is_filtered(view);
            row.reason = Some(reason.code().to_owned());
        }
    }
    row
}

/// Import rejected it; otherwise it lacks only a usable next hop.
pub(super) fn is_filtered(view: &PathView<'_>) -> bool {
    view.path.path_id_tx == 0
}
