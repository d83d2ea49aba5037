//! What people write. Every key is optional here and unknown keys are errors; `check` says what is missing or makes no sense.

mod policy;
mod values;
mod vips;

pub use policy::{
    CommunityEdit, Match, Members, NumberRange, PrefixEntry, PrefixMap, Prepend, RouteNextHop, Rule, Set, SourceText, TagEdit,
};
pub use values::{
    AddPathSend, AdminState, Asn, CheckType, Compat, FamilyName, FibTable, GlassAccess, GracefulRestartMode, Install, Ipip, KubernetesRole,
    LimitAction, List, LogFormat, MedText, MetricsListen, NextHopMode, NextHopText, OnDrain, OnStop, OriginText, PeerLabel, Period,
    RoleName, RouterIdText, RuleAction,
};
pub use vips::{VipAdvertisement, VipCheck, VipPool, VipService, Vips};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// Defines a mapping of the file: every key optional, camelCase, unknown keys refused, unset keys not printed.
macro_rules! section {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub $field: Option<$type>,)*
        }
    };
}
pub(crate) use section;

section! {
    /// The whole file.
    pub struct File {
        /// `kubgp.io/v1`; required.
        api_version: String,
        router: Router,
        /// Default: `0.0.0.0:179` and `[::]:179`; `[]` listens nowhere.
        listen: Vec<Listen>,
        /// Settings that several neighbors share.
        groups: BTreeMap<String, Session>,
        neighbors: Vec<Neighbor>,
        /// Sessions that are accepted from anybody in a range.
        dynamic_neighbors: Vec<DynamicNeighbor>,
        originate: Originate,
        /// Lists of rules; `import` and `export` of neighbors name them.
        policies: BTreeMap<String, Vec<Rule>>,
        vips: Vips,
        fib: Fib,
        bfd: Bfd,
        kubernetes: Kubernetes,
        api: Api,
        metrics: Metrics,
        log: Log,
        drain: Drain,
        bmp: Bmp,
    }
}

section! {
    /// Who we are.
    pub struct Router {
        /// 1 to 4294967295; required unless a cluster says it.
        asn: Asn,
        /// An IPv4 address, or `auto`: the first of this machine that is not a loopback, on Kubernetes that of the Node.
        id: RouterIdText,
        /// Default: the router id.
        cluster_id: Ipv4Addr,
    }
}

section! {
    /// One address to listen on.
    pub struct Listen {
        /// Required.
        address: IpAddr,
        /// Default: 179.
        port: u16,
    }
}

