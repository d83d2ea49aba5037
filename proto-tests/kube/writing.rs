//! Status, objects of our own, Events, and the leader election.

use std::time::Duration;

use kubgp::kube::objects::{Key, Metadata, Object, Service};
use kubgp::kube::write::{About, Election, Events, News, Rate, Target, Terms, WriteError, Writer};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::apiserver::ApiServer;
use crate::apiserver::faults::Order;
use crate::setup::{BOUND, connect, service};

async fn writer() -> (ApiServer, Writer, Target) {
    let server = ApiServer::start().await.expect("loopback");
    server.put(service("web"));
    let client = connect(&server).await.client().expect("a client");
    let target = Target::of::<Service>(Service::KIND.served_by[0], Key::new("shop", "web"));
    (server, Writer::new(client, "kubgp-test", Duration::from_secs(2)), target)
}

fn assigned(ip: &str) -> Value {
    json!({"metadata": {"annotations": {"metallb.io/ip-allocated-from-pool": "p"}}, "status": {"loadBalancer": {"ingress": [{"ip": ip}]}}})
}

fn ip_of(server: &ApiServer) -> Value {
    server.get("v1/Service", "shop", "web").expect("it exists")["status"]["loadBalancer"]["ingress"][0]["ip"].clone()
}

#[tokio::test]
async fn a_status_write_survives_conflicts_and_errors() {
    let (server, writer, target) = writer().await;
    server.order(&Order { conflicts: Some(2), errors: Some(1), ..Order::default() });
    let mut asked = 0;
    let written = writer.update_status(&target, |object| {
        asked += 1;
        assert_eq!(object["spec"]["type"], "LoadBalancer");
        Some(assigned("10.0.0.1"))
    });
    assert!(written.await.is_ok_and(|object| object.is_some()));
    assert_eq!((asked, ip_of(&server)), (3, json!("10.0.0.1")));
    let stored = server.get("v1/Service", "shop", "web").expect("it exists");
    assert_eq!(stored["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"], "p");
    let writes = server.requests().writes;
    assert_eq!(writer.update_status(&target, |_| None).await, Ok(None));
    assert_eq!(server.requests().writes, writes);
}

#[tokio::test]
async fn a_write_based_on_an_old_version_is_a_conflict_and_changes_nothing() {
    let (server, writer, target) = writer().await;
    let old = server.get("v1/Service", "shop", "web").expect("it exists")["metadata"]["resourceVersion"].clone();
    let mut changed = service("web");
    changed["spec"]["loadBalancerIP"] = json!("10.0.0.9");
    server.put(changed);
    let result = writer.patch_status(&target, old.as_str().expect("text"), assigned("10.0.0.1")).await;
    assert!(matches!(result, Err(WriteError::Conflict(_))), "{result:?}");
    assert_eq!(ip_of(&server), Value::Null);
}

#[tokio::test]
async fn what_cannot_succeed_is_not_repeated() {
    let (server, writer, target) = writer().await;
    server.order(&Order { reject_writes: Some(true), ..Order::default() });
    let refused = writer.update_status(&target, |_| Some(assigned("10.0.0.1"))).await;
    assert!(matches!(&refused, Err(WriteError::Refused(why)) if why.contains("403")), "{refused:?}");
    assert_eq!(server.requests().writes, 1);
    let missing = Target::of::<Service>(Service::KIND.served_by[0], Key::new("shop", "none"));
    assert_eq!(writer.update_status(&missing, |_| Some(assigned("10.0.0.1"))).await, Err(WriteError::NotFound));
}

#[tokio::test]
async fn own_objects_are_applied_and_deleted() {
    let (server, writer, _) = writer().await;
    let api = kubgp::kube::objects::ApiVersion { group: "metallb.io", version: "v1beta1" };
    let target = Target { api, plural: "servicebgpstatuses", key: Key::new("metallb-system", "bgp-web-n1") };
    let object = |extra: Value| {
        let mut object = json!({"apiVersion": "metallb.io/v1beta1", "kind": "ServiceBGPStatus", "metadata": {"name": "bgp-web-n1"}});
        object.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        object
    };
    writer
        .apply(&target, &object(json!({"metadata": {"name": "bgp-web-n1", "labels": {"metallb.io/node": "n1"}}})))
        .await
        .expect("created");
    writer.apply_status(&target, &object(json!({"status": {"node": "n1", "peers": ["tor"]}}))).await.expect("status applied");
    writer.apply_status(&target, &object(json!({"status": {"node": "n1"}}))).await.expect("status applied again");
    let stored = server.get("metallb.io/v1beta1/ServiceBGPStatus", "metallb-system", "bgp-web-n1").expect("it exists");
    assert_eq!((&stored["status"], &stored["metadata"]["labels"]["metallb.io/node"]), (&json!({"node": "n1"}), &json!("n1")));
    assert_eq!(writer.delete(&target).await, Ok(()));
    assert_eq!(writer.delete(&target).await, Ok(()));
}

