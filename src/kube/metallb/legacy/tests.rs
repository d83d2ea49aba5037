//! The ConfigMap, and what an import prints.

use super::import::{Format, import};
use super::*;
use crate::config::LocalHost;
use crate::kube::metallb::check::Objects;
use crate::kube::metallb::complaint::Severity;
use crate::kube::metallb::model::{Config, RemoteAs};
use serde_json::json;
use std::sync::Arc;

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

const RESOURCES: &str = "\
---
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata:
  name: my-ip-space
  namespace: metallb-system
spec:
  addresses:
  - 172.40.100.0/24
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata:
  name: bgpadvertisement1
  namespace: metallb-system
spec:
  ipAddressPools:
  - my-ip-space
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata:
  name: peer1
  namespace: metallb-system
spec:
  myASN: 64500
  peerASN: 64500
  peerAddress: \"172.17.0.4\"
  holdTime: 90s
";

const CONFIGURATION: &str = "\
# Sessions and pools, for a daemon that follows no cluster. One that follows the custom resources needs this instead:
#   kubernetes: { enabled: true, namespace: metallb-system, roles: [vip, allocator] }
# An address is announced when vips.services names it: services: [{ name: web, addresses: [ADDRESS] }].
apiVersion: kubgp.io/v1
router:
  asn: 64500
neighbors:
- name: peer1
  address: \"172.17.0.4\"
  port: 179
  asn: 64500
  localAsn: 64500
  holdTime: 90s
  keepaliveTime: 30s
  import:
  - nothing
policies:
  nothing:
  - action: reject
vips:
  pools:
  - name: my-ip-space
    addresses:
    - 172.40.100.0-172.40.100.255
  advertise:
  - pools:
    - my-ip-space
";

fn config_map(text: &str) -> Arc<ConfigMap> {
    let map = json!({ "metadata": { "namespace": "metallb-system", "name": "config" }, "data": { "config": text } });
    Arc::new(serde_json::from_value(map).unwrap())
}

fn build(text: &str, previous: &Config) -> Config {
    Config::build(&Objects { config_map: Some(config_map(text)), ..Objects::default() }, previous)
}

#[test]
fn the_seed_document_is_one_peer_and_one_announced_pool() {
    let config = build(SEED, &Config::default());
    assert_eq!(config.complaints, []);
    let peer = &config.peers["config-peer1"];
    assert_eq!((peer.my_asn.get(), peer.remote_as), (64500, RemoteAs::Number(peer.my_asn)));
    assert_eq!((peer.address.to_string().as_str(), peer.port, peer.timers), ("172.17.0.4", 179, None));
    let pool = &config.pools["my-ip-space"];
    assert!(pool.contains(&"172.40.100.0".parse().unwrap()) && pool.auto_assign && !pool.avoid_buggy);
    let advertisement = &config.advertisements["my-ip-space/1"];
    assert!(advertisement.pools.includes(pool) && advertisement.peers.is_empty() && advertisement.communities.is_empty());
    assert_eq!((advertisement.aggregation, advertisement.local_pref), (32, None));
}

