use super::*;

fn scope() -> Scope {
    Scope { node_name: Some("n1".into()), namespace: "metallb-system".into(), calico_namespace: "kube-system".into() }
}

/// `Kind[@namespace][?fields][/metadata]`, sorted.
fn shown(selections: &Selections) -> Vec<String> {
    let mut all: Vec<_> = selections
        .iter()
        .map(|s| {
            let part = |mark: &str, value: &Option<String>| value.as_ref().map(|v| format!("{mark}{v}")).unwrap_or_default();
            let metadata = if s.metadata_only { "/metadata" } else { "" };
            format!("{:?}{}{}{}{metadata}", s.kind, part("@", &s.namespace), part("?", &s.fields), part("#", &s.labels))
        })
        .collect();
    all.sort();
    all
}

#[test]
fn each_role_watches_only_what_it_needs() {
    let of = |role| shown(&Selections::for_roles(&[role], &scope()));
    assert_eq!(
        of(Role::Vip),
        ["ConfigMap@metallb-system?metadata.name=config", "EndpointSlice", "Node?metadata.name=n1", "Secret@metallb-system", "Service"]
    );
    assert_eq!(of(Role::Allocator), ["ConfigMap@metallb-system?metadata.name=config", "Namespace/metadata", "Service"]);
    assert_eq!(of(Role::Reflector), ["Node/metadata", "Secret@kube-system"]);
    assert_eq!(of(Role::Node), ["EndpointSlice", "Node", "Secret@kube-system", "Service"]);
}

#[test]
fn roles_together_watch_each_object_once() {
    let all = Selections::for_roles(&[Role::Vip, Role::Node, Role::Allocator], &scope());
    assert_eq!(
        shown(&all),
        [
            "ConfigMap@metallb-system?metadata.name=config",
            "EndpointSlice",
            "Namespace/metadata",
            "Node",
            "Secret@kube-system",
            "Secret@metallb-system",
            "Service"
        ]
    );
}

#[test]
fn overlapping_watches_become_the_narrowest_common_one() {
    let mut all = Selections::default();
    all.add(Selection::of::<Secret>().in_namespace("a").named("x"));
    all.add(Selection::of::<Secret>().in_namespace("a").with_labels("k=v"));
    all.add(Selection::of::<Secret>().in_namespace("b"));
    assert_eq!(shown(&all), ["Secret@a", "Secret@b"]);
    all.add(Selection::of::<Secret>().metadata_only());
    assert_eq!(shown(&all), ["Secret"]);
}
