//! Which sessions this node has: the mesh, BGPPeers seen from both of their sides, and peering with local workloads.
//!
//! One session per address, since that is what identifies a peer. What an object asks for comes before the mesh, so that a node that
//! changes from mesh to reflector keeps its connection and changes its policy only.

use super::World;
use super::node::{CalicoNode, IpFamily};
use super::objects::{BgpPeer, BgpPeerSpec, SecretKeyRef, is_host, judge};
use super::report::Report;
use super::selector::Selector;
use crate::config::file::{self, AddPathSend, AdminState, FamilyName, GracefulRestartMode, List, Neighbor, NextHopMode, Period};
use crate::kube::objects::Secret;
use crate::wire::Asn;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// What a session comes from; the start of its name, as `calicoctl node status` and exporters know it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum SessionKind {
    Mesh,
    Global,
    Node,
    LocalWorkload,
}

impl SessionKind {
    /// By the start of a name; `None` for neighbors that other objects or the file have named.
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [Self::Mesh, Self::Global, Self::Node, Self::LocalWorkload];
        all.into_iter().find(|kind| name.strip_prefix(kind.prefix()).is_some_and(|rest| rest.starts_with('_')))
    }

    /// The start of the names of such sessions.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Mesh => "Mesh",
            Self::Global => "Global",
            Self::Node => "Node",
            Self::LocalWorkload => "Local_Workload",
        }
    }
}

/// One session of this node.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub name: String,
    pub kind: SessionKind,
    /// The BGPPeer; the mesh has none.
    pub object: Option<String>,
    /// The Node at the other end, where it is known.
    pub node: Option<String>,
    pub address: IpAddr,
    pub port: u16,
    pub asn: u32,
    /// Instead of the node's own AS number.
    pub local_asn: Option<u32>,
    /// Our end; `None` leaves it to the kernel.
    pub source: Option<IpAddr>,
    /// More than one only between two speakers of ours.
    pub families: Vec<IpFamily>,
    pub is_passive: bool,
    pub is_client: bool,
    pub is_ebgp: bool,
    pub password: Option<SecretKeyRef>,
    /// The password cannot be had, so the session stays down.
    pub is_held_down: bool,
    pub restart_time: Option<Duration>,
    pub keepalive_time: Option<Duration>,
    pub ttl_security: Option<u8>,
    pub next_hop: NextHopMode,
    pub allow_own_asn: u8,
    pub filters: Vec<String>,
}

/// The sessions in order of their addresses.
pub fn derive(world: &World<'_>, reports: &mut Vec<Report>) -> Vec<Session> {
    let peers = read_peers(world, reports);
    let mut deriver = Deriver { world, found: BTreeMap::new(), reports };
    for peer in peers.iter().filter(|p| p.spec.is_global()) {
        deriver.forward(peer, SessionKind::Global);
    }
    for peer in peers.iter().filter(|p| !p.spec.is_global() && p.is_local_side(&world.own)) {
        deriver.forward(peer, SessionKind::Node);
    }
    for peer in peers.iter().filter(|p| p.spec.is_reversed()) {
        deriver.reverse(peer);
    }
    deriver.mesh();
    deriver.found.into_values().collect()
}

/// A BGPPeer that can be used, with its selectors parsed.
struct Peer<'a> {
    name: &'a str,
    spec: &'a BgpPeerSpec,
    nodes: Selector,
    peers: Selector,
}

impl Peer<'_> {
    /// Whether it speaks for this node as the one that peers.
    fn is_local_side(&self, node: &CalicoNode) -> bool {
        match (self.spec.node.as_str(), self.spec.node_selector.as_str()) {
            ("", "") => true,
            ("", _) => self.nodes.matches(&node.labels),
            (name, _) => name == node.name,
        }
    }
}

