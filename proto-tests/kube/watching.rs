//! Watches and store.

use kubgp::kube::client::{Connection, Error};
use kubgp::kube::objects::{ConfigMap, Key, Namespace, Service};
use kubgp::kube::selection::{Role, Scope, Selection, Selections};
use kubgp::kube::store::Presence;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::apiserver::ApiServer;
use crate::apiserver::faults::Order;
use crate::setup::{BOUND, IPPool, connect, names, only, options, pool, service, until, watch};

async fn with_services(all: &[&str]) -> ApiServer {
    let server = ApiServer::start().await.expect("loopback");
    for name in all {
        server.put(service(name));
    }
    server
}

#[tokio::test]
async fn the_first_list_comes_as_part_of_the_watch() {
    let server = with_services(&["a", "b", "c"]).await;
    let mut watch = watch(&server, &only(Selection::of::<Service>())).await;
    assert!(!watch.status().borrow().synced);
    until(&mut watch, "three services", |store| store.is_synced()).await;
    assert_eq!(names(watch.store()), ["a", "b", "c"]);
    assert_eq!((server.requests().lists, server.requests().watches), (0, 1));
    let status = watch.status().borrow().clone();
    assert_eq!((status.connected, status.synced, status.reason), (true, true, None));
    let counters = watch.counters();
    let kinds: Vec<_> = counters.kinds().map(|(kind, c)| (kind, c.objects(), c.restarts())).collect();
    assert_eq!(kinds, [("Service", 3, 0)]);
}

#[tokio::test]
async fn lists_come_from_the_cache_where_streaming_is_refused() {
    let server = with_services(&["a", "b", "c", "d", "e"]).await;
    server.order(&Order { no_streaming: Some(true), ..Order::default() });
    let mut watch = watch(&server, &only(Selection::of::<Service>())).await;
    until(&mut watch, "five services", |store| store.is_synced()).await;
    assert_eq!(names(watch.store()), ["a", "b", "c", "d", "e"]);
    assert_eq!((server.requests().lists, server.requests().stored_lists), (1, 0));
    server.put(service("f"));
    until(&mut watch, "the sixth service", |store| names(store).contains(&"f")).await;
    // Once more from the cache after the watch was cut too long ago.
    server.order(&Order { restart: true, ..Order::default() });
    server.put(service("g"));
    until(&mut watch, "the seventh service", |store| names(store).contains(&"g")).await;
    assert_eq!((server.requests().lists, server.requests().stored_lists), (2, 0));
    // A cache that is older than what was seen is no help, and then the list comes in pages of two.
    server.delete("v1/Service", "shop", "g");
    until(&mut watch, "six services", |store| !names(store).contains(&"g")).await;
    server.order(&Order { restore: true, ..Order::default() });
    server.put(service("h"));
    until(&mut watch, "another service", |store| names(store) == ["a", "b", "c", "d", "e", "f", "h"]).await;
    let asked = server.requests();
    assert!(asked.lists - asked.stored_lists == 3 && asked.stored_lists >= 3, "{asked:?}");
}

#[tokio::test]
async fn changes_arrive_one_by_one() {
    let server = with_services(&["a", "b"]).await;
    let mut watch = watch(&server, &only(Selection::of::<Service>())).await;
    until(&mut watch, "two services", |store| store.is_synced()).await;
    server.put(service("c"));
    until(&mut watch, "the new one", |store| names(store) == ["a", "b", "c"]).await;
    let mut changed = service("a");
    changed["spec"]["externalTrafficPolicy"] = json!("Local");
    server.put(changed);
    let local = |s: Option<&Service>| s.is_some_and(|s| s.spec.external_traffic_policy == "Local");
    until(&mut watch, "the policy", |store| local(store.get(&Key::new("shop", "a")))).await;
    assert!(server.delete("v1/Service", "shop", "b"));
    until(&mut watch, "the deletion", |store| names(store) == ["a", "c"]).await;
}

#[tokio::test]
async fn selectors_keep_everything_else_away() {
    let server = with_services(&[]).await;
    for (namespace, name) in [("metallb-system", "config"), ("metallb-system", "other"), ("default", "config")] {
        server.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": name}, "data": {}}));
    }
    let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "x"}}});
    server.put(namespace.clone());
    let mut selections = only(Selection::of::<ConfigMap>().in_namespace("metallb-system").named("config"));
    selections.add(Selection::of::<Namespace>().metadata_only().with_labels("team in (x, y)"));
    let mut watch = watch(&server, &selections).await;
    until(&mut watch, "both kinds", |store| store.is_synced()).await;
    let maps: Vec<_> = watch.store().list::<ConfigMap>().map(|map| map.metadata.key().to_string()).collect();
    assert_eq!(maps, ["metallb-system/config"]);
    assert_eq!(watch.store().list::<Namespace>().count(), 1);
    // An object that no longer matches is gone as far as this watch is concerned.
    namespace["metadata"]["labels"]["team"] = json!("z");
    server.put(namespace);
    until(&mut watch, "no namespace", |store| store.list::<Namespace>().count() == 0).await;
}

