//! What the cluster-wide objects say, resolved once: BGPConfiguration (of the cluster and of nodes), IPPools, and the version.

use super::Objects;
use super::node::IpFamily;
use super::objects::{AsNumber, BgpConfigurationSpec, Cidr, SecretKeyRef, filter_community, judge};
use super::report::Report;
use crate::kube::objects::Metadata;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The state of Calico's contract: the same objects mean different attributes and kernel routes in each.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Era {
    /// Up to 3.31: LOCAL_PREF 100, kernel metric 0, the BGP daemon programs no-encap and IPIP.
    Plain,
    /// 3.32: LOCAL_PREF and kernel metric mirror each other.
    Metric,
    /// From 3.33: in addition Felix programs IPIP by default.
    Split,
}

impl Era {
    /// Reads `v3.32.1`, `v3.33.0-0.dev-12-gabc`. `None` where there is no version in it.
    pub fn of(version: &str) -> Option<Self> {
        let mut numbers = version.trim().trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
        let (major, minor) = (numbers.next()?.parse::<u32>().ok()?, numbers.next()?.parse::<u32>().ok()?);
        Some(match (major, minor) {
            (..=2, _) | (3, ..=31) => Self::Plain,
            (3, 32) => Self::Metric,
            _ => Self::Split,
        })
    }
}

/// What is decided outside the objects: by our own configuration, and by what is found on this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Local {
    /// Name of our Node.
    pub node: String,
    pub roles: Roles,
    /// Where Secrets with passwords are: the namespace of calico-node.
    pub secret_namespace: String,
    pub router_id: RouterIdRule,
    /// Instead of the version that ClusterInformation tells.
    pub version: Option<String>,
    /// Blocks are the podCIDRs of Nodes (host-local address management).
    pub use_pod_cidr: bool,
    /// Instead of 90 s.
    pub hold_time: Option<Duration>,
    /// Instead of `serviceClusterIPs`.
    pub cluster_ips: Option<Vec<IpNet>>,
    /// Workloads of this node that want to peer.
    pub workloads: Vec<Workload>,
}

/// What we do on this node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Roles {
    /// Sessions only: what comes in is passed on.
    pub reflector: bool,
    /// Announces the node's blocks and services, and programs the kernel.
    pub node: bool,
}

/// Where the router id comes from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RouterIdRule {
    /// The IPv4 address of the node.
    #[default]
    NodeAddress,
    /// From the name of the node.
    Hash,
    Is(Ipv4Addr),
}

/// A workload endpoint of this node that a BGPPeer selected.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Workload {
    /// Name of the BGPPeer.
    pub peer: String,
    pub interface: String,
    pub addresses: Vec<IpNet>,
}

/// How packets between nodes are wrapped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    #[default]
    Never,
    Always,
    CrossSubnet,
}

/// An IPPool as far as BGP goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pool {
    pub name: String,
    pub net: IpNet,
    pub ipip: Mode,
    pub vxlan: Mode,
    pub is_exported: bool,
}

/// Communities for what is inside a range.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Advertisement {
    pub net: IpNet,
    pub communities: Vec<String>,
    pub large_communities: Vec<String>,
}

/// See the head of this file.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub era: Era,
    pub default_asn: u32,
    pub mesh: bool,
    pub mesh_password: Option<SecretKeyRef>,
    pub mesh_restart_time: Option<Duration>,
    default_port: u16,
    ports: BTreeMap<String, u16>,
    pub bind_node_address: bool,
    pub cluster_ips: Vec<IpNet>,
    pub external_ips: Vec<IpNet>,
    pub load_balancer_ips: Vec<IpNet>,
    /// Ranges of LoadBalancer addresses are announced as wholes.
    pub aggregates_load_balancers: bool,
    pub advertisements: Vec<Advertisement>,
    priority_v4: u32,
    priority_v6: u32,
    /// As BGPConfiguration and FelixConfiguration say it.
    pub program_cluster_routes: (Option<String>, Option<String>),
    pub pools: Vec<Pool>,
}

