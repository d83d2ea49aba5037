//! Every object by itself.

use super::*;
use crate::kube::metallb::complaint::Severity;
use serde_json::{Value, json};

fn objects(list: &[Value]) -> Objects {
    let mut objects = Objects::default();
    for value in list {
        let value = value.clone();
        match value["kind"].as_str().unwrap() {
            "IPAddressPool" => objects.pools.push(Arc::new(serde_json::from_value(value).unwrap())),
            "BGPPeer" => objects.peers.push(Arc::new(serde_json::from_value(value).unwrap())),
            "BGPAdvertisement" => objects.advertisements.push(Arc::new(serde_json::from_value(value).unwrap())),
            "BFDProfile" => objects.bfd_profiles.push(Arc::new(serde_json::from_value(value).unwrap())),
            "Community" => objects.communities.push(Arc::new(serde_json::from_value(value).unwrap())),
            "Secret" => objects.secrets.push(Arc::new(serde_json::from_value(value).unwrap())),
            "L2Advertisement" => objects.l2_advertisements.push(Arc::new(serde_json::from_value(value).unwrap())),
            other => panic!("{other}"),
        }
    }
    objects
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({ "kind": kind, "metadata": { "namespace": "metallb-system", "name": name }, "spec": spec })
}

/// Field, reason and severity of what is said.
fn said(config: &Config) -> Vec<String> {
    let word = |severity| if severity == Severity::Error { "" } else { " (warning)" };
    config.complaints.iter().map(|c| format!("{} {}{}", c.path.trim_start_matches("spec."), c.reason.code(), word(c.severity))).collect()
}

fn with(base: &Value, extra: Value) -> Value {
    let mut spec = base.clone();
    for (key, value) in extra.as_object().unwrap() {
        if value.is_null() { drop(spec.as_object_mut().unwrap().remove(key)) } else { spec[key] = value.clone() }
    }
    spec
}

#[test]
fn peers_are_refused_for_what_cannot_be_and_told_what_is_not_done() {
    let base = json!({ "myASN": 64500, "peerASN": 64501, "peerAddress": "10.0.0.1" });
    for (extra, expected) in [
        (json!({}), vec![]),
        (json!({ "myASN": 0 }), vec!["myASN missing"]),
        (json!({ "peerASN": null }), vec!["peerASN missing"]),
        (json!({ "dynamicASN": "external" }), vec!["dynamicASN conflict"]),
        (json!({ "peerASN": null, "dynamicASN": "external" }), vec![]),
        (json!({ "peerASN": null, "dynamicASN": "both" }), vec!["dynamicASN invalid"]),
        (json!({ "peerAddress": null }), vec!["peerAddress missing"]),
        (json!({ "peerAddress": "tor" }), vec!["peerAddress invalid"]),
        (json!({ "peerAddress": "fe80::1" }), vec!["peerAddress invalid"]),
        (json!({ "peerAddress": null, "interface": "eth0" }), vec!["interface unsupported"]),
        (json!({ "sourceAddress": "2001:db8::1" }), vec!["sourceAddress conflict"]),
        (json!({ "peerPort": 0 }), vec!["peerPort invalid"]),
        (json!({ "holdTime": "2s" }), vec!["holdTime invalid"]),
        (json!({ "holdTime": "3500ms" }), vec![]),
        (json!({ "holdTime": "0s" }), vec![]),
        (json!({ "holdTime": "9s", "keepaliveTime": "10s" }), vec!["keepaliveTime conflict"]),
        (json!({ "holdTime": "9s", "keepaliveTime": "8s" }), vec!["keepaliveTime unsupported (warning)"]),
        (json!({ "holdTime": "ninety" }), vec!["holdTime invalid"]),
        (json!({ "connectTime": "0s" }), vec!["connectTime invalid"]),
        (json!({ "routerID": "me" }), vec!["routerID invalid"]),
        (json!({ "vrf": "red" }), vec!["vrf unsupported"]),
        (json!({ "disableMP": true }), vec!["disableMP deprecated (warning)"]),
        (json!({ "disableMP": true, "peerPort": 0 }), vec!["disableMP deprecated (warning)", "peerPort invalid"]),
        (json!({ "ebgpMultiHop": true }), vec![]),
        (json!({ "ebgpMultiHop": true, "peerASN": 64500 }), vec!["ebgpMultiHop conflict"]),
        (json!({ "localASN": 64502 }), vec![]),
        (json!({ "localASN": 64501 }), vec!["localASN conflict"]),
        (json!({ "localASN": 64502, "peerASN": 64500 }), vec!["localASN conflict"]),
        (json!({ "bfdProfile": "none" }), vec!["bfdProfile unknownReference"]),
        (json!({ "password": "x".repeat(81) }), vec!["password invalid"]),
        (json!({ "password": "x", "passwordSecret": { "name": "good" } }), vec!["passwordSecret conflict"]),
        (json!({ "passwordSecret": { "name": "good" } }), vec![]),
        (json!({ "passwordSecret": { "name": "good", "namespace": "metallb-system" } }), vec![]),
        (json!({ "passwordSecret": { "name": "good", "namespace": "other" } }), vec!["passwordSecret.namespace unsupported (warning)"]),
        (json!({ "passwordSecret": { "name": "opaque" } }), vec!["passwordSecret invalid"]),
        (json!({ "passwordSecret": { "name": "keyless" } }), vec!["passwordSecret missing"]),
        (json!({ "passwordSecret": { "name": "gone" } }), vec!["passwordSecret unknownReference"]),
        (json!({ "nodeSelectors": [{}, {}] }), vec!["nodeSelectors[1] duplicate"]),
        (json!({ "newField": 1 }), vec!["newField unsupported (warning)"]),
    ] {
        let secret =
            |name: &str, kind: &str, data: Value| json!({ "kind": "Secret", "metadata": { "name": name }, "type": kind, "data": data });
        let list = [
            object("BGPPeer", "p", with(&base, extra.clone())),
            secret("good", "kubernetes.io/basic-auth", json!({ "password": "c2VjcmV0" })),
            secret("opaque", "Opaque", json!({ "password": "c2VjcmV0" })),
            secret("keyless", "kubernetes.io/basic-auth", json!({})),
        ];
        let config = Config::build(&objects(&list), &Config::default());
        assert_eq!(said(&config), expected, "{extra}");
        assert_eq!(config.peers.is_empty(), config.is_stale(), "{extra}");
    }
}

