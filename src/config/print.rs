//! The Plan as a file again: canonical, with every default written out.

use super::check::{API_VERSION, EBGP_TTL, IBGP_TTL};
use super::file::{self, File, List, Neighbor, Period, Session};
use super::plan::{
    AddPathSend, BfdProfile, DynamicPlan, KubernetesPlan, PeerPlan, Plan, RemoteAs, SecretSource, SessionPlan, Ttl, TunnelPlan,
};
use crate::policy::Chain;
use crate::wire::{Family, FamilySet, Role};
use std::collections::BTreeMap;

impl File {
    /// As text.
    pub fn to_yaml(&self) -> String {
        let options = serde_saphyr::ser_options! { no_lang_directive: true, prefer_block_scalars: false };
        serde_saphyr::to_string_with_options(self, options).expect("the file's types hold nothing that YAML cannot say")
    }
}

impl Plan {
    /// The file that checks to this Plan. Groups appear only where ranges need them; secrets as the place where they are found.
    pub fn to_file(&self) -> File {
        let policies: BTreeMap<_, _> = self.policies.iter().map(|(name, p)| (name.clone(), p.definition.clone())).collect();
        let groups: BTreeMap<_, _> = self.groups();
        File {
            api_version: Some(API_VERSION.to_owned()),
            router: Some(file::Router {
                asn: Some(file::Asn::Number(self.router.asn)),
                id: Some(file::RouterIdText::Id(self.router.id.get().into())),
                cluster_id: Some(self.router.cluster_id.0.into()),
            }),
            listen: Some(self.listeners.iter().map(|at| file::Listen { address: Some(at.ip()), port: Some(at.port()) }).collect()),
            groups: filled(groups),
            neighbors: filled(self.peers.values().map(neighbor).collect()),
            dynamic_neighbors: filled(self.dynamic.values().map(dynamic).collect()),
            originate: Some(file::Originate { networks: Some(self.networks.values().map(|n| n.definition.clone()).collect()) }),
            policies: filled(policies),
            vips: Some(self.vips.definition.clone()).filter(|vips| *vips != file::Vips::default()),
            fib: Some(self.fib_section()),
            bfd: self.bfd_section(),
            kubernetes: self.kubernetes.as_ref().map(kubernetes),
            api: Some(file::Api {
                socket: Some(self.api.socket.clone()),
                bird_sockets: self.api.bird_sockets.clone(),
                looking_glass: Some(file::LookingGlass {
                    access: Some(self.api.looking_glass.access),
                    hosts: filled(self.api.looking_glass.hosts.iter().cloned().collect()),
                }),
            }),
            metrics: Some(file::Metrics {
                listen: Some(self.metrics.listen.map_or(file::MetricsListen::Off, file::MetricsListen::At)),
                compat: Some(self.metrics.compat),
                peer_label: Some(self.metrics.peer_label),
            }),
            log: Some(file::Log { level: Some(self.log.level.clone()), format: Some(self.log.format) }),
            bmp: self.bmp_section(),
            drain: Some(file::Drain {
                on_cordon: Some(self.drain.on_cordon).filter(|on| *on),
                grace_period: Some(Period(self.drain.grace_period)),
            }),
        }
    }

    /// The same as YAML text.
    pub fn to_yaml(&self) -> String {
        self.to_file().to_yaml()
    }

    /// Groups of neighbors appear with their names only, since the neighbors are written in full. A group of ranges of both IP
    /// versions leaves the families to each range where they are the default.
    fn groups(&self) -> BTreeMap<String, Session> {
        let named = self.peers.values().filter_map(|p| p.group.clone());
        let mut groups: BTreeMap<_, _> = named.map(|name| (name, Session::default())).collect();
        for plan in self.dynamic.values() {
            let mut settings = session(&plan.session, false);
            if plan.session.families == FamilySet::from_iter([Family::of(&plan.range)]) {
                settings.families = None;
            }
            let group = groups.entry(plan.group.clone()).or_default();
            *group = settings.or(group);
        }
        groups
    }

    fn bmp_section(&self) -> Option<file::Bmp> {
        let stations = self.bmp.iter().map(|at| file::BmpStation { address: Some(at.ip()), port: Some(at.port()) });
        filled(stations.collect::<Vec<_>>()).map(|stations| file::Bmp { stations: Some(stations) })
    }

    fn bfd_section(&self) -> Option<file::Bfd> {
        let profile = |p: &BfdProfile| file::BfdProfile {
            transmit: Some(Period(p.transmit)),
            receive: Some(Period(p.receive)),
            multiplier: Some(p.multiplier),
            passive: Some(p.passive),
            minimum_ttl: p.minimum_ttl,
        };
        let profiles: BTreeMap<_, _> = self.bfd.iter().map(|(name, p)| (name.clone(), profile(p))).collect();
        filled(profiles).map(|profiles| file::Bfd { profiles: Some(profiles) })
    }

    fn fib_section(&self) -> file::Fib {
        file::Fib {
            install: Some(self.fib.install),
            table: Some(file::FibTable(self.fib.table)),
            protocol: Some(self.fib.protocol),
            metric: Some(self.fib.metric),
            adopt: Some(self.fib.adopt.unwrap_or(0)),
            on_stop: Some(self.fib.on_stop),
            tunnels: (self.fib.tunnels != TunnelPlan::default())
                .then(|| file::Tunnels { ipip: self.fib.tunnels.ipip, device: self.fib.tunnels.device.clone() }),
        }
    }
}

