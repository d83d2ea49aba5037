use serde_json::json;

use super::*;
use crate::kube::objects::{Metadata, Namespace, Node, Secret, Service};

fn service(name: &str, version: &str) -> Item {
    let metadata = Metadata { resource_version: version.into(), ..Metadata::named("shop", name) };
    Item::good(Service { metadata, ..Service::default() })
}

fn bad(name: &str) -> Item {
    let value = json!({"metadata": {"namespace": "shop", "name": name}, "spec": {"ports": 7}});
    AnyKind::of::<Service>().read(&Service::KIND.served_by[0], value).expect("it has a name")
}

fn names(store: &Store) -> Vec<&str> {
    store.list::<Service>().map(|s| s.metadata.name.as_str()).collect()
}

/// A store with one watch of Services that has listed `items`.
fn listed(items: &[Item]) -> (Store, SourceId) {
    let mut store = Store::new();
    let source = store.add_source(AnyKind::of::<Service>());
    list(&mut store, source, items);
    (store, source)
}

fn list(store: &mut Store, source: SourceId, items: &[Item]) -> bool {
    store.handle(source, Change::ListStarted);
    for item in items {
        store.handle(source, Change::Listed(item.clone()));
    }
    store.handle(source, Change::ListDone)
}

#[test]
fn a_list_counts_when_it_is_complete() {
    let mut store = Store::new();
    let source = store.add_source(AnyKind::of::<Service>());
    store.handle(source, Change::ListStarted);
    assert!(!store.handle(source, Change::Listed(service("a", "1"))));
    assert_eq!((names(&store), store.presence::<Service>()), (vec![], Presence::Waiting));
    assert_eq!(store.waiting(), ["Service"]);
    assert!(store.handle(source, Change::ListDone));
    assert_eq!((names(&store), store.is_synced()), (vec!["a"], true));
    assert_eq!(store.presence::<Node>(), Presence::NotWatched);
}

#[test]
fn an_empty_first_list_is_in_sync() {
    let (store, _) = listed(&[]);
    assert!(store.is_synced() && store.generation() == 1);
}

#[test]
fn a_relist_removes_what_it_lacks_and_a_broken_one_removes_nothing() {
    let (mut store, source) = listed(&[service("a", "1"), service("b", "1")]);
    store.handle(source, Change::ListStarted);
    store.handle(source, Change::Listed(service("b", "2")));
    store.handle(source, Change::Trouble("connection reset".into()));
    assert_eq!(names(&store), ["a", "b"]);
    list(&mut store, source, &[service("b", "2")]);
    assert_eq!(names(&store), ["b"]);
    assert!(store.trouble().is_empty());
}

#[test]
fn only_the_resource_version_changing_is_no_change_and_yet_kept() {
    let (mut store, source) = listed(&[service("a", "1")]);
    let before = store.generation();
    assert!(!store.handle(source, Change::Applied(service("a", "2"))));
    assert_eq!(store.generation(), before);
    assert_eq!(store.get::<Service>(&Key::new("shop", "a")).map(|s| s.metadata.resource_version.as_str()), Some("2"));
    assert!(store.handle(source, Change::Deleted(Key::new("shop", "a"))));
    assert!(!store.handle(source, Change::Deleted(Key::new("shop", "a"))));
}

#[test]
fn an_empty_list_after_trouble_waits_for_confirmation() {
    let (mut store, source) = listed(&[service("a", "1"), service("b", "1")]);
    store.handle(source, Change::Trouble("connection refused".into()));
    list(&mut store, source, &[]);
    assert_eq!(names(&store), ["a", "b"]);
    store.handle(source, Change::Resumed);
    assert!(store.trouble()[0].why.contains("empty list after an error"), "{:?}", store.trouble());
    // Another empty list is no confirmation by itself, and changes meanwhile are seen and survive it.
    list(&mut store, source, &[]);
    store.handle(source, Change::Applied(service("c", "3")));
    store.handle(source, Change::Deleted(Key::new("shop", "b")));
    assert_eq!(names(&store), ["a", "c"]);
    assert!(store.handle(source, Change::EmptyConfirmed));
    assert_eq!(names(&store), ["c"]);
    assert!(store.trouble().is_empty());
}

#[test]
fn an_empty_list_after_trouble_is_forgotten_when_the_next_is_not_empty() {
    let (mut store, source) = listed(&[service("a", "1"), service("b", "1")]);
    store.handle(source, Change::Trouble("500".into()));
    list(&mut store, source, &[]);
    list(&mut store, source, &[service("a", "1")]);
    assert_eq!(names(&store), ["a"]);
    assert!(!store.handle(source, Change::EmptyConfirmed));
    assert_eq!(names(&store), ["a"]);
}

#[test]
fn an_empty_relist_without_trouble_is_believed() {
    let (mut store, source) = listed(&[service("a", "1")]);
    list(&mut store, source, &[]);
    assert!(names(&store).is_empty());
}

