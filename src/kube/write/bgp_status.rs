use serde_json::{Value, json};

use super::{Target, WriteError, Writer};
use crate::kube::metallb::status::{ServiceBGPStatus, ServiceBgpStatus};
use crate::kube::objects::{ApiVersion, Key, Metadata};
use crate::kube::words::fnv;

/// The label that names the node of a ServiceBGPStatus.
pub const NODE_LABEL: &str = "metallb.io/node";
/// The label, and its value, of what we write.
pub const OURS: (&str, &str) = ("app.kubernetes.io/managed-by", "kubgp");

impl Writer {
    /// Creates or updates a ServiceBGPStatus. It goes with the Node, whose metadata is `owner`; `is_known`: it has its metadata.
    ///
    /// # Errors
    /// [`WriteError::NotFound`] where the kind or the namespace does not exist.
    pub async fn put_bgp_status(
        &self,
        target: &Target,
        status: &ServiceBgpStatus,
        owner: &Metadata,
        is_known: bool,
    ) -> Result<(), WriteError> {
        let identity = |metadata: Value| {
            let api_version = format!("{}/{}", target.api.group, target.api.version);
            json!({ "apiVersion": api_version, "kind": "ServiceBGPStatus", "metadata": metadata })
        };
        if !is_known {
            let labels = json!({
                NODE_LABEL: status.node,
                "metallb.io/service-name": status.service_name,
                "metallb.io/service-namespace": status.service_namespace,
                OURS.0: OURS.1,
            });
            let owner = json!([{ "apiVersion": "v1", "kind": "Node", "name": owner.name, "uid": owner.uid }]);
            let metadata = json!({ "name": target.key.name, "labels": labels, "ownerReferences": owner });
            self.apply(target, &identity(metadata)).await?;
        }
        let mut object = identity(json!({ "name": target.key.name }));
        object["status"] = json!(status);
        self.apply_status(target, &object).await.map(drop)
    }
}

impl Target {
    /// The object about a Service on a node; its name is always the same.
    pub fn bgp_status(api: ApiVersion, namespace: &str, node: &str, service: &Key) -> Self {
        let name = format!("bgp-{:016x}", fnv(&format!("{node}/{service}")));
        Self::of::<ServiceBGPStatus>(api, Key::new(namespace, &name))
    }
}
