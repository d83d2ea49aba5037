//! What runs: every default filled in, every name resolved, every policy compiled.

mod vips;

pub use vips::{CheckPlan, HttpPlan, ProbePlan, TlsPlan, VipPlan, VipsPlan};

use super::file;
use crate::policy::{Chain, Policy};
use crate::wire::attr::{AttrSet, Tags};
use crate::wire::{Asn, ClusterId, FamilySet, Role, RouterId};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The whole configuration, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub router: RouterPlan,
    pub listeners: BTreeSet<SocketAddr>,
    pub peers: BTreeMap<PeerKey, PeerPlan>,
    pub dynamic: BTreeMap<IpNet, DynamicPlan>,
    pub networks: BTreeMap<IpNet, NetworkPlan>,
    /// Announced while they are healthy.
    pub vips: VipsPlan,
    pub policies: BTreeMap<String, PolicyPlan>,
    /// Names of tags and their bits.
    pub tags: BTreeMap<String, Tags>,
    pub fib: FibPlan,
    /// By name; sessions hold the settings of theirs themselves.
    pub bfd: BTreeMap<String, BfdProfile>,
    /// `None`: no API server is asked.
    pub kubernetes: Option<KubernetesPlan>,
    pub api: ApiPlan,
    pub metrics: MetricsPlan,
    pub log: LogPlan,
    pub drain: DrainPlan,
    /// Monitoring stations.
    pub bmp: BTreeSet<SocketAddr>,
}

/// What identifies a peer from one Plan to the next: its address.
pub type PeerKey = IpAddr;

/// Who we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RouterPlan {
    pub asn: Asn,
    pub id: RouterId,
    pub cluster_id: ClusterId,
}

impl RouterPlan {
    /// Who we are while the objects of a cluster have yet to tell: AS_TRANS (RFC 6793 9), which nobody can be. Such a Plan has no
    /// sessions, so that this never reaches a peer.
    pub fn unknown() -> Self {
        let id = RouterId::new(1).expect("1 is a BGP identifier");
        Self { asn: Asn::new(AS_TRANS).expect("23456 is an AS number"), id, cluster_id: ClusterId(id.get()) }
    }

    /// Whether it has been told who we are.
    pub fn is_known(&self) -> bool {
        self.asn.get() != AS_TRANS
    }
}

/// RFC 6793 9.
const AS_TRANS: u32 = 23456;

/// One neighbor of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerPlan {
    /// The address where the file gives no name.
    pub name: String,
    pub address: IpAddr,
    pub port: u16,
    /// The group it was resolved from; for filters and tables.
    pub group: Option<String>,
    pub session: SessionPlan,
}

/// Sessions accepted from a range.
#[derive(Clone, Debug, PartialEq)]
pub struct DynamicPlan {
    pub range: IpNet,
    pub group: String,
    /// How many at once.
    pub max: u32,
    pub session: SessionPlan,
}

/// Everything about a session that does not depend on where the peer is.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionPlan {
    pub remote_as: RemoteAs,
    pub local_as: Asn,
    pub local_address: Option<IpAddr>,
    pub bind_device: Option<String>,
    pub description: String,
    pub families: FamilySet,
    pub passive: bool,
    pub admin_up: bool,
    /// Zero: no keepalives and no hold timer.
    pub hold_time: Duration,
    /// At most a third of `hold_time`.
    pub keepalive_time: Duration,
    pub connect_retry_time: Duration,
    /// Zero: off.
    pub send_hold_time: Duration,
    pub route_reflector_client: bool,
    pub next_hop: file::NextHopMode,
    pub ttl: Ttl,
    pub password: Option<Password>,
    pub graceful_restart: GracefulRestart,
    pub add_path_receive: bool,
    pub add_path_send: AddPathSend,
    pub extended_next_hop: bool,
    pub extended_messages: bool,
    pub max_prefixes: Option<MaxPrefixes>,
    pub allow_own_asn: u8,
    pub role: Option<Role>,
    pub bfd: Option<BfdPlan>,
    pub import: Chain,
    pub export: Chain,
}

/// How the path to a neighbor is watched (RFC 5882), with the settings of the profile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BfdPlan {
    pub profile: String,
    pub settings: BfdProfile,
}

/// RFC 5880 6.8.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BfdProfile {
    pub transmit: Duration,
    pub receive: Duration,
    /// At least 1.
    pub multiplier: u8,
    pub passive: bool,
    /// For neighbors beyond routers; `None`: as their number of hops allows.
    pub minimum_ttl: Option<u8>,
}

impl SessionPlan {
    /// How many hops the peer may be away.
    pub fn hops(&self) -> u8 {
        match self.ttl {
            Ttl::Send(hops) | Ttl::Security(hops) => hops,
        }
    }

    pub fn is_ebgp(&self) -> bool {
        match self.remote_as {
            RemoteAs::Fixed(asn) => asn != self.local_as,
            RemoteAs::Internal => false,
            RemoteAs::External => true,
        }
    }
}

/// Which AS number the peer may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RemoteAs {
    Fixed(Asn),
    /// Ours.
    Internal,
    /// Any but ours.
    External,
}

/// The TTL of what we send, and what we ask of what we receive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ttl {
    Send(u8),
    /// RFC 5082: we send 255 and drop what came further than this many hops.
    Security(u8),
}