#[test]
fn a_kind_that_is_not_served_is_in_sync_until_it_is_served() {
    let mut store = Store::new();
    let source = store.add_source(AnyKind::of::<Service>());
    assert!(store.handle(source, Change::NotServed));
    assert!(!store.handle(source, Change::NotServed));
    assert_eq!((store.presence::<Service>(), store.is_synced()), (Presence::NotServed, true));
    assert!(store.handle(source, Change::Served(Service::KIND.served_by[0])));
    assert_eq!(store.presence::<Service>(), Presence::Waiting);
    list(&mut store, source, &[service("a", "1")]);
    assert_eq!(names(&store), ["a"]);
    assert_eq!(store.served::<Service>(), Some(Service::KIND.served_by[0]));
}

#[test]
fn a_kind_that_vanishes_with_objects_keeps_them() {
    let (mut store, source) = listed(&[service("a", "1")]);
    store.handle(source, Change::NotServed);
    assert_eq!((names(&store), store.presence::<Service>()), (vec!["a"], Presence::Synced));
    assert!(store.trouble()[0].why.contains("no longer served"));
    // Served again and empty: still an empty list after trouble.
    list(&mut store, source, &[]);
    assert_eq!(names(&store), ["a"]);
}

#[test]
fn a_malformed_object_keeps_its_last_good_version_and_hides_nothing() {
    let (mut store, source) = listed(&[service("a", "1"), bad("b")]);
    assert_eq!(names(&store), ["a"]);
    assert!(store.handle(source, Change::Applied(bad("a"))));
    assert!(!store.handle(source, Change::Applied(bad("a"))));
    assert_eq!(names(&store), ["a"]);
    let malformed: Vec<_> = store.malformed().iter().map(|m| m.key.to_string()).collect();
    assert_eq!(malformed, ["shop/a", "shop/b"]);
    assert!(store.handle(source, Change::Applied(service("a", "1"))));
    assert_eq!(store.malformed().len(), 1);
}

#[test]
fn two_watches_of_one_kind_replace_only_their_own() {
    let mut store = Store::new();
    let (one, two) = (store.add_source(AnyKind::of::<Secret>()), store.add_source(AnyKind::of::<Secret>()));
    let secret = |namespace: &str| Item::good(Secret { metadata: Metadata::named(namespace, "s"), ..Secret::default() });
    list(&mut store, one, &[secret("a")]);
    assert_eq!(store.presence::<Secret>(), Presence::Waiting);
    list(&mut store, two, &[secret("b")]);
    assert!(store.is_synced());
    list(&mut store, one, &[]);
    assert_eq!(store.list::<Secret>().map(|s| s.key().to_string()).collect::<Vec<_>>(), ["b/s"]);
    assert_eq!(store.list_in::<Secret>("b").count(), 1);
    assert_eq!(store.list_in::<Secret>("a").count(), 0);
}

#[test]
fn objects_can_be_put_in_without_a_watch() {
    let mut store = Store::new();
    store.insert(Namespace { metadata: Metadata::named("", "shop") });
    assert!(store.is_synced() && store.get::<Namespace>(&Key::new("", "shop")).is_some());
    assert!(store.generation_of::<Namespace>() > 0 && store.generation_of::<Node>() == 0);
    store.remove::<Namespace>(&Key::new("", "shop"));
    assert_eq!((store.list::<Namespace>().count(), store.sizes()), (0, vec![("Namespace", 0)]));
}

#[test]
fn an_empty_list_of_another_version_waits_for_confirmation() {
    let (mut store, source) = listed(&[service("a", "1")]);
    let version = |version| Change::Served(ApiVersion { group: "", version });
    store.handle(source, version("v1"));
    list(&mut store, source, &[service("a", "1")]);
    store.handle(source, version("v2"));
    list(&mut store, source, &[]);
    assert_eq!(names(&store), ["a"]);
    store.handle(source, Change::EmptyConfirmed);
    assert!(names(&store).is_empty());
}

#[test]
fn what_kubectl_leaves_in_the_annotations_is_dropped() {
    let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": "{...}", "mine": "kept"});
    let value = json!({"metadata": {"name": "a", "annotations": annotations}});
    let item = AnyKind::of::<Service>().read(&Service::KIND.served_by[0], value).expect("it has a name");
    let (store, _) = listed(&[item]);
    let kept: Vec<_> = store.list::<Service>().flat_map(|s| s.metadata.annotations.keys()).collect();
    assert_eq!(kept, ["mine"]);
}

#[test]
fn changes_are_told_by_key_until_there_are_too_many() {
    let (mut store, source) = listed(&[service("a", "1")]);
    let since = store.changes_of::<Service>();
    let told = |store: &Store, since| {
        store.changed_since::<Service>(since).map(|keys| keys.iter().map(|k| k.name.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(told(&store, since), Some(vec![]));
    store.handle(source, Change::Applied(service("b", "1")));
    store.handle(source, Change::Applied(service("b", "1")));
    store.handle(source, Change::Applied(bad("a")));
    store.handle(source, Change::Deleted(Key::new("shop", "b")));
    assert_eq!(told(&store, since), Some(vec!["b".into(), "a".into(), "b".into()]));
    list(&mut store, source, &[service("c", "1")]);
    assert_eq!(told(&store, since + 3), Some(vec!["a".into(), "c".into()]));
    for _ in 0..2500 {
        store.handle(source, Change::Deleted(Key::new("shop", "c")));
        store.handle(source, Change::Applied(service("c", "1")));
    }
    assert_eq!(told(&store, since), None);
    assert_eq!(told(&store, store.changes_of::<Service>() - 1), Some(vec!["c".into()]));
}
