use serde::{Deserialize, Deserializer};

use super::meta::null_as_default;
use super::{Metadata, object};

/// One of the slices that hold a Service's endpoints; the Service is named by the label `kubernetes.io/service-name`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    pub metadata: Metadata,
    /// `IPv4`, `IPv6` or `FQDN`.
    pub address_type: String,
    /// After [`Object::trim`](super::Object::trim): one per distinct value, sorted.
    #[serde(deserialize_with = "null_as_default")]
    pub endpoints: Vec<Endpoint>,
}

impl EndpointSlice {
    pub const SERVICE_LABEL: &'static str = "kubernetes.io/service-name";

    /// The name of the Service in the slice's namespace.
    pub fn service(&self) -> Option<&str> {
        self.metadata.label(Self::SERVICE_LABEL)
    }
}

/// Where endpoints are and in what condition. Addresses are not kept: nothing of what we announce depends on them.
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    #[serde(rename = "addresses", deserialize_with = "is_not_empty")]
    pub has_address: bool,
    pub conditions: EndpointConditions,
    pub node_name: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(default)]
pub struct EndpointConditions {
    /// `None` is to be read as ready.
    pub ready: Option<bool>,
    pub serving: Option<bool>,
    pub terminating: Option<bool>,
}

object!(EndpointSlice, "endpointslices", true, [("discovery.k8s.io", "v1")], |slice| {
    slice.metadata.labels.retain(|key, _| key == EndpointSlice::SERVICE_LABEL);
    slice.metadata.annotations.clear();
    slice.endpoints.sort();
    slice.endpoints.dedup();
    slice.endpoints.shrink_to_fit();
});

fn is_not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let addresses = Option::<Vec<serde::de::IgnoredAny>>::deserialize(deserializer)?;
    Ok(addresses.is_some_and(|a| !a.is_empty()))
}