/// In order of their names.
fn read_peers<'a>(world: &World<'a>, reports: &mut Vec<Report>) -> Vec<Peer<'a>> {
    let mut objects: Vec<&'a BgpPeer> = world.objects.peers.clone();
    objects.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let mut peers = Vec::new();
    for object in objects {
        let (found, usable) = judge(PEER, &object.metadata, &object.spec);
        reports.extend(found);
        let known = |name: &&String| !world.objects.filters.iter().any(|f| f.metadata.name == **name);
        for name in object.spec.filters.iter().filter(known) {
            reports.push(Report::warning(PEER, &object.metadata.name, "spec.filters", format!("there is no BGPFilter `{name}`; left out")));
        }
        let selectors = (Selector::parse(&object.spec.node_selector), Selector::parse(&object.spec.peer_selector));
        if let (true, (Ok(nodes), Ok(selected))) = (usable, selectors) {
            peers.push(Peer { name: &object.metadata.name, spec: &object.spec, nodes, peers: selected });
        }
    }
    peers
}

/// One end of a session to be, before it is known whether it is wanted twice.
struct Candidate<'a> {
    kind: SessionKind,
    peer: Option<&'a Peer<'a>>,
    node: Option<&'a CalicoNode>,
    address: IpAddr,
    port: u16,
    asn: u32,
    families: Vec<IpFamily>,
    is_passive: bool,
    /// The settings that only the side that names an address has.
    names_address: bool,
}

struct Deriver<'a, 'r> {
    world: &'a World<'a>,
    found: BTreeMap<IpAddr, Session>,
    reports: &'r mut Vec<Report>,
}

