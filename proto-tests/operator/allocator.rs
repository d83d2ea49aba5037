//! The role `allocator`: one of several processes gives addresses to Services, whatever becomes of it or of the API server.

use super::apiserver::ApiServer;
use super::apiserver::faults::Order;
use super::setup::{Daemon, Net, eventually};
use super::{is_ready, metallb};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A process that knows nothing but the way to the API server; `host` tells it from the others of the test.
fn replica(net: &Net, server: &ApiServer, host: u8) -> Daemon {
    let kubeconfig = net.directory.path().join("kubeconfig");
    server.write_kubeconfig(&kubeconfig).unwrap();
    let config = format!(
        "listen: []\nkubernetes: {{ enabled: true, kubeconfig: {}, roles: [allocator] }}\n\
         api: {{ socket: {} }}\nmetrics: {{ listen: \"{}:{}\" }}\n",
        kubeconfig.display(),
        net.socket(host).display(),
        net.ip(host),
        net.http()
    );
    net.start(host, &config)
}

fn pool(name: &str, addresses: &str) -> Value {
    metallb("IPAddressPool", "v1beta1", name, json!({"addresses": [addresses]}))
}

/// A Service that has no address.
pub fn wanting(name: &str, annotations: Value) -> Value {
    let spec = json!({"type": "LoadBalancer", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ports": [{"port": 80}]});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": name, "annotations": annotations}, "spec": spec})
}

pub fn address(server: &ApiServer, name: &str) -> Option<String> {
    let service = server.get("v1/Service", "shop", name)?;
    Some(service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str()?.to_owned())
}

pub fn has(server: &ApiServer, name: &str, expected: &str) {
    eventually(&format!("{name} has {expected}"), || (address(server, name).as_deref() == Some(expected)).then_some(()));
}

/// Type, reason and note of the Events on a Service.
fn told(server: &ApiServer, name: &str) -> Vec<String> {
    let of_it = |event: &&Value| event["regarding"]["name"] == name;
    let word = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let line = |event: &Value| format!("{} {} {}", word(event, "type"), word(event, "reason"), word(event, "note"));
    server.list("events.k8s.io/v1/Event").iter().filter(of_it).map(line).collect()
}

