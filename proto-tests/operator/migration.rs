//! From MetalLB to kubgp: `bgpctl import`, and MetalLB's old ConfigMap in the cluster.

use std::path::Path;

use serde_json::{Value, json};

use super::apiserver::ApiServer;
use super::setup::{Net, Outcome, bgpctl, eventually};
use super::{CLIENT, RR, follower, is_ready, node, own_address, service, slice};

/// A document that a cluster may have, word by word.
const SEED: &str = "\
peers:
- my-asn: 64500
  peer-asn: 64500
  peer-address: 172.17.0.4
address-pools:
- name: my-ip-space
  protocol: bgp
  addresses:
  - 172.40.100.0/24
";

/// `bgpctl` without a daemon.
fn offline(words: &[&str]) -> Outcome {
    bgpctl(Path::new("/nonexistent/kubgp.sock"), words)
}

fn config_map(document: &str) -> Value {
    let metadata = json!({"namespace": "default", "name": "config"});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"config": document}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_imported_document_works_as_resources_and_as_a_file() {
    let net = Net::new(121);
    let server = ApiServer::start().await.unwrap();
    let write = |name: &str, text: &str| {
        let path = net.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let seed = write("config.yaml", SEED);
    let printed = offline(&["import", "metallb", &seed, "--what", "config"]);
    assert_eq!((printed.code, printed.err.as_str()), (0, ""));
    let kubgp = write("kubgp.yaml", &printed.out);
    let checked = offline(&["check-config", &kubgp]);
    assert_eq!((checked.code, checked.out), (0, format!("{kubgp}: ok, 1 neighbors\n")));

    // The resources as `kubectl apply` would hand them to the API server, and the daemon that reads them.
    let crs = offline(&["import", "metallb", &seed, "--what", "crs", "--namespace", "default"]);
    assert_eq!(crs.code, 0, "{crs:?}");
    assert_eq!(server.load(&crs.out), Ok(3));
    let all = offline(&["import", "metallb", &seed, "-n", "default"]);
    assert_eq!(all.out, format!("{}---\n{}", crs.out, printed.out.replace("metallb-system", "default")));
    server.put(node(&net, "n1", RR, Value::Null));
    let speaker = follower(&net, &server, "nodeName: n1, roles: [vip]", "router: { id: 10.0.0.9 }\nlisten: []\n");
    eventually("the session is configured", || speaker.items("show neighbors").iter().any(is_of_the_seed).then_some(()));
    assert!(is_ready(&speaker));
}

fn is_of_the_seed(row: &Value) -> bool {
    (&row["address"], &row["remoteAsn"], &row["localAsn"], &row["port"])
        == (&json!("172.17.0.4"), &json!(64500), &json!(64500), &json!(179))
}

#[test]
fn a_cluster_yaml_of_konvoy_is_imported_and_what_is_left_out_is_listed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.yaml");
    let indented: String = SEED.lines().map(|line| format!("          {line}\n")).collect();
    let text = format!(
        "kind: ClusterConfiguration\napiVersion: konvoy.mesosphere.io/v1beta2\nspec:\n  kubernetes: {{ version: 1.16.8 }}\n  addons:\n  - addonsList:\n    \
         - {{ name: dashboard, enabled: true }}\n    - name: metallb\n      enabled: true\n      values: |-\n        configInline:\n{indented}"
    );
    std::fs::write(&file, &text).unwrap();
    let path = file.display().to_string();
    let printed = offline(&["import", "konvoy", &path, "--what", "crs"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    for left_out in ["spec.kubernetes", "spec.addons[0].addonsList[0] (dashboard)"] {
        assert!(printed.out.contains(&format!("# File {path}: {left_out}: is not taken over")), "{}", printed.out);
    }
    assert!(printed.out.contains("kind: BGPPeer") && printed.out.contains("- 172.40.100.0/24"), "{}", printed.out);

    // An entry that is no good: the others are printed, and the exit code tells.
    std::fs::write(&file, text.replace("peer-asn: 64500", "peer-asn: 64500\n            hold-tiem: 9s")).unwrap();
    let printed = offline(&["import", "konvoy", &path]);
    assert_eq!(printed.code, 5, "{printed:?}");
    assert!(printed.out.contains("did you mean `hold-time`") && printed.out.contains("kind: IPAddressPool"), "{}", printed.out);
    std::fs::write(&file, "a: 1\n").unwrap();
    assert_eq!(offline(&["import", "metallb", &path]).code, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_config_map_makes_sessions_and_announces_services() {
    const HEARD: &str = "show rib in";
    let net = Net::new(122);
    let Some(own) = own_address().await else { return };
    let server = ApiServer::start().await.unwrap();
    server.put(node(&net, "n1", RR, Value::Null));
    server.put(config_map(SEED));
    server.put(service("web", "172.40.100.0"));
    server.put(slice("web", Some("n1")));
    let identity = format!("router: {{ id: 10.0.0.9 }}\nlisten: [{{ address: {own}, port: {} }}]\n", net.port);
    let speaker = follower(&net, &server, "nodeName: n1, roles: [vip]", &identity);
    eventually("the session is configured", || speaker.items("show neighbors").iter().any(is_of_the_seed).then_some(()));
    speaker.has("show rib", "172.40.100.0/32");

    // The same document with a second router, which runs here, and its session comes up; the first one stays as it is.
    let here = format!(
        "- my-asn: 64500\n  peer-asn: 64500\n  peer-address: {}\n  peer-port: {}\n  source-address: {own}\naddress-pools:\n",
        net.ip(CLIENT),
        net.port
    );
    server.put(config_map(&SEED.replace("address-pools:\n", &here)));
    let neighbor =
        net.neighbor("rr", CLIENT, RR, "asn: internal").replace(&format!("address: {},", net.ip(RR)), &format!("address: {own},"));
    let tor = net.start(CLIENT, &net.config(CLIENT, 64500, &neighbor, ""));
    tor.established("rr");
    tor.has(HEARD, "172.40.100.0/32");
    let first = speaker.items("show neighbors").into_iter().find(is_of_the_seed);
    assert!(first.is_some());

    // Resources beside it: what they take from each other is told.
    assert!(speaker.metric("metallb_k8s_client_config_loaded_bool 1"));
    assert!(speaker.metric("metallb_k8s_client_config_stale_bool 0"));
    let pool = json!({"addresses": ["172.40.100.128/25"]});
    server.put(super::metallb("IPAddressPool", "v1beta1", "another", pool));
    eventually("the overlap is told", || speaker.metric("metallb_k8s_client_config_stale_bool 1").then_some(()));
}