impl<'a> Deriver<'a, '_> {
    /// The peer seen from its local side.
    fn forward(&mut self, peer: &Peer<'a>, kind: SessionKind) {
        let spec = peer.spec;
        if !spec.local_workload_selector.is_empty() {
            self.workloads(peer);
        } else if let Some(target) = spec.address() {
            let world = self.world;
            let node = world.nodes.values().find(|n| n.has_address(target.ip) && world.asn_of(n) == spec.as_number.0);
            let listen = node.map_or(world.settings.default_port(), |n| world.settings.port_of(&n.name));
            let candidate = Candidate {
                kind,
                peer: Some(peer),
                node: None,
                address: target.ip,
                port: target.port.unwrap_or(listen),
                asn: spec.as_number.0,
                families: vec![IpFamily::of(target.ip)],
                is_passive: kind == SessionKind::Global && node.is_some() && self.peer_dials(target.ip),
                names_address: true,
            };
            self.add(&candidate);
        } else {
            for node in self.world.nodes.values().filter(|n| peer.peers.matches(&n.labels)) {
                self.peer_with(Some(peer), node, kind);
            }
        }
    }

    /// The peer seen from the other side: we are among those that it names.
    fn reverse(&mut self, peer: &Peer<'a>) {
        let (world, spec) = (self.world, peer.spec);
        let sides = world.nodes.values().filter(|n| peer.is_local_side(n));
        let Some(target) = spec.address() else {
            if peer.peers.matches(&world.own.labels) {
                sides.for_each(|node| self.peer_with(Some(peer), node, SessionKind::Node));
            }
            return;
        };
        let own_port = world.settings.port_of(&world.own.name);
        let is_us = world.own.has_address(target.ip)
            && spec.as_number.0 == world.asn_of(&world.own)
            && target.port.is_none_or(|port| port == own_port);
        if is_us {
            sides.for_each(|node| self.peer_in(Some(peer), node, SessionKind::Node, &[IpFamily::of(target.ip)]));
        }
    }

    /// RFC 4456 reflectors leave the mesh, on both sides.
    fn mesh(&mut self) {
        let world = self.world;
        if world.settings.mesh && world.own.cluster_id.is_none() {
            for node in world.nodes.values().filter(|n| n.cluster_id.is_none()) {
                self.peer_with(None, node, SessionKind::Mesh);
            }
        }
    }

    /// Sessions in every family that both ends have an address in; one for both families where both ends are ours.
    fn peer_with(&mut self, peer: Option<&Peer<'a>>, node: &'a CalicoNode, kind: SessionKind) {
        let has_both = |n: &CalicoNode| n.ipv4.is_some() && n.ipv6.is_some();
        let is_ours = |n: &CalicoNode| n.has_our_speaker() && has_both(n);
        if is_ours(&self.world.own) && is_ours(node) {
            self.peer_over(peer, node, kind, (IpFamily::V4, &IpFamily::ALL));
        } else {
            self.peer_in(peer, node, kind, &IpFamily::ALL);
        }
    }

    /// One session in each of these families.
    fn peer_in(&mut self, peer: Option<&Peer<'a>>, node: &'a CalicoNode, kind: SessionKind, families: &[IpFamily]) {
        for family in families {
            self.peer_over(peer, node, kind, (*family, &[*family]));
        }
    }

    fn peer_over(&mut self, peer: Option<&Peer<'a>>, node: &'a CalicoNode, kind: SessionKind, over: (IpFamily, &[IpFamily])) {
        let world = self.world;
        let (Some(_), Some(address)) = (world.own.address(over.0), node.address(over.0)) else { return };
        if node.name == world.own.name {
            return;
        }
        let candidate = Candidate {
            kind,
            peer,
            node: Some(node),
            address,
            port: world.settings.port_of(&node.name),
            asn: world.asn_of(node),
            families: over.1.to_vec(),
            is_passive: matches!(kind, SessionKind::Mesh | SessionKind::Global) && self.peer_dials(address),
            names_address: false,
        };
        self.add(&candidate);
    }

    /// Workloads of this node are always the ones that connect.
    fn workloads(&mut self, peer: &Peer<'a>) {
        let world = self.world;
        for net in world.local.workloads.iter().filter(|w| w.peer == peer.name).flat_map(|w| &w.addresses) {
            let candidate = Candidate {
                kind: SessionKind::LocalWorkload,
                peer: Some(peer),
                node: None,
                address: net.addr(),
                port: world.settings.default_port(),
                asn: peer.spec.as_number.0,
                families: vec![IpFamily::of(net.addr())],
                is_passive: true,
                names_address: false,
            };
            self.add(&candidate);
        }
    }

    /// The end with the greater address connects, as texts and not as numbers: 10.0.0.9 before 10.0.0.10.
    fn peer_dials(&self, address: IpAddr) -> bool {
        self.world.own.address(IpFamily::of(address)).is_some_and(|own| address.to_string() > own.to_string())
    }

    fn add(&mut self, candidate: &Candidate<'_>) {
        if self.world.own.has_address(candidate.address) || !is_host(candidate.address) {
            return;
        }
        match self.found.get(&candidate.address) {
            None => {
                let session = self.session(candidate);
                self.found.insert(candidate.address, session);
            }
            Some(first) => {
                let conflict = candidate.peer.and_then(|peer| Some((peer, conflict(first, candidate)?)));
                if let Some((peer, (field, message))) = conflict {
                    self.reports.push(Report::warning(PEER, peer.name, field, message));
                }
            }
        }
    }

    fn session(&mut self, candidate: &Candidate<'_>) -> Session {
        let Candidate { kind, peer, node, address, port, asn, .. } = *candidate;
        let (world, spec) = (self.world, peer.map(|p| p.spec));
        let (is_workload, settings) = (kind == SessionKind::LocalWorkload, &world.settings);
        let own_asn = world.asn_of(&world.own);
        let named = spec.filter(|_| candidate.names_address);
        let local_asn = named.and_then(|s| s.local_as_number).map(|asn| asn.0).filter(|asn| *asn > 0 && *asn != own_asn);
        let is_ebgp = asn != local_asn.unwrap_or(own_asn);
        let peer_cluster = node.and_then(|n| n.cluster_id);
        let password = match spec {
            Some(spec) => spec.password_key(),
            None => settings.mesh_password.as_ref(),
        };
        let password = password.filter(|_| !is_workload).cloned();
        let uses_node_address = !is_workload && spec.is_none_or(|s| s.source_address.as_deref() != Some("None"));
        let restart_time = spec.map_or(settings.mesh_restart_time, |s| s.max_restart_time.map(|t| t.0));
        Session {
            name: name(candidate),
            kind,
            object: peer.map(|p| p.name.to_owned()),
            node: node.map(|n| n.name.clone()),
            address,
            port,
            asn,
            local_asn,
            source: if uses_node_address { world.own.address(IpFamily::of(address)) } else { None },
            families: candidate.families.clone(),
            is_passive: candidate.is_passive,
            is_client: world.own.cluster_id.is_some() && !is_ebgp && peer_cluster != world.own.cluster_id,
            is_ebgp,
            is_held_down: password.as_ref().is_some_and(|key| !self.has_password(peer, key)),
            password,
            restart_time: restart_time.map(|t| t.min(MOST_RESTART_TIME)),
            keepalive_time: spec.and_then(|s| s.keepalive_time).map(|t| t.0).filter(|t| *t >= Duration::from_secs(1)),
            ttl_security: spec.and_then(|s| s.ttl_security).filter(|hops| *hops > 0),
            next_hop: spec.map_or(NextHopMode::Auto, |s| next_hop(s, is_ebgp)),
            allow_own_asn: named.and_then(|s| s.num_allowed_local_as_numbers).and_then(|n| u8::try_from(n).ok()).unwrap_or(0),
            filters: spec.map(|s| s.filters.clone()).unwrap_or_default(),
        }
    }

    /// Whether the key can be used; if not, whoever asks for it is told why.
    fn has_password(&mut self, peer: Option<&Peer<'_>>, key: &SecretKeyRef) -> bool {
        let secret = self.world.secret(key);
        let (SecretKeyRef { name, key }, namespace) = (key, &self.world.local.secret_namespace);
        let fault = match secret.map(|s| s.data.get(key).map(|value| value.0.len())) {
            None => match self.world.objects.secrets_refused {
                Some(why) => format!("Secret {namespace}/{name} cannot be read ({why})"),
                None => format!("Secret {namespace}/{name} is not there"),
            },
            Some(None) => format!("Secret {namespace}/{name} has no key `{key}`"),
            Some(Some(1..=MD5_KEY_LEN)) => return true,
            Some(Some(len)) => format!("key `{key}` of Secret {namespace}/{name} has {len} octets; TCP MD5 takes 1 to {MD5_KEY_LEN}"),
        };
        let (kind, object, field) = match peer {
            Some(peer) => (PEER, peer.name, "spec.password.secretKeyRef"),
            None => ("BGPConfiguration", "default", "spec.nodeMeshPassword.secretKeyRef"),
        };
        let report = Report::error(kind, object, field, format!("{fault}; the sessions that need it stay down"));
        if !self.reports.contains(&report) {
            self.reports.push(report);
        }
        false
    }
}