#[tokio::test]
async fn a_cut_watch_goes_on_where_it_stopped() {
    let server = with_services(&["a", "b"]).await;
    let mut watch = watch(&server, &only(Selection::of::<Service>())).await;
    until(&mut watch, "two services", |store| store.is_synced()).await;
    server.order(&Order { drop_watches: true, ..Order::default() });
    server.delete("v1/Service", "shop", "a");
    server.put(service("c"));
    until(&mut watch, "what happened meanwhile", |store| names(store) == ["b", "c"]).await;
    assert_eq!((server.requests().lists, server.requests().watches), (0, 2));
    assert_eq!(watch.counters().kinds().next().map(|(_, c)| c.restarts()), Some(1));
}

#[tokio::test]
async fn after_410_everything_is_listed_again() {
    let server = with_services(&["a", "b"]).await;
    let mut watch = watch(&server, &only(Selection::of::<Service>())).await;
    until(&mut watch, "two services", |store| store.is_synced()).await;
    // Once as the answer to the request, once as an event of the watch.
    server.order(&Order { gone: Some(1), drop_watches: true, ..Order::default() });
    server.delete("v1/Service", "shop", "a");
    until(&mut watch, "one service", |store| names(store) == ["b"]).await;
    server.put(service("c"));
    server.order(&Order { restart: true, wipe: vec!["services".into()], ..Order::default() });
    server.put(service("d"));
    until(&mut watch, "the new list", |store| names(store) == ["d"]).await;
    until(&mut watch, "contact", |store| store.trouble().is_empty()).await;
}

#[tokio::test]
async fn objects_stay_while_the_server_is_away() {
    let mut server = with_services(&["a", "b"]).await;
    let mut watch = watch(&server, &only(Selection::of::<Service>())).await;
    until(&mut watch, "two services", |store| store.is_synced()).await;
    server.stop().await;
    until(&mut watch, "trouble", |store| !store.trouble().is_empty()).await;
    let status = watch.status().borrow().clone();
    assert_eq!((names(watch.store()), status.connected, status.synced), (vec!["a", "b"], false, true));
    assert!(status.reason.as_deref().is_some_and(|why| why.contains("Service: ") && why.contains("refused")), "{status:?}");
    server.delete("v1/Service", "shop", "a");
    server.put(service("c"));
    server.order(&Order { restart: true, ..Order::default() });
    server.resume().await.expect("the port is free");
    until(&mut watch, "the new state", |store| names(store) == ["b", "c"] && store.trouble().is_empty()).await;
}

#[tokio::test]
async fn a_server_that_appears_later_is_waited_for() {
    let mut server = with_services(&["a"]).await;
    server.stop().await;
    let scope = Scope { node_name: Some("n1".into()), namespace: "metallb-system".into(), calico_namespace: "kube-system".into() };
    let mut watch = watch(&server, &Selections::for_roles(&[Role::Vip, Role::Node, Role::Allocator], &scope)).await;
    until(&mut watch, "trouble", |store| !store.trouble().is_empty()).await;
    let status = watch.status().borrow().clone();
    assert!(!status.synced && !status.connected && status.reason.is_some(), "{status:?}");
    server.resume().await.expect("the port is free");
    until(&mut watch, "everything", |store| store.is_synced() && store.trouble().is_empty()).await;
    assert_eq!(names(watch.store()), ["a"]);
}

#[tokio::test]
async fn an_empty_list_after_an_error_deletes_nothing() {
    for streaming in [true, false] {
        let server = with_services(&["a", "b"]).await;
        server.order(&Order { no_streaming: Some(!streaming), ..Order::default() });
        let mut watch = watch(&server, &only(Selection::of::<Service>())).await;
        until(&mut watch, "two services", |store| store.is_synced()).await;
        let (asked, generation) = (server.requests(), watch.store().generation());
        server.order(&Order { restart: true, errors: Some(2), empty_lists: Some(true), ..Order::default() });
        let doubt = |why: &str| why.contains("empty list after an error");
        until(&mut watch, "doubt", |store| store.trouble().iter().any(|t| doubt(t.why)) || names(store).is_empty()).await;
        assert_eq!(names(watch.store()), ["a", "b"], "streaming: {streaming}");
        assert!(watch.store().generation() > generation && server.requests() != asked);
        server.order(&Order { empty_lists: Some(false), ..Order::default() });
        until(&mut watch, "belief", |store| store.trouble().is_empty()).await;
        assert_eq!(names(watch.store()), ["a", "b"], "streaming: {streaming}");
    }
}

