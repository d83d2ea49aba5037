//! BGPFilter.

use super::values::AsNumber;
use super::{Problem, Validate, calico_object};
use crate::kube::objects::null_as_default;
use crate::wire::attr::community::{Community, LargeCommunity};
use ipnet::IpNet;
use serde::Deserialize;

calico_object! {
    /// Ordered rules that peers name; the first that matches decides.
    BgpFilter(BgpFilterSpec) = "BGPFilter", "bgpfilters"
}

/// See [`BgpFilter`].
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct BgpFilterSpec {
    #[serde(deserialize_with = "null_as_default")]
    pub export_v4: Vec<FilterRule>,
    #[serde(deserialize_with = "null_as_default")]
    pub import_v4: Vec<FilterRule>,
    #[serde(deserialize_with = "null_as_default")]
    pub export_v6: Vec<FilterRule>,
    #[serde(deserialize_with = "null_as_default")]
    pub import_v6: Vec<FilterRule>,
}

/// All that is given must hold.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterRule {
    #[serde(deserialize_with = "null_as_default")]
    pub cidr: String,
    /// `Equal`, `NotEqual`, `In` or `NotIn`.
    #[serde(deserialize_with = "null_as_default")]
    pub match_operator: String,
    pub prefix_length: Option<PrefixLength>,
    /// `RemotePeers`.
    #[serde(deserialize_with = "null_as_default")]
    pub source: String,
    /// A name with `*` for any characters.
    #[serde(deserialize_with = "null_as_default")]
    pub interface: String,
    /// `eBGP` or `iBGP`.
    #[serde(deserialize_with = "null_as_default")]
    pub peer_type: String,
    pub communities: Option<CommunityMatch>,
    #[serde(deserialize_with = "null_as_default")]
    pub as_path_prefix: Vec<AsNumber>,
    pub priority: Option<u32>,
    /// `Accept` or `Reject`.
    pub action: String,
    #[serde(deserialize_with = "null_as_default")]
    pub operations: Vec<Operation>,
}

/// Bounds of the length of a prefix.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct PrefixLength {
    pub min: Option<u8>,
    pub max: Option<u8>,
}

/// Communities that a route must carry: exactly one value.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct CommunityMatch {
    #[serde(deserialize_with = "null_as_default")]
    pub values: Vec<String>,
}

/// One change of an accepted route; exactly one of these.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Operation {
    #[serde(rename = "addCommunity")]
    pub add_community: Option<AddCommunity>,
    #[serde(rename = "prependASPath")]
    pub prepend_as_path: Option<PrependAsPath>,
    #[serde(rename = "setPriority")]
    pub set_priority: Option<SetPriority>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct AddCommunity {
    pub value: String,
}

/// The path afterwards starts with these numbers in this order.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct PrependAsPath {
    #[serde(deserialize_with = "null_as_default")]
    pub prefix: Vec<AsNumber>,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct SetPriority {
    pub value: u32,
}

impl Validate for BgpFilterSpec {
    fn problems(&self) -> Vec<Problem> {
        let lists = [
            ("exportV4", &self.export_v4, true),
            ("importV4", &self.import_v4, true),
            ("exportV6", &self.export_v6, false),
            ("importV6", &self.import_v6, false),
        ];
        let mut problems = Vec::new();
        for (name, rules, is_v4) in lists {
            for (i, rule) in rules.iter().enumerate() {
                rule.check(&format!("spec.{name}[{i}]"), is_v4, &mut problems);
            }
        }
        problems
    }
}

impl FilterRule {
    fn check(&self, at: &str, is_v4: bool, problems: &mut Vec<Problem>) {
        let mut wrong = |field: &str, message: String| problems.push(Problem::fatal(format!("{at}.{field}"), message));
        let word = |value: &str, words: &[&str]| {
            (!value.is_empty() && !words.contains(&value)).then(|| format!("`{value}` is not one of {}", words.join(", ")))
        };
        if !["Accept", "Reject"].contains(&self.action.as_str()) {
            wrong("action", format!("`{}` is neither Accept nor Reject", self.action));
        }
        if let Some(message) = word(&self.match_operator, &["Equal", "NotEqual", "In", "NotIn"]) {
            wrong("matchOperator", message);
        }
        if let Some(message) = word(&self.source, &["RemotePeers"]) {
            wrong("source", message);
        }
        if let Some(message) = word(&self.peer_type, &["eBGP", "iBGP"]) {
            wrong("peerType", message);
        }
        if self.cidr.is_empty() != self.match_operator.is_empty() {
            wrong("cidr", "goes together with matchOperator: give both or neither".into());
        }
        match self.cidr.parse::<IpNet>() {
            _ if self.cidr.is_empty() => {}
            Ok(net) if matches!(net, IpNet::V4(_)) == is_v4 => {}
            _ => wrong("cidr", format!("`{}` is not an IPv{} prefix", self.cidr, if is_v4 { 4 } else { 6 })),
        }
        if self.prefix_length.is_some() && self.cidr.is_empty() {
            wrong("prefixLength", "needs cidr".into());
        }
        if let Some(values) = self.communities.as_ref().map(|c| &c.values) {
            match values.as_slice() {
                [one] if is_community(one) => {}
                [one] => wrong("communities.values", format!("`{one}` is neither aa:nn nor aa:nn:mm")),
                _ => wrong("communities.values", "must hold exactly one value".into()),
            }
        }
        if self.as_path_prefix.contains(&AsNumber(0)) {
            wrong("asPathPrefix", "0 is not an AS number".into());
        }
        if self.action == "Reject" && !self.operations.is_empty() {
            wrong("operations", "have no place beside action Reject".into());
        }
        for (i, operation) in self.operations.iter().enumerate() {
            if let Some(message) = operation.fault() {
                wrong(&format!("operations[{i}]"), message.into());
            }
        }
    }
}

impl Operation {
    fn fault(&self) -> Option<&'static str> {
        match (&self.add_community, &self.prepend_as_path, &self.set_priority) {
            (Some(add), None, None) if !is_community(&add.value) => Some("the community is neither aa:nn nor aa:nn:mm"),
            (None, Some(prepend), None) if prepend.prefix.is_empty() || prepend.prefix.contains(&AsNumber(0)) => {
                Some("prependASPath.prefix needs AS numbers, 1..=4294967295")
            }
            (None, None, Some(set)) if set.value > 2_147_483_647 => Some("setPriority.value is not in 0..=2147483647"),
            (Some(_), None, None) | (None, Some(_), None) | (None, None, Some(_)) => None,
            _ => Some("say exactly one of addCommunity, prependASPath, setPriority"),
        }
    }
}

/// `aa:nn` or `aa:nn:mm`, numbers only.
pub(in crate::kube::calico) fn is_community(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b':');
    plain && (text.parse::<Community>().is_ok() || text.parse::<LargeCommunity>().is_ok())
}
