//! What kubgp keeps of the Kubernetes objects it watches: only the fields that a translator reads. Unknown fields are ignored and
//! absent ones take the default of the API, so that any API server version can be read.

mod core;
mod discovery;
mod meta;
#[cfg(test)]
mod tests;

pub use self::core::{
    Condition, ConfigMap, Ingress, LoadBalancerStatus, Namespace, Node, NodeAddress, NodeSpec, NodeStatus, Secret, SecretData, Service,
    ServicePort, ServiceSpec, ServiceStatus, Taint,
};
pub use self::discovery::{Endpoint, EndpointConditions, EndpointSlice};
pub(crate) use self::meta::null_as_default;
pub use self::meta::{Key, Metadata};

use serde::de::DeserializeOwned;
use serde_json::Value;

/// One place where a kind is served: `group` is empty for the core group.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ApiVersion {
    pub group: &'static str,
    pub version: &'static str,
}

impl ApiVersion {
    /// The path of a collection, in one namespace or in all.
    pub fn path(&self, plural: &str, namespace: Option<&str>) -> String {
        let base = if self.group.is_empty() { format!("/api/{}", self.version) } else { format!("/apis/{}/{}", self.group, self.version) };
        match namespace {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{plural}"),
            None => format!("{base}/{plural}"),
        }
    }
}

/// A kind of object as the API names it.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// `Service`; unique among the kinds that one process watches.
    pub name: &'static str,
    /// `services`.
    pub plural: &'static str,
    /// Where it may be served, best first. The first group that is served at all decides; within it the first version that has
    /// the kind.
    pub served_by: &'static [ApiVersion],
    pub namespaced: bool,
}

/// An object that can be watched and stored.
pub trait Object: DeserializeOwned + Clone + PartialEq + Send + Sync + 'static {
    const KIND: Kind;

    fn metadata(&self) -> &Metadata;

    fn metadata_mut(&mut self) -> &mut Metadata;

    /// Reads an object as `api` serves it. The error says what was expected where; the object is then reported as malformed.
    fn parse(_api: &ApiVersion, value: Value) -> Result<Self, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    /// Drops what no translator reads, so that a change of it is no change and needs no memory.
    fn trim(&mut self) {}

    fn key(&self) -> Key {
        self.metadata().key()
    }
}

/// Implements [`Object`] for a struct with a field `metadata`.
macro_rules! object {
    ($type:ident, $plural:literal, $namespaced:literal, [$(($group:literal, $version:literal)),+] $(, $trim:expr)?) => {
        impl $crate::kube::objects::Object for $type {
            const KIND: $crate::kube::objects::Kind = $crate::kube::objects::Kind {
                name: stringify!($type),
                plural: $plural,
                served_by: &[$($crate::kube::objects::ApiVersion { group: $group, version: $version }),+],
                namespaced: $namespaced,
            };

            fn metadata(&self) -> &$crate::kube::objects::Metadata {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut $crate::kube::objects::Metadata {
                &mut self.metadata
            }

            $(fn trim(&mut self) {
                let trim: fn(&mut Self) = $trim;
                trim(self);
            })?
        }
    };
}
pub(crate) use object;