#[tokio::test]
async fn an_empty_list_that_stays_empty_is_believed_in_the_end() {
    let server = with_services(&["a", "b"]).await;
    let mut watch = watch(&server, &only(Selection::of::<Service>())).await;
    until(&mut watch, "two services", |store| store.is_synced()).await;
    server.order(&Order { restart: true, wipe: vec!["services".into()], ..Order::default() });
    until(&mut watch, "doubt", |store| store.trouble().iter().any(|t| t.why.contains("until it is confirmed"))).await;
    assert_eq!(names(watch.store()), ["a", "b"]);
    until(&mut watch, "no services", |store| names(store).is_empty() && store.trouble().is_empty()).await;
}

#[tokio::test]
async fn a_stalled_server_changes_nothing_and_is_noticed() {
    let server = with_services(&["a"]).await;
    let short = std::time::Duration::from_millis(1500);
    let client = connect(&server).await.client().expect("a client");
    let options = kubgp::kube::watch::Options { idle: short, patience: short, ..options() };
    let mut watch = kubgp::kube::watch::Watch::start(&client, &only(Selection::of::<Service>()), options);
    until(&mut watch, "one service", |store| store.is_synced()).await;
    server.order(&Order { stall: Some(true), ..Order::default() });
    until(&mut watch, "silence", |store| store.trouble().iter().any(|t| t.why.contains("no answer within"))).await;
    assert_eq!(names(watch.store()), ["a"]);
    server.order(&Order { stall: Some(false), ..Order::default() });
    server.put(service("b"));
    until(&mut watch, "the change", |store| names(store) == ["a", "b"] && store.trouble().is_empty()).await;
}

#[tokio::test]
async fn a_kind_that_is_not_served_is_absent_until_it_is() {
    let server = with_services(&[]).await;
    server.order(&Order { unserve: vec!["crd.projectcalico.org".into()], ..Order::default() });
    let mut watch = watch(&server, &only(Selection::of::<IPPool>())).await;
    until(&mut watch, "absence", |store| store.presence::<IPPool>() == Presence::NotServed).await;
    assert!(watch.store().is_synced() && watch.status().borrow().connected);
    // The newer group alone is good enough.
    server.put(pool("p", "projectcalico.org/v3", &json!("10.1.0.0/16")));
    server.order(&Order { serve: vec!["projectcalico.org".into()], ..Order::default() });
    until(&mut watch, "the pool", |store| store.list::<IPPool>().count() == 1).await;
    assert_eq!(watch.store().served::<IPPool>().map(|api| api.version), Some("v3"));
    // Once both are there, the older one holds the data.
    server.put(pool("q", "crd.projectcalico.org/v1", &json!("10.2.0.0/16")));
    server.order(&Order { serve: vec!["crd.projectcalico.org".into()], ..Order::default() });
    watch.replace(&only(Selection::of::<IPPool>()));
    until(&mut watch, "the other pool", |store| store.get::<IPPool>(&Key::new("", "q")).is_some()).await;
    assert_eq!((watch.store().served::<IPPool>().map(|api| api.version), watch.store().list::<IPPool>().count()), (Some("v1"), 1));
}

#[tokio::test]
async fn a_hidden_group_is_passed_over() {
    let server = with_services(&[]).await;
    server.put(pool("p", "projectcalico.org/v3", &json!("10.1.0.0/16")));
    server.order(&Order { serve: vec!["projectcalico.org".into()], ..Order::default() });
    let mut selections = only(Selection::of::<IPPool>());
    selections.hide_group("crd.projectcalico.org");
    let mut watch = watch(&server, &selections).await;
    until(&mut watch, "the pool of the newer group", |store| store.list::<IPPool>().count() == 1).await;
    assert_eq!(watch.store().served::<IPPool>().map(|api| api.version), Some("v3"));
}

#[tokio::test]
async fn a_kind_that_vanishes_keeps_its_objects() {
    let server = with_services(&[]).await;
    server.put(pool("p", "crd.projectcalico.org/v1", &json!("10.1.0.0/16")));
    let mut watch = watch(&server, &only(Selection::of::<IPPool>())).await;
    until(&mut watch, "the pool", |store| store.is_synced()).await;
    server.order(&Order { unserve: vec!["crd.projectcalico.org".into()], drop_watches: true, ..Order::default() });
    until(&mut watch, "trouble", |store| store.trouble().iter().any(|t| t.why.contains("the last known objects stay"))).await;
    assert_eq!(watch.store().list::<IPPool>().count(), 1);
    server.order(&Order { serve: vec!["crd.projectcalico.org".into()], ..Order::default() });
    until(&mut watch, "contact", |store| store.trouble().is_empty()).await;
    assert_eq!(watch.store().list::<IPPool>().count(), 1);
    // When it is back and empty, all is gone for good.
    server.order(&Order { unserve: vec!["crd.projectcalico.org".into()], drop_watches: true, ..Order::default() });
    until(&mut watch, "trouble", |store| !store.trouble().is_empty()).await;
    server.order(&Order { serve: vec!["crd.projectcalico.org".into()], wipe: vec!["ippools".into()], ..Order::default() });
    until(&mut watch, "no pools", |store| store.list::<IPPool>().count() == 0 && store.trouble().is_empty()).await;
}