#[tokio::test]
async fn repeated_news_are_one_event_with_a_count() {
    let (server, ..) = writer().await;
    let events = Events::start(connect(&server).await.client().expect("a client"), "kubgp", "n1", RATE);
    let metadata = Metadata { uid: "u".into(), ..Metadata::named("shop", "web") };
    for _ in 0..3 {
        let about = About::object(Service::KIND.served_by[0], &Service::KIND, &metadata);
        let note = "no free address in pool p".to_owned();
        events.publish(about, News { warning: true, reason: "AllocationFailed", action: "Allocate", note, is_common: false });
    }
    let client = connect(&server).await.client().expect("a client");
    let api: kube::Api<k8s_openapi::api::events::v1::Event> = kube::Api::namespaced(client, "shop");
    let series = timeout(BOUND, async {
        loop {
            let all = api.list(&kube::api::ListParams::default()).await.expect("events").items;
            assert!(all.len() <= 1, "one event for one reason");
            if let Some(series) = all.first().and_then(|event| event.series.clone())
                && series.count == 3
            {
                return all[0].clone();
            }
            tokio::task::yield_now().await;
        }
    });
    let event = series.await.expect("a series of three");
    assert_eq!((event.reason.as_deref(), event.type_.as_deref()), (Some("AllocationFailed"), Some("Warning")));
    assert_eq!(events.dropped(), 0);
}

const RATE: Rate = Rate { burst: 200, per_second: 5 };

/// What every node finds out about an object is there once, whoever comes first.
#[tokio::test]
async fn what_many_nodes_say_about_an_object_is_one_event() {
    let server = ApiServer::start().await.expect("loopback");
    let connection = connect(&server).await;
    let start = |node: &str| Events::start(connection.client().expect("a client"), "kubgp-speaker", node, RATE);
    let nodes = ["n1", "n2", "n3"].map(start);
    let metadata = Metadata { uid: "u1".into(), ..Metadata::named("shop", "tor") };
    for note in ["spec.peerAddress: missing", "spec.myASN: missing"] {
        for events in &nodes {
            let about = About::object(Service::KIND.served_by[0], &Service::KIND, &metadata);
            let note = note.to_owned();
            events.publish(about, News { warning: true, reason: "ConfigurationError", action: "Configure", note, is_common: true });
        }
    }
    timeout(BOUND, async {
        while server.requests().writes < 6 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("three nodes, two things to say");
    let all = server.list("events.k8s.io/v1/Event");
    let mut notes: Vec<_> = all.iter().map(|event| event["note"].as_str().unwrap_or_default()).collect();
    notes.sort_unstable();
    assert_eq!(notes, ["spec.myASN: missing", "spec.peerAddress: missing"]);
    assert_eq!((&all[0]["regarding"]["name"], &all[0]["regarding"]["uid"]), (&json!("tor"), &json!("u1")));
    assert!(nodes.iter().all(|events| events.dropped() == 0));
}

fn terms(identity: &str) -> Terms {
    Terms { name: "kubgp-allocator".into(), namespace: "metallb-system".into(), identity: identity.into(), duration: 2, grace: 1 }
}

async fn until_leader(election: &Election, leads: bool) {
    let mut leader = election.leader();
    timeout(BOUND, leader.wait_for(|now| *now == leads)).await.expect("in time").expect("the candidate lives");
}

#[tokio::test]
async fn one_candidate_leads_and_the_other_takes_over() {
    let server = ApiServer::start().await.expect("loopback");
    let connection = connect(&server).await;
    let first = Election::start(&connection, terms("first")).expect("a client");
    until_leader(&first, true).await;
    let second = Election::start(&connection, terms("second")).expect("a client");
    let holder = || {
        server.get("coordination.k8s.io/v1/Lease", "metallb-system", "kubgp-allocator").expect("a Lease")["spec"]["holderIdentity"].clone()
    };
    assert_eq!((holder(), second.is_leader()), (json!("first"), false));
    // A given-back Lease and one that ran out are taken alike.
    first.resign().await;
    until_leader(&second, true).await;
    assert_eq!(holder(), json!("second"));
    let third = Election::start(&connection, terms("third")).expect("a client");
    drop(second);
    until_leader(&third, true).await;
    assert_eq!(holder(), json!("third"));
}

/// By itself the Lease would end after minutes.
#[tokio::test]
async fn a_lease_that_is_given_back_is_taken_at_once() {
    let server = ApiServer::start().await.expect("loopback");
    let connection = connect(&server).await;
    let long = |identity: &str| Terms { duration: 600, grace: 30, ..terms(identity) };
    let first = Election::start(&connection, long("first")).expect("a client");
    until_leader(&first, true).await;
    let second = Election::start(&connection, long("second")).expect("a client");
    first.resign().await;
    until_leader(&second, true).await;
    let third = Election::start(&connection, long("third")).expect("a client");
    second.resign().await;
    until_leader(&third, true).await;
}

#[tokio::test]
async fn a_leader_without_contact_steps_down_before_its_lease_ends() {
    let server = ApiServer::start().await.expect("loopback");
    let connection = connect(&server).await;
    let leader = Election::start(&connection, Terms { duration: 4, grace: 2, ..terms("first") }).expect("a client");
    until_leader(&leader, true).await;
    server.order(&Order { stall: Some(true), ..Order::default() });
    // The last renewal was before this moment, so the Lease ends at most its duration later.
    let cut = Instant::now();
    until_leader(&leader, false).await;
    assert!(cut.elapsed() < Duration::from_secs(4), "{:?}", cut.elapsed());
    server.order(&Order { stall: Some(false), ..Order::default() });
    until_leader(&leader, true).await;
}

#[tokio::test]
async fn a_candidate_waits_for_the_server() {
    let mut server = ApiServer::start().await.expect("loopback");
    server.stop().await;
    let candidate = Election::start(&connect(&server).await, terms("only")).expect("a client");
    assert!(!candidate.is_leader());
    server.resume().await.expect("the port is free");
    until_leader(&candidate, true).await;
}