impl Settings {
    /// Reads the objects for the node of `local`.
    pub fn read(objects: &Objects<'_>, local: &Local, reports: &mut Vec<Report>) -> Self {
        let empty = BgpConfigurationSpec::default();
        let mut named = BTreeMap::new();
        for object in &objects.configurations {
            let (found, usable) = judge(CONFIGURATION, &object.metadata, &object.spec);
            reports.extend(found);
            let name = object.metadata.name.as_str();
            if name != "default" && !name.starts_with(NODE_PREFIX) {
                reports.push(Report::warning(CONFIGURATION, name, "metadata.name", "is neither default nor node.NAME; ignored"));
            } else if usable {
                named.insert(name, (&object.metadata, &object.spec));
            }
        }
        let global = named.get("default").map_or(&empty, |(_, spec)| *spec);
        let own = named.get(format!("{NODE_PREFIX}{}", local.node).as_str()).copied();
        let ports = named.iter().filter_map(|(name, (_, spec))| Some((name.strip_prefix(NODE_PREFIX)?.to_owned(), port(spec)?)));
        let mut ranges = |field: &str, list: &[Cidr]| ranges(field, list, reports);
        let (cluster_ips, external_ips, load_balancer_ips) = (
            ranges("spec.serviceClusterIPs", &global.service_cluster_ips),
            ranges("spec.serviceExternalIPs", &global.service_external_ips),
            ranges("spec.serviceLoadBalancerIPs", &global.service_load_balancer_ips),
        );
        let priority = |p: Option<u32>| p.filter(|p| (1..=2_147_483_646).contains(p)).unwrap_or(NORMAL_PRIORITY);
        Self {
            era: era(objects, local, reports),
            default_asn: global.as_number.map_or(DEFAULT_ASN, |AsNumber(asn)| if asn == 0 { DEFAULT_ASN } else { asn }),
            mesh: global.node_to_node_mesh_enabled != Some(false),
            mesh_password: global.node_mesh_password.as_ref().and_then(|p| p.secret_key_ref.clone()),
            mesh_restart_time: global.node_mesh_max_restart_time.map(|t| t.0),
            default_port: port(global).unwrap_or(BGP_PORT),
            ports: ports.collect(),
            bind_node_address: global.bind_mode.as_deref() == Some("NodeIP"),
            cluster_ips: local.cluster_ips.clone().unwrap_or(cluster_ips),
            external_ips,
            load_balancer_ips,
            aggregates_load_balancers: global.service_load_balancer_aggregation.as_deref() != Some("Disabled"),
            advertisements: advertisements(global, own, reports),
            priority_v4: priority(global.ipv4_normal_route_priority),
            priority_v6: priority(global.ipv6_normal_route_priority),
            program_cluster_routes: (global.program_cluster_routes.clone(), felix(objects, local)),
            pools: pools(objects, reports),
        }
    }

    /// The port that a node listens on.
    pub fn port_of(&self, node: &str) -> u16 {
        self.ports.get(node).copied().unwrap_or(self.default_port)
    }

    /// The port of everyone whose node has no other.
    pub const fn default_port(&self) -> u16 {
        self.default_port
    }

    /// The metric of routes that are as good as usual.
    pub const fn priority(&self, family: IpFamily) -> u32 {
        match family {
            IpFamily::V4 => self.priority_v4,
            IpFamily::V6 => self.priority_v6,
        }
    }

    /// LOCAL_PREF of routes that are as good as usual; `None` in the era that sends the protocol's default.
    pub fn local_pref(&self, family: IpFamily) -> Option<u32> {
        (self.era >= Era::Metric).then(|| PRIORITY_SUM - self.priority(family))
    }

    /// All ranges of service addresses.
    pub fn service_ranges(&self) -> impl Iterator<Item = IpNet> + '_ {
        [&self.cluster_ips, &self.external_ips, &self.load_balancer_ips].into_iter().flatten().copied()
    }
}

/// While the datastore is being migrated, what is read may be incomplete: the last state has to stay.
pub fn is_datastore_ready(objects: &Objects<'_>) -> bool {
    objects.cluster_information.is_none_or(|info| info.spec.datastore_ready != Some(false))
}

