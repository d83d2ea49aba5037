//! The custom resource definitions, out of the types of the objects. `config/kubernetes/crds` holds what this makes;
//! `UPDATE_CRDS=1` writes it.

use super::*;
use crate::kube::metallb::status::{ConfigurationState, PoolStatus, ServiceBgpStatus};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, json};
use std::path::PathBuf;

/// Rules in the Common Expression Language, each with what is told where it does not hold.
#[derive(Clone, Copy)]
pub(super) struct Rules(&'static [(&'static str, &'static str)]);

impl From<Rules> for Value {
    fn from(Rules(rules): Rules) -> Self {
        rules.iter().map(|(rule, message)| json!({ "rule": rule, "message": message })).collect()
    }
}

impl Serialize for Rules {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Value::from(*self).serialize(serializer)
    }
}

pub(super) const PEER_RULES: Rules = Rules(&[
    (
        "(has(self.peerASN) && self.peerASN != 0) != (has(self.dynamicASN) && self.dynamicASN != '')",
        "exactly one of peerASN and dynamicASN is required",
    ),
    (
        "(has(self.peerAddress) && self.peerAddress != '') != (has(self.interface) && self.interface != '')",
        "exactly one of peerAddress and interface is required",
    ),
    (
        "!(has(self.password) && self.password != '' && has(self.passwordSecret) && has(self.passwordSecret.name))",
        "password and passwordSecret exclude each other",
    ),
]);
pub(super) const CONNECT_RULES: Rules = Rules(&[
    ("duration(self).getSeconds() >= 1 && duration(self).getSeconds() <= 65535", "connectTime is between 1 second and 65535 seconds"),
    ("duration(self).getMilliseconds() % 1000 == 0", "connectTime is in whole seconds"),
]);
pub(super) const ADVERTISEMENT_RULES: Rules = Rules(&[(
    "!has(self.serviceSelectors) || size(self.serviceSelectors) == 0 || ((!has(self.aggregationLength) || self.aggregationLength == 32) && \
     (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128))",
    "serviceSelectors and aggregation exclude each other",
)]);

/// One definition, less its schema.
struct Definition {
    kind: &'static str,
    plural: &'static str,
    /// Best first, which is the one that is stored. The others are deprecated.
    versions: &'static [&'static str],
    columns: &'static [Column],
    /// The object cannot be without a spec.
    needs_spec: bool,
}

