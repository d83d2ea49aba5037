//! Neighbors: what shards know of the session, what the tables know of the routes, and what the configuration says.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::clock::{Clock, seconds};
use super::{capabilities, errors};
use crate::api::types::{
    Admin, Family as ShownFamily, FamilyStatus, GrState, LimitAction, LimitStatus, Malformed, MessageCounters, Messages, Neighbor,
    NeighborType, Queues, SessionState, TcpHints, Timers,
};
use crate::bfd;
use crate::config::Plan;
use crate::config::plan::SessionPlan;
use crate::net::{self, PeerSnapshot, Ttl};
use crate::policy::PeerKind;
use crate::rib::{PeerId, PrefixCounters};
use crate::session::{Counters, RemoteAs, State};
use crate::speaker::RibState;
use crate::wire::{Asn, Family};

/// What the tables know of one peer and family.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FamilyFacts {
    pub counters: PrefixCounters,
    pub advertised: u64,
    pub eor_received: bool,
    pub limit_hit: bool,
    /// Its stale routes are long-lived ones (RFC 9494).
    pub long_lived: bool,
}

/// By peer, then by [`Family::index`].
pub(super) type Facts = BTreeMap<PeerId, [FamilyFacts; 2]>;

/// Counters of these peers; each costs the same however many routes there are.
pub(super) fn facts(state: &RibState, peers: &[PeerId]) -> Facts {
    let of = |peer: PeerId| {
        let live = state.live.get(&peer);
        Family::ALL.map(|family| FamilyFacts {
            counters: state.rib.counters(peer, family),
            advertised: state.groups.advertised(peer, family),
            eor_received: live.is_some_and(|l| l.eor_received.contains(family)),
            limit_hit: live.is_some_and(|l| l.limit_hit.contains(family)),
            long_lived: state.grace.is_long_lived(peer, family),
        })
    };
    peers.iter().map(|peer| (*peer, of(*peer))).collect()
}

/// How the configuration knows a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings<'a> {
    /// Absent where the file gives none.
    pub name: Option<&'a str>,
    pub group: Option<&'a str>,
    pub session: &'a SessionPlan,
}

/// The neighbor of the file at this address, or the most specific range that holds it.
pub(super) fn settings(plan: &Plan, address: IpAddr, dynamic: bool) -> Option<Settings<'_>> {
    if let Some(peer) = plan.peers.get(&address).filter(|_| !dynamic) {
        let name = Some(peer.name.as_str()).filter(|name| name.parse::<IpAddr>() != Ok(address));
        return Some(Settings { name, group: peer.group.as_deref(), session: &peer.session });
    }
    let range = plan.dynamic.values().filter(|d| d.range.contains(&address)).max_by_key(|d| d.range.prefix_len())?;
    Some(Settings { name: None, group: Some(&range.group), session: &range.session })
}

/// Makes rows of one moment.
pub(super) struct Builder<'a> {
    pub plan: &'a Plan,
    pub facts: &'a Facts,
    /// What BFD says.
    pub paths: &'a BTreeMap<IpAddr, bfd::State>,
    pub clock: Clock,
    pub hints: TcpHints,
    pub draining: bool,
}

impl Builder<'_> {
    pub fn neighbor(&self, peer: &PeerSnapshot) -> Neighbor {
        let status = &peer.status;
        let address = peer.remote.ip();
        let settings = settings(self.plan, address, peer.dynamic);
        let up = status.state == State::Established;
        // Facts of an earlier session would pass for those of this one.
        let session = status.negotiated.as_deref().filter(|_| matches!(status.state, State::OpenConfirm | State::Established));
        let auth = if peer.socket.password.is_some() { "md5" } else { "none" };
        let (ttl_security, ttl) = match peer.socket.ttl {
            Ttl::Security(hops) => (Some(hops), 255),
            Ttl::Send(ttl) => (None, ttl),
        };
        let hints = TcpHints { ttl: Some(ttl), ..self.hints.clone() };
        let kind = kind(peer);
        let text = |text: Option<&str>| text.filter(|t| !t.is_empty()).map(str::to_owned);
        Neighbor {
            name: settings.and_then(|s| text(s.name)),
            address: Some(address),
            port: peer.remote.port(),
            interface: None,
            group: settings.and_then(|s| text(s.group)),
            description: settings.and_then(|s| text(Some(&s.session.description))),
            dynamic: peer.dynamic,
            kind,
            local_asn: peer.params.local_as.get(),
            remote_asn: remote_asn(peer).map(Asn::get),
            local_address: session.map(|n| n.local_addr.ip()).or(peer.socket.source),
            router_id: session.map(|n| n.remote_id.to_string()),
            admin: if status.admin_up { Admin::Up } else { Admin::Down },
            state: state(status.state),
            state_since: self.clock.at(status.since),
            up_for_seconds: up.then(|| seconds(self.clock.since(status.since))),
            down_for_seconds: (!up).then(|| seconds(self.clock.since(status.down_since))),
            established_count: status.established,
            dropped_count: status.dropped,
            last_error: errors::last_error(status, &self.clock),
            last_tcp_error: status.last_tcp_error.as_ref().map(|e| errors::tcp_error(e, auth, ttl_security.is_some(), &hints, &self.clock)),
            timers: timers(peer),
            auth: auth.to_owned(),
            ttl_security,
            multihop: (ttl_security.is_none() && kind == NeighborType::Ebgp && ttl > 1).then_some(ttl),
            tcp: (!up).then_some(hints),
            bfd: settings.and_then(|s| s.session.bfd.as_ref()).map(|b| super::bfd::status(&b.profile, self.paths.get(&address).copied())),
            capabilities: capabilities::capabilities(&peer.params, status),
            families: self.families(peer),
            messages: messages(peer),
            queues: Queues { out: 0, out_bytes: peer.queued_bytes as u64, input: peer.undelivered as u64 },
            drain: self.draining,
            last_read_at: None,
            last_write_at: None,
        }
    }

    fn families(&self, peer: &PeerSnapshot) -> Vec<FamilyStatus> {
        let facts = self.facts.get(&peer.id).copied().unwrap_or_default();
        let up = peer.status.state == State::Established;
        let session = peer.status.negotiated.as_deref().filter(|_| up);
        let shown = |family: &Family| peer.params.families.contains(*family) || session.is_some_and(|n| n.families.contains(*family));
        let status = |family: Family| {
            let FamilyFacts { counters, advertised, eor_received, limit_hit, long_lived } = facts[family.index()];
            let restarts = session.and_then(|n| n.gr).is_some_and(|gr| gr.families.contains(family));
            let gr = match (up, counters.stale > 0) {
                (false, true) if long_lived => GrState::LongLived,
                (false, true) => GrState::Retained,
                (true, true) if !eor_received => GrState::Resyncing,
                _ if restarts => GrState::Ready,
                _ => GrState::None,
            };
            FamilyStatus {
                family: shown_family(family),
                negotiated: session.is_some_and(|n| n.families.contains(family)),
                received: counters.received.into(),
                accepted: counters.accepted.into(),
                filtered: counters.filtered.into(),
                best: counters.best.into(),
                advertised,
                limit: peer.rules.max_prefixes.map(|max| limit(max, limit_hit)),
                eor_received,
                eor_sent: peer.eor_sent.contains(family),
                stale: counters.stale.into(),
                gr,
            }
        };
        Family::ALL.into_iter().filter(shown).map(status).collect()
    }
}

