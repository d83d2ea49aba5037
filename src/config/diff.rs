//! From the running Plan to the next one: what to do, in an order that works. An unchanged peer appears in no action.

use super::plan::{
    ApiPlan, BfdProfile, DrainPlan, DynamicPlan, FibPlan, KubernetesPlan, LogPlan, MetricsPlan, NetworkPlan, PeerKey, PeerPlan, Plan,
    PolicyPlan, RouterPlan, SessionPlan, VipsPlan,
};
use crate::wire::attr::Tags;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// One step from a Plan to the next. Each carries the whole new value of what it changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Router(RouterPlan),
    /// Policies by name, for those who ask by name; peers hold their chains themselves.
    Policies {
        policies: BTreeMap<String, PolicyPlan>,
        tags: BTreeMap<String, Tags>,
    },
    StopListening(BTreeSet<SocketAddr>),
    Listen(BTreeSet<SocketAddr>),
    RemovePeer(PeerKey),
    RemoveRange(IpNet),
    AddPeer(Box<PeerPlan>),
    AddRange(Box<DynamicPlan>),
    ChangePeer {
        plan: Box<PeerPlan>,
        change: Change,
    },
    /// For the range, and for each session that came from it.
    ChangeRange {
        plan: Box<DynamicPlan>,
        change: Change,
    },
    Withdraw(IpNet),
    Originate(Box<NetworkPlan>),
    Vips(VipsPlan),
    /// Monitoring stations.
    Bmp(BTreeSet<SocketAddr>),
    Fib(FibPlan),
    /// BFD profiles by name; the sessions that use them are told with their neighbors.
    Bfd(BTreeMap<String, BfdProfile>),
    Kubernetes(Option<Box<KubernetesPlan>>),
    Api(ApiPlan),
    Metrics(MetricsPlan),
    Log(LogPlan),
    Drain(DrainPlan),
}

/// What a change of settings means for an established session.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Change {
    /// The session must end (Cease, Other Configuration Change), since the settings are part of the OPEN or of the socket.
    pub reset: bool,
    /// The peer is asked for its routes again.
    pub refresh_in: bool,
    /// The peer is sent what has changed by another export group.
    pub refresh_out: bool,
    /// The keys that changed.
    pub what: Vec<&'static str>,
}

/// What leads from `old` to `new`.
pub fn diff(old: &Plan, new: &Plan) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut push = |changed: bool, action: &dyn Fn() -> Action| {
        if changed {
            actions.push(action());
        }
    };
    push(old.log != new.log, &|| Action::Log(new.log.clone()));
    push(old.router != new.router, &|| Action::Router(new.router));
    let policies = || Action::Policies { policies: new.policies.clone(), tags: new.tags.clone() };
    push(old.policies != new.policies || old.tags != new.tags, &policies);
    push(old.fib != new.fib, &|| Action::Fib(new.fib.clone()));
    push(old.bfd != new.bfd, &|| Action::Bfd(new.bfd.clone()));
    push(old.kubernetes != new.kubernetes, &|| Action::Kubernetes(new.kubernetes.clone().map(Box::new)));
    push(old.api != new.api, &|| Action::Api(new.api.clone()));
    push(old.metrics != new.metrics, &|| Action::Metrics(new.metrics.clone()));
    push(old.vips != new.vips, &|| Action::Vips(new.vips.clone()));
    push(old.bmp != new.bmp, &|| Action::Bmp(new.bmp.clone()));
    push(old.drain != new.drain, &|| Action::Drain(new.drain.clone()));
    let closed: BTreeSet<_> = old.listeners.difference(&new.listeners).copied().collect();
    let opened: BTreeSet<_> = new.listeners.difference(&old.listeners).copied().collect();
    // Close first: an address may go from one port to all, or from one address to the wildcard.
    push(!closed.is_empty(), &|| Action::StopListening(closed.clone()));
    push(!opened.is_empty(), &|| Action::Listen(opened.clone()));
    actions.extend(old.peers.keys().filter(|key| !new.peers.contains_key(key)).map(|key| Action::RemovePeer(*key)));
    actions.extend(old.dynamic.keys().filter(|range| !new.dynamic.contains_key(range)).map(|range| Action::RemoveRange(*range)));
    actions.extend(old.networks.keys().filter(|prefix| !new.networks.contains_key(prefix)).map(|prefix| Action::Withdraw(*prefix)));
    let global = Change::of_router(&old.router, &new.router);
    actions.extend(new.peers.iter().filter_map(|(key, plan)| peer(old.peers.get(key), plan, &global)));
    actions.extend(new.dynamic.iter().filter_map(|(range, plan)| dynamic(old.dynamic.get(range), plan, &global)));
    let changed = new.networks.iter().filter(|(prefix, network)| old.networks.get(prefix) != Some(network));
    actions.extend(changed.map(|(_, network)| Action::Originate(Box::new(network.clone()))));
    actions
}

fn peer(old: Option<&PeerPlan>, new: &PeerPlan, global: &Change) -> Option<Action> {
    let Some(old) = old else { return Some(Action::AddPeer(Box::new(new.clone()))) };
    let mut change = global.clone();
    change.note(old.name != new.name, "name", Effect::None);
    change.note(old.group != new.group, "group", Effect::None);
    change.note(old.port != new.port, "port", Effect::None);
    change.sessions(&old.session, &new.session);
    (!change.what.is_empty()).then(|| Action::ChangePeer { plan: Box::new(new.clone()), change })
}