#[test]
fn advertisements_are_refused_for_what_cannot_be() {
    let pools = [
        object("IPAddressPool", "quarter", json!({ "addresses": ["10.0.0.0/26"] })),
        object("IPAddressPool", "range", json!({ "addresses": ["10.0.1.2-10.0.1.254"] })),
        object("Community", "c", json!({ "communities": [{ "name": "mine", "value": "1:2" }, { "name": "no-export", "value": "3:4" }] })),
    ];
    for (spec, expected) in [
        (json!({}), vec![]),
        (json!({ "aggregationLength": 33 }), vec!["aggregationLength invalid"]),
        (json!({ "aggregationLengthV6": 0 }), vec!["aggregationLengthV6 invalid"]),
        (json!({ "ipAddressPools": ["quarter"], "aggregationLength": 26 }), vec![]),
        (json!({ "ipAddressPools": ["quarter"], "aggregationLength": 24 }), vec!["aggregationLength invalid"]),
        (json!({ "ipAddressPools": ["range"], "aggregationLength": 26 }), vec![]),
        (json!({ "ipAddressPools": ["range"], "aggregationLength": 25 }), vec!["aggregationLength invalid"]),
        (json!({ "communities": ["mine", "no-export", "no-advertise", "1:1", "large:1:2:3"] }), vec![]),
        (json!({ "communities": ["nobody"] }), vec!["communities[0] unknownReference"]),
        (json!({ "communities": ["1:2:3"] }), vec!["communities[0] invalid"]),
        (json!({ "communities": ["1:1", "1:1"] }), vec!["communities[1] duplicate"]),
        (json!({ "ipAddressPools": ["quarter", "quarter"] }), vec!["ipAddressPools[1] duplicate"]),
        (json!({ "ipAddressPools": ["gone"] }), vec!["ipAddressPools unknownReference (warning)"]),
        (json!({ "peers": ["gone"] }), vec!["peers unknownReference (warning)"]),
        (json!({ "serviceSelectors": [{}], "aggregationLength": 31 }), vec!["serviceSelectors conflict"]),
        (json!({ "nodeSelectors": [{ "matchExpressions": [{ "key": "a", "operator": "Is" }] }] }), vec!["nodeSelectors[0] invalid"]),
    ] {
        let list = [&pools[..], &[object("BGPAdvertisement", "a", spec.clone())]].concat();
        let config = Config::build(&objects(&list), &Config::default());
        assert_eq!(said(&config), expected, "{spec}");
    }
    let list = [&pools[..], &[object("BGPAdvertisement", "a", json!({ "communities": ["no-export"] }))]].concat();
    let config = Config::build(&objects(&list), &Config::default());
    assert_eq!(config.advertisements["a"].communities, BTreeSet::from([AnyCommunity::parse("3:4").unwrap()]), "the user's alias wins");
}