#[test]
fn every_key_of_the_format_is_understood() {
    let text = "\
peers:
- { my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, peer-port: 0, source-address: 10.0.0.9, hold-time: 9s, keepalive-time: 3s,
    router-id: 10.0.0.9, password: secret, bfd-profile: fast, ebgp-multihop: true,
    node-selectors: [{ match-labels: { rack: a }, match-expressions: [{ key: zone, operator: In, values: [x] }] }] }
bgp-communities: { mine: '64500:7' }
address-pools:
- { name: p, protocol: bgp, addresses: [10.1.0.0/24, 10.2.0.1-10.2.0.9], avoid-buggy-ips: true, auto-assign: false,
    bgp-advertisements: [{ aggregation-length: 32, aggregation-length-v6: 64, localpref: 50, communities: [mine, '1:2'] }, { localpref: 60 }] }
bfd-profiles:
- { name: fast, receive-interval: 50, transmit-interval: 60, detect-multiplier: 5, passive-mode: true, minimum-ttl: 250 }
";
    let config = build(text, &Config::default());
    let errors: Vec<_> = config.complaints.iter().filter(|c| c.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let peer = &config.peers["config-peer1"];
    assert_eq!((peer.port, peer.ebgp_multihop, peer.bfd_profile.as_deref()), (179, true, Some("fast")));
    assert_eq!(peer.password.as_ref().unwrap().expose(), b"secret");
    assert!(!peer.nodes.is_empty());
    assert_eq!(config.advertisements["p/1"].communities.len(), 2);
    assert_eq!(config.advertisements["p/2"].local_pref, Some(60));
    assert_eq!(config.bfd_profiles["fast"].multiplier, Some(5));
    assert!(!config.pools["p"].auto_assign && config.pools["p"].avoid_buggy);
}

#[test]
fn each_bad_entry_is_reported_with_its_path_and_the_others_work() {
    let text = "\
peers:
- { my-asn: 64500, peer-asn: 64500, peer-address: 172.17.0.4, bfdProfile: x }
- { my-asn: 64500, peer-asn: 64500, peer-address: 172.17.0.5, hold-time: 2s }
- { my-asn: 64500, peer-asn: 64500, peer-address: 172.17.0.6 }
address-pools:
- { name: old, protocol: bgp, cidr: [10.0.0.0/24] }
- { name: none, addresses: [10.0.1.0/24] }
- { name: both, protocol: layer2, addresses: [10.0.2.0/24], bgp-advertisements: [{}] }
- { name: good, protocol: bgp, addresses: [10.0.3.0/24], bgp-advertisements: [{ localpref: high }, { communities: [nobody] }, {}, {}] }
- { name: twice, protocol: bgp, addresses: [10.0.3.128/25] }
- { name: quiet, protocol: layer2, addresses: [10.0.4.0/24] }
";
    let config = build(text, &Config::default());
    let said: Vec<String> = config.complaints.iter().map(|c| format!("{} {}", c.path, c.reason.code())).collect();
    assert_eq!(
        said,
        [
            "peers[0].bfdProfile invalid",
            "address-pools[0].cidr invalid",
            "address-pools[1].protocol missing",
            "address-pools[2].bgp-advertisements conflict",
            "address-pools[3].bgp-advertisements[0] invalid",
            "address-pools[3].bgp-advertisements[3] duplicate",
            "address-pools[5].protocol unsupported",
            "address-pools[4].addresses[0] overlap",
            "address-pools[3].bgp-advertisements[1].communities[0] unknownReference",
            "peers[1].hold-time invalid",
        ]
    );
    assert!(config.complaints[0].message.contains("did you mean `bfd-profile`?"), "{}", config.complaints[0]);
    assert!(config.complaints[1].message.contains("now addresses"), "{}", config.complaints[1]);
    assert_eq!(config.pools.keys().collect::<Vec<_>>(), ["good", "quiet"]);
    assert_eq!(config.advertisements.keys().collect::<Vec<_>>(), ["good/3", "twice/1"]);
    assert_eq!(config.peers.len(), 1);
}

#[test]
fn a_document_that_cannot_be_read_leaves_the_last_one_in_force() {
    let good = build(SEED, &Config::default());
    for text in ["peers: [", "- a list", "peers:\n- x: 1\npeers: []\n"] {
        let config = build(text, &good);
        assert_eq!((&config.pools, &config.peers, &config.advertisements), (&good.pools, &good.peers, &good.advertisements), "{text}");
        assert!(config.is_stale());
    }
    assert!(build("", &good).pools.is_empty(), "an empty document is valid and says nothing");
}

#[test]
fn both_sources_count_and_their_overlaps_are_found() {
    let pool = json!({ "metadata": { "namespace": "metallb-system", "name": "cr" }, "spec": { "addresses": ["172.40.100.128/25"] } });
    let peer = json!({ "metadata": { "name": "tor" }, "spec": { "myASN": 64500, "peerASN": 1, "peerAddress": "10.0.0.1" } });
    let objects = Objects {
        pools: vec![Arc::new(serde_json::from_value(pool).unwrap())],
        peers: vec![Arc::new(serde_json::from_value(peer).unwrap())],
        config_map: Some(config_map(SEED)),
        ..Objects::default()
    };
    let config = Config::build(&objects, &Config::default());
    assert_eq!(config.peers.keys().collect::<Vec<_>>(), ["config-peer1", "tor"]);
    assert_eq!(config.pools.keys().collect::<Vec<_>>(), ["cr"]);
    assert_eq!(config.broken_pools.iter().collect::<Vec<_>>(), ["my-ip-space"]);
    assert_eq!(config.complaints[0].path, "address-pools[0].addresses[0]");
}

#[test]
fn an_import_prints_resources_and_configuration_that_say_the_same() {
    let konvoy = format!(
        "kind: ClusterConfiguration\napiVersion: konvoy.mesosphere.io/v1beta2\nspec:\n  addons:\n  - addonsList:\n    - name: metallb\n      enabled: true\n      values: |-\n        configInline:\n{}",
        SEED.lines().map(|line| format!("          {line}\n")).collect::<String>()
    );
    let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: config }}\ndata:\n  config: |\n{}", {
        SEED.lines().map(|line| format!("    {line}\n")).collect::<String>()
    });
    let expected = import("config.yaml", SEED, Format::Metallb, "metallb-system").unwrap();
    assert_eq!(expected.complaints, []);
    for (format, text) in [(Format::Konvoy, konvoy), (Format::Metallb, map)] {
        let imported = import("config.yaml", &text, format, "metallb-system").unwrap();
        assert_eq!((imported.resources, imported.configuration), (expected.resources.clone(), expected.configuration.clone()));
    }
    assert_eq!(expected.resources, RESOURCES);
    assert_eq!(expected.configuration, CONFIGURATION);
    assert!(import("x.yaml", "a: 1", Format::Metallb, "metallb-system").is_err());
    assert!(import("config.yaml", SEED, Format::Konvoy, "metallb-system").is_err(), "that is no cluster.yaml");
}