/// RFC 4724; times as configured also where the mode leaves them unused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GracefulRestart {
    pub mode: file::GracefulRestartMode,
    /// What we promise to be back in, at most 4095 s.
    pub time: Duration,
    /// How long we keep a restarting peer's routes.
    pub stale_time: Duration,
    /// How long we keep its routes as a last resort after that, and ask it to keep ours (RFC 9494); zero is not at all.
    pub long_lived: Duration,
}

/// How many paths a peer is sent (RFC 7911).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddPathSend {
    Off,
    Best(u32),
    All,
}

/// RFC 4486 4: the limit counts prefixes of one family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MaxPrefixes {
    pub limit: u32,
    pub action: file::LimitAction,
    /// For [`file::LimitAction::Restart`].
    pub restart_after: Duration,
}

/// A TCP MD5 key (RFC 2385) and where it came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Password {
    pub source: SecretSource,
    pub value: Secret,
}

/// Where a secret is found.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum SecretSource {
    File(PathBuf),
    Env(String),
    /// A Kubernetes Secret.
    Secret(String),
}

/// Octets that no log, table or print shows.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn new(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// The octets, for the kernel.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// A prefix of our own.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkPlan {
    pub prefix: IpNet,
    /// With `self` as next hop, the next hop here is the unspecified address and the attributes carry
    /// [`crate::policy::NEXT_HOP_SELF`]: each session puts its own.
    pub attrs: AttrSet,
    /// A drain leaves it alone.
    pub stays_in_drain: bool,
    /// As written, for printing.
    pub(super) definition: file::Network,
}

/// A named policy, compiled, and as it was written.
#[derive(Clone, Debug)]
pub struct PolicyPlan {
    pub policy: Arc<Policy>,
    pub(super) definition: Vec<file::Rule>,
}

impl PolicyPlan {
    /// The rules as they were written, one line each.
    pub fn lines(&self) -> Vec<String> {
        let line = |rule: &file::Rule| serde_json::to_string(rule).expect("the file's types hold nothing that JSON cannot say");
        self.definition.iter().map(line).collect()
    }
}

impl PartialEq for PolicyPlan {
    fn eq(&self, other: &Self) -> bool {
        self.policy.params() == other.policy.params()
    }
}

/// Kernel routes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FibPlan {
    pub install: file::Install,
    pub table: u32,
    pub protocol: u8,
    pub metric: u32,
    /// The protocol number of a daemon whose routes are taken over at start.
    pub adopt: Option<u8>,
    pub on_stop: file::OnStop,
    pub tunnels: TunnelPlan,
}

/// Tunnels as the file says; what it leaves open the objects of a cluster decide, and there is no tunnel without them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TunnelPlan {
    pub ipip: Option<file::Ipip>,
    pub device: Option<String>,
}

/// Access to the API of a cluster, and what we do for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KubernetesPlan {
    /// `None`: what a pod is given.
    pub kubeconfig: Option<PathBuf>,
    /// Name of our Node.
    pub node_name: String,
    /// `None`: that of the pod, or of the kubeconfig's context.
    pub namespace: Option<String>,
    /// Where the Secrets are that Calico's objects name; `None`: as `namespace`.
    pub calico_namespace: Option<String>,
    /// Services of this class are ours; `None`: those without class.
    pub load_balancer_class: Option<String>,
    /// Announce also from nodes that are labelled to be left out.
    pub ignore_exclude_label: bool,
    /// Do not announce where advertisements contradict each other.
    pub strict: bool,
    /// In the order written, each once.
    pub roles: Vec<file::KubernetesRole>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiPlan {
    pub socket: PathBuf,
    /// Where `bird.ctl` and `bird6.ctl` are to be.
    pub bird_sockets: Option<PathBuf>,
    pub looking_glass: GlassPlan,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GlassPlan {
    pub access: file::GlassAccess,
    /// In lower case.
    pub hosts: BTreeSet<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MetricsPlan {
    /// `None`: not served over TCP.
    pub listen: Option<SocketAddr>,
    pub compat: file::Compat,
    pub peer_label: file::PeerLabel,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogPlan {
    /// A level, or directives such as `info,kubgp::session=debug`.
    pub level: String,
    pub format: file::LogFormat,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DrainPlan {
    /// Also while our Node is cordoned.
    pub on_cordon: bool,
    /// From the first mark on our routes until they are withdrawn.
    pub grace_period: Duration,
}

impl Plan {
    /// Whether kernel routes stay when the daemon stops.
    pub fn keeps_routes_on_stop(&self) -> bool {
        let sessions = || self.peers.values().map(|p| &p.session).chain(self.dynamic.values().map(|d| &d.session));
        match self.fib.on_stop {
            file::OnStop::Keep | file::OnStop::HandOver => true,
            file::OnStop::Remove => false,
            file::OnStop::Auto => sessions().any(|s| s.graceful_restart.mode == file::GracefulRestartMode::Full),
        }
    }

    /// Whether kernel routes that stay when the daemon stops get the number of the daemon that they may have come from: it, and the
    /// next life of ours, takes them over from there.
    pub fn hands_routes_over(&self) -> bool {
        self.fib.adopt.is_some() && matches!(self.fib.on_stop, file::OnStop::Auto | file::OnStop::HandOver)
    }

    /// Whether which routes go to the kernel is said by the objects of a cluster.
    pub fn follows_node_objects(&self) -> bool {
        self.kubernetes.as_ref().is_some_and(|k| k.roles.contains(&file::KubernetesRole::Node))
    }
}