fn limit(max: net::MaxPrefixes, hit: bool) -> LimitStatus {
    let action = match max.action {
        net::LimitAction::Warn => LimitAction::Warn,
        net::LimitAction::Drop => LimitAction::Drop,
        net::LimitAction::Shutdown => LimitAction::Shutdown,
        net::LimitAction::Restart(_) => LimitAction::Restart,
    };
    LimitStatus { max: max.limit.into(), action, hit }
}

/// The AS of the OPEN, or that of the configuration where it names one.
pub(super) fn remote_asn(peer: &PeerSnapshot) -> Option<Asn> {
    match peer.params.remote_as {
        RemoteAs::Fixed(asn) => Some(asn),
        RemoteAs::Internal => Some(peer.params.local_as),
        RemoteAs::External => peer.status.negotiated.as_ref().map(|n| n.remote_as),
    }
}

fn kind(peer: &PeerSnapshot) -> NeighborType {
    let ebgp = !peer.params.remote_as.accepts(peer.params.local_as, peer.params.local_as);
    let kind = peer.status.negotiated.as_ref().map(|n| peer.rules.kind(n));
    match kind {
        Some(PeerKind::Ebgp) => NeighborType::Ebgp,
        Some(PeerKind::Client) => NeighborType::RrClient,
        Some(PeerKind::NonClient | PeerKind::Local) => NeighborType::Ibgp,
        None if ebgp => NeighborType::Ebgp,
        None if peer.rules.client => NeighborType::RrClient,
        None => NeighborType::Ibgp,
    }
}

/// The one deadline that the session waits for has the name of what its state waits for.
fn timers(peer: &PeerSnapshot) -> Timers {
    let status = &peer.status;
    let next = peer.next_timeout.map(seconds);
    let only = |wanted: bool| next.filter(|_| wanted);
    let up = status.negotiated.as_ref().filter(|_| status.state == State::Established);
    Timers {
        hold_seconds: up.map(|n| seconds(n.hold_time)),
        keepalive_seconds: up.map(|n| seconds(n.keepalive)),
        configured_hold_seconds: f64::from(peer.params.hold_time.seconds()),
        hold_expires_in_seconds: only(matches!(status.state, State::OpenSent | State::OpenConfirm)),
        keepalive_in_seconds: only(status.state == State::Established),
        connect_retry_in_seconds: only(matches!(status.state, State::Connect | State::Active)),
        idle_hold_in_seconds: only(status.state == State::Idle),
    }
}

fn messages(peer: &PeerSnapshot) -> Messages {
    let counters = |c: &Counters| MessageCounters {
        open: c.open,
        update: c.update,
        notification: c.notification,
        keepalive: c.keepalive,
        route_refresh: c.route_refresh,
        total: c.total(),
    };
    let malformed = Malformed { discarded: peer.faults.discarded, treated_as_withdraw: peer.faults.withdrawn };
    Messages {
        sent: counters(&peer.status.sent),
        received: counters(&peer.status.received),
        malformed: Some(malformed).filter(|m| *m != Malformed::default()),
    }
}

pub(super) const fn state(state: State) -> SessionState {
    match state {
        State::Idle => SessionState::Idle,
        State::Connect => SessionState::Connect,
        State::Active => SessionState::Active,
        State::OpenSent => SessionState::OpenSent,
        State::OpenConfirm => SessionState::OpenConfirm,
        State::Established => SessionState::Established,
    }
}

pub(super) const fn shown_family(family: Family) -> ShownFamily {
    match family {
        Family::Ipv4Unicast => ShownFamily::Ipv4Unicast,
        Family::Ipv6Unicast => ShownFamily::Ipv6Unicast,
    }
}

pub(super) const fn wire_family(family: ShownFamily) -> Family {
    match family {
        ShownFamily::Ipv4Unicast => Family::Ipv4Unicast,
        ShownFamily::Ipv6Unicast => Family::Ipv6Unicast,
    }
}
