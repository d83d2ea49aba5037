//! Which objects the translation needs, and how it takes them from the store.

use super::objects::{BgpConfiguration, BgpFilter, BgpPeer, BlockAffinity, ClusterInformation, FelixConfiguration, IpPool, IpamBlock};
use super::{Objects, Roles, affinity_selector};
use crate::kube::objects::{Key, Object, Secret};
use crate::kube::selection::Selection;
use crate::kube::store::Store;

/// The watches on Calico's kinds, beside those on core kinds. A reflector needs neither blocks nor what Felix was told.
///
/// With `labelled`, only the affinities of our own node are watched. Calico labels them in its newer versions only, so a caller
/// that sees no affinity at all has to ask for all of them.
pub fn watches(roles: Roles, node: &str, labelled: bool) -> Vec<Selection> {
    let mut all = vec![
        Selection::of::<BgpConfiguration>(),
        Selection::of::<BgpPeer>(),
        Selection::of::<BgpFilter>(),
        Selection::of::<IpPool>(),
        Selection::of::<ClusterInformation>().named(DEFAULT),
    ];
    if roles.node {
        let affinities = Selection::of::<BlockAffinity>();
        all.push(if labelled { affinities.with_labels(&affinity_selector(node)) } else { affinities });
        all.extend([Selection::of::<IpamBlock>(), Selection::of::<FelixConfiguration>()]);
    }
    all
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
        let reflector = kinds(Roles { reflector: true, node: false }, true);
        assert!(reflector.iter().all(|(kind, _)| !["BlockAffinity", "IPAMBlock", "FelixConfiguration"].contains(&kind.as_str())));
        assert!(kinds(Roles { reflector: false, node: true }, true).contains(&("BlockAffinity".into(), true)));
        assert!(kinds(Roles { reflector: false, node: true }, false).contains(&("BlockAffinity".into(), false)));
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
