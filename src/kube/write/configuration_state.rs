use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::{OURS, Target, WriteError, Writer};
use crate::kube::metallb::status::{Component, ConfigurationState, ConfigurationStateObject};
use crate::kube::objects::{ApiVersion, Key};

impl Writer {
    /// Creates or updates a ConfigurationState, which changes now.
    ///
    /// # Errors
    /// [`WriteError::NotFound`] where the kind or the namespace does not exist.
    pub async fn put_configuration_state(
        &self,
        target: &Target,
        (component, node): (Component, Option<&str>),
        state: &ConfigurationState,
    ) -> Result<(), WriteError> {
        let kind = match component {
            Component::Controller => "controller",
            Component::Speaker => "speaker",
        };
        let mut labels = json!({ "metallb.io/component-type": kind, OURS.0: OURS.1 });
        if let Some(node) = node {
            labels["metallb.io/node-name"] = json!(node);
        }
        let api_version = format!("{}/{}", target.api.group, target.api.version);
        let identity = json!({ "apiVersion": api_version, "kind": "ConfigurationState", "metadata": { "name": target.key.name } });
        let mut object = identity.clone();
        object["metadata"]["labels"] = labels;
        self.apply(target, &object).await?;
        let mut object = identity;
        object["status"] = json!(state);
        let conditions = object["status"]["conditions"].as_array_mut();
        conditions.into_iter().flatten().for_each(|condition| condition["lastTransitionTime"] = json!(Timestamp::now().to_string()));
        self.apply_status(target, &object).await.map(drop)
    }
}

impl Target {
    /// The object of the allocator, or of the speaker on a node.
    pub fn configuration_state(api: ApiVersion, namespace: &str, node: Option<&str>) -> Self {
        let name = node.map_or_else(|| "controller".to_owned(), |node| format!("speaker-{node}"));
        Self::of::<ConfigurationStateObject>(api, Key::new(namespace, &name))
    }
}