fn kubernetes(plan: &KubernetesPlan) -> file::Kubernetes {
    file::Kubernetes {
        enabled: Some(true),
        kubeconfig: plan.kubeconfig.clone(),
        node_name: Some(plan.node_name.clone()),
        namespace: plan.namespace.clone(),
        roles: Some(plan.roles.clone()),
        calico_namespace: plan.calico_namespace.clone(),
        load_balancer_class: plan.load_balancer_class.clone(),
        ignore_exclude_label: Some(plan.ignore_exclude_label).filter(|on| *on),
        strict: Some(plan.strict).filter(|on| *on),
    }
}

trait Emptiness {
    fn nothing(&self) -> bool;
}

impl<T> Emptiness for Vec<T> {
    fn nothing(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Emptiness for BTreeMap<K, V> {
    fn nothing(&self) -> bool {
        self.is_empty()
    }
}

/// `None` instead of an empty list or mapping.
fn filled<T: Emptiness>(value: T) -> Option<T> {
    Some(value).filter(|v| !v.nothing())
}

fn neighbor(peer: &PeerPlan) -> Neighbor {
    let name = Some(peer.name.clone());
    Neighbor {
        name,
        address: Some(peer.address),
        port: Some(peer.port),
        group: peer.group.clone(),
        ..Neighbor::with_session(session(&peer.session, true))
    }
}

fn dynamic(plan: &DynamicPlan) -> file::DynamicNeighbor {
    file::DynamicNeighbor { range: Some(plan.range), group: Some(plan.group.clone()), max: Some(plan.max) }
}

/// `full` also says what is derived from other keys. Groups leave that out: a neighbor may set the key that it is derived from, or one
/// that excludes it.
fn session(s: &SessionPlan, full: bool) -> Session {
    let default_ttl = if s.is_ebgp() { EBGP_TTL } else { IBGP_TTL };
    let (multihop, ttl_security) = match s.ttl {
        Ttl::Send(ttl) => (Some(ttl).filter(|ttl| full || *ttl != default_ttl), None),
        Ttl::Security(hops) => (None, Some(hops)),
    };
    Session {
        asn: Some(match s.remote_as {
            RemoteAs::Fixed(asn) => file::Asn::Number(asn),
            RemoteAs::Internal => file::Asn::Internal,
            RemoteAs::External => file::Asn::External,
        }),
        local_asn: Some(file::Asn::Number(s.local_as)),
        local_address: s.local_address,
        interface: None,
        bind_device: s.bind_device.clone(),
        description: Some(s.description.clone()).filter(|d| full || !d.is_empty()),
        families: Some(s.families.iter().map(family_name).collect()),
        passive: Some(s.passive),
        admin_state: Some(if s.admin_up { file::AdminState::Up } else { file::AdminState::Down }),
        hold_time: Some(Period(s.hold_time)),
        keepalive_time: Some(Period(s.keepalive_time)).filter(|k| !s.hold_time.is_zero() && (full || k.0 != s.hold_time / 3)),
        connect_retry_time: Some(Period(s.connect_retry_time)),
        send_hold_time: Some(Period(s.send_hold_time)),
        route_reflector_client: Some(s.route_reflector_client),
        next_hop: Some(s.next_hop),
        multihop,
        ttl_security,
        password: s.password.as_ref().map(|p| password(&p.source)),
        bfd: s.bfd.as_ref().map(|bfd| bfd.profile.clone()),
        graceful_restart: Some(file::GracefulRestart {
            mode: Some(s.graceful_restart.mode),
            time: Some(Period(s.graceful_restart.time)),
            stale_time: Some(Period(s.graceful_restart.stale_time)),
        }),
        long_lived_graceful_restart: Some(s.graceful_restart.long_lived)
            .filter(|time| !time.is_zero())
            .map(|time| file::LongLivedGracefulRestart { time: Some(Period(time)) }),
        add_path: Some(add_path(s)),
        extended_next_hop: Some(s.extended_next_hop),
        extended_messages: Some(s.extended_messages),
        max_prefixes: s.max_prefixes.map(|m| file::MaxPrefixes {
            limit: Some(m.limit),
            action: Some(m.action),
            restart_after: Some(Period(m.restart_after)).filter(|_| m.action == file::LimitAction::Restart),
        }),
        import: Some(names(&s.import)),
        export: Some(names(&s.export)),
        allow_own_asn: Some(s.allow_own_asn),
        role: s.role.map(role_name),
    }
}

fn add_path(s: &SessionPlan) -> file::AddPath {
    let send = match s.add_path_send {
        AddPathSend::Off => None,
        AddPathSend::Best(n) => Some(file::AddPathSend::Best(n)),
        AddPathSend::All => Some(file::AddPathSend::All),
    };
    file::AddPath { receive: Some(s.add_path_receive), send }
}

fn password(source: &SecretSource) -> file::Password {
    let mut password = file::Password::default();
    match source {
        SecretSource::File(path) => password.file = Some(path.clone()),
        SecretSource::Env(name) => password.env = Some(name.clone()),
        SecretSource::Secret(name) => password.secret = Some(name.clone()),
    }
    password
}

fn names(chain: &Chain) -> List<String> {
    List(chain.policies().iter().map(|policy| policy.name().to_owned()).collect())
}

fn family_name(family: Family) -> file::FamilyName {
    match family {
        Family::Ipv4Unicast => file::FamilyName::Ipv4Unicast,
        Family::Ipv6Unicast => file::FamilyName::Ipv6Unicast,
    }
}

fn role_name(role: Role) -> file::RoleName {
    match role {
        Role::Provider => file::RoleName::Provider,
        Role::Customer => file::RoleName::Customer,
        Role::Peer => file::RoleName::Peer,
        Role::RouteServer => file::RoleName::RouteServer,
        Role::RouteServerClient => file::RoleName::RouteServerClient,
    }
}
