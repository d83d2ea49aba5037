//! What a node announces: its blocks, addresses it has borrowed from blocks of others, and service addresses.

use super::World;
use super::filters::hides_tunnel;
use super::kernel::Owner;
use super::objects::judge;
use super::report::Report;
use super::settings::{Mode, is_single};
use crate::kube::objects::{EndpointSlice, Service};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The route is one of the kernel's, on an interface of a workload.
pub const TAG_WORKLOAD: &str = "calico/workload";
/// The address of a tunnel that Felix routes: of no use to other nodes.
pub const TAG_HIDDEN_TUNNEL: &str = "calico/hidden-tunnel";

/// What a node has to tell.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Announcements {
    /// Everything to originate, with its tags.
    pub networks: BTreeMap<IpNet, BTreeSet<&'static str>>,
    /// Own blocks of more than one address, for blackholes.
    pub blocks: BTreeSet<IpNet>,
    /// Own blocks that stand for what is inside them. Not those that are being given up: their last addresses go out one by one.
    pub aggregated: BTreeSet<IpNet>,
    pub services: ServiceRoutes,
}

/// Service addresses as announced.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServiceRoutes {
    pub ranges: BTreeSet<IpNet>,
    pub addresses: BTreeSet<IpNet>,
}

impl ServiceRoutes {
    /// Whether the prefix stands for Services.
    pub fn contains(&self, prefix: &IpNet) -> bool {
        self.ranges.contains(prefix) || self.addresses.contains(prefix)
    }
}

impl Announcements {
    pub fn read(world: &World<'_>, reports: &mut Vec<Report>) -> Self {
        let mut found = Self { services: services(world), ..Self::default() };
        found.affinities(world, reports);
        found.allocations(world, reports);
        let services = found.services.ranges.union(&found.services.addresses).copied().collect::<Vec<_>>();
        for net in services {
            found.networks.entry(net).or_default();
        }
        found
    }

    /// Whether any route carries [`TAG_HIDDEN_TUNNEL`].
    pub fn has_hidden_tunnel(&self) -> bool {
        self.networks.values().any(|tags| tags.contains(TAG_HIDDEN_TUNNEL))
    }

    fn affinities(&mut self, world: &World<'_>, reports: &mut Vec<Report>) {
        for affinity in &world.objects.affinities {
            let spec = &affinity.spec;
            let is_host = matches!(spec.kind.as_str(), "" | "host");
            if spec.node != world.own.name || !is_host || spec.deleted {
                continue;
            }
            reports.extend(judge("BlockAffinity", &affinity.metadata, spec).0);
            let Ok(net) = spec.cidr.parse::<IpNet>() else { continue };
            match spec.state.as_str() {
                "confirmed" | "" => self.block(net.trunc(), true),
                "pendingDeletion" => self.block(net.trunc(), false),
                _ => {}
            }
        }
        let pod_cidrs = if world.local.use_pod_cidr { world.own.pod_cidrs.as_slice() } else { &[] };
        pod_cidrs.iter().for_each(|net| self.block(*net, true));
    }

    fn block(&mut self, net: IpNet, is_confirmed: bool) {
        if is_confirmed {
            self.aggregated.insert(net);
        }
        if !is_single(&net) {
            self.blocks.insert(net);
            self.networks.entry(net).or_default();
        }
    }

    /// Addresses in use here that no own block stands for.
    fn allocations(&mut self, world: &World<'_>, reports: &mut Vec<Report>) {
        let hides_ipip = hides_tunnel(Mode::Always, world.ownership.ipip == Owner::Us);
        for block in &world.objects.blocks {
            let spec = &block.spec;
            if spec.deleted || !spec.attributes.iter().any(|a| a.node() == Some(&world.own.name)) {
                continue;
            }
            reports.extend(judge("IPAMBlock", &block.metadata, spec).0);
            let Ok(net) = spec.cidr.parse::<IpNet>().map(|net| net.trunc()) else { continue };
            if self.aggregated.contains(&net) && !is_single(&net) {
                continue;
            }
            for (ordinal, attribute) in spec.allocations.iter().enumerate() {
                let attribute = attribute.and_then(|index| spec.attributes.get(usize::try_from(index).ok()?));
                let Some(attribute) = attribute.filter(|a| a.node() == Some(&world.own.name)) else { continue };
                let Some(address) = nth(&net, ordinal) else { continue };
                let tag = match attribute.kind() {
                    None => Some(TAG_WORKLOAD),
                    Some(kind) if kind.starts_with("ipip") => hides_ipip.then_some(TAG_HIDDEN_TUNNEL),
                    Some(_) => Some(TAG_HIDDEN_TUNNEL),
                };
                self.networks.entry(address).or_default().extend(tag);
            }
        }
    }
}