fn is_told(server: &ApiServer, name: &str, words: &str) {
    eventually(&format!("{words} is told on {name}: {:?}", told(server, name)), || {
        told(server, name).iter().any(|line| line.contains(words)).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over_without_a_changed_address() {
    let net = Net::new(131);
    let server = ApiServer::start().await.unwrap();
    server.put(pool("public", "203.0.113.0/29"));
    server.put(wanting("a", json!({})));
    let first = replica(&net, &server, 1);
    has(&server, "a", "203.0.113.0");
    let service = server.get("v1/Service", "shop", "a").unwrap();
    assert_eq!(service["metadata"]["annotations"]["metallb.io/ip-allocated-from-pool"], "public");
    assert_eq!(service["status"]["loadBalancer"], json!({"ingress": [{"ip": "203.0.113.0"}]}));
    is_told(&server, "a", "Normal IPAllocated Assigned IP [\"203.0.113.0\"]");
    eventually("the leader is ready", || is_ready(&first).then_some(()));
    eventually("it says so", || first.metric("kubgp_leader 1").then_some(()));

    let second = replica(&net, &server, 2);
    eventually("the standby is ready", || is_ready(&second).then_some(()));
    eventually("it stands by", || second.metric("kubgp_leader 0").then_some(()));
    server.put(wanting("b", json!({})));
    has(&server, "b", "203.0.113.1");
    let version = |name: &str| server.get("v1/Service", "shop", name).unwrap()["metadata"]["resourceVersion"].clone();
    let before = [version("a"), version("b")];

    // It dies without a word. Who comes meanwhile, and is first by name, gets nothing that others have.
    drop(first);
    server.put(wanting("0", json!({})));
    has(&server, "0", "203.0.113.2");
    eventually("the standby says so", || second.metric("kubgp_leader 1").then_some(()));
    assert_eq!([version("a"), version("b")], before, "nothing was written where nothing changed");

    // One that ends in good order gives the Lease back.
    let third = replica(&net, &server, 3);
    eventually("another standby is ready", || is_ready(&third).then_some(()));
    second.signal("TERM");
    let lease = || server.get("coordination.k8s.io/v1/Lease", "default", "kubgp-allocator").unwrap()["spec"].clone();
    let holder = lease()["holderIdentity"].clone();
    eventually("the Lease has another holder", || (lease()["holderIdentity"] != holder).then_some(()));
    server.delete("v1/Service", "shop", "a");
    server.put(wanting("c", json!({})));
    has(&server, "c", "203.0.113.0");
    eventually("the third one says so", || third.metric("kubgp_leader 1").then_some(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wishes_types_and_pools_change() {
    let net = Net::new(132);
    let server = ApiServer::start().await.unwrap();
    server.put(pool("small", "203.0.113.0/31"));
    let leader = replica(&net, &server, 1);
    server.put(wanting("a", json!({})));
    has(&server, "a", "203.0.113.0");
    server.put(wanting("b", json!({})));
    has(&server, "b", "203.0.113.1");
    server.put(wanting("c", json!({})));
    is_told(&server, "c", "Warning AllocationFailed Failed to allocate IP for \"shop/c\": no available IPs (pool small: poolExhausted)");
    eventually("failures are counted", || {
        leader.metric("kubgp_ipam_allocation_failures_total{pool=\"small\",reason=\"poolExhausted\"} 1").then_some(())
    });
    eventually("the pool is full", || leader.metric("kubgp_ipam_addresses{pool=\"small\",family=\"ipv4\",state=\"free\"} 0").then_some(()));

    shows_why_there_is_no_address(&leader);

    // A wish that cannot be met costs nothing, and is told.
    let annotate = |name: &str, key: &str, value: &str| {
        let mut service = server.get("v1/Service", "shop", name).unwrap();
        service["metadata"]["annotations"][key] = json!(value);
        server.put(service);
    };
    annotate("b", "metallb.io/loadBalancerIPs", "203.0.113.0");
    is_told(&server, "b", "it keeps what it has");
    assert_eq!(address(&server, "b").as_deref(), Some("203.0.113.1"));
    let refusal = || leader.items("show service shop/b")[0]["refusal"].clone();
    eventually("the wish shows", || (refusal()["reason"] == "addressInUse").then_some(()));
    assert_eq!(refusal()["pools"], json!([{"pool": "small", "reason": "addressInUse"}]));
    let trace = leader.json("explain svc/shop/b");
    assert_eq!((&trace["ok"], &trace["reason"]), (&json!(true), &json!("assigned")), "{trace}");

    // Who is no LoadBalancer any more gives its address to who waits for it.
    let mut other = server.get("v1/Service", "shop", "a").unwrap();
    other["spec"]["type"] = json!("ClusterIP");
    server.put(other);
    has(&server, "b", "203.0.113.0");
    has(&server, "c", "203.0.113.1");
    let service = server.get("v1/Service", "shop", "a").unwrap();
    assert_eq!((&service["status"]["loadBalancer"], &service["metadata"]["annotations"]), (&json!({}), &json!({})));

    // Pools that go take their addresses along, one that is not valid takes nothing.
    let mut bad = pool("small", "203.0.113.0/33");
    server.put(bad.clone());
    eventually("the pool is reported", || {
        leader.metric("kubgp_k8s_faulty_objects{kind=\"IPAddressPool\",severity=\"error\"} 1").then_some(())
    });
    let config = leader.ok("show config");
    assert!(config.contains("# error: IPAddressPool default/small: spec.addresses[0]"), "{config}");
    assert_eq!(address(&server, "b").as_deref(), Some("203.0.113.0"));
    bad["spec"]["addresses"] = json!(["203.0.113.1/32", "198.51.100.0/31"]);
    server.put(bad);
    // What it wishes for is not there any more.
    eventually("b has no address", || address(&server, "b").is_none().then_some(()));
    is_told(&server, "b", "Normal ClearAssignment");
    assert_eq!(address(&server, "c").as_deref(), Some("203.0.113.1"));
    server.put(wanting("b", json!({})));
    has(&server, "b", "198.51.100.0");
    server.delete("metallb.io/v1beta1/IPAddressPool", "default", "small");
    eventually("nobody has an address", || [address(&server, "b"), address(&server, "c")].iter().all(Option::is_none).then_some(()));
}

/// What an operator finds at the socket of the allocator, where pool `small` is full and `c` waits.
fn shows_why_there_is_no_address(leader: &Daemon) {
    let row = |name: &str| leader.items(&format!("show service shop/{name}"))[0].clone();
    eventually("c is shown", || (row("c")["reason"] == "poolExhausted").then_some(()));
    let refusal =
        json!({"reason": "poolExhausted", "message": "no available IPs", "pools": [{"pool": "small", "reason": "poolExhausted"}]});
    assert_eq!((&row("c")["refusal"], &row("c")["addresses"]), (&refusal, &json!([])));
    assert_eq!((&row("a")["reason"], &row("a")["pool"]), (&json!("assigned"), &json!("small")));
    assert_eq!(leader.ok("show services --reason poolExhausted -o name"), "shop/c\n");
    let pool = &leader.items("show pools")[0];
    let usage = json!([{"family": "ipv4-unicast", "total": 2, "used": 2, "free": 0}]);
    assert_eq!((&pool["families"], &pool["services"], &pool["refused"]), (&usage, &json!(2), &json!({"poolExhausted": 1})), "{pool}");
    assert!(leader.ok("show pools").contains("exhausted"));
    let held: Vec<_> = leader.items("show allocations").iter().map(|row| (row["address"].clone(), row["services"].clone())).collect();
    assert_eq!(held, [(json!("203.0.113.0"), json!(["shop/a"])), (json!("203.0.113.1"), json!(["shop/b"]))]);
    let said = leader.ok("explain svc/shop/c");
    let last: Vec<&str> = said.lines().rev().take(2).collect();
    assert!(last[1].starts_with("=> ") && last[1].contains("poolExhausted") && last[0].contains("add addresses"), "{said}");
    assert_eq!(leader.run("explain svc/shop/nobody").code, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pools_show_how_full_they_are() {
    let net = Net::new(140);
    let server = ApiServer::start().await.unwrap();
    server.put(pool("public", "203.0.113.0/29"));
    server.put(metallb("IPAddressPool", "v1beta1", "wide", json!({"addresses": ["2001:db8::/64"], "autoAssign": false})));
    let status = |name: &str| server.get("metallb.io/v1beta1/IPAddressPool", "default", name).unwrap()["status"].clone();
    let shows = |name: &str, [used4, used6, free4, free6]: [i64; 4]| {
        let wanted = json!({"assignedIPv4": used4, "assignedIPv6": used6, "availableIPv4": free4, "availableIPv6": free6});
        eventually(&format!("{name} shows {wanted}"), || (status(name) == wanted).then_some(()));
    };
    let version =
        |name: &str| server.get("metallb.io/v1beta1/IPAddressPool", "default", name).unwrap()["metadata"]["resourceVersion"].clone();
    let leader = replica(&net, &server, 1);
    shows("public", [0, 0, 8, 0]);
    shows("wide", [0, 0, 0, i64::MAX]);
    let before = version("wide");
    // What was written comes back by the watch, and is no reason to write again; conflicts and errors are overcome.
    server.order(&Order { conflicts: Some(3), ..Order::default() });
    server.put(wanting("a", json!({})));
    shows("public", [1, 0, 7, 0]);
    server.order(&Order { errors: Some(2), ..Order::default() });
    server.put(wanting("b", json!({})));
    shows("public", [2, 0, 6, 0]);
    server.delete("v1/Service", "shop", "a");
    shows("public", [1, 0, 7, 0]);
    server.put(pool("public", "203.0.113.0/28"));
    shows("public", [1, 0, 15, 0]);
    assert_eq!(version("wide"), before, "nothing is written where nothing changed");

    // Whether the pools are good is told too, and told again where somebody removes it.
    let state = || server.get("metallb.io/v1beta1/ConfigurationState", "default", "controller");
    let is = |result: &str| eventually(result, || state().filter(|state| state["status"]["result"] == result));
    let told = is("Valid");
    assert_eq!(told["metadata"]["labels"]["metallb.io/component-type"], "controller");
    let condition = &told["status"]["conditions"][0];
    assert_eq!((&condition["type"], &condition["reason"]), (&json!("poolReconcilerValid"), &json!("Reconciled")), "{told}");
    server.put(pool("bad", "203.0.113.0/33"));
    let told = is("Invalid");
    assert!(told["status"]["errorSummary"].as_str().unwrap().contains("IPAddressPool default/bad: spec.addresses[0]"), "{told}");
    server.delete("metallb.io/v1beta1/ConfigurationState", "default", "controller");
    is("Invalid");
    assert!(is_ready(&leader));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_cannot_do_its_work_is_not_ready() {
    let net = Net::new(138);
    let server = ApiServer::start().await.unwrap();
    server.put(pool("public", "203.0.113.0/29"));
    let first = replica(&net, &server, 1);
    eventually("it leads", || first.metric("kubgp_leader 1").then_some(()));
    eventually("it is ready", || is_ready(&first).then_some(()));
    let why = |daemon: &Daemon| daemon.get("/readyz?verbose").map(|(_, body)| body).unwrap_or_default();
    let says = |daemon: &Daemon, words: &str| {
        eventually(words, || (!is_ready(daemon) && why(daemon).contains(words)).then_some(()));
    };
    // It has the Lease, and sees no Services.
    server.order(&Order { forbidden: Some(["services".to_owned()].into()), drop_watches: true, ..Order::default() });
    says(&first, "services is forbidden");
    server.order(&Order { forbidden: Some(BTreeSet::new()), ..Order::default() });
    eventually("it is ready again", || is_ready(&first).then_some(()));

    // Who stands by has nothing to do, and says so.
    server.put(wanting("a", json!({})));
    has(&server, "a", "203.0.113.0");
    let second = replica(&net, &server, 2);
    eventually("the standby is ready", || is_ready(&second).then_some(()));
    assert!(why(&second).contains("stands by"), "{}", why(&second));
    let (outcome, detail) = (second.run("explain svc/shop/a"), "this process stands by");
    assert!(outcome.code == 4 && outcome.err.contains(detail), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_in_trouble_costs_no_address_and_gives_none_twice() {
    let net = Net::new(133);
    let mut server = ApiServer::start().await.unwrap();
    server.put(pool("public", "203.0.113.0/24"));
    let _leader = replica(&net, &server, 1);
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut round = |server: &ApiServer, what: &str| {
        let fresh: Vec<String> = (0..5).map(|i| format!("{what}{i}")).collect();
        for name in &fresh {
            eventually(&format!("{name} has an address"), || address(server, name));
        }
        for (name, before) in &known {
            assert_eq!(address(server, name).as_ref(), Some(before), "{name} after {what}");
        }
        known.extend(fresh.iter().map(|name| (name.clone(), address(server, name).unwrap())));
        let distinct: std::collections::BTreeSet<&String> = known.values().collect();
        assert_eq!(distinct.len(), known.len(), "{what}: {known:?}");
    };
    let arrive = |server: &ApiServer, what: &str| (0..5).for_each(|i| _ = server.put(wanting(&format!("{what}{i}"), json!({}))));
    arrive(&server, "calm");
    round(&server, "calm");
    for (what, order) in [
        ("conflict", Order { conflicts: Some(7), ..Order::default() }),
        ("error", Order { errors: Some(3), ..Order::default() }),
        ("gone", Order { gone: Some(3), drop_watches: true, ..Order::default() }),
        ("dropped", Order { drop_watches: true, ..Order::default() }),
        ("restart", Order { restart: true, ..Order::default() }),
    ] {
        server.order(&order);
        arrive(&server, what);
        round(&server, what);
    }
    server.order(&Order { stall: Some(true), ..Order::default() });
    arrive(&server, "stall");
    server.order(&Order { stall: Some(false), ..Order::default() });
    round(&server, "stall");
    // Away for longer than the Lease lasts: nobody leads, and whoever leads then begins with what there is.
    server.stop().await;
    arrive(&server, "away");
    server.resume().await.unwrap();
    round(&server, "away");
}
