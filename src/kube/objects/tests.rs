use serde_json::json;

use super::*;

fn parse<T: Object>(value: Value) -> T {
    let mut object = T::parse(&T::KIND.served_by[0], value).expect("a good object");
    object.trim();
    object
}

#[test]
fn a_service_is_read_with_its_status_and_unknown_fields_are_ignored() {
    let service: Service = parse(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "labels": null, "annotations": {"a": "b"}, "resourceVersion": "7", "managedFields": []},
        "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.4", "clusterIPs": ["10.96.0.4"], "ipFamilies": ["IPv4"], "externalIPs": null,
                 "ports": [{"name": "http", "port": 80, "nodePort": 30080}], "sessionAffinity": "None"},
        "status": {"loadBalancer": {"ingress": [{"ip": "172.40.100.0", "ipMode": "VIP"}]}}
    }));
    assert_eq!(service.key().to_string(), "shop/web");
    assert_eq!(service.metadata.annotation("a"), Some("b"));
    assert_eq!(service.spec.ports, [ServicePort { protocol: "TCP".into(), port: 80 }]);
    assert_eq!(service.status.load_balancer.ingress[0].ip.as_deref(), Some("172.40.100.0"));
}

#[test]
fn a_port_out_of_range_is_an_error_that_says_so() {
    let error = Service::parse(&Service::KIND.served_by[0], json!({"spec": {"ports": [{"port": 70000}]}})).unwrap_err();
    assert!(error.contains("expected u16"), "{error}");
}

#[test]
fn endpoints_that_differ_only_in_their_address_are_one() {
    let slice: EndpointSlice = parse(json!({
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web", "x": "y"}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["10.1.0.2"], "conditions": {"ready": true}, "nodeName": "n2"},
            {"addresses": ["10.1.0.1"], "conditions": {"ready": true}, "nodeName": "n1", "targetRef": {"name": "pod"}},
            {"addresses": ["10.1.0.3"], "conditions": {"ready": true}, "nodeName": "n1"},
            {"addresses": [], "conditions": {"ready": true}, "nodeName": "n1"}
        ]
    }));
    assert_eq!(slice.service(), Some("web"));
    assert_eq!(slice.metadata.labels.len(), 1);
    let seen: Vec<_> = slice.endpoints.iter().map(|e| (e.node_name.as_deref(), e.has_address)).collect();
    assert_eq!(seen, [(Some("n1"), false), (Some("n1"), true), (Some("n2"), true)]);
}

#[test]
fn a_node_tells_its_addresses_and_conditions() {
    let node: Node = parse(json!({
        "metadata": {"name": "n1"}, "spec": {"podCIDRs": ["10.1.0.0/24"], "taints": [{"key": "dedicated", "value": "rr", "effect": "NoExecute"}]},
        "status": {"addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.1"}],
                   "conditions": [{"type": "NetworkUnavailable", "status": "False"}, {"type": "Ready", "status": "True", "lastHeartbeatTime": "x"}]}
    }));
    assert_eq!(node.addresses("InternalIP").collect::<Vec<_>>(), ["10.0.0.1"]);
    assert!(node.has_condition("Ready") && !node.has_condition("NetworkUnavailable"));
    assert_eq!(node.key().to_string(), "n1");
}

#[test]
fn a_secret_is_decoded_and_never_printed() {
    let secret: Secret = parse(json!({
        "metadata": {"name": "s"}, "type": "kubernetes.io/basic-auth",
        "data": {"password": "cGFzc3dvcmQ=", "a": "YQ==", "abc": "YWJj", "none": "", "high": "//79"}
    }));
    let octets = |key: &str| secret.data[key].0.clone();
    assert_eq!(octets("password"), b"password");
    assert_eq!((octets("a"), octets("abc"), octets("none")), (b"a".to_vec(), b"abc".to_vec(), Vec::new()));
    assert_eq!(octets("high"), [0xff, 0xfe, 0xfd]);
    assert!(!format!("{secret:?}").contains("password\","), "{secret:?}");
    let release: Secret = parse(json!({"metadata": {"name": "s"}, "data": {"release": "YWJj".repeat(400), "key": "YQ=="}}));
    assert_eq!(release.data.keys().collect::<Vec<_>>(), ["key"]);
    assert!(Secret::parse(&Secret::KIND.served_by[0], json!({"data": {"a": "YQ="}})).is_err());
}