fn dynamic(old: Option<&DynamicPlan>, new: &DynamicPlan, global: &Change) -> Option<Action> {
    let Some(old) = old else { return Some(Action::AddRange(Box::new(new.clone()))) };
    let mut change = global.clone();
    change.note(old.group != new.group, "group", Effect::None);
    change.note(old.max != new.max, "max", Effect::None);
    change.sessions(&old.session, &new.session);
    // The key of a range is on the listener: what was accepted with the old one ends.
    change.reset |= key(&old.session) != key(&new.session);
    (!change.what.is_empty()).then(|| Action::ChangeRange { plan: Box::new(new.clone()), change })
}

/// What one key means for an established session.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Effect {
    /// Taken over as it is.
    None,
    In,
    Out,
    InAndOut,
    Reset,
}

impl Change {
    fn of_router(old: &RouterPlan, new: &RouterPlan) -> Self {
        let mut change = Self::default();
        change.note(old.asn != new.asn, "router.asn", Effect::Reset);
        change.note(old.id != new.id, "router.id", Effect::Reset);
        change.note(old.cluster_id != new.cluster_id, "router.clusterId", Effect::InAndOut);
        change
    }

    fn note(&mut self, changed: bool, key: &'static str, effect: Effect) {
        if !changed {
            return;
        }
        self.what.push(key);
        match effect {
            Effect::None => {}
            Effect::In => self.refresh_in = true,
            Effect::Out => self.refresh_out = true,
            Effect::InAndOut => (self.refresh_in, self.refresh_out) = (true, true),
            Effect::Reset => self.reset = true,
        }
    }

    fn sessions(&mut self, old: &SessionPlan, new: &SessionPlan) {
        let off_and_on = |old: &SessionPlan, new: &SessionPlan| (old.add_path_send == ADD_PATH_OFF) != (new.add_path_send == ADD_PATH_OFF);
        let restart = |s: &SessionPlan| (s.graceful_restart.mode, s.graceful_restart.time);
        self.note(old.remote_as != new.remote_as, "asn", Effect::Reset);
        self.note(old.local_as != new.local_as, "localAsn", Effect::Reset);
        self.note(old.local_address != new.local_address, "localAddress", Effect::Reset);
        self.note(old.bind_device != new.bind_device, "bindDevice", Effect::Reset);
        self.note(old.description != new.description, "description", Effect::None);
        self.note(old.families != new.families, "families", Effect::Reset);
        self.note(old.passive != new.passive, "passive", Effect::None);
        self.note(old.admin_up != new.admin_up, "adminState", Effect::None);
        self.note(old.hold_time != new.hold_time, "holdTime", Effect::Reset);
        self.note(old.keepalive_time != new.keepalive_time, "keepaliveTime", Effect::Reset);
        self.note(old.connect_retry_time != new.connect_retry_time, "connectRetryTime", Effect::None);
        self.note(old.send_hold_time != new.send_hold_time, "sendHoldTime", Effect::None);
        // Client or not decides what is sent, not how the session works.
        self.note(old.route_reflector_client != new.route_reflector_client, "routeReflectorClient", Effect::InAndOut);
        self.note(old.next_hop != new.next_hop, "nextHop", Effect::Out);
        self.note(old.ttl != new.ttl, "multihop, ttlSecurity", Effect::Reset);
        // One key for another goes into the connection as it is (RFC 2385 leaves keys to the operators of both ends); where the key is
        // found is nothing that the peer sees.
        let rekeyed = key(old) == key(new) || (key(old).is_some() && key(new).is_some());
        self.note(old.password != new.password, "password", if rekeyed { Effect::None } else { Effect::Reset });
        self.note(restart(old) != restart(new), "gracefulRestart", Effect::Reset);
        let long_lived = old.graceful_restart.long_lived != new.graceful_restart.long_lived;
        self.note(long_lived, "longLivedGracefulRestart", Effect::Reset);
        self.note(old.graceful_restart.stale_time != new.graceful_restart.stale_time, "gracefulRestart.staleTime", Effect::None);
        self.note(old.add_path_receive != new.add_path_receive, "addPath.receive", Effect::Reset);
        let send = if off_and_on(old, new) { Effect::Reset } else { Effect::Out };
        self.note(old.add_path_send != new.add_path_send, "addPath.send", send);
        self.note(old.extended_next_hop != new.extended_next_hop, "extendedNextHop", Effect::Reset);
        self.note(old.extended_messages != new.extended_messages, "extendedMessages", Effect::Reset);
        self.note(old.max_prefixes != new.max_prefixes, "maxPrefixes", Effect::None);
        self.note(old.allow_own_asn != new.allow_own_asn, "allowOwnAsn", Effect::In);
        self.note(old.role != new.role, "role", Effect::Reset);
        // The session of BFD learns it; the peer's BGP does not.
        self.note(old.bfd != new.bfd, "bfd", Effect::None);
        self.note(old.import != new.import, "import", Effect::In);
        self.note(old.export != new.export, "export", Effect::Out);
    }
}

/// The octets of the MD5 key, wherever they are kept.
fn key(session: &SessionPlan) -> Option<&[u8]> {
    session.password.as_ref().map(|p| p.value.expose())
}

const ADD_PATH_OFF: super::plan::AddPathSend = super::plan::AddPathSend::Off;
