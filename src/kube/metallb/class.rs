//! Which Services are ours, and the annotations that they carry.

use crate::kube::objects::{Metadata, Service};
use std::net::IpAddr;

/// Annotations of the current names; each has an older one.
pub const ADDRESSES: &str = "loadBalancerIPs";
pub const POOL: &str = "address-pool";
pub const SHARING: &str = "allow-shared-ip";
/// What we write: the pool of the present addresses.
pub const ALLOCATED_FROM: &str = "ip-allocated-from-pool";
const NEW: &str = "metallb.io/";
const OLD: &str = "metallb.universe.tf/";

/// The full name under which we write an annotation.
pub fn annotation_name(name: &str) -> String {
    format!("{NEW}{name}")
}

/// The value of an annotation; the new name wins.
pub fn annotation<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    [NEW, OLD].iter().find_map(|prefix| metadata.annotation(&format!("{prefix}{name}")))
}

/// Whether an annotation of an older name is used.
pub fn has_old_annotation(metadata: &Metadata) -> bool {
    [ADDRESSES, POOL, SHARING].iter().any(|name| metadata.annotation(&format!("{OLD}{name}")).is_some())
}

/// Whether we are responsible for the class of a Service: without a class of our own, for those that have none.
pub fn is_our_class(service: &Service, ours: Option<&str>) -> bool {
    service.spec.load_balancer_class.as_deref() == ours.filter(|class| !class.is_empty())
}

pub fn is_load_balancer(service: &Service) -> bool {
    service.spec.kind == "LoadBalancer"
}

/// The addresses of the status; entries with host names only are not ours.
pub fn ingress_addresses(service: &Service) -> Vec<IpAddr> {
    service.status.load_balancer.ingress.iter().filter_map(|ingress| ingress.ip.as_deref()?.parse().ok()).collect()
}