#[test]
fn contradicting_advertisements_are_reported_where_they_can_meet() {
    let pool = object("IPAddressPool", "p", json!({ "addresses": ["10.0.0.0/24"] }));
    let peers = ["x", "y"].map(|name| object("BGPPeer", name, json!({ "myASN": 1, "peerASN": 2, "peerAddress": "10.9.9.9" })));
    for (one, other, meet) in [
        (json!({ "localPref": 1 }), json!({ "localPref": 2 }), true),
        (json!({ "localPref": 1 }), json!({ "localPref": 1 }), false),
        (json!({ "localPref": 1 }), json!({ "localPref": 2, "aggregationLength": 30 }), false),
        (json!({ "localPref": 1, "peers": ["x"] }), json!({ "localPref": 2, "peers": ["y"] }), false),
        (json!({ "localPref": 1, "peers": ["x"] }), json!({ "localPref": 2 }), true),
    ] {
        let list =
            [&peers[..], &[pool.clone(), object("BGPAdvertisement", "a", one.clone()), object("BGPAdvertisement", "b", other.clone())]]
                .concat();
        let config = Config::build(&objects(&list), &Config::default());
        let expected: &[&str] = if meet { &["localPref conflict (warning)"] } else { &[] };
        assert_eq!(said(&config), expected, "{one} {other}");
    }
}

#[test]
fn the_rest_is_reported_too() {
    let list = [
        object("BFDProfile", "f", json!({ "receiveInterval": 5, "detectMultiplier": 1, "echoMode": true })),
        object(
            "Community",
            "c",
            json!({ "communities": [{ "name": "a", "value": "1" }, { "name": "b", "value": "1:1" }, { "name": "b", "value": "1:2" }] }),
        ),
        object("L2Advertisement", "l", json!({})),
        object("IPAddressPool", "p", json!({ "addresses": ["10.0.0.1", "10.0.0.0/24", "10.0.0.9-10.0.0.9"], "extra": true })),
        object("IPAddressPool", "q", json!({ "addresses": [], "serviceAllocation": { "namespaces": ["a", "a"] } })),
    ];
    let config = Config::build(&objects(&list), &Config::default());
    assert_eq!(
        said(&config),
        [
            "communities[0] invalid",
            "communities[2] duplicate",
            "receiveInterval invalid",
            "detectMultiplier invalid",
            "echoMode unsupported (warning)",
            "extra unsupported (warning)",
            "addresses[0] invalid",
            "addresses[2] overlap",
            "addresses missing",
            "serviceAllocation.namespaces[1] duplicate",
            " unsupported (warning)",
        ]
    );
    assert_eq!(config.broken_pools.len(), 2);
}

#[test]
fn the_last_valid_version_of_a_bad_object_stays() {
    let pool = |addresses: &str| object("IPAddressPool", "p", json!({ "addresses": [addresses] }));
    let peer = |port: u32| object("BGPPeer", "x", json!({ "myASN": 1, "peerASN": 2, "peerAddress": "10.9.9.9", "peerPort": port }));
    let good = Config::build(&objects(&[pool("10.0.0.0/24"), peer(1179)]), &Config::default());
    let bad = Config::build(&objects(&[pool("10.0.0.0/33"), peer(0)]), &good);
    assert_eq!((&bad.pools, &bad.peers), (&good.pools, &good.peers));
    assert!(bad.is_stale() && bad.broken_pools.is_empty());
    let gone = Config::build(&Objects::default(), &bad);
    assert!(gone.pools.is_empty() && gone.peers.is_empty());
}

#[test]
fn a_new_pool_takes_no_addresses_from_one_that_works() {
    let pool = |name: &str, addresses: &str| object("IPAddressPool", name, json!({ "addresses": [addresses] }));
    let before = Config::build(&objects(&[pool("z", "10.0.0.0/24")]), &Config::default());
    let after = Config::build(&objects(&[pool("a", "10.0.0.128/25"), pool("z", "10.0.0.0/24")]), &before);
    assert_eq!(after.pools.keys().collect::<Vec<_>>(), ["z"]);
    assert_eq!(said(&after), ["addresses[0] overlap"]);
}

#[test]
fn old_peers_without_timers_have_the_defaults() {
    let value =
        object("BGPPeer", "x", json!({ "myASN": 1, "peerASN": 2, "peerAddress": "10.9.9.9", "holdTime": "0s", "keepaliveTime": "0s" }));
    let [new, old] = BGPPeer::KIND.served_by else { panic!("two versions are served") };
    assert_eq!(BGPPeer::parse(old, value.clone()).unwrap().spec.hold_time, None);
    assert_eq!(BGPPeer::parse(new, value).unwrap().spec.hold_time.as_deref(), Some("0s"));
}

