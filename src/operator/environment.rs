//! Settings that Calico reads from the environment, for pods that take the place of its own.

use crate::kube::calico::RouterIdRule;
use ipnet::IpNet;

/// What is set in the environment of this process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Environment {
    /// `CALICO_ROUTER_ID`: an address, or `hash` for one that follows from the name of the node.
    pub router_id: RouterIdRule,
    /// `CALICO_API_GROUP` says which of the two API groups with Calico's objects to read: this is the other one.
    pub hidden_group: Option<&'static str>,
    /// `CALICO_VERSION`, where what ClusterInformation says does not hold for the whole cluster.
    pub version: Option<String>,
    /// `USE_POD_CIDR`: the blocks of nodes are the podCIDRs of their Nodes.
    pub use_pod_cidr: bool,
    /// `CALICO_ADVERTISE_CLUSTER_IPS`, in place of `serviceClusterIPs`.
    pub cluster_ips: Option<Vec<IpNet>>,
}

impl Environment {
    pub fn read() -> Self {
        Self::from(|name| std::env::var(name).ok())
    }

    fn from(get: impl Fn(&str) -> Option<String>) -> Self {
        let router_id = match get("CALICO_ROUTER_ID").as_deref() {
            Some("hash") => RouterIdRule::Hash,
            text => text.and_then(|text| text.parse().ok()).map_or(RouterIdRule::NodeAddress, RouterIdRule::Is),
        };
        let hidden_group = get("CALICO_API_GROUP").and_then(|text| match text.split('/').next() {
            Some(NATIVE) => Some(STORAGE),
            Some(STORAGE) => Some(NATIVE),
            _ => None,
        });
        let ranges = |text: String| text.split(',').filter_map(|range| range.trim().parse().ok()).collect();
        Self {
            router_id,
            hidden_group,
            version: get("CALICO_VERSION").filter(|text| !text.is_empty()),
            use_pod_cidr: get("USE_POD_CIDR").is_some_and(|text| text == "true"),
            cluster_ips: get("CALICO_ADVERTISE_CLUSTER_IPS").filter(|text| !text.is_empty()).map(ranges),
        }
    }
}

const NATIVE: &str = "projectcalico.org";
const STORAGE: &str = "crd.projectcalico.org";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_calico_are_understood() {
        let read = |id: &str, group: &str| {
            Environment::from(|name| match name {
                "CALICO_ROUTER_ID" => Some(id.to_owned()).filter(|text| !text.is_empty()),
                "CALICO_API_GROUP" => Some(group.to_owned()).filter(|text| !text.is_empty()),
                _ => None,
            })
        };
        assert_eq!(read("", ""), Environment::default());
        assert_eq!(
            read("hash", "projectcalico.org/v3"),
            Environment { router_id: RouterIdRule::Hash, hidden_group: Some(STORAGE), ..Environment::default() }
        );
        let id = RouterIdRule::Is([10, 0, 0, 9].into());
        assert_eq!(
            read("10.0.0.9", "crd.projectcalico.org/v1"),
            Environment { router_id: id, hidden_group: Some(NATIVE), ..Environment::default() }
        );
        assert_eq!(read("no address", "other"), Environment::default());
        let told = Environment::from(|name| match name {
            "CALICO_VERSION" => Some("v3.31.2".to_owned()),
            "USE_POD_CIDR" => Some("true".to_owned()),
            "CALICO_ADVERTISE_CLUSTER_IPS" => Some("10.96.0.0/12, fd00:96::/112".to_owned()),
            _ => None,
        });
        let ranges = ["10.96.0.0/12", "fd00:96::/112"].map(|range| range.parse().unwrap());
        assert_eq!((told.version.as_deref(), told.use_pod_cidr, told.cluster_ips), (Some("v3.31.2"), true, Some(ranges.to_vec())));
    }
}
