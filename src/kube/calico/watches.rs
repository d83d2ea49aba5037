//! Which objects the translation needs, and how it takes them from the store.

use super::digest::AFFINITY_LABEL;
use super::objects::{BgpConfiguration, BgpFilter, BgpPeer, BlockAffinity, ClusterInformation, FelixConfiguration, IpPool, IpamBlock};
use super::{Objects, Roles, affinity_selector};
use crate::kube::objects::{Key, Object, Secret};
use crate::kube::selection::Selection;
use crate::kube::store::Store;

/// Which block affinities are watched: one node's among thousands make a difference to the API server. Calico labels them with their
/// node in its newer versions only (and then those that are there already, when calico-node starts), so where there is none with our
/// label one has to look at all of them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Affinities {
    /// Those with our label; whether any is labelled is not known yet.
    #[default]
    Ours,
    All,
    /// Those with our label: others were seen to have theirs.
    Labelled,
}

impl Affinities {
    /// What to watch instead, after everything was listed.
    pub fn next(self, store: &Store) -> Option<Self> {
        let mut known = store.list::<BlockAffinity>();
        match self {
            Self::Ours => known.next().is_none().then_some(Self::All),
            Self::All => known.any(|affinity| affinity.metadata.labels.contains_key(AFFINITY_LABEL)).then_some(Self::Labelled),
            Self::Labelled => None,
        }
    }
}

/// The watches on Calico's kinds, beside those on core kinds. A reflector needs neither blocks nor what Felix was told.
///
pub fn watches(roles: Roles, node: &str, which: Affinities) -> Vec<Selection> {
    let mut all = vec![
        Selection::of::<BgpConfiguration>(),
        Selection::of::<BgpPeer>(),
        Selection::of::<BgpFilter>(),
        Selection::of::<IpPool>(),
        Selection::of::<ClusterInformation>().named(DEFAULT),
    ];
    if roles.node {
        let affinities = Selection::of::<BlockAffinity>();
        all.push(if which == Affinities::All { affinities } else { affinities.with_labels(&affinity_selector(node)) });
        all.extend([Selection::of::<IpamBlock>(), Selection::of::<FelixConfiguration>()]);
    }
    all
}

/// Whether the datastore is being migrated: what is known may be incomplete, and be in another API group afterwards.
pub fn is_migrating(store: &Store) -> bool {
    store.get::<ClusterInformation>(&Key::new("", DEFAULT)).is_some_and(|information| information.spec.datastore_ready == Some(false))
}

impl<'a> Objects<'a> {
    /// Everything that the store holds of what is looked at here.
    pub fn of(store: &'a Store) -> Self {
        fn all<T: Object>(store: &Store) -> Vec<&T> {
            store.list().collect()
        }
        Self {
            nodes: all(store),
            services: all(store),
            slices: all(store),
            secrets: all(store),
            secrets_refused: store.refusal::<Secret>(),
            configurations: all(store),
            peers: all(store),
            filters: all(store),
            pools: all(store),
            affinities: all(store),
            blocks: all(store),
            felix: all(store),
            cluster_information: store.get::<ClusterInformation>(&Key::new("", DEFAULT)),
        }
    }
}

/// The name of objects that are there once.
const DEFAULT: &str = "default";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::calico::objects::{CRD_V1, V3};
    use serde_json::json;

    #[test]
    fn a_reflector_watches_no_blocks_and_a_node_only_its_own_affinities() {
        let kinds = |roles, labelled| {
            let all = watches(roles, "n1", labelled);
            all.iter().map(|s| (format!("{:?}", s.kind), s.labels.is_some())).collect::<Vec<_>>()
        };
        let reflector = kinds(Roles { reflector: true, node: false }, Affinities::Ours);
        assert!(reflector.iter().all(|(kind, _)| !["BlockAffinity", "IPAMBlock", "FelixConfiguration"].contains(&kind.as_str())));
        assert!(kinds(Roles { reflector: false, node: true }, Affinities::Ours).contains(&("BlockAffinity".into(), true)));
        assert!(kinds(Roles { reflector: false, node: true }, Affinities::All).contains(&("BlockAffinity".into(), false)));
    }

    #[test]
    fn all_affinities_are_looked_at_only_where_none_has_a_label() {
        let affinity = |label: Option<&str>| {
            let labels = label.map(|value| json!({ AFFINITY_LABEL: value })).unwrap_or_default();
            BlockAffinity::parse(&CRD_V1, json!({"metadata": {"name": "a", "labels": labels}, "spec": {"node": "n1"}})).unwrap()
        };
        let mut store = Store::new();
        assert_eq!(Affinities::Ours.next(&store), Some(Affinities::All));
        store.insert(affinity(None));
        assert_eq!([Affinities::Ours, Affinities::All].map(|now| now.next(&store)), [None, None]);
        store.insert(affinity(Some("x")));
        assert_eq!([Affinities::All, Affinities::Labelled].map(|now| now.next(&store)), [Some(Affinities::Labelled), None]);
    }

    #[test]
    fn the_store_holds_what_both_groups_serve() {
        let mut store = Store::new();
        let pool = |name| json!({"metadata": {"name": name}, "spec": {"cidr": "10.0.0.0/16"}});
        store.insert(IpPool::parse(&CRD_V1, pool("a")).unwrap());
        store.insert(IpPool::parse(&V3, pool("b")).unwrap());
        let information = json!({"metadata": {"name": "default"}, "spec": {"calicoVersion": "v3.32.0"}});
        store.insert(ClusterInformation::parse(&V3, information).unwrap());
        let objects = Objects::of(&store);
        assert_eq!(objects.pools.iter().map(|p| p.metadata.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(objects.cluster_information.map(|i| i.spec.calico_version.as_str()), Some("v3.32.0"));
        assert!(objects.nodes.is_empty());
    }
}