/// The address at a place of a block, as a prefix.
fn nth(net: &IpNet, ordinal: usize) -> Option<IpNet> {
    let address = match net {
        IpNet::V4(net) => {
            let address = u32::from(net.network()).checked_add(u32::try_from(ordinal).ok()?)?;
            IpNet::V4(Ipv4Net::from(Ipv4Addr::from(address)))
        }
        IpNet::V6(net) => {
            let address = u128::from(net.network()).checked_add(u128::try_from(ordinal).ok()?)?;
            IpNet::V6(Ipv6Net::from(Ipv6Addr::from(address)))
        }
    };
    net.contains(&address).then_some(address)
}

/// Ranges and single addresses of services, computed over all slices of each service.
fn services(world: &World<'_>) -> ServiceRoutes {
    let settings = &world.settings;
    if world.own.is_excluded_from_load_balancing() {
        return ServiceRoutes::default();
    }
    let load_balancers: &[IpNet] = if settings.aggregates_load_balancers { &settings.load_balancer_ips } else { &[] };
    let ranges = [settings.cluster_ips.as_slice(), &settings.external_ips, load_balancers].into_iter().flatten();
    let mut routes = ServiceRoutes { ranges: ranges.filter(|net| !is_single(net)).copied().collect(), ..ServiceRoutes::default() };
    let mut slices: BTreeMap<(&str, &str), Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in &world.objects.slices {
        if let Some(service) = slice.service() {
            slices.entry((&slice.metadata.namespace, service)).or_default().push(slice);
        }
    }
    for service in &world.objects.services {
        let key = (service.metadata.namespace.as_str(), service.metadata.name.as_str());
        let endpoints = slices.get(&key).map(Vec::as_slice).unwrap_or_default();
        let addresses = Addresses::of(world, service);
        if addresses.are_announced(world, service, endpoints) {
            routes.addresses.extend(addresses.all().map(IpNet::from));
        }
    }
    routes
}

/// The addresses of a service that our configuration lets out.
#[derive(Default)]
struct Addresses {
    cluster: Vec<IpAddr>,
    external: Vec<IpAddr>,
    load_balancer: Vec<IpAddr>,
}

impl Addresses {
    fn of(world: &World<'_>, service: &Service) -> Self {
        let settings = &world.settings;
        let spec = &service.spec;
        let is_real = !spec.cluster_ip.is_empty() && spec.cluster_ip != "None";
        if !is_real || !["ClusterIP", "NodePort", "LoadBalancer"].contains(&spec.kind.as_str()) {
            return Self::default();
        }
        let read = |texts: &mut dyn Iterator<Item = &String>| texts.filter_map(|text| text.parse::<IpAddr>().ok()).collect::<Vec<_>>();
        let allowed = |mut addresses: Vec<IpAddr>, ranges: &[IpNet]| {
            addresses.retain(|address| ranges.iter().any(|net| net.contains(address)));
            addresses
        };
        let cluster = if spec.cluster_ips.is_empty() { std::slice::from_ref(&spec.cluster_ip) } else { spec.cluster_ips.as_slice() };
        let ingress = service.status.load_balancer.ingress.iter().filter_map(|i| i.ip.as_ref());
        Self {
            cluster: if settings.cluster_ips.is_empty() { Vec::new() } else { read(&mut cluster.iter()) },
            external: allowed(read(&mut spec.external_ips.iter()), &settings.external_ips),
            load_balancer: allowed(read(&mut { ingress }), &settings.load_balancer_ips),
        }
    }

    fn all(&self) -> impl Iterator<Item = IpAddr> + '_ {
        [&self.cluster, &self.external, &self.load_balancer].into_iter().flatten().copied()
    }

    /// Whether this node announces them one by one.
    fn are_announced(&self, world: &World<'_>, service: &Service, slices: &[&EndpointSlice]) -> bool {
        let families = &service.spec.ip_families;
        let is_of_service = |slice: &&&EndpointSlice| families.is_empty() || families.contains(&slice.address_type);
        let mut ready = slices.iter().filter(is_of_service).flat_map(|s| &s.endpoints).filter(|e| e.conditions.ready != Some(false));
        if service.spec.external_traffic_policy == "Local" {
            return ready.any(|endpoint| endpoint.node_name.as_deref() == Some(&world.own.name));
        }
        let settings = &world.settings;
        let is_single_entry = |address: &IpAddr, ranges: &[IpNet]| ranges.iter().any(|net| is_single(net) && net.addr() == *address);
        self.load_balancer.iter().any(|address| is_single_entry(address, &settings.load_balancer_ips))
            || self.external.iter().any(|address| is_single_entry(address, &settings.external_ips))
            || (!settings.aggregates_load_balancers && ready.next().is_some())
    }
}