/// Name, type, path, and priority: above 0 it is shown by `-o wide` only.
type Column = (&'static str, &'static str, &'static str, u8);

#[test]
fn the_shipped_definitions_are_those_of_the_types() {
    let nothing = || json!({ "type": "object" });
    let all = [
        (IP_ADDRESS_POOL, schema::<IPAddressPoolSpec>(), schema::<PoolStatus>()),
        (BGP_PEER, schema::<BGPPeerSpec>(), nothing()),
        (BGP_ADVERTISEMENT, schema::<BGPAdvertisementSpec>(), nothing()),
        (L2_ADVERTISEMENT, schema::<L2AdvertisementSpec>(), nothing()),
        (BFD_PROFILE, schema::<BFDProfileSpec>(), nothing()),
        (COMMUNITY, schema::<CommunitySpec>(), nothing()),
        (SERVICE_BGP_STATUS, nothing(), schema::<ServiceBgpStatus>()),
        (CONFIGURATION_STATE, nothing(), timed(schema::<ConfigurationState>())),
    ];
    for (definition, spec, status) in all {
        let file = format!("{GROUP}_{}.yaml", definition.plural);
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/kubernetes/crds").join(file);
        let text = serde_saphyr::to_string(&definition.resource(&spec, &status)).unwrap();
        let text = format!("{HEAD}{}\n", text.trim_end());
        if std::env::var_os("UPDATE_CRDS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let shipped = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(shipped == text, "{} is not what the types say; UPDATE_CRDS=1 writes it", path.display());
    }
}

/// What the API server would not take, or would take in a way of its own.
#[test]
fn schemas_are_structural() {
    for schema in [schema::<BGPPeerSpec>(), schema::<IPAddressPoolSpec>(), schema::<L2AdvertisementSpec>(), schema::<ServiceBgpStatus>()] {
        every(&schema, &mut |node| {
            for key in ["$ref", "$defs", "title", "anyOf", "x-default"] {
                assert!(!node.contains_key(key), "{key} in {node:?}");
            }
            assert!(node.get("type").is_none_or(Value::is_string), "{node:?}");
            assert!(node.get("additionalProperties").is_none_or(Value::is_object), "{node:?}");
            assert!(!(node.contains_key("properties") && node.contains_key("additionalProperties")), "{node:?}");
        });
    }
    let peer = schema::<BGPPeerSpec>();
    assert_eq!(peer["properties"]["peerASN"]["maximum"], json!(u32::MAX), "AS numbers of four octets fit");
    assert!(peer["properties"]["peerASN"].get("format").is_none());
}

const HEAD: &str = "# Generated from the types in src/kube/metallb/objects.rs; UPDATE_CRDS=1 cargo test --lib objects writes it anew.\n";

const IP_ADDRESS_POOL: Definition = Definition {
    kind: IPAddressPool::KIND.name,
    plural: IPAddressPool::KIND.plural,
    versions: &["v1beta1"],
    columns: &[
        ("Auto Assign", "boolean", ".spec.autoAssign", 0),
        ("Avoid Buggy IPs", "boolean", ".spec.avoidBuggyIPs", 0),
        ("Addresses", "string", ".spec.addresses", 0),
    ],
    needs_spec: true,
};
const BGP_PEER: Definition = Definition {
    kind: BGPPeer::KIND.name,
    plural: BGPPeer::KIND.plural,
    versions: &["v1beta2", "v1beta1"],
    columns: &[
        ("Address", "string", ".spec.peerAddress", 0),
        ("ASN", "string", ".spec.peerASN", 0),
        ("BFD Profile", "string", ".spec.bfdProfile", 0),
        ("Multi Hops", "string", ".spec.ebgpMultiHop", 0),
    ],
    needs_spec: true,
};
const BGP_ADVERTISEMENT: Definition = Definition {
    kind: BGPAdvertisement::KIND.name,
    plural: BGPAdvertisement::KIND.plural,
    versions: &["v1beta1"],
    columns: &[
        ("IPAddressPools", "string", ".spec.ipAddressPools", 0),
        ("IPAddressPool Selectors", "string", ".spec.ipAddressPoolSelectors", 0),
        ("Peers", "string", ".spec.peers", 0),
        ("Node Selectors", "string", ".spec.nodeSelectors", 10),
    ],
    needs_spec: false,
};
const L2_ADVERTISEMENT: Definition = Definition {
    kind: L2Advertisement::KIND.name,
    plural: L2Advertisement::KIND.plural,
    versions: &["v1beta1"],
    columns: &[
        ("IPAddressPools", "string", ".spec.ipAddressPools", 0),
        ("IPAddressPool Selectors", "string", ".spec.ipAddressPoolSelectors", 0),
        ("Interfaces", "string", ".spec.interfaces", 0),
        ("Node Selectors", "string", ".spec.nodeSelectors", 10),
    ],
    needs_spec: false,
};
const BFD_PROFILE: Definition = Definition {
    kind: BFDProfile::KIND.name,
    plural: BFDProfile::KIND.plural,
    versions: &["v1beta1"],
    columns: &[
        ("Passive Mode", "boolean", ".spec.passiveMode", 0),
        ("Transmit Interval", "integer", ".spec.transmitInterval", 0),
        ("Receive Interval", "integer", ".spec.receiveInterval", 0),
        ("Multiplier", "integer", ".spec.detectMultiplier", 0),
    ],
    needs_spec: false,
};
const COMMUNITY: Definition =
    Definition { kind: Community::KIND.name, plural: Community::KIND.plural, versions: &["v1beta1"], columns: &[], needs_spec: false };
const SERVICE_BGP_STATUS: Definition = Definition {
    kind: "ServiceBGPStatus",
    plural: "servicebgpstatuses",
    versions: &["v1beta1"],
    columns: &[
        ("Node", "string", ".status.node", 0),
        ("Service Name", "string", ".status.serviceName", 0),
        ("Service Namespace", "string", ".status.serviceNamespace", 0),
    ],
    needs_spec: false,
};
const CONFIGURATION_STATE: Definition = Definition {
    kind: "ConfigurationState",
    plural: "configurationstates",
    versions: &["v1beta1"],
    columns: &[
        ("Result", "string", ".status.result", 0),
        ("ErrorSummary", "string", ".status.errorSummary", 10),
        ("Age", "date", ".metadata.creationTimestamp", 0),
    ],
    needs_spec: false,
};

impl Definition {
    fn resource(&self, spec: &Value, status: &Value) -> Value {
        let text = json!({ "type": "string" });
        let mut schema = json!({
            "type": "object",
            "properties": { "apiVersion": text, "kind": text, "metadata": { "type": "object" }, "spec": spec, "status": status },
        });
        if self.needs_spec {
            schema["required"] = json!(["spec"]);
        }
        let columns = |column: &Column| {
            let (name, kind, path, priority) = column;
            let mut column = json!({ "name": name, "type": kind, "jsonPath": path });
            if *priority > 0 {
                column["priority"] = json!(priority);
            }
            column
        };
        let versions = self.versions.iter().enumerate().map(|(i, name)| {
            let mut version = json!({
                "name": name,
                "served": true,
                "storage": i == 0,
                "schema": { "openAPIV3Schema": schema },
                "subresources": { "status": {} },
            });
            if i > 0 {
                version["deprecated"] = json!(true);
            }
            if !self.columns.is_empty() {
                version["additionalPrinterColumns"] = self.columns.iter().map(columns).collect();
            }
            version
        });
        let versions: Vec<Value> = versions.collect();
        let singular = self.kind.to_lowercase();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{}.{GROUP}", self.plural) },
            "spec": {
                "group": GROUP,
                "scope": "Namespaced",
                "names": { "kind": self.kind, "listKind": format!("{}List", self.kind), "plural": self.plural, "singular": singular },
                "versions": versions,
            },
        })
    }
}

