//! What is told outside about Services, pools and configuration: the contents of ServiceBGPStatus and ConfigurationState objects, of
//! the pools' status, and the values of MetalLB's metrics.

use super::allocator::Allocator;
use super::announce::{Announcer, Attributes};
use super::complaint::{Complaint, Severity, as_text};
use super::model::{Config, Pool};
use super::objects::GROUP;
use super::ranges::Family;
use crate::kube::objects::{ApiVersion, Key, Kind, Metadata, Object, object};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

#[cfg(test)]
use schemars::JsonSchema;

/// What one node says about one Service.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct ServiceBGPStatus {
    pub metadata: Metadata,
    pub status: ServiceBgpStatus,
}

object!(ServiceBGPStatus, "servicebgpstatuses", true, [("metallb.io", "v1beta1")]);

/// The content of one ServiceBGPStatus object.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceBgpStatus {
    pub node: String,
    pub service_name: String,
    pub service_namespace: String,
    /// Names of the BGPPeers whose Adj-RIB-Out holds every prefix that is meant for them, sorted. The object goes when there are none.
    pub peers: BTreeSet<String>,
}

/// The prefixes of a Service and the BGPPeers that are to get each, by name.
pub type WantedRoutes = Vec<(IpNet, Arc<BTreeMap<String, Attributes>>)>;

/// The status of one Service from a node. `is_sent` says whether a session is up and its Adj-RIB-Out holds the prefix.
pub fn status_of(node: &str, service: &Key, routes: &WantedRoutes, is_sent: impl Fn(&str, &IpNet) -> bool) -> Option<ServiceBgpStatus> {
    let wanted: BTreeSet<&String> = routes.iter().flat_map(|(_, peers)| peers.keys()).collect();
    let sent = |peer: &str| routes.iter().filter(|(_, peers)| peers.contains_key(peer)).all(|(prefix, _)| is_sent(peer, prefix));
    let peers: BTreeSet<String> = wanted.into_iter().filter(|peer| sent(peer)).cloned().collect();
    (!peers.is_empty()).then(|| ServiceBgpStatus {
        node: node.to_owned(),
        service_name: service.name.to_string(),
        service_namespace: service.namespace.to_string(),
        peers,
    })
}

/// Which part of MetalLB a ConfigurationState object stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Component {
    /// The allocator; its condition is about pools.
    Controller,
    /// A node; its condition is about everything.
    Speaker,
}

/// What one component says about what it reads.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct ConfigurationStateObject {
    pub metadata: Metadata,
    pub status: ConfigurationState,
}

impl Object for ConfigurationStateObject {
    const KIND: Kind = Kind {
        name: "ConfigurationState",
        plural: "configurationstates",
        served_by: &[ApiVersion { group: GROUP, version: "v1beta1" }],
        namespaced: true,
    };

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}

/// The status of a ConfigurationState object; the writer adds the time of the last transition.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationState {
    /// `Valid`, `Invalid`, or `Unknown` before anything was read.
    pub result: String,
    /// One error a line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error_summary: String,
    pub conditions: Vec<ConfigurationCondition>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub struct ConfigurationCondition {
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// `Reconciled`, `ConfigurationError`, `UnknownError`.
    pub reason: String,
    pub message: String,
}

impl ConfigurationState {
    /// Of what `config` complains about.
    pub fn new(config: &Config, component: Component) -> Self {
        let concerns =
            |c: &&Complaint| component == Component::Speaker || c.object.kind == "IPAddressPool" || c.path.starts_with("address-pools");
        let all = config.complaints.iter().filter(|c| c.severity == Severity::Error).filter(concerns);
        Self::of(&all.map(Complaint::to_string).collect::<Vec<_>>(), component)
    }

    /// Valid where there is no error.
    pub fn of(errors: &[String], component: Component) -> Self {
        let kind = match component {
            Component::Controller => "poolReconcilerValid",
            Component::Speaker => "configReconcilerValid",
        };
        let (result, status, reason) =
            if errors.is_empty() { ("Valid", "True", "Reconciled") } else { ("Invalid", "False", "ConfigurationError") };
        let message = errors.join("\n");
        let text = str::to_owned;
        let condition = ConfigurationCondition { kind: text(kind), status: text(status), reason: text(reason), message: message.clone() };
        Self { result: text(result), error_summary: message, conditions: vec![condition] }
    }
}

