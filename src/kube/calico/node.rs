//! Calico's Node, which has no object of its own: it is read from labels and annotations of the Kubernetes Node.

use super::objects::{AsNumber, is_host};
use super::report::Report;
use super::selector::Labels;
use crate::kube::objects::Node;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// One address family, as sessions, pools and filters are split by it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum IpFamily {
    V4,
    V6,
}

impl IpFamily {
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub const fn of_net(net: &IpNet) -> Self {
        match net {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }
}

/// What Calico knows of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CalicoNode {
    pub name: String,
    /// Kubernetes labels, and Calico's own where these have no such key.
    pub labels: Labels,
    /// Address with the length of its subnet.
    pub ipv4: Option<IpNet>,
    pub ipv6: Option<IpNet>,
    /// Where the node has an AS number of its own.
    pub asn: Option<u32>,
    /// Set on route reflectors.
    pub cluster_id: Option<Ipv4Addr>,
    pub wireguard_v4: bool,
    pub wireguard_v6: bool,
    /// With host-local address management each is a block of this node.
    pub pod_cidrs: Vec<IpNet>,
}

impl CalicoNode {
    /// Reads the Node. A value that cannot be read counts as absent and is reported.
    pub fn read(node: &Node, reports: &mut Vec<Report>) -> Self {
        let mut reader = Reader { node, reports };
        let ipv4 = reader.value("projectcalico.org/IPv4Address", |text| with_length(text).filter(|n| n.addr().is_ipv4()));
        let ipv6 = reader.value("projectcalico.org/IPv6Address", |text| with_length(text).filter(|n| n.addr().is_ipv6()));
        let asn = reader.value("projectcalico.org/ASNumber", |text| AsNumber::from_str(text).ok().filter(|asn| asn.0 > 0));
        let id = |text: &str| text.parse::<Ipv4Addr>().ok().filter(|id| !id.is_unspecified());
        let cluster_id = reader.value("projectcalico.org/RouteReflectorClusterID", id);
        let own_labels = reader.value("projectcalico.org/labels", |text| serde_json::from_str::<Labels>(text).ok());
        let key = |text: &str| (!text.is_empty()).then_some(());
        let wireguard_v4 = reader.value("projectcalico.org/WireguardPublicKey", key).is_some();
        let wireguard_v6 = reader.value("projectcalico.org/WireguardPublicKeyV6", key).is_some();
        let mut labels = own_labels.unwrap_or_default();
        labels.extend(node.metadata.labels.clone());
        Self {
            name: node.metadata.name.clone(),
            labels,
            ipv4,
            ipv6,
            asn: asn.map(|asn| asn.0),
            cluster_id,
            wireguard_v4,
            wireguard_v6,
            pod_cidrs: node.spec.pod_cidrs.iter().filter_map(|text| text.parse::<IpNet>().ok()).map(|net| net.trunc()).collect(),
        }
    }

    /// The address in a family; without one there are no sessions in it.
    pub fn address(&self, family: IpFamily) -> Option<IpAddr> {
        self.network(family).map(|net| net.addr())
    }

    /// The address with the length of its subnet.
    pub const fn network(&self, family: IpFamily) -> Option<IpNet> {
        match family {
            IpFamily::V4 => self.ipv4,
            IpFamily::V6 => self.ipv6,
        }
    }

    pub fn has_address(&self, address: IpAddr) -> bool {
        self.address(IpFamily::of(address)) == Some(address)
    }

    pub const fn has_wireguard(&self, family: IpFamily) -> bool {
        match family {
            IpFamily::V4 => self.wireguard_v4,
            IpFamily::V6 => self.wireguard_v6,
        }
    }

    /// The BGP daemon of this node is ours: two such nodes carry both families over one session.
    pub fn has_our_speaker(&self) -> bool {
        self.labels.get("kubgp.io/speaker").map(String::as_str) == Some("true")
    }

    /// Kubernetes asks that no load balancer sends traffic here, so no service is announced.
    pub fn is_excluded_from_load_balancing(&self) -> bool {
        self.labels.get("node.kubernetes.io/exclude-from-external-load-balancers").map(String::as_str) == Some("true")
    }
}

struct Reader<'a> {
    node: &'a Node,
    reports: &'a mut Vec<Report>,
}

impl Reader<'_> {
    fn value<T>(&mut self, annotation: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.node.metadata.annotation(annotation).filter(|text| !text.is_empty())?;
        let value = read(text);
        if value.is_none() {
            let field = format!("metadata.annotations[{annotation}]");
            self.reports.push(Report::warning("Node", &self.node.metadata.name, field, format!("`{text}` cannot be read and is ignored")));
        }
        value
    }
}

/// An address, with or without the length of its subnet.
fn with_length(text: &str) -> Option<IpNet> {
    let net = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    is_host(net.addr()).then_some(net)
}
