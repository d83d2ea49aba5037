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
        api_version: String,
        router: Router,
        listen: Vec<Listen>,
        groups: BTreeMap<String, Session>,
        neighbors: Vec<Neighbor>,
        dynamic_neighbors: Vec<DynamicNeighbor>,
        originate: Originate,
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
        asn: Asn,
        /// An IPv4 address, or `auto`.
        id: RouterIdText,
        /// Default: the router id.
        cluster_id: Ipv4Addr,
    }
}

section! {
    /// One address to listen on.
    pub struct Listen {
        address: IpAddr,
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
    local_asn: Asn,
    local_address: IpAddr,
    /// Unnumbered: the peer is found on this interface.
    interface: String,
    bind_device: String,
    description: String,
    families: Vec<FamilyName>,
    passive: bool,
    admin_state: AdminState,
    hold_time: Period,
    keepalive_time: Period,
    connect_retry_time: Period,
    send_hold_time: Period,
    route_reflector_client: bool,
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
    add_path: AddPath,
    extended_next_hop: bool,
    extended_messages: bool,
    max_prefixes: MaxPrefixes,
    /// Names of policies.
    import: List<String>,
    /// Names of policies.
    export: List<String>,
    allow_own_asn: u8,
    role: RoleName,
}

section! {
    /// Sessions accepted from a range.
    pub struct DynamicNeighbor {
        #[cfg_attr(test, schemars(with = "Option<String>"))]
        range: IpNet,
        group: String,
        max: u32,
    }
}

section! {
    /// Where a TCP MD5 key is found; exactly one of these.
    pub struct Password {
        file: PathBuf,
        env: String,
        secret: String,
    }
}

section! {
    /// RFC 4724, RFC 8538.
    pub struct GracefulRestart {
        mode: GracefulRestartMode,
        time: Period,
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
        receive: bool,
        send: AddPathSend,
    }
}

section! {
    /// How many prefixes of one family a peer may have, and what happens beyond.
    pub struct MaxPrefixes {
        limit: u32,
        action: LimitAction,
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
        tags: Vec<String>,
        on_drain: OnDrain,
    }
}

section! {
    /// Kernel routes.
    pub struct Fib {
        install: Install,
        table: FibTable,
        protocol: u8,
        metric: u32,
        /// Routes with this protocol number are taken over at start; 0: none. Default: 12 (bird) with the role `node`.
        adopt: u8,
        on_stop: OnStop,
        tunnels: Tunnels,
    }
}

section! {
    pub struct Tunnels {
        ipip: Ipip,
        device: String,
    }
}

section! {
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
        load_balancer_class: String,
        /// Announce also from nodes labelled `node.kubernetes.io/exclude-from-external-load-balancers`.
        ignore_exclude_label: bool,
        /// Do not announce where advertisements send one prefix to one peer with different localPref. Default: the highest counts.
        strict: bool,
    }
}

section! {
    pub struct Api {
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
    pub struct Metrics {
        /// Address and port, or `off`.
        listen: MetricsListen,
        compat: Compat,
        peer_label: PeerLabel,
    }
}

section! {
    pub struct Log {
        level: String,
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
    pub struct Drain {
        on_cordon: bool,
        grace_period: Period,
    }
}