/// The status of an IPAddressPool; numbers end at `i64::MAX`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PoolStatus {
    #[serde(rename = "assignedIPv4")]
    pub assigned_ipv4: i64,
    #[serde(rename = "assignedIPv6")]
    pub assigned_ipv6: i64,
    #[serde(rename = "availableIPv4")]
    pub available_ipv4: i64,
    #[serde(rename = "availableIPv6")]
    pub available_ipv6: i64,
}

impl PoolStatus {
    fn new(pool: &Pool, [v4, v6]: [u64; 2]) -> Self {
        let number = |value: u128| i64::try_from(value).unwrap_or(i64::MAX);
        let available = |family, used: u64| number(pool.size(family).saturating_sub(used.into()));
        Self {
            assigned_ipv4: number(v4.into()),
            assigned_ipv6: number(v6.into()),
            available_ipv4: available(Family::V4, v4),
            available_ipv6: available(Family::V6, v6),
        }
    }
}

/// Every IPAddressPool that is in force and its status; the pools of a ConfigMap have no place for one.
pub fn pool_statuses(allocator: &Allocator) -> Vec<(Key, PoolStatus)> {
    let of_objects = allocator.usage().into_iter().filter(|(pool, _)| pool.source.path.is_empty());
    of_objects.map(|(pool, used)| (pool.source.object.key.clone(), PoolStatus::new(&pool, used))).collect()
}

/// The values behind `metallb_allocator_*` of one pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PoolMetrics {
    pub pool: String,
    /// `addresses_total`, `ipv4_addresses_total`, `ipv6_addresses_total`.
    pub total: [f64; 3],
    /// `addresses_in_use_total`, `ipv4_addresses_in_use_total`, `ipv6_addresses_in_use_total`.
    pub in_use: [f64; 3],
}

/// One series of `metallb_speaker_announced`; the node and `protocol="bgp"` are the same for all.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Announced {
    #[serde(serialize_with = "as_text")]
    pub service: Key,
    pub ip: IpAddr,
}

/// MetalLB's metrics as far as they come from objects. Those of sessions come from sessions, those of watches from watches.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
    pub pools: Vec<PoolMetrics>,
    pub announced: Vec<Announced>,
    /// `metallb_k8s_client_config_loaded_bool`.
    pub config_loaded: bool,
    /// `metallb_k8s_client_config_stale_bool`.
    pub config_stale: bool,
}

impl Metrics {
    /// Of the roles that this process has. `config` is `None` before the first one was read.
    pub fn collect(config: Option<&Config>, allocator: Option<&Allocator>, announcer: Option<&Announcer>) -> Self {
        let pools = allocator.map(Allocator::usage).unwrap_or_default();
        let announced = announcer.into_iter().flat_map(|announcer| {
            let on = announcer.services().filter(|(_, _, blocked)| blocked.is_none());
            on.flat_map(|(key, ips, _)| ips.iter().map(|ip| Announced { service: key.clone(), ip: *ip }))
        });
        Self {
            pools: pools.iter().map(|(pool, used)| pool_metrics(pool, *used)).collect(),
            announced: announced.collect(),
            config_loaded: config.is_some(),
            config_stale: config.is_some_and(Config::is_stale),
        }
    }
}

