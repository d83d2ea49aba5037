//! BGPConfiguration and BGPPeer.

use super::values::{AsNumber, PeerAddress, Wait, is_host};
use super::{Problem, Validate, calico_object};
use crate::kube::calico::selector::Selector;
use crate::kube::objects::null_as_default;
use serde::Deserialize;
use serde_json::Value;
use std::net::IpAddr;

calico_object! {
    /// Settings of the cluster (`default`) or of one node (`node.NAME`).
    BgpConfiguration(BgpConfigurationSpec) = "BGPConfiguration", "bgpconfigurations"
}

/// See [`BgpConfiguration`]; what the `default` alone decides is ignored in those of nodes.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct BgpConfigurationSpec {
    pub node_to_node_mesh_enabled: Option<bool>,
    pub as_number: Option<AsNumber>,
    #[serde(rename = "serviceClusterIPs", deserialize_with = "null_as_default")]
    pub service_cluster_ips: Vec<Cidr>,
    #[serde(rename = "serviceExternalIPs", deserialize_with = "null_as_default")]
    pub service_external_ips: Vec<Cidr>,
    #[serde(rename = "serviceLoadBalancerIPs", deserialize_with = "null_as_default")]
    pub service_load_balancer_ips: Vec<Cidr>,
    /// `Enabled` or `Disabled`.
    pub service_load_balancer_aggregation: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    pub communities: Vec<NamedCommunity>,
    /// A list of a node replaces that of the cluster.
    pub prefix_advertisements: Option<Vec<PrefixAdvertisement>>,
    pub listen_port: Option<u16>,
    pub node_mesh_password: Option<PasswordRef>,
    pub node_mesh_max_restart_time: Option<Wait>,
    /// `None` or `NodeIP`.
    pub bind_mode: Option<String>,
    pub program_cluster_routes: Option<String>,
    #[serde(rename = "ipv4NormalRoutePriority")]
    pub ipv4_normal_route_priority: Option<u32>,
    #[serde(rename = "ipv6NormalRoutePriority")]
    pub ipv6_normal_route_priority: Option<u32>,
}

/// One entry of a list of ranges; an empty one counts as absent.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Cidr {
    #[serde(deserialize_with = "null_as_default")]
    pub cidr: String,
}

/// A name for a community.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct NamedCommunity {
    pub name: String,
    /// `aa:nn` or `aa:nn:mm`.
    pub value: String,
}

/// What routes inside a range are tagged with.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct PrefixAdvertisement {
    pub cidr: String,
    /// Names, or values as in [`NamedCommunity`].
    #[serde(deserialize_with = "null_as_default")]
    pub communities: Vec<String>,
}

/// Where a password is.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct PasswordRef {
    pub secret_key_ref: Option<SecretKeyRef>,
}

/// One key of a Secret in the namespace of calico-node.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(default)]
pub struct SecretKeyRef {
    pub name: String,
    pub key: String,
}

impl Validate for BgpConfigurationSpec {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let word = |value: &Option<String>, field: &str, words: &[&str]| unknown_word(value, field, words);
        problems.extend(word(&self.service_load_balancer_aggregation, "spec.serviceLoadBalancerAggregation", &["Enabled", "Disabled"]));
        problems.extend(word(&self.bind_mode, "spec.bindMode", &["None", "NodeIP"]));
        if self.listen_port == Some(0) {
            problems.push(Problem::minor("spec.listenPort", "port 0 does not exist; 179 is used"));
        }
        for (field, value) in [
            ("spec.ipv4NormalRoutePriority", self.ipv4_normal_route_priority),
            ("spec.ipv6NormalRoutePriority", self.ipv6_normal_route_priority),
        ] {
            if value.is_some_and(|p| !(1..=2_147_483_646).contains(&p)) {
                problems.push(Problem::minor(field, "is not in 1..=2147483646; 1024 is used"));
            }
        }
        if self.node_to_node_mesh_enabled == Some(false) {
            let unused = [
                ("spec.nodeMeshPassword", self.node_mesh_password.is_some()),
                ("spec.nodeMeshMaxRestartTime", self.node_mesh_max_restart_time.is_some()),
            ];
            let message = "has no effect while nodeToNodeMeshEnabled is false";
            problems.extend(unused.iter().filter(|(_, set)| *set).map(|(field, _)| Problem::minor(*field, message)));
        }
        problems
    }
}

