//! Access to the API of a cluster.

use super::{Checker, Fragment, NODE_NAME, Place, first};
use crate::config::file::KubernetesRole;
use crate::config::plan::KubernetesPlan;

impl Checker<'_> {
    /// `None` where it is off. Half of what is written is enough for a plan: complaints keep it from being used.
    pub(super) fn kubernetes(&mut self, fragments: &[Fragment]) -> Option<KubernetesPlan> {
        let (origin, written) = first(fragments, |f| f.kubernetes.clone())?;
        let place = Place::new(&origin, "kubernetes");
        if written.enabled != Some(true) {
            return None;
        }
        if !cfg!(feature = "kube") {
            self.complain(&place.key("enabled"), "this program was built without Kubernetes; use one with the feature `kube`");
        }
        let mut roles = Vec::new();
        for (i, role) in written.roles.unwrap_or_default().into_iter().enumerate() {
            let place = place.key("roles").index(i);
            if roles.contains(&role) {
                self.complain(&place, "the role is listed twice; remove one");
            }
            roles.push(role);
        }
        if roles.is_empty() {
            self.complain(&place.key("roles"), "at least one role is required: vip, allocator, reflector, node");
        }
        let node_name = written.node_name.or_else(|| self.host.node_name());
        let is_bound = roles.iter().any(|role| *role != KubernetesRole::Allocator);
        if node_name.is_none() && is_bound {
            let message = format!("the name of our Node is required; write it, or set the environment variable {NODE_NAME}");
            self.complain(&place.key("nodeName"), message);
        }
        Some(KubernetesPlan {
            kubeconfig: written.kubeconfig,
            node_name: node_name.unwrap_or_default(),
            namespace: written.namespace,
            calico_namespace: written.calico_namespace,
            load_balancer_class: written.load_balancer_class,
            ignore_exclude_label: written.ignore_exclude_label.unwrap_or_default(),
            strict: written.strict.unwrap_or_default(),
            roles,
        })
    }
}
