use super::values::{AsNumber, PeerAddress, Wait};
use super::*;
use crate::kube::objects::Object;
use serde_json::json;
use std::time::Duration;

#[test]
fn as_numbers_are_numbers_or_dotted() {
    for (text, number) in [("64512", 64512), ("0", 0), ("1.10", 65546), ("4294967295", u32::MAX), ("65535.65535", u32::MAX)] {
        assert_eq!(text.parse(), Ok(AsNumber(number)), "{text}");
        assert_eq!(serde_json::from_value::<AsNumber>(json!(text)).unwrap(), AsNumber(number));
    }
    for text in ["", "x", "1.65536", "65536.1", "1.", ".1", "1.2.3", "-1", "+1", "4294967296"] {
        assert_eq!(text.parse::<AsNumber>(), Err(()), "{text}");
    }
    assert_eq!(serde_json::from_value::<AsNumber>(json!(4_294_967_295u32)).unwrap(), AsNumber(u32::MAX));
    assert!(serde_json::from_value::<AsNumber>(json!(4_294_967_296u64)).is_err());
    assert!(serde_json::from_value::<AsNumber>(json!(-1)).is_err());
}

#[test]
fn durations_are_those_of_kubernetes() {
    for (text, millis) in [("0", 0), ("90s", 90_000), ("1h30m", 5_400_000), ("1.5s", 1500), ("2m0s", 120_000), ("300ms", 300)] {
        assert_eq!(text.parse(), Ok(Wait(Duration::from_millis(millis))), "{text}");
    }
    for text in ["", "90", "s", "1x", "1h30", "-1s", "1..5s"] {
        assert_eq!(text.parse::<Wait>(), Err(()), "{text}");
    }
}

#[test]
fn peer_addresses_may_have_a_port() {
    let at = |ip: &str, port| Ok(PeerAddress { ip: ip.parse().unwrap(), port });
    assert_eq!("10.0.0.1".parse(), at("10.0.0.1", None));
    assert_eq!("10.0.0.1:1790".parse(), at("10.0.0.1", Some(1790)));
    assert_eq!("fd00::1".parse(), at("fd00::1", None));
    assert_eq!("[fd00::1]:1790".parse(), at("fd00::1", Some(1790)));
    for text in ["", "host", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:99999", "[fd00::1]", "[10.0.0.1]:179", "10.0.0.1:1:2"] {
        assert!(text.parse::<PeerAddress>().is_err(), "{text}");
    }
}