/// What two sessions that were asked for to one address disagree about.
fn conflict(first: &Session, second: &Candidate<'_>) -> Option<(&'static str, String)> {
    let owner = first.object.as_deref().map_or_else(|| "the mesh".to_owned(), |name| format!("BGPPeer {name}"));
    let address = second.address;
    if first.port != second.port {
        return Some(("spec.peerIP", format!("{owner} has the session with {address}, on port {}; there is one per address", first.port)));
    }
    if first.asn != second.asn {
        return Some(("spec.asNumber", format!("{owner} has the session with {address}, as AS {}; this one is left out", first.asn)));
    }
    let password = second.peer.and_then(|p| p.spec.password_key());
    (first.password.as_ref() != password)
        .then(|| ("spec.password", format!("{owner} has the session with {address}, with another password")))
}

fn next_hop(spec: &BgpPeerSpec, is_ebgp: bool) -> NextHopMode {
    match spec.next_hop_mode.as_deref() {
        Some("Self") => NextHopMode::Own,
        Some("Keep") => NextHopMode::Unchanged,
        None if spec.keep_original_next_hop && is_ebgp => NextHopMode::Unchanged,
        _ => NextHopMode::Auto,
    }
}

/// `Global_10_0_0_1`, `Node_fd00__1_port_1790`.
fn name(candidate: &Candidate<'_>) -> String {
    let address = candidate.address.to_string().replace(['.', ':'], "_");
    let port = candidate.peer.filter(|_| candidate.names_address).and_then(|p| p.spec.address()?.port);
    let port = port.map(|port| format!("_port_{port}")).unwrap_or_default();
    format!("{}_{address}{port}", candidate.kind.prefix())
}