fn pool_metrics(pool: &Pool, [v4, v6]: [u64; 2]) -> PoolMetrics {
    let [total4, total6] = Family::BOTH.map(|family| pool.size(family) as f64);
    let [used4, used6] = [v4 as f64, v6 as f64];
    PoolMetrics { pool: pool.name.clone(), total: [total4 + total6, total4, total6], in_use: [used4 + used6, used4, used6] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::metallb::announce::{NodeFacts, Settings};
    use crate::kube::metallb::check::Objects;
    use crate::kube::objects::{EndpointSlice, Service};
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    fn read<T: DeserializeOwned>(value: Value) -> Arc<T> {
        Arc::new(serde_json::from_value(value).unwrap())
    }

    fn config() -> Config {
        let peer = |name: &str, last: u8| {
            let spec = json!({ "myASN": 1, "peerASN": 2, "peerAddress": format!("10.9.0.{last}") });
            read(json!({ "metadata": { "name": name }, "spec": spec }))
        };
        let objects = Objects {
            pools: vec![read(
                json!({ "metadata": { "name": "p" }, "spec": { "addresses": ["10.0.0.0/30", "2001:db8::/64"], "avoidBuggyIPs": true } }),
            )],
            advertisements: vec![read(json!({ "metadata": { "name": "adv" } }))],
            peers: vec![peer("a", 1), peer("b", 2), read(json!({ "metadata": { "name": "bad" } }))],
            ..Objects::default()
        };
        Config::build(&objects, &Config::default())
    }

    fn service() -> Arc<Service> {
        read(json!({
            "metadata": { "namespace": "d", "name": "web" },
            "spec": { "type": "LoadBalancer", "clusterIPs": ["10.96.0.1"] },
            "status": { "loadBalancer": { "ingress": [{ "ip": "10.0.0.1" }] } },
        }))
    }

    fn announcer() -> Announcer {
        let mut announcer = Announcer::new(Settings::default(), NodeFacts { name: "n1".into(), ..NodeFacts::default() });
        announcer.handle_config(Arc::new(config()));
        let slice: Arc<EndpointSlice> = read(json!({ "endpoints": [{ "addresses": ["10.1.0.1"] }] }));
        announcer.handle_service(&service().key(), Some((&service(), &mut std::iter::once(slice.as_ref()))));
        announcer
    }

    #[test]
    fn the_status_names_peers_that_really_have_the_prefix() {
        let (announcer, key) = (announcer(), service().key());
        let routes = |key: &Key| announcer.routes_of(key).into_iter().map(|route| (route.prefix, route.peers)).collect();
        let status_of = |key: &Key, is_sent: &dyn Fn(&str, &IpNet) -> bool| status_of("n1", key, &routes(key), is_sent);
        let status = status_of(&key, &|peer, prefix| peer == "b" && prefix.to_string() == "10.0.0.1/32").unwrap();
        let expected = json!({ "node": "n1", "serviceName": "web", "serviceNamespace": "d", "peers": ["b"] });
        assert_eq!(serde_json::to_value(status).unwrap(), expected);
        assert_eq!(status_of(&key, &|_, _| false), None, "without peers there is no object");
        assert_eq!(status_of(&Key::new("d", "gone"), &|_, _| true), None);
    }

    #[test]
    fn metrics_and_pool_status_count_usable_addresses() {
        let (config, mut allocator) = (config(), Allocator::new(None));
        allocator.handle_config(&config);
        allocator.handle_service(&service().key(), Some(&service()));
        allocator.handle_synced();
        while allocator.poll().is_some() {}
        let metrics = Metrics::collect(Some(&config), Some(&allocator), Some(&announcer()));
        assert_eq!((metrics.config_loaded, metrics.config_stale), (true, true));
        assert_eq!(metrics.pools[0].in_use, [1.0, 1.0, 0.0]);
        assert_eq!(metrics.pools[0].total[1..], [3.0, (1u128 << 64) as f64]);
        assert_eq!(metrics.announced, [Announced { service: service().key(), ip: "10.0.0.1".parse().unwrap() }]);
        let expected = PoolStatus { assigned_ipv4: 1, assigned_ipv6: 0, available_ipv4: 2, available_ipv6: i64::MAX };
        assert_eq!(pool_statuses(&allocator), [(Key::new("", "p"), expected)]);
        assert_eq!(Metrics::collect(None, None, None), Metrics::default());
    }

    #[test]
    fn the_configuration_state_is_that_of_the_component() {
        assert_eq!(ConfigurationState::new(&Config::default(), Component::Speaker).result, "Valid");
        let state = ConfigurationState::new(&config(), Component::Speaker);
        assert_eq!(state.result, "Invalid");
        assert_eq!(state.conditions[0].kind, "configReconcilerValid");
        assert!(state.error_summary.contains("BGPPeer bad: spec.myASN"), "{}", state.error_summary);
        // A bad peer is no matter of the allocator.
        assert_eq!(ConfigurationState::new(&config(), Component::Controller).result, "Valid");
    }
}