#[test]
fn v1_storage_is_unfolded_and_v3_is_not() {
    let object = json!({
        "metadata": {
            "name": "raw", "resourceVersion": "5", "labels": {"projectcalico.org/x": "1", "a": "raw"},
            "annotations": {"projectcalico.org/metadata": r#"{"name":"Real","labels":{"a":"stored"},"annotations":{"note":"n"}}"#, "kept": "k"}
        },
        "spec": {"node": "n1", "cidr": "10.0.0.0/26", "deleted": "true", "unknown": {"x": []}}
    });
    let v1 = BlockAffinity::parse(&CRD_V1, object.clone()).unwrap();
    assert_eq!(v1.metadata.name, "Real");
    assert_eq!((v1.metadata.label("a"), v1.metadata.label("projectcalico.org/x")), (Some("stored"), Some("1")));
    assert_eq!((v1.metadata.annotation("note"), v1.metadata.annotation("kept")), (Some("n"), Some("k")));
    assert_eq!((v1.metadata.annotation("projectcalico.org/metadata"), v1.metadata.resource_version.as_str()), (None, "5"));
    assert!(v1.spec.deleted);
    let v3 = BlockAffinity::parse(&V3, object).unwrap();
    assert_eq!((v3.metadata.name.as_str(), v3.metadata.label("a")), ("raw", Some("raw")));
    let broken = json!({"metadata": {"name": "x", "annotations": {"projectcalico.org/metadata": "{"}}, "spec": {}});
    assert!(BlockAffinity::parse(&CRD_V1, broken).unwrap_err().starts_with("annotation projectcalico.org/metadata"));
}

#[test]
fn what_is_absent_or_null_has_its_default() {
    for deleted in [json!(false), json!("false"), json!(null), json!("")] {
        let affinity = BlockAffinity::parse(&CRD_V1, json!({"metadata": {"name": "a"}, "spec": {"deleted": deleted}})).unwrap();
        assert!(!affinity.spec.deleted, "{deleted}");
    }
    assert!(BlockAffinity::parse(&CRD_V1, json!({"metadata": {"name": "a"}, "spec": {"deleted": 1}})).is_err());
    let empty = BgpConfiguration::parse(&V3, json!({"metadata": {"name": "default"}, "spec": null})).unwrap();
    assert_eq!(empty.spec, BgpConfigurationSpec::default());
    let status = json!({"metadata": {"name": "s"}, "spec": {"node": "n1", "classes": ["BGP"], "updatePeriodSeconds": 10}, "status": {}});
    assert_eq!(CalicoNodeStatus::parse(&V3, status).unwrap().spec.update_period_seconds, 10);
}

#[test]
fn filters_are_judged_rule_by_rule() {
    let problems = |rule: serde_json::Value| {
        let spec: BgpFilterSpec = serde_json::from_value(json!({"exportV4": [rule]})).unwrap();
        spec.problems().into_iter().map(|p| format!("{}: {}", p.field, p.message)).collect::<Vec<_>>()
    };
    assert_eq!(problems(json!({"action": "Accept"})), Vec::<String>::new());
    for (rule, start) in [
        (json!({"action": ""}), "spec.exportV4[0].action"),
        (json!({"action": "Accept", "cidr": "10.0.0.0/8"}), "spec.exportV4[0].cidr"),
        (json!({"action": "Accept", "cidr": "10.0.0.0/8", "matchOperator": "Near"}), "spec.exportV4[0].matchOperator"),
        (json!({"action": "Accept", "prefixLength": {"min": 24}}), "spec.exportV4[0].prefixLength"),
        (json!({"action": "Accept", "source": "Other"}), "spec.exportV4[0].source"),
        (json!({"action": "Accept", "peerType": "ibgp"}), "spec.exportV4[0].peerType"),
        (json!({"action": "Accept", "communities": {"values": []}}), "spec.exportV4[0].communities.values"),
        (json!({"action": "Accept", "communities": {"values": ["1:2", "1:3"]}}), "spec.exportV4[0].communities.values"),
        (json!({"action": "Accept", "communities": {"values": ["65536:1"]}}), "spec.exportV4[0].communities.values"),
        (json!({"action": "Accept", "communities": {"values": ["no-export"]}}), "spec.exportV4[0].communities.values"),
        (json!({"action": "Accept", "asPathPrefix": [0]}), "spec.exportV4[0].asPathPrefix"),
        (json!({"action": "Reject", "operations": [{"setPriority": {"value": 1}}]}), "spec.exportV4[0].operations"),
        (json!({"action": "Accept", "operations": [{}]}), "spec.exportV4[0].operations[0]"),
        (json!({"action": "Accept", "operations": [{"prependASPath": {"prefix": []}}]}), "spec.exportV4[0].operations[0]"),
        (json!({"action": "Accept", "operations": [{"setPriority": {"value": 4_000_000_000u32}}]}), "spec.exportV4[0].operations[0]"),
    ] {
        let found = problems(rule.clone());
        assert!(found.len() == 1 && found[0].starts_with(start), "{rule}: {found:?}");
    }
}

#[test]
fn what_no_translation_reads_is_dropped() {
    let attribute = json!({"handle_id": "h", "secondary": {"node": "n1", "pod": "p", "namespace": "x", "type": "vxlanTunnelAddress"}});
    let object = json!({
        "metadata": {"name": "b", "labels": {"a": "b"}, "annotations": {"c": "d"}},
        "spec": {"cidr": "10.0.0.0/30", "allocations": [null, 0], "attributes": [attribute]}
    });
    let mut block = IpamBlock::parse(&V3, object).unwrap();
    block.trim();
    assert!(block.metadata.labels.is_empty() && block.metadata.annotations.is_empty());
    let [attribute] = block.spec.attributes.as_slice() else { panic!("one attribute") };
    assert_eq!((attribute.node(), attribute.kind(), attribute.secondary.len()), (Some("n1"), Some("vxlanTunnelAddress"), 2));
}

#[test]
fn sessions_need_the_global_address_of_a_host() {
    for ip in ["10.0.0.1", "127.0.0.1", "fd00::1", "::1"] {
        assert!(is_host(ip.parse().unwrap()), "{ip}");
    }
    for ip in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "fe80::1"] {
        assert!(!is_host(ip.parse().unwrap()), "{ip}");
        let spec: BgpPeerSpec = serde_json::from_value(json!({"peerIP": ip, "asNumber": 64500})).unwrap();
        assert!(spec.problems().iter().any(|p| p.fatal && p.field == "spec.peerIP"), "{ip}");
    }
}