calico_object! {
    /// Sessions between some of our nodes and an address, other nodes, or local workloads.
    BgpPeer(BgpPeerSpec) = "BGPPeer", "bgppeers"
}

/// See [`BgpPeer`].
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct BgpPeerSpec {
    #[serde(deserialize_with = "null_as_default")]
    pub node: String,
    #[serde(deserialize_with = "null_as_default")]
    pub node_selector: String,
    #[serde(rename = "peerIP", deserialize_with = "null_as_default")]
    pub peer_ip: String,
    #[serde(deserialize_with = "null_as_default")]
    pub as_number: AsNumber,
    #[serde(rename = "localASNumber")]
    pub local_as_number: Option<AsNumber>,
    #[serde(deserialize_with = "null_as_default")]
    pub peer_selector: String,
    #[serde(deserialize_with = "null_as_default")]
    pub keep_original_next_hop: bool,
    /// `Auto`, `Self` or `Keep`.
    pub next_hop_mode: Option<String>,
    pub password: Option<PasswordRef>,
    /// `UseNodeIP` or `None`.
    pub source_address: Option<String>,
    pub max_restart_time: Option<Wait>,
    pub keepalive_time: Option<Wait>,
    #[serde(rename = "numAllowedLocalASNumbers")]
    pub num_allowed_local_as_numbers: Option<i32>,
    pub ttl_security: Option<u8>,
    #[serde(deserialize_with = "null_as_default")]
    pub reachable_by: String,
    #[serde(deserialize_with = "null_as_default")]
    pub filters: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    pub local_workload_selector: String,
    /// `Auto` or `Manual`.
    pub reverse_peering: Option<String>,
    /// Of Calico Enterprise, like the four below: no effect here.
    pub failure_detection_mode: Option<Value>,
    pub restart_mode: Option<Value>,
    pub bird_gateway_mode: Option<Value>,
    pub external_network: Option<Value>,
    pub extensions: Option<Value>,
}

impl BgpPeerSpec {
    /// For all nodes.
    pub fn is_global(&self) -> bool {
        self.node.is_empty() && self.node_selector.is_empty()
    }

    /// Where the peer is, for those that name an address.
    pub fn address(&self) -> Option<PeerAddress> {
        self.peer_ip.parse().ok()
    }

    pub fn is_reversed(&self) -> bool {
        self.reverse_peering.as_deref() != Some("Manual") && self.local_workload_selector.is_empty()
    }

    pub fn password_key(&self) -> Option<&SecretKeyRef> {
        self.password.as_ref()?.secret_key_ref.as_ref()
    }
}

impl Validate for BgpPeerSpec {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.check_sides(&mut problems);
        self.check_numbers(&mut problems);
        problems.extend(unknown_word(&self.next_hop_mode, "spec.nextHopMode", &["Auto", "Self", "Keep"]));
        problems.extend(unknown_word(&self.source_address, "spec.sourceAddress", &["UseNodeIP", "None"]));
        problems.extend(unknown_word(&self.reverse_peering, "spec.reversePeering", &["Auto", "Manual"]));
        if self.keep_original_next_hop && self.next_hop_mode.is_some() {
            problems.push(Problem::minor("spec.keepOriginalNextHop", "is replaced by nextHopMode and ignored beside it"));
        }
        let enterprise = [
            ("failureDetectionMode", &self.failure_detection_mode),
            ("restartMode", &self.restart_mode),
            ("birdGatewayMode", &self.bird_gateway_mode),
            ("externalNetwork", &self.external_network),
            ("extensions", &self.extensions),
        ];
        for (field, _) in enterprise.iter().filter(|(_, value)| value.is_some()) {
            problems.push(Problem::minor(format!("spec.{field}"), "belongs to Calico Enterprise and has no effect here"));
        }
        problems
    }
}

