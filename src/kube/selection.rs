//! What is watched: the fewest objects that the roles of this process need.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use crate::config::file::KubernetesRole as Role;

use super::objects::{ConfigMap, EndpointSlice, Namespace, Node, Object, Secret, Service};
use super::store::AnyKind;

/// One watch: a kind, and which objects of it.
#[derive(Clone, Debug)]
pub struct Selection {
    pub kind: AnyKind,
    /// `None`: all namespaces, or a kind of the cluster.
    pub namespace: Option<String>,
    /// A field selector, for example `metadata.name=config`.
    pub fields: Option<String>,
    /// A label selector.
    pub labels: Option<String>,
    /// The API server sends the metadata only.
    pub metadata_only: bool,
    /// Where we may not read these objects, the others are acted on without them.
    pub is_dispensable: bool,
}

impl Selection {
    /// All objects of a kind.
    pub fn of<T: Object>() -> Self {
        Self { kind: AnyKind::of::<T>(), namespace: None, fields: None, labels: None, metadata_only: false, is_dispensable: false }
    }

    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Only the object of this name.
    pub fn named(mut self, name: &str) -> Self {
        self.fields = Some(format!("metadata.name={name}"));
        self
    }

    pub fn with_labels(mut self, selector: &str) -> Self {
        self.labels = Some(selector.to_owned());
        self
    }

    pub fn metadata_only(mut self) -> Self {
        self.metadata_only = true;
        self
    }

    /// Passwords: whoever may not read them still has sessions that need none.
    fn secrets_in(namespace: &str) -> Self {
        Self { is_dispensable: true, ..Self::of::<Secret>().in_namespace(namespace) }
    }

    /// Whether everything that `other` brings comes with this one, too.
    fn covers(&self, other: &Self) -> bool {
        let wider = |mine: &Option<String>, theirs: &Option<String>| mine.is_none() || mine == theirs;
        wider(&self.namespace, &other.namespace)
            && wider(&self.fields, &other.fields)
            && wider(&self.labels, &other.labels)
            && (!self.metadata_only || other.metadata_only)
    }
}

/// The watches of a process: no two of one kind that could report the same object.
#[derive(Clone, Debug, Default)]
pub struct Selections {
    all: Vec<Selection>,
    hidden_groups: BTreeSet<String>,
}

impl Selections {
    /// What the roles need of the core kinds.
    pub fn for_roles(roles: &[Role], scope: &Scope) -> Self {
        let mut all = Self::default();
        for role in roles {
            all.add_core_kinds(*role, scope);
        }
        all
    }

    /// Adds a watch. One that is covered already adds nothing; one that overlaps another becomes one with it.
    pub fn add(&mut self, new: Selection) {
        let same_kind = |old: &Selection| old.kind.type_id() == new.kind.type_id();
        if self.all.iter().any(|old| same_kind(old) && old.covers(&new)) {
            return;
        }
        let disjoint = |old: &Selection| matches!((&old.namespace, &new.namespace), (Some(a), Some(b)) if a != b);
        let (others, overlapping): (Vec<_>, Vec<_>) = self.all.drain(..).partition(|old| !same_kind(old) || disjoint(old));
        self.all = others;
        let merged = overlapping.into_iter().fold(new, |wide, old| if wide.covers(&old) { wide } else { union(wide, old) });
        self.all.push(merged);
    }

    /// Has an API group count as not served, so that a kind is read from another one that serves it.
    pub fn hide_group(&mut self, group: &str) {
        self.hidden_groups.insert(group.to_owned());
    }

    pub fn hidden_groups(&self) -> &BTreeSet<String> {
        &self.hidden_groups
    }

    pub fn iter(&self) -> impl Iterator<Item = &Selection> {
        self.all.iter()
    }

    fn add_core_kinds(&mut self, role: Role, scope: &Scope) {
        let own_node = match &scope.node_name {
            Some(name) => Selection::of::<Node>().named(name),
            None => Selection::of::<Node>(),
        };
        let legacy_config = Selection::of::<ConfigMap>().in_namespace(&scope.namespace).named(LEGACY_CONFIG);
        let of_role = match role {
            Role::Vip => vec![
                Selection::of::<Service>(),
                Selection::of::<EndpointSlice>(),
                own_node,
                Selection::secrets_in(&scope.namespace),
                legacy_config,
            ],
            Role::Allocator => vec![Selection::of::<Service>(), Selection::of::<Namespace>().metadata_only(), legacy_config],
            // Labels and annotations say everything about the other nodes; the rest of a Node is long and changes often.
            Role::Reflector => {
                vec![Selection::of::<Node>().metadata_only(), Selection::secrets_in(&scope.calico_namespace)]
            }
            Role::Node => vec![
                Selection::of::<Node>(),
                Selection::of::<Service>(),
                Selection::of::<EndpointSlice>(),
                Selection::secrets_in(&scope.calico_namespace),
            ],
        };
        for selection in of_role {
            self.add(selection);
        }
    }
}

/// Where this process looks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scope {
    /// The own node; without it all nodes are watched.
    pub node_name: Option<String>,
    /// Of MetalLB's objects, their Secrets and the ConfigMap `config`.
    pub namespace: String,
    /// Of the Secrets that Calico's objects name.
    pub calico_namespace: String,
}

/// The ConfigMap that held MetalLB's configuration before there were custom resources.
pub const LEGACY_CONFIG: &str = "config";

/// The narrowest watch that brings what either brings.
fn union(one: Selection, other: Selection) -> Selection {
    let common = |a: Option<String>, b: Option<String>| if a == b { a } else { None };
    Selection {
        kind: one.kind,
        namespace: common(one.namespace, other.namespace),
        fields: common(one.fields, other.fields),
        labels: common(one.labels, other.labels),
        metadata_only: one.metadata_only && other.metadata_only,
        is_dispensable: one.is_dispensable && other.is_dispensable,
    }
}
