//! Calico's objects as plain structs, from either group that serves them, and what is wrong with each.
//!
//! Words of a closed set are kept as text: a value that a newer Calico has brought is then reported and read as the default instead
//! of hiding the whole object.

mod blocks;
mod filter;
mod policy;
mod status;
#[cfg(test)]
mod tests;
mod values;

pub use blocks::{
    Attribute, BlockAffinity, BlockAffinitySpec, ClusterInformation, ClusterInformationSpec, FelixConfiguration, FelixConfigurationSpec,
    IpPool, IpPoolSpec, IpamBlock, IpamBlockSpec,
};
pub(super) use filter::is_community as filter_community;
pub use filter::{AddCommunity, BgpFilter, BgpFilterSpec, CommunityMatch, FilterRule, Operation, PrefixLength, PrependAsPath, SetPriority};
pub use policy::{
    BgpConfiguration, BgpConfigurationSpec, BgpPeer, BgpPeerSpec, Cidr, NamedCommunity, PasswordRef, PrefixAdvertisement, SecretKeyRef,
};
pub use status::{CalicoNodeStatus, CalicoNodeStatusSpec};
pub use values::{AsNumber, PeerAddress, Wait, is_host};

use super::report::Report;
use crate::kube::objects::{ApiVersion, Metadata};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// Storage of every Calico with the Kubernetes datastore; objects are not validated on their way in.
pub const CRD_V1: ApiVersion = ApiVersion { group: "crd.projectcalico.org", version: "v1" };
/// Native since Calico 3.32; the aggregated API server before.
pub const V3: ApiVersion = ApiVersion { group: "projectcalico.org", version: "v3" };

/// What a spec has to say about itself.
pub trait Validate {
    /// Problems that need no other object, as field and message; empty for most.
    fn problems(&self) -> Vec<Problem>;
}

/// One problem: `true` when the object cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    pub fatal: bool,
    pub field: String,
    pub message: String,
}

impl Problem {
    /// The object cannot be used.
    pub fn fatal(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { fatal: true, field: field.into(), message: message.into() }
    }

    /// The field is left out and the rest works.
    pub fn minor(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { fatal: false, field: field.into(), message: message.into() }
    }
}

/// Reads an object. In v1 storage Calico keeps name, labels and annotations of its own in one annotation.
fn read<T: DeserializeOwned>(api: &ApiVersion, mut value: Value) -> Result<T, String> {
    if *api == CRD_V1
        && let Some(metadata) = value.get_mut("metadata")
    {
        merge_stored_metadata(metadata)?;
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Unfolds the annotation `projectcalico.org/metadata`: its labels and annotations join the raw ones, which it wins against.
fn merge_stored_metadata(metadata: &mut Value) -> Result<(), String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Stored {
        name: Option<String>,
        labels: Option<BTreeMap<String, String>>,
        annotations: Option<BTreeMap<String, String>>,
    }

    let Some(text) = metadata.pointer("/annotations/projectcalico.org~1metadata").and_then(Value::as_str) else { return Ok(()) };
    let stored: Stored = serde_json::from_str(text).map_err(|error| format!("annotation {STORED_METADATA}: {error}"))?;
    let Some(map) = metadata.as_object_mut() else { return Ok(()) };
    if let Some(name) = stored.name.filter(|name| !name.is_empty()) {
        map.insert("name".into(), name.into());
    }
    for (key, entries) in [("labels", stored.labels), ("annotations", stored.annotations)] {
        let target = map.entry(key).or_insert_with(|| Value::Object(serde_json::Map::new()));
        if target.is_null() {
            *target = Value::Object(serde_json::Map::new());
        }
        if let Some(target) = target.as_object_mut() {
            target.remove(STORED_METADATA);
            target.extend(entries.into_iter().flatten().map(|(k, v)| (k, Value::String(v))));
        }
    }
    Ok(())
}

/// Everything that is wrong with an object, as reports; the second value says whether it can be used.
pub(super) fn judge<S: Validate>(kind: &str, metadata: &Metadata, spec: &S) -> (Vec<Report>, bool) {
    let problems = spec.problems();
    let usable = !problems.iter().any(|p| p.fatal);
    let report = |p: Problem| {
        let make = if p.fatal { Report::error } else { Report::warning };
        make(kind, &metadata.name, p.field, p.message)
    };
    (problems.into_iter().map(report).collect(), usable)
}

/// Defines an object of a cluster-wide Calico kind and how it is read from both groups.
macro_rules! calico_object {
    ($(#[$doc:meta])* $type:ident($spec:ty) = $kind:literal, $plural:literal $(, $trim:expr)?) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, serde::Deserialize, PartialEq)]
        #[serde(default)]
        pub struct $type {
            pub metadata: $crate::kube::objects::Metadata,
            #[serde(deserialize_with = "crate::kube::objects::null_as_default")]
            pub spec: $spec,
        }

        impl $crate::kube::objects::Object for $type {
            const KIND: $crate::kube::objects::Kind = $crate::kube::objects::Kind {
                name: $kind,
                plural: $plural,
                served_by: &[super::CRD_V1, super::V3],
                namespaced: false,
            };

            fn metadata(&self) -> &$crate::kube::objects::Metadata {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut $crate::kube::objects::Metadata {
                &mut self.metadata
            }

            fn parse(api: &$crate::kube::objects::ApiVersion, value: serde_json::Value) -> Result<Self, String> {
                super::read(api, value)
            }

            /// Of the labels and annotations of Calico's objects only one is looked at, and there only whether it is there.
            fn trim(&mut self) {
                self.metadata.labels.retain(|key, _| key == $crate::kube::calico::digest::AFFINITY_LABEL);
                self.metadata.annotations.clear();
                $(
                    let trim: fn(&mut $spec) = $trim;
                    trim(&mut self.spec);
                )?
            }
        }
    };
}
use calico_object;

const STORED_METADATA: &str = "projectcalico.org/metadata";
