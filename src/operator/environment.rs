//! Settings that Calico reads from the environment, for pods that take the place of its own.

use crate::kube::calico::RouterIdRule;

/// What is set in the environment of this process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Environment {
    /// `CALICO_ROUTER_ID`: an address, or `hash` for one that follows from the name of the node.
    pub router_id: RouterIdRule,
    /// `CALICO_API_GROUP` says which of the two API groups with Calico's objects to read: this is the other one.
    pub hidden_group: Option<&'static str>,
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
        Self { router_id, hidden_group }
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
            Environment::from(|name| Some(if name == "CALICO_ROUTER_ID" { id } else { group }.to_owned()).filter(|text| !text.is_empty()))
        };
        assert_eq!(read("", ""), Environment::default());
        assert_eq!(read("hash", "projectcalico.org/v3"), Environment { router_id: RouterIdRule::Hash, hidden_group: Some(STORAGE) });
        let id = RouterIdRule::Is([10, 0, 0, 9].into());
        assert_eq!(read("10.0.0.9", "crd.projectcalico.org/v1"), Environment { router_id: id, hidden_group: Some(NATIVE) });
        assert_eq!(read("no address", "other"), Environment::default());
    }
}