/// Whether a range is a single address.
pub fn is_single(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

fn era(objects: &Objects<'_>, local: &Local, reports: &mut Vec<Report>) -> Era {
    let told = objects.cluster_information.map(|info| info.spec.calico_version.as_str());
    let version = local.version.as_deref().or(told).unwrap_or_default();
    Era::of(version).unwrap_or_else(|| {
        let message = format!("`{version}` is no version of Calico; 3.33 is assumed, where Felix programs the routes of IPIP pools");
        reports.push(Report::warning("ClusterInformation", "default", "spec.calicoVersion", message));
        Era::Split
    })
}

fn felix(objects: &Objects<'_>, local: &Local) -> Option<String> {
    let named = |name: &str| objects.felix.iter().find(|f| f.metadata.name == name)?.spec.program_cluster_routes.clone();
    named(&format!("{NODE_PREFIX}{}", local.node)).or_else(|| named("default"))
}

fn port(spec: &BgpConfigurationSpec) -> Option<u16> {
    spec.listen_port.filter(|port| *port > 0)
}

fn ranges(field: &str, list: &[Cidr], reports: &mut Vec<Report>) -> Vec<IpNet> {
    let mut nets = Vec::new();
    for (i, Cidr { cidr }) in list.iter().enumerate().filter(|(_, entry)| !entry.cidr.is_empty()) {
        match cidr.parse::<IpNet>() {
            Ok(net) => nets.push(net.trunc()),
            Err(_) => {
                let message = format!("`{cidr}` is not a prefix and ignored");
                reports.push(Report::warning(CONFIGURATION, "default", format!("{field}[{i}]"), message));
            }
        }
    }
    nets
}

/// The list of the node in the place of that of the cluster, with names of communities resolved.
fn advertisements(
    global: &BgpConfigurationSpec,
    own: Option<(&Metadata, &BgpConfigurationSpec)>,
    reports: &mut Vec<Report>,
) -> Vec<Advertisement> {
    let names: BTreeMap<&str, &str> = global
        .communities
        .iter()
        .chain(own.iter().flat_map(|(_, s)| &s.communities))
        .map(|c| (c.name.as_str(), c.value.as_str()))
        .collect();
    let (object, list) = match own.and_then(|(meta, spec)| Some((meta.name.as_str(), spec.prefix_advertisements.as_ref()?))) {
        Some((name, list)) => (name, list.as_slice()),
        None => ("default", global.prefix_advertisements.as_deref().unwrap_or_default()),
    };
    let mut resolved = Vec::new();
    for (i, entry) in list.iter().enumerate() {
        let field = format!("spec.prefixAdvertisements[{i}]");
        let Ok(net) = entry.cidr.parse::<IpNet>() else {
            reports.push(Report::warning(CONFIGURATION, object, field, format!("`{}` is not a prefix and ignored", entry.cidr)));
            continue;
        };
        let mut advertisement = Advertisement { net: net.trunc(), communities: Vec::new(), large_communities: Vec::new() };
        for text in &entry.communities {
            let value = names.get(text.as_str()).copied().unwrap_or(text);
            if !filter_community(value) {
                let message = format!("`{text}` is neither the name of a community nor one; ignored");
                reports.push(Report::warning(CONFIGURATION, object, field.clone(), message));
            } else if value.split(':').count() == 3 {
                advertisement.large_communities.push(value.to_owned());
            } else {
                advertisement.communities.push(value.to_owned());
            }
        }
        resolved.push(advertisement);
    }
    resolved
}

/// Every pool, also disabled ones: the names in order.
fn pools(objects: &Objects<'_>, reports: &mut Vec<Report>) -> Vec<Pool> {
    let mode = |text: &str| match text {
        "Always" => Mode::Always,
        "CrossSubnet" => Mode::CrossSubnet,
        _ => Mode::Never,
    };
    let mut pools = Vec::new();
    for pool in &objects.pools {
        reports.extend(judge("IPPool", &pool.metadata, &pool.spec).0);
        let Ok(net) = pool.spec.cidr.parse::<IpNet>() else { continue };
        let vxlan = mode(&pool.spec.vxlan_mode);
        let ipip = if vxlan != Mode::Never || matches!(net, IpNet::V6(_)) { Mode::Never } else { mode(&pool.spec.ipip_mode) };
        let (name, is_exported) = (pool.metadata.name.clone(), !pool.spec.disable_bgp_export);
        pools.push(Pool { name, net: net.trunc(), ipip, vxlan, is_exported });
    }
    pools.sort_by(|a, b| a.name.cmp(&b.name));
    pools
}

/// Metric and LOCAL_PREF add up to this (Calico 3.32 and later).
pub const PRIORITY_SUM: u32 = 2_147_483_647;
const NORMAL_PRIORITY: u32 = 1024;
const DEFAULT_ASN: u32 = 64512;
const BGP_PORT: u16 = 179;
const NODE_PREFIX: &str = "node.";
const CONFIGURATION: &str = "BGPConfiguration";