impl Session {
    /// The session as the configuration file would say it, with these policies.
    pub fn neighbor(&self, world: &World<'_>, import: Vec<String>, export: Vec<String>) -> Neighbor {
        let hold_time = world.local.hold_time.or(self.keepalive_time.map(|_| HOLD_TIME));
        // RFC 4271 4.4: keepalives come at least three times within the hold time.
        let keepalive = self.keepalive_time.map(|t| t.min(MOST_HOLD_TIME / 3));
        let hold_time = hold_time.map(|hold| keepalive.map_or(hold, |k| hold.max(whole_seconds(k * 3))));
        let family = |f: &IpFamily| match f {
            IpFamily::V4 => FamilyName::Ipv4Unicast,
            IpFamily::V6 => FamilyName::Ipv6Unicast,
        };
        let number = |asn: u32| Asn::new(asn).map(file::Asn::Number);
        Neighbor {
            name: Some(self.name.clone()),
            address: Some(self.address),
            port: Some(self.port),
            asn: number(self.asn),
            local_asn: self.local_asn.and_then(number),
            local_address: self.source,
            description: Some(self.describe()),
            families: Some(self.families.iter().map(family).collect()),
            passive: Some(self.is_passive),
            admin_state: self.is_held_down.then_some(AdminState::Down),
            hold_time: hold_time.map(Period),
            keepalive_time: keepalive.map(Period),
            route_reflector_client: self.is_client.then_some(true),
            next_hop: (self.next_hop != NextHopMode::Auto).then_some(self.next_hop),
            multihop: self.ttl_security.is_none().then_some(MULTIHOP),
            ttl_security: self.ttl_security,
            password: self
                .password
                .as_ref()
                .filter(|_| !self.is_held_down)
                .map(|key| file::Password { secret: Some(world.secret_name(key)), ..file::Password::default() }),
            graceful_restart: Some(file::GracefulRestart {
                mode: Some(GracefulRestartMode::Full),
                time: self.restart_time.map(whole_seconds).map(Period),
                stale_time: None,
            }),
            add_path: Some(file::AddPath { receive: Some(true), send: Some(AddPathSend::All) }),
            import: Some(List(import)),
            export: Some(List(export)),
            allow_own_asn: (self.allow_own_asn > 0).then_some(self.allow_own_asn),
            ..Neighbor::default()
        }
    }

    fn describe(&self) -> String {
        let end = self.node.as_ref().map(|node| format!(" to node {node}")).unwrap_or_default();
        match &self.object {
            Some(object) => format!("BGPPeer {object}{end}"),
            None => format!("node-to-node mesh{end}"),
        }
    }
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

impl<'a> World<'a> {
    /// The Secret of a password, in the namespace of calico-node.
    pub fn secret(&self, key: &SecretKeyRef) -> Option<&'a Secret> {
        let in_place = |s: &&&Secret| s.metadata.name == key.name && s.metadata.namespace == self.local.secret_namespace;
        self.objects.secrets.iter().find(in_place).copied()
    }

    /// What `password.secret` says: `NAMESPACE/NAME/KEY`.
    pub fn secret_name(&self, key: &SecretKeyRef) -> String {
        format!("{}/{}/{}", self.local.secret_namespace, key.name, key.key)
    }

    /// The AS number of a node: its own or that of the cluster.
    pub fn asn_of(&self, node: &CalicoNode) -> u32 {
        node.asn.unwrap_or(self.settings.default_asn)
    }
}

const PEER: &str = "BGPPeer";
/// The TTL that BIRD sends with `multihop`.
const MULTIHOP: u8 = 64;
/// TCP_MD5SIG_MAXKEYLEN of Linux.
const MD5_KEY_LEN: usize = 80;
const HOLD_TIME: Duration = Duration::from_secs(90);
/// RFC 4271 4.2.
const MOST_HOLD_TIME: Duration = Duration::from_secs(65535);
/// RFC 4724 3.
const MOST_RESTART_TIME: Duration = Duration::from_secs(4095);