/// Defines [`Session`], and [`Neighbor`] as the same keys and a few more: serde cannot refuse unknown keys in a flattened struct.
macro_rules! session {
    ($($(#[$doc:meta])* $field:ident: $type:ty,)*) => {
        section! {
            /// Session settings: a group, or what a neighbor says itself.
            pub struct Session { $($(#[$doc])* $field: $type,)* }
        }

        section! {
            /// One neighbor.
            pub struct Neighbor {
                name: String,
                address: IpAddr,
                port: u16,
                group: String,
                $($(#[$doc])* $field: $type,)*
            }
        }

        impl Session {
            /// These settings, and the group's where these say nothing.
            pub fn or(self, group: &Self) -> Self {
                Self { $($field: self.$field.or_else(|| group.$field.clone()),)* }
            }
        }

        impl Neighbor {
            /// The session settings alone.
            pub fn session(&self) -> Session {
                Session { $($field: self.$field.clone(),)* }
            }

            /// A neighbor with these session settings.
            pub fn with_session(session: Session) -> Self {
                Self { name: None, address: None, port: None, group: None, $($field: session.$field,)* }
            }
        }
    };
}

session! {
    /// A number, `internal` or `external`.
    asn: Asn,
    /// The AS that we are to this peer. Default: `router.asn`.
    local_asn: Asn,
    /// Default: what the kernel chooses.
    local_address: IpAddr,
    /// Unnumbered: the peer is found on this interface.
    interface: String,
    /// The session runs over this interface only.
    bind_device: String,
    /// For people; `bgpctl show neighbor` finds the neighbor by it too.
    description: String,
    /// Default: `ipv4-unicast` over IPv4, `ipv6-unicast` over IPv6.
    families: Vec<FamilyName>,
    /// Waits for the peer to connect. Default: no.
    passive: bool,
    /// Default: `up`.
    admin_state: AdminState,
    /// `0s`, or at least `3s`; the lower one of both sides counts. Default: `90s`.
    hold_time: Period,
    /// Default: a third of the hold time.
    keepalive_time: Period,
    /// Between two attempts to connect. Default: `5s`.
    connect_retry_time: Period,
    /// How long the peer may take no data (RFC 9687). Default: twice the hold time, at least `90s`.
    send_hold_time: Period,
    /// RFC 4456. Default: no.
    route_reflector_client: bool,
    /// `auto` follows RFC 4271 5.1.3. Default: `auto`.
    next_hop: NextHopMode,
    /// TTL of what we send.
    multihop: u8,
    /// How many hops the peer may be away (RFC 5082).
    ttl_security: u8,
    password: Password,
    /// Name of a profile.
    bfd: String,
    graceful_restart: GracefulRestart,
    long_lived_graceful_restart: LongLivedGracefulRestart,
    /// More than one path of a prefix (RFC 7911). Default: neither way.
    add_path: AddPath,
    /// IPv4 routes with IPv6 next hops (RFC 8950). Default: no.
    extended_next_hop: bool,
    /// Messages of up to 65,535 octets (RFC 8654). Default: no.
    extended_messages: bool,
    /// Default: no limit.
    max_prefixes: MaxPrefixes,
    /// Names of policies.
    import: List<String>,
    /// Names of policies.
    export: List<String>,
    /// How often our AS may be in a received AS_PATH. Default: 0.
    allow_own_asn: u8,
    /// What we are to the peer (RFC 9234).
    role: RoleName,
}

section! {
    /// Sessions accepted from a range.
    pub struct DynamicNeighbor {
        /// Required.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        range: IpNet,
        /// Settings of these sessions; required.
        group: String,
        /// At most so many sessions. Default: 5000.
        max: u32,
    }
}

section! {
    /// Where a TCP MD5 key is found; exactly one of these.
    pub struct Password {
        /// A file that holds the key and nothing else; a line end at its end does not count.
        file: PathBuf,
        /// An environment variable of the daemon.
        env: String,
        /// For what objects of a cluster say; the file cannot name a Secret.
        secret: String,
    }
}

section! {
    /// RFC 4724, RFC 8538.
    pub struct GracefulRestart {
        /// `helper` keeps routes of a peer that restarts; `full` also asks the peer to keep ours. Default: `helper`.
        mode: GracefulRestartMode,
        /// How long a peer waits for us to come back. Default: `120s`.
        time: Period,
        /// How long routes of a peer that came back wait for its End-of-RIB. Default: `6m`.
        stale_time: Period,
    }
}

section! {
    /// RFC 9494.
    pub struct LongLivedGracefulRestart {
        time: Period,
    }
}

section! {
    /// RFC 7911.
    pub struct AddPath {
        /// Default: no.
        receive: bool,
        /// How many paths of a prefix. Default: the best one, without path identifiers.
        send: AddPathSend,
    }
}

section! {
    /// How many prefixes of one family a peer may have, and what happens beyond.
    pub struct MaxPrefixes {
        /// Required.
        limit: u32,
        /// `drop` ignores what is beyond; `shutdown` and `restart` end the session. Default: `shutdown`.
        action: LimitAction,
        /// With `restart`: how long the session stays down. Default: `5m`.
        restart_after: Period,
    }
}

section! {
    /// Prefixes of our own.
    pub struct Originate {
        networks: Vec<Network>,
    }
}

section! {
    /// One prefix of our own and its attributes.
    pub struct Network {
        /// Required.
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        prefix: IpNet,
        communities: Vec<String>,
        large_communities: Vec<String>,
        ext_communities: Vec<String>,
        local_pref: u32,
        med: u32,
        origin: OriginText,
        /// `self`, or an address.
        next_hop: NextHopText,
        /// Marks for policies; they never leave the daemon.
        tags: Vec<String>,
        /// Default: `withdraw`.
        on_drain: OnDrain,
    }
}

section! {
    /// Kernel routes.
    pub struct Fib {
        /// Default: `none`, with the role `node` `ecmp`.
        install: Install,
        /// Default: `main`.
        table: FibTable,
        /// The number that marks our routes in the kernel. Default: 179.
        protocol: u8,
        /// Default: 1024.
        metric: u32,
        /// Routes with this protocol number are taken over at start; 0: none. Default: 12 (bird) with the role `node`.
        adopt: u8,
        /// Default: `auto`.
        on_stop: OnStop,
        tunnels: Tunnels,
    }
}

section! {
    /// Encapsulation of kernel routes.
    pub struct Tunnels {
        /// Whether routes go through a tunnel. Default: `never`, with the role `node` what the pools of Calico say.
        ipip: Ipip,
        /// Default: `tunl0`.
        device: String,
    }
}

section! {
    /// BFD (RFC 5880, RFC 5881).
    pub struct Bfd {
        profiles: BTreeMap<String, BfdProfile>,
    }
}

section! {
    /// RFC 5880.
    pub struct BfdProfile {
        transmit: Period,
        receive: Period,
        multiplier: u8,
        passive: bool,
        minimum_ttl: u8,
    }
}

section! {
    /// Access to the API of a cluster, and what we do for it.
    pub struct Kubernetes {
        /// Default: no.
        enabled: bool,
        /// Default: what a pod is given.
        kubeconfig: PathBuf,
        /// Name of our Node. Default: the environment variable `NODE_NAME`.
        node_name: String,
        /// Where Secrets and namespaced configuration are. Default: that of the pod, or of the kubeconfig's context.
        namespace: String,
        /// Where the Secrets are that Calico's objects name. Default: `namespace`.
        calico_namespace: String,
        roles: Vec<KubernetesRole>,
        /// Services of this class are ours. Default: those without a class.
        load_balancer_class: String,
        /// Announce also from nodes labelled `node.kubernetes.io/exclude-from-external-load-balancers`.
        ignore_exclude_label: bool,
        /// Do not announce where advertisements send one prefix to one peer with different localPref. Default: the highest counts.
        strict: bool,
    }
}

section! {
    /// The admin socket.
    pub struct Api {
        /// Default: `/run/kubgp/kubgp.sock`.
        socket: PathBuf,
        /// A directory: sockets `bird.ctl` and `bird6.ctl` there answer what readers of BIRD's state ask. Default: none.
        bird_sockets: PathBuf,
        /// The web page about sessions and routes, at `metrics.listen`.
        looking_glass: LookingGlass,
    }
}

section! {
    /// Who sees the web page, and under which name.
    pub struct LookingGlass {
        /// Who may open it: nobody (`off`), whoever is on this host (`local`), or everybody who reaches the port (`all`). Default: `local`.
        access: GlassAccess,
        /// Names under which it is opened, besides addresses and `localhost`: for one behind a proxy. Default: none.
        hosts: Vec<String>,
    }
}

section! {
    /// The HTTP listener: metrics, liveness, readiness.
    pub struct Metrics {
        /// Address and port, or `off`. Default: `127.0.0.1:7179`.
        listen: MetricsListen,
        /// Whose names are served beside our own. Default: `metallb`.
        compat: Compat,
        /// How addresses stand in those. Default: `ip`.
        peer_label: PeerLabel,
    }
}

section! {
    /// The log.
    pub struct Log {
        /// `off`, `error`, `warn`, `info`, `debug`, `trace`, and `target=level` with commas between. Default: `info`.
        level: String,
        /// `auto`: text on a terminal, JSON otherwise. Default: `auto`.
        format: LogFormat,
    }
}

section! {
    /// Monitoring stations (RFC 7854).
    pub struct Bmp {
        stations: Vec<BmpStation>,
    }
}

section! {
    /// One station that we connect to.
    pub struct BmpStation {
        address: IpAddr,
        /// Default: 11019.
        port: u16,
    }
}

section! {
    /// Taking this node out of service.
    pub struct Drain {
        /// Drains while our Node is cordoned or about to be removed. Default: no.
        on_cordon: bool,
        /// From the mark to the withdrawal. Default: `20s`.
        grace_period: Period,
    }
}