#[test]
fn what_an_import_passes_over_is_listed() {
    let indented: String = SEED.lines().map(|line| format!("          {line}\n")).collect();
    let text = format!(
        "kind: ClusterProvisioner\nspec: {{}}\n---\nkind: ClusterConfiguration\nspec:\n  kubernetes: {{}}\n  addons:\n  - addonsList:\n    \
         - {{ name: dashboard, enabled: true }}\n    - name: metallb\n      enabled: false\n      values: |-\n        controller: {{}}\n        \
         configInline:\n{indented}"
    );
    let imported = import("cluster.yaml", &text, Format::Konvoy, "metallb-system").unwrap();
    let paths: Vec<&str> = imported.complaints.iter().map(|c| c.path.as_str()).collect();
    let addons = "spec.addons[0].addonsList";
    let metallb = format!("{addons}[1] (metallb)");
    let expected = [
        "document 1 (ClusterProvisioner)".to_owned(),
        format!("{metallb}.values.controller"),
        format!("{metallb}.enabled"),
        format!("{addons}[0] (dashboard)"),
        "spec.kubernetes".to_owned(),
    ];
    assert_eq!(paths, expected);
    assert!(imported.is_complete() && imported.resources == RESOURCES);
}

#[test]
fn printed_configuration_is_good() {
    let text = "\
peers:
- { my-asn: 64500, peer-asn: 64501, peer-address: 10.0.0.1, hold-time: 9s, router-id: 10.0.0.9, bfd-profile: fast, ebgp-multihop: true }
- { my-asn: 64500, peer-asn: 64500, peer-address: 10.0.0.2, peer-port: 1179, node-selectors: [{ match-labels: { rack: a } }] }
address-pools:
- { name: p, protocol: bgp, addresses: [10.1.0.0/24] }
bfd-profiles:
- { name: fast, receive-interval: 50 }
";
    for text in [SEED, text] {
        let imported = import("config.yaml", text, Format::Metallb, "metallb-system").unwrap();
        assert!(imported.is_complete(), "{:?}", imported.complaints);
        let host = LocalHost { first_ipv4: Some([10, 9, 9, 9].into()) };
        let plan = crate::config::load_text("kubgp.yaml", &imported.configuration, &[], &host);
        let plan = plan.unwrap_or_else(|e| panic!("{}", e.render(false)));
        assert_eq!(plan.peers.len(), text.matches("peer-address").count());
    }
}

