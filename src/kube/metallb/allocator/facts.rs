//! What counts of a Service when addresses are given out.

use crate::kube::metallb::class::{
    ADDRESSES, ALLOCATED_FROM, POOL, SHARING, annotation, has_old_annotation, ingress_addresses, is_load_balancer, is_our_class,
};
use crate::kube::metallb::ranges::Family;
use crate::kube::metallb::selector::Labels;
use crate::kube::objects::Service;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Whose business the Service is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    Ours,
    /// It may have been ours before.
    NotLoadBalancer,
    OtherClass,
}

/// `ipFamilyPolicy`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FamilyPolicy {
    Single,
    Prefer,
    Require,
}

/// With whom a Service would share an address.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Claim {
    /// Never empty.
    pub sharing: Option<String>,
    /// Where traffic goes must be the same for all who share: empty for externalTrafficPolicy Cluster, else the selector.
    pub backend: String,
    /// Protocol and port, sorted.
    pub ports: Vec<(String, u16)>,
}

impl Claim {
    pub fn is_compatible(&self, other: &Self) -> bool {
        let same_key = self.sharing.is_some() && self.sharing == other.sharing;
        same_key && self.backend == other.backend && self.ports.iter().all(|port| other.ports.binary_search(port).is_err())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    pub standing: Standing,
    /// RFC 3339.
    pub created: String,
    pub labels: Labels,
    /// Those of clusterIPs.
    pub families: BTreeSet<Family>,
    pub policy: FamilyPolicy,
    pub primary: Family,
    /// The wanted addresses, sorted as texts; the error says what cannot be read.
    pub wish: Result<Option<Vec<IpAddr>>, String>,
    pub pool_wish: Option<String>,
    pub claim: Claim,
    /// What the status says.
    pub observed: Vec<IpAddr>,
    pub observed_pool: Option<String>,
    pub has_old_annotation: bool,
}

impl Facts {
    pub fn new(service: &Service, class: Option<&str>) -> Self {
        let (metadata, spec) = (&service.metadata, &service.spec);
        let standing = match (is_load_balancer(service), is_our_class(service, class)) {
            (false, _) => Standing::NotLoadBalancer,
            (true, true) => Standing::Ours,
            (true, false) => Standing::OtherClass,
        };
        let nonempty = |name: &str| annotation(metadata, name).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
        Self {
            standing,
            created: metadata.creation_timestamp.clone().unwrap_or_default(),
            labels: metadata.labels.clone(),
            families: cluster_families(service),
            policy: match spec.ip_family_policy.as_deref() {
                Some("PreferDualStack") => FamilyPolicy::Prefer,
                Some("RequireDualStack") => FamilyPolicy::Require,
                _ => FamilyPolicy::Single,
            },
            primary: if spec.ip_families.first().is_some_and(|family| family == "IPv6") { Family::V6 } else { Family::V4 },
            wish: wish(service),
            pool_wish: nonempty(POOL),
            claim: claim(service, nonempty(SHARING)),
            observed: ingress_addresses(service),
            observed_pool: annotation(metadata, ALLOCATED_FROM).map(str::to_owned),
            has_old_annotation: has_old_annotation(metadata),
        }
    }

    /// The families in the order in which they are allocated one by one.
    pub fn by_preference(&self) -> Vec<Family> {
        let mut families: Vec<Family> = self.families.iter().copied().collect();
        families.sort_by_key(|family| *family != self.primary);
        families
    }
}

fn cluster_families(service: &Service) -> BTreeSet<Family> {
    let spec = &service.spec;
    let single = std::slice::from_ref(&spec.cluster_ip);
    let texts = if spec.cluster_ips.is_empty() { single } else { spec.cluster_ips.as_slice() };
    texts.iter().filter_map(|text| text.parse().ok()).map(|address| Family::of(&address)).collect()
}

fn wish(service: &Service) -> Result<Option<Vec<IpAddr>>, String> {
    let list = annotation(&service.metadata, ADDRESSES).map(str::trim).filter(|text| !text.is_empty());
    let single = service.spec.load_balancer_ip.as_deref().filter(|text| !text.is_empty());
    let text = match (list, single) {
        (Some(_), Some(_)) => return Err("both the annotation loadBalancerIPs and spec.loadBalancerIP are set".to_owned()),
        (None, None) => return Ok(None),
        (Some(text), None) | (None, Some(text)) => text,
    };
    let read = |part: &str| part.trim().parse::<IpAddr>().map_err(|_| format!("`{}` is not an address", part.trim()));
    let mut addresses = text.split(',').map(read).collect::<Result<Vec<_>, _>>()?;
    addresses.sort_by_cached_key(IpAddr::to_string);
    let families: BTreeSet<Family> = addresses.iter().map(Family::of).collect();
    if families.len() < addresses.len() {
        return Err(format!("`{text}` has several addresses of one IP version"));
    }
    Ok(Some(addresses))
}

fn claim(service: &Service, sharing: Option<String>) -> Claim {
    let spec = &service.spec;
    let mut ports: Vec<(String, u16)> = spec.ports.iter().map(|port| (port.protocol.clone(), port.port)).collect();
    ports.sort();
    ports.dedup();
    let backend = match spec.external_traffic_policy.as_str() {
        "Local" => spec.selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(","),
        _ => String::new(),
    };
    Claim { sharing, backend, ports }
}