/// The schema of a type as an API server takes it.
fn schema<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::openapi3();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    // What we leave out where it is empty is not required.
    settings.contract = schemars::generate::Contract::Serialize;
    let schema: Schema = settings.into_generator().into_root_schema_for::<T>();
    let mut value = schema.to_value();
    every_mut(&mut value, &mut tidy);
    value
}

fn tidy(node: &mut Map<String, Value>) {
    for key in ["$schema", "title", "default", "nullable"] {
        node.remove(key);
    }
    if let Some(default) = node.remove("x-default") {
        node.insert("default".to_owned(), default);
    }
    // Keys that we do not know are reported where we read them; an API server drops them.
    if node.get("additionalProperties").is_some_and(Value::is_boolean) || node.contains_key("properties") {
        node.remove("additionalProperties");
    }
    // `null` stands for what is absent; an API server drops it.
    if let Some(Value::Array(kinds)) = node.get("type") {
        let kind = kinds.iter().find(|kind| **kind != json!("null")).cloned().unwrap();
        node.insert("type".to_owned(), kind);
    }
    if let Some(bits) = node.get("format").and_then(Value::as_str).and_then(|format| format.strip_prefix("uint")) {
        if bits == "32" && !node.contains_key("maximum") {
            node.insert("maximum".to_owned(), json!(u32::MAX));
        }
        node.remove("format");
    }
    node.remove("uniqueItems");
}

/// The writer adds the time to conditions.
fn timed(mut state: Value) -> Value {
    state["properties"]["conditions"]["items"]["properties"]["lastTransitionTime"] = json!({ "type": "string", "format": "date-time" });
    state
}

fn every(value: &Value, look: &mut dyn FnMut(&Map<String, Value>)) {
    let Value::Object(node) = value else { return };
    look(node);
    let inner = node.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::values);
    inner.chain(node.get("items")).chain(node.get("additionalProperties")).for_each(|inner| every(inner, look));
}

/// Every schema within a schema, the outer ones first; names of properties are left alone.
fn every_mut(value: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    let Value::Object(node) = value else { return };
    change(node);
    for (key, inner) in node.iter_mut() {
        match (key.as_str(), inner) {
            ("properties", Value::Object(properties)) => properties.values_mut().for_each(|inner| every_mut(inner, change)),
            ("items" | "additionalProperties", inner) => every_mut(inner, change),
            _ => {}
        }
    }
}