#[tokio::test]
async fn one_malformed_object_hides_no_other() {
    let server = with_services(&[]).await;
    for (name, cidr) in [("good", json!("10.1.0.0/16")), ("bad", json!({"not": "a string"}))] {
        server.put(pool(name, "crd.projectcalico.org/v1", &cidr));
    }
    let mut watch = watch(&server, &only(Selection::of::<IPPool>())).await;
    until(&mut watch, "the good one", |store| store.is_synced()).await;
    assert_eq!(watch.store().list::<IPPool>().count(), 1);
    let malformed: Vec<_> = watch.store().malformed().iter().map(|m| (m.kind, m.key.to_string())).collect();
    assert_eq!(malformed, [("IPPool", "bad".to_owned())]);
    server.put(pool("bad", "crd.projectcalico.org/v1", &json!("10.2.0.0/16")));
    until(&mut watch, "the repaired one", |store| store.list::<IPPool>().count() == 2 && store.malformed().is_empty()).await;
}

#[tokio::test]
async fn heartbeats_signal_nothing_and_bursts_signal_once() {
    let server = with_services(&["a"]).await;
    let client = connect(&server).await.client().expect("a client");
    let options = kubgp::kube::watch::Options { debounce: BOUND * 2, ..options() };
    let mut watch = kubgp::kube::watch::Watch::start(&client, &only(Selection::of::<Service>()), options);
    // The first signal comes at once, whatever the debounce time.
    timeout(BOUND, watch.changed()).await.expect("the first change");
    for name in ["b", "c", "d"] {
        server.put(service(name));
    }
    // The store takes changes in meanwhile; the signal is held back.
    let all_there = timeout(BOUND / 4, async {
        loop {
            assert!(timeout(std::time::Duration::from_millis(50), watch.changed()).await.is_err(), "held back for the debounce time");
            if names(watch.store()).len() == 4 {
                break;
            }
        }
    });
    all_there.await.expect("the store is current");
}

#[tokio::test]
async fn who_is_busy_with_one_signal_has_half_as_long_a_rest_before_the_next() {
    let server = with_services(&["a"]).await;
    let mut watch = watch(&server, &only(Selection::of::<Service>())).await;
    until(&mut watch, "the first list", |store| names(store).len() == 1).await;
    server.put(service("b"));
    timeout(BOUND, watch.changed()).await.expect("a signal");
    let begin = tokio::time::Instant::now();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let work = begin.elapsed();
    server.put(service("c"));
    timeout(BOUND, watch.changed()).await.expect("the next signal");
    assert!(begin.elapsed() + std::time::Duration::from_millis(5) >= work * 3 / 2, "{:?} after {work:?} of work", begin.elapsed());
}

#[tokio::test]
async fn what_is_wrong_with_the_kubeconfig_is_said() {
    let missing = Connection::read(Some(std::path::Path::new("/nonexistent/kubeconfig"))).await;
    let Err(error @ Error::Kubeconfig(..)) = missing else { panic!("{missing:?}") };
    assert!(error.to_string().starts_with("kubeconfig /nonexistent/kubeconfig: failed to read"), "{error}");
    let server = with_services(&[]).await;
    assert_eq!(connect(&server).await.server(), format!("{}/", server.url()));
}

#[tokio::test]
async fn manifests_are_loaded_with_their_status() {
    let server = with_services(&[]).await;
    let yaml = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: []}}\n---\n\
                apiVersion: metallb.io/v1beta2\nkind: BGPPeer\nmetadata: {name: tor, namespace: metallb-system}\nspec: {myASN: 64500}\n";
    assert_eq!(server.load(yaml), Ok(2));
    assert_eq!(server.get("v1/Node", "", "n1").map(|n| n["status"].clone()), Some(json!({"addresses": []})));
    assert_eq!(server.get("metallb.io/v1beta1/BGPPeer", "metallb-system", "tor").map(|p| p["spec"]["myASN"].clone()), Some(json!(64500)));
    assert!(server.load("apiVersion: v9\nkind: X\nmetadata: {name: x}\n").is_err_and(|why| why.contains("v9/X")));
    assert_eq!(server.get("v1/Node", "", "n2"), None::<Value>);
}