/// An address of an imported pool is announced with what its advertisements say.
#[test]
fn printed_pools_are_good_for_services_of_the_file() {
    let text = "\
peers:
- { my-asn: 64500, peer-asn: 64500, peer-address: 10.0.0.1 }
bgp-communities: { mine: '64500:7' }
address-pools:
- name: p
  protocol: bgp
  addresses: [10.1.0.0/24]
  avoid-buggy-ips: true
  bgp-advertisements: [{ localpref: 200, communities: [mine] }, { aggregation-length: 24, communities: ['64500:8'] }]
- { name: l2, protocol: layer2, addresses: [10.2.0.0/24] }
";
    let imported = import("config.yaml", text, Format::Metallb, "metallb-system").unwrap();
    let told: Vec<_> = imported.complaints.iter().map(|c| (c.severity, c.path.as_str())).collect();
    assert!(told.contains(&(Severity::Warning, "address-pools[0].bgp-advertisements[1].aggregation-length")), "{told:?}");
    assert!(imported.configuration.contains("# Pool l2 is for layer 2"), "{}", imported.configuration);
    assert!(imported.configuration.contains("# auto-assign and avoid-buggy-ips of pool p are for the role allocator"));
    let file = format!("{}  services:\n  - {{ name: web, addresses: [10.1.0.5], bind: false }}\n", imported.configuration);
    let host = LocalHost { first_ipv4: Some([10, 9, 9, 9].into()) };
    let plan = crate::config::load_text("kubgp.yaml", &file, &[], &host).unwrap_or_else(|e| panic!("{}", e.render(false)));
    let network = &plan.vips.services["web"].networks[0];
    assert_eq!((network.prefix.to_string(), network.attrs.head().local_pref()), ("10.1.0.5/32".to_owned(), Some(200)));
    assert!(network.attrs.communities().eq([64500 << 16 | 7, 64500 << 16 | 8]));
}

#[test]
fn printed_resources_check_to_the_same_model() {
    let text = "\
peers:
- { my-asn: 1, peer-asn: 2, peer-address: 10.0.0.1, hold-time: 9s, password: secret, bfd-profile: Fast_1, ebgp-multihop: true,
    node-selectors: [{ match-labels: { rack: a } }] }
bgp-communities: { mine: '64500:7' }
address-pools:
- { name: My_Pool, protocol: bgp, addresses: [10.1.0.0/24], auto-assign: false, bgp-advertisements: [{ localpref: 50, communities: [mine] }] }
- { name: l2, protocol: layer2, addresses: [10.2.0.0/24] }
bfd-profiles:
- { name: Fast_1, receive-interval: 50 }
";
    let imported = import("c", text, Format::Metallb, "metallb-system").unwrap();
    let mut objects = Objects::default();
    for manifest in serde_saphyr::from_multiple::<Value>(&imported.resources).unwrap() {
        match manifest["kind"].as_str().unwrap() {
            "IPAddressPool" => objects.pools.push(Arc::new(serde_json::from_value(manifest).unwrap())),
            "BGPAdvertisement" => objects.advertisements.push(Arc::new(serde_json::from_value(manifest).unwrap())),
            "BGPPeer" => objects.peers.push(Arc::new(serde_json::from_value(manifest).unwrap())),
            "BFDProfile" => objects.bfd_profiles.push(Arc::new(serde_json::from_value(manifest).unwrap())),
            "Community" => objects.communities.push(Arc::new(serde_json::from_value(manifest).unwrap())),
            kind => assert_eq!(kind, "L2Advertisement"),
        }
    }
    let config = Config::build(&objects, &Config::default());
    assert_eq!(config.complaints, []);
    let (old, new) = (&build(text, &Config::default()).peers["config-peer1"], &config.peers["peer1"]);
    assert_eq!((old.timers, &old.nodes, &old.password, old.ebgp_multihop), (new.timers, &new.nodes, &new.password, new.ebgp_multihop));
    assert_eq!(config.pools.keys().collect::<Vec<_>>(), ["l2", "my-pool"]);
    assert_eq!(config.advertisements["bgpadvertisement1"].communities.len(), 1);
    assert!(imported.configuration.contains("# Write the password of peer1 into /etc/kubgp/peer1.key"), "{}", imported.configuration);
}