impl BgpPeerSpec {
    fn check_sides(&self, problems: &mut Vec<Problem>) {
        if !self.node.is_empty() && !self.node_selector.is_empty() {
            problems.push(Problem::fatal("spec.nodeSelector", "excludes node; remove one of them"));
        }
        let ways = [&self.peer_ip, &self.peer_selector, &self.local_workload_selector].iter().filter(|way| !way.is_empty()).count();
        if ways != 1 {
            problems.push(Problem::fatal("spec.peerIP", "name the peer by exactly one of peerIP, peerSelector, localWorkloadSelector"));
        }
        for (field, text) in [
            ("spec.nodeSelector", &self.node_selector),
            ("spec.peerSelector", &self.peer_selector),
            ("spec.localWorkloadSelector", &self.local_workload_selector),
        ] {
            problems.extend(Selector::parse(text).err().map(|error| Problem::fatal(field, error.to_string())));
        }
        match self.address() {
            _ if self.peer_ip.is_empty() => {}
            None => problems.push(Problem::fatal("spec.peerIP", format!("`{}` is not an address, IPv4:port or [IPv6]:port", self.peer_ip))),
            Some(address) if !is_host(address.ip) => {
                problems.push(Problem::fatal("spec.peerIP", format!("{} is not the global address of a host", address.ip)));
            }
            Some(_) => {}
        }
        if !self.reachable_by.is_empty() {
            match (self.reachable_by.parse::<IpAddr>(), self.address()) {
                (Ok(gateway), Some(peer)) if gateway.is_ipv4() == peer.ip.is_ipv4() => {}
                (Ok(_), Some(_)) => problems.push(Problem::minor("spec.reachableBy", "is of another family than peerIP and ignored")),
                (Ok(_), None) => problems.push(Problem::minor("spec.reachableBy", "needs peerIP and is ignored")),
                (Err(_), _) => problems.push(Problem::minor("spec.reachableBy", "is not an address and ignored")),
            }
        }
    }

    fn check_numbers(&self, problems: &mut Vec<Problem>) {
        let named = self.as_number != AsNumber(0);
        if !self.peer_selector.is_empty() && named {
            problems.push(Problem::minor("spec.asNumber", "is ignored beside peerSelector; nodes have their own AS numbers"));
        }
        if self.peer_selector.is_empty() && !named {
            problems.push(Problem::fatal("spec.asNumber", "is required with peerIP and localWorkloadSelector"));
        }
        if self.local_as_number.is_some() && self.peer_ip.is_empty() {
            problems.push(Problem::minor("spec.localASNumber", "has an effect with peerIP only"));
        }
        if self.local_as_number == Some(AsNumber(0)) {
            problems.push(Problem::minor("spec.localASNumber", "0 is not an AS number; the node's own is used"));
        }
        if self.num_allowed_local_as_numbers.is_some_and(|n| !(0..=255).contains(&n)) {
            problems.push(Problem::minor("spec.numAllowedLocalASNumbers", "is not in 0..=255; 0 is used"));
        }
        if self.max_restart_time.is_some_and(|t| t.0.as_secs() > 4095) {
            problems.push(Problem::minor("spec.maxRestartTime", "is more than the 4095s of RFC 4724; 4095s is used"));
        }
    }
}

/// A word that is none of those we know.
fn unknown_word(value: &Option<String>, field: &str, words: &[&str]) -> Option<Problem> {
    let value = value.as_deref().filter(|v| !v.is_empty() && !words.contains(v))?;
    Some(Problem::minor(field, format!("`{value}` is not one of {}; {} is used", words.join(", "), words.first()?)))
}