/// Names and values.
type Fields = Vec<(&'static str, Value)>;

fn fields_of_peers(some: Value) -> Fields {
    vec![
        ("myASN", json!(7)),
        ("peerASN", json!(8)),
        ("dynamicASN", json!("external")),
        ("localASN", json!(9)),
        ("peerAddress", json!("10.0.0.9")),
        ("interface", json!("eth0")),
        ("sourceAddress", json!("10.0.0.8")),
        ("peerPort", json!(1179)),
        ("holdTime", json!("9s")),
        ("keepaliveTime", json!("7s")),
        ("connectTime", json!("7s")),
        ("routerID", json!("10.0.0.7")),
        ("nodeSelectors", some),
        ("password", json!("secret")),
        ("passwordSecret", json!({ "name": "absent" })),
        ("bfdProfile", json!("absent")),
        ("enableGracefulRestart", json!(true)),
        ("ebgpMultiHop", json!(true)),
        ("vrf", json!("red")),
        ("disableMP", json!(true)),
        ("dualStackAddressFamily", json!(true)),
    ]
}

/// Every field of every kind, with a value that is not its default, and the fields without which it cannot be looked at.
fn fields() -> Vec<(&'static str, Value, Fields)> {
    let some = json!([{ "matchLabels": { "a": "b" } }]);
    let pool = vec![
        ("addresses", json!(["10.9.0.0/24"])),
        ("autoAssign", json!(false)),
        ("avoidBuggyIPs", json!(true)),
        ("serviceAllocation", json!({ "priority": 5 })),
        ("serviceAllocation", json!({ "namespaces": ["x"] })),
        ("serviceAllocation", json!({ "namespaceSelectors": some })),
        ("serviceAllocation", json!({ "serviceSelectors": some })),
    ];
    let advertisement = vec![
        ("aggregationLength", json!(30)),
        ("aggregationLengthV6", json!(120)),
        ("localPref", json!(7)),
        ("communities", json!(["1:2"])),
        ("ipAddressPools", json!(["p"])),
        ("ipAddressPoolSelectors", some.clone()),
        ("nodeSelectors", some.clone()),
        ("peers", json!(["tor"])),
        ("serviceSelectors", some.clone()),
    ];
    let bfd = vec![
        ("receiveInterval", json!(50)),
        ("transmitInterval", json!(50)),
        ("detectMultiplier", json!(5)),
        ("echoInterval", json!(20)),
        ("echoMode", json!(true)),
        ("passiveMode", json!(true)),
        ("minimumTtl", json!(9)),
    ];
    let layer2 = ["ipAddressPools", "ipAddressPoolSelectors", "nodeSelectors", "interfaces", "serviceSelectors", "preferredNodeSelectors"];
    vec![
        ("IPAddressPool", json!({ "addresses": ["10.8.0.0/24"] }), pool),
        ("BGPPeer", json!({ "myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1" }), fields_of_peers(some)),
        ("BGPAdvertisement", json!({}), advertisement),
        ("BFDProfile", json!({}), bfd),
        ("Community", json!({}), vec![("communities", json!([{ "name": "x", "value": "nonsense" }]))]),
        ("L2Advertisement", json!({}), layer2.map(|field| (field, json!([]))).into()),
        ("BGPPeer", json!({ "myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1" }), vec![("addedLater", json!(1))]),
        ("IPAddressPool", json!({ "addresses": ["10.8.0.0/24"] }), vec![("addedLater", json!(1))]),
        ("BGPAdvertisement", json!({}), vec![("addedLater", json!(1))]),
        ("BFDProfile", json!({}), vec![("addedLater", json!(1))]),
    ]
}

#[test]
fn no_field_of_any_kind_is_ignored_without_a_word() {
    for (kind, base, fields) in fields() {
        let build = |spec: Value| {
            let mut all = vec![object(kind, "subject", spec)];
            if kind != "IPAddressPool" {
                all.push(object("IPAddressPool", "p", json!({ "addresses": ["10.8.0.0/24", "2001:db8::/112"] })));
            }
            Config::build(&objects(&all), &Config::default())
        };
        let plain = build(base.clone());
        for (field, value) in fields {
            let with_it = build(with(&base, json!({ field: value })));
            let said = with_it.complaints.iter().any(|c| c.object.kind == kind && (c.path.contains(field) || kind == "L2Advertisement"));
            assert!(said || with_it != plain, "{kind}: spec.{field} = {value} changes nothing and nobody says so");
        }
    }
}
