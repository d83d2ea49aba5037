//! The server in memory itself: what other tests rely on.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::apiserver::ApiServer;
use crate::setup::{connect, service};

async fn server() -> (ApiServer, kube::Client) {
    let server = ApiServer::start().await.expect("loopback");
    let client = connect(&server).await.client().expect("a client");
    (server, client)
}

fn code(result: kube::Result<impl std::fmt::Debug>) -> u16 {
    match result {
        Err(kube::Error::Api(status)) => status.code,
        other => panic!("expected a status, got {other:?}"),
    }
}

#[tokio::test]
async fn objects_are_created_replaced_and_deleted_with_versions() {
    let (_server, client) = server().await;
    let api: Api<Service> = Api::namespaced(client, "shop");
    let new: Service = serde_json::from_value(service("web")).expect("a service");
    let made = api.create(&PostParams::default(), &new).await.expect("created");
    assert_eq!(code(api.create(&PostParams::default(), &new).await), 409);
    let mut changed = made.clone();
    changed.spec.get_or_insert_default().external_traffic_policy = Some("Local".into());
    let stored = api.replace("web", &PostParams::default(), &changed).await.expect("replaced");
    assert_eq!((stored.metadata.uid, stored.metadata.generation), (made.metadata.uid, Some(2)));
    // `changed` still names the version that it was read at.
    changed.spec.get_or_insert_default().external_traffic_policy = Some("Cluster".into());
    assert_eq!(code(api.replace("web", &PostParams::default(), &changed).await), 409);
    api.delete("web", &DeleteParams::default()).await.expect("deleted");
    assert_eq!(code(api.get("web").await), 404);
}

#[tokio::test]
async fn status_and_the_rest_are_written_apart() {
    let (server, client) = server().await;
    server.put(service("web"));
    let api: Api<Service> = Api::namespaced(client, "shop");
    let both = json!({"spec": {"loadBalancerIP": "10.0.0.1"}, "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}});
    let patched = api.patch("web", &PatchParams::default(), &Patch::Merge(&both)).await.expect("patched");
    assert!(patched.status.and_then(|s| s.load_balancer).is_none());
    let other = json!({"spec": {"loadBalancerIP": "10.0.0.2"}, "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}});
    let patched = api.patch_status("web", &PatchParams::default(), &Patch::Merge(&other)).await.expect("patched");
    assert_eq!(patched.spec.and_then(|spec| spec.load_balancer_ip).as_deref(), Some("10.0.0.1"));
    assert!(patched.status.and_then(|s| s.load_balancer).is_some());
}

#[tokio::test]
async fn an_applied_field_of_another_manager_is_a_conflict_unless_forced() {
    let (_server, client) = server().await;
    let api: Api<Lease> = Api::namespaced(client, "shop");
    let lease = |holder: &str| json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": holder}});
    api.patch("l", &PatchParams::apply("a"), &Patch::Apply(lease("a"))).await.expect("created");
    assert_eq!(code(api.patch("l", &PatchParams::apply("b"), &Patch::Apply(lease("b"))).await), 409);
    api.patch("l", &PatchParams::apply("b"), &Patch::Apply(lease("a"))).await.expect("the same value is shared");
    api.patch("l", &PatchParams::apply("b").force(), &Patch::Apply(lease("b"))).await.expect("forced");
    // What a manager no longer applies, and nobody else holds, goes away.
    let nothing = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}});
    let left = api.patch("l", &PatchParams::apply("b"), &Patch::Apply(nothing)).await.expect("applied");
    assert_eq!(left.spec.and_then(|spec| spec.holder_identity), None);
}

#[tokio::test]
async fn a_json_patch_tests_and_replaces() {
    let (server, client) = server().await;
    server.put(service("web"));
    let patch = |old: &str| {
        let operations =
            json!([{"op": "test", "path": "/spec/type", "value": old}, {"op": "replace", "path": "/spec/type", "value": "NodePort"}]);
        let request = hyper::Request::patch("/api/v1/namespaces/shop/services/web").header("content-type", "application/json-patch+json");
        client.request::<serde_json::Value>(request.body(operations.to_string().into_bytes()).expect("a request"))
    };
    assert_eq!(code(patch("ClusterIP").await), 422);
    assert_eq!(patch("LoadBalancer").await.expect("patched")["spec"]["type"], "NodePort");
}

#[tokio::test]
async fn lists_are_cut_into_pages() {
    let (server, client) = server().await;
    for name in ["a", "b", "c"] {
        server.put(service(name));
    }
    let api: Api<Service> = Api::all(client);
    let first = api.list(&ListParams::default().limit(2)).await.expect("a page");
    let token = first.metadata.continue_.clone().expect("more to come");
    let second = api.list(&ListParams::default().limit(2).continue_token(&token)).await.expect("a page");
    assert_eq!((first.items.len(), second.items.len(), second.metadata.continue_), (2, 1, None));
}
