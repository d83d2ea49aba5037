use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer};

use super::meta::null_as_default;
use super::{Metadata, object};

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Service {
    pub metadata: Metadata,
    pub spec: ServiceSpec,
    #[serde(deserialize_with = "null_as_default")]
    pub status: ServiceStatus,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Empty where none is assigned yet; `None` (the word) for a headless Service.
    #[serde(rename = "clusterIP", deserialize_with = "null_as_default")]
    pub cluster_ip: String,
    #[serde(rename = "clusterIPs", deserialize_with = "null_as_default")]
    pub cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs", deserialize_with = "null_as_default")]
    pub external_ips: Vec<String>,
    /// `IPv4`, `IPv6`.
    #[serde(deserialize_with = "null_as_default")]
    pub ip_families: Vec<String>,
    /// `SingleStack`, `PreferDualStack` or `RequireDualStack`.
    pub ip_family_policy: Option<String>,
    /// The deprecated wish for an address.
    #[serde(rename = "loadBalancerIP")]
    pub load_balancer_ip: Option<String>,
    pub load_balancer_class: Option<String>,
    /// `Cluster` or `Local`; empty reads as `Cluster`.
    #[serde(deserialize_with = "null_as_default")]
    pub external_traffic_policy: String,
    #[serde(deserialize_with = "null_as_default")]
    pub selector: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_as_default")]
    pub ports: Vec<ServicePort>,
}

impl Default for ServiceSpec {
    fn default() -> Self {
        Self {
            kind: "ClusterIP".into(),
            cluster_ip: String::new(),
            cluster_ips: Vec::new(),
            external_ips: Vec::new(),
            ip_families: Vec::new(),
            ip_family_policy: None,
            load_balancer_ip: None,
            load_balancer_class: None,
            external_traffic_policy: String::new(),
            selector: BTreeMap::new(),
            ports: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
pub struct ServicePort {
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default = "tcp")]
    pub protocol: String,
    pub port: u16,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    #[serde(deserialize_with = "null_as_default")]
    pub load_balancer: LoadBalancerStatus,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct LoadBalancerStatus {
    #[serde(deserialize_with = "null_as_default")]
    pub ingress: Vec<Ingress>,
}

/// An address that the Service is reachable at; `hostname` is written by cloud providers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Ingress {
    pub ip: Option<String>,
    pub hostname: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Node {
    pub metadata: Metadata,
    pub spec: NodeSpec,
    #[serde(deserialize_with = "null_as_default")]
    pub status: NodeStatus,
}

impl Node {
    /// Whether the condition `kind` is `True`.
    pub fn has_condition(&self, kind: &str) -> bool {
        self.status.conditions.iter().any(|c| c.kind == kind && c.status == "True")
    }

    /// Whether it takes no new work: it is cordoned, or an autoscaler is about to remove it.
    pub fn is_leaving(&self) -> bool {
        self.spec.unschedulable || self.spec.taints.iter().any(|taint| REMOVAL_TAINTS.contains(&taint.key.as_str()))
    }

    /// The addresses of a type, for example `InternalIP`, in the order of the object.
    pub fn addresses<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a str> {
        self.status.addresses.iter().filter(move |a| a.kind == kind).map(|a| a.address.as_str())
    }
}

/// With which the Cluster Autoscaler and Karpenter (present and former name) say that they remove a Node.
const REMOVAL_TAINTS: [&str; 3] = ["ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted", "karpenter.sh/disruption"];

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    #[serde(rename = "podCIDRs", deserialize_with = "null_as_default")]
    pub pod_cidrs: Vec<String>,
    /// Cordoned.
    #[serde(deserialize_with = "null_as_default")]
    pub unschedulable: bool,
    #[serde(deserialize_with = "null_as_default")]
    pub taints: Vec<Taint>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Taint {
    pub key: String,
    #[serde(deserialize_with = "null_as_default")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct NodeStatus {
    #[serde(deserialize_with = "null_as_default")]
    pub addresses: Vec<NodeAddress>,
    #[serde(deserialize_with = "null_as_default")]
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname`, ...
    #[serde(rename = "type")]
    pub kind: String,
    pub address: String,
}

/// Type and status only: times and messages change with every heartbeat.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Namespace {
    pub metadata: Metadata,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct ConfigMap {
    pub metadata: Metadata,
    #[serde(deserialize_with = "null_as_default")]
    pub data: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Secret {
    pub metadata: Metadata,
    /// For example `kubernetes.io/basic-auth`.
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    pub kind: String,
    #[serde(deserialize_with = "null_as_default")]
    pub data: BTreeMap<String, SecretData>,
}

impl Secret {
    /// No password has more octets; a larger value (a stored Helm release has up to a million) is as good as absent.
    pub const LARGEST: usize = 1024;
}

/// The octets of one key of a Secret. Never printed.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct SecretData(pub Vec<u8>);

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} octets)", self.0.len())
    }
}

impl<'de> Deserialize<'de> for SecretData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        decode_base64(&text).map(Self).ok_or_else(|| serde::de::Error::custom("expected base64"))
    }
}

object!(Service, "services", true, [("", "v1")]);
object!(Node, "nodes", false, [("", "v1")]);
object!(Namespace, "namespaces", false, [("", "v1")], |namespace| namespace.metadata.annotations.clear());
object!(Secret, "secrets", true, [("", "v1")], |secret| {
    secret.metadata.annotations.clear();
    secret.data.retain(|_, data| data.0.len() <= Secret::LARGEST);
});
object!(ConfigMap, "configmaps", true, [("", "v1")], |map| map.metadata.annotations.clear());

fn tcp() -> String {
    "TCP".into()
}

/// RFC 4648 section 4, white space ignored as the API server does.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let symbols: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    if !symbols.len().is_multiple_of(4) {
        return None;
    }
    let body = symbols.strip_suffix(b"==").or_else(|| symbols.strip_suffix(b"=")).unwrap_or(&symbols);
    let mut out = Vec::with_capacity(symbols.len() / 4 * 3);
    for quad in body.chunks(4) {
        let mut bits = 0u32;
        for symbol in quad {
            bits = bits << 6 | u32::from(base64_value(*symbol)?);
        }
        bits <<= 6 * (4 - quad.len());
        out.extend(bits.to_be_bytes().into_iter().skip(1).take(quad.len() * 6 / 8));
    }
    Some(out)
}

fn base64_value(symbol: u8) -> Option<u8> {
    Some(match symbol {
        b'A'..=b'Z' => symbol - b'A',
        b'a'..=b'z' => symbol - b'a' + 26,
        b'0'..=b'9' => symbol - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}
