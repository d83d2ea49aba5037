//! What one path becomes for a group: RFC 4456 reflection, well-known communities, leak prevention, export policy, next hop.

use super::key::GroupKey;
use super::pack::Packer;
use super::route::{NOBODY, Route};
use crate::policy::{DRAINING, Outcome, PeerKind, Reason, RouteView, drained};
use crate::rib::{PathRef, PeerId, PeerInfo, Rib};
use crate::wire::RouterId;
use crate::wire::attr::{AttrSet, Marks, code};
use crate::wire::capability::Role;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use ipnet::IpNet;

/// Which peer has which BGP identifier, to keep a route from who injected it (RFC 4456 8).
#[derive(Debug, Default)]
pub(super) struct Originators {
    peers: HashMap<RouterId, PeerId, FixedState>,
    /// Identifiers that routes have and no peer had when they were looked at.
    unknown: HashSet<RouterId, FixedState>,
}

impl Originators {
    /// A member joins. Returns the peer that had the identifier before, or ourselves where routes wait for the first one:
    /// routes that name it have to be looked at again.
    pub fn learn(&mut self, id: RouterId, peer: PeerId) -> Option<PeerId> {
        let old = self.peers.insert(id, peer);
        if self.unknown.remove(&id) { Some(NOBODY) } else { old.filter(|old| *old != peer) }
    }

    fn find(&mut self, id: RouterId) -> PeerId {
        self.peers.get(&id).copied().unwrap_or_else(|| {
            self.unknown.insert(id);
            NOBODY
        })
    }
}

/// What the group advertises for a path, or why nothing.
pub(super) fn desire(
    path: &PathRef<'_>,
    prefix: &IpNet,
    rib: &Rib,
    packer: &mut Packer,
    originators: &mut Originators,
) -> Result<Route, Reason> {
    let Some(source) = rib.peer(path.source) else { return Err(Reason::NoSession) };
    admit(packer.key(), source, path.attrs)?;
    let neighbor = (source.kind != PeerKind::Local).then_some(source.addr);
    let view = RouteView { prefix, attrs: path.attrs, neighbor, kind: source.kind };
    let attrs = match packer.key().chain.apply(view) {
        // After the rules, so that none undoes it.
        Outcome::Accept(attrs) if source.kind == PeerKind::Local && path.attrs.head().tags.0 & DRAINING.0 != 0 => drained(&attrs),
        Outcome::Accept(attrs) => attrs,
        Outcome::Reject(reason) => return Err(reason),
    };
    let own_next_hop = packer.takes_own_next_hop(&attrs, source.kind);
    packer.next_hop(&attrs, own_next_hop)?;
    let internal = packer.key().kind.is_internal();
    let injector = match attrs.head().originator_id {
        Some(id) if internal => originators.find(id),
        _ => NOBODY,
    };
    let route = Route {
        but: [path.source, if injector == path.source { NOBODY } else { injector }],
        reflected_from: (internal && source.kind.is_internal()).then_some(source.router_id),
        own_next_hop,
        // RFC 4271 5.1.4: a received MED stays in the AS.
        keep_med: !internal && (source.kind == PeerKind::Local || attrs.med() != path.attrs.med()),
        attrs: Some(attrs),
    };
    if packer.fits(&route) { Ok(route) } else { Err(Reason::TooLong) }
}

/// The rules that no policy can lift.
fn admit(key: &GroupKey, source: &PeerInfo, attrs: &AttrSet) -> Result<(), Reason> {
    // RFC 4456 6.
    if key.kind == PeerKind::NonClient && source.kind == PeerKind::NonClient {
        return Err(Reason::NotReflected);
    }
    let marks = attrs.head().marks;
    // RFC 1997 speaks of received routes: our own carry these communities for the receiver to obey.
    if source.kind != PeerKind::Local {
        let never = marks.contains(Marks::NO_ADVERTISE);
        let inside = marks.contains(Marks::NO_EXPORT) || marks.contains(Marks::NO_EXPORT_SUBCONFED);
        if never || inside && key.kind == PeerKind::Ebgp {
            return Err(Reason::WellKnownCommunity);
        }
    }
    // RFC 9494 4.3.
    if marks.contains(Marks::LLGR_STALE) && !key.llgr_aware {
        return Err(Reason::WellKnownCommunity);
    }
    // RFC 9234 5, egress: a route that came down or sideways does not go up or sideways.
    let upward = matches!(key.role, Some(Role::Customer | Role::Peer | Role::RouteServerClient));
    if upward && key.kind == PeerKind::Ebgp && attrs.value(code::OTC).is_some() {
        return Err(Reason::RouteLeak);
    }
    Ok(())
}
