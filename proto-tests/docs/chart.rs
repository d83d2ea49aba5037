//! The Helm chart: its values fit its schema, its templates name values that there are, and its rights are those of the kustomize bases.

use super::{at, read};
use regex::Regex;
use serde_json::Value;

const CHART: &str = "config/helm/kubgp";
const COMPONENTS: [&str; 4] = ["vip", "allocator", "reflector", "node"];

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn values() -> Value {
    yaml(&read(&format!("{CHART}/values.yaml")))
}

/// The part of JSON Schema that the schema uses.
fn fits(path: &str, value: &Value, schema: &Value) {
    let kind = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        _ => "integer",
    };
    assert_eq!(schema["type"], kind, "{path}");
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(value), "{path}: {value}");
    }
    let (Some(fields), Some(known)) = (value.as_object(), schema["properties"].as_object()) else { return };
    assert_eq!(schema["additionalProperties"], Value::Bool(false), "{path}: a mistyped value has to be refused");
    for (name, value) in fields {
        fits(&format!("{path}.{name}"), value, known.get(name).unwrap_or_else(|| panic!("{path}.{name} is not in the schema")));
    }
    for name in known.keys().filter(|name| *name != "global") {
        assert!(fields.contains_key(name), "{path}.{name} has no default");
    }
}

#[test]
fn values_fit_their_schema() {
    let schema: Value = serde_json::from_str(&read(&format!("{CHART}/values.schema.json"))).expect("JSON");
    fits("values", &values(), &schema);
}

#[test]
fn templates_use_values_that_there_are() {
    let (name, values) = (Regex::new(r"\.Values((?:\.\w+)+)").expect("a pattern"), values());
    let (own, of_component) = (Regex::new(r"\$values\.(\w+)").expect("a pattern"), &values["vip"]);
    let mut seen = 0;
    for entry in std::fs::read_dir(at(CHART).join("templates")).expect("templates") {
        let path = entry.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("text");
        for found in name.captures_iter(&text) {
            let pointer = found[1].replace('.', "/");
            assert!(values.pointer(&pointer).is_some(), "{}: {}", path.display(), &found[0]);
            seen += 1;
        }
        for found in own.captures_iter(&text) {
            assert!(of_component.get(&found[1]).is_some(), "{}: {}", path.display(), &found[0]);
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn rights_are_those_of_the_manifests() {
    for component in COMPONENTS {
        let template = read(&format!("{CHART}/templates/{component}.yaml"));
        let start = format!("{{{{- define \"kubgp.{component}.rules\" -}}}}\n");
        let rules = template.split(&start).nth(1).expect("rules").split("{{- end }}").next().expect("an end");
        let rules = yaml(rules);
        let manifests = serde_saphyr::from_multiple::<Value>(&read(&format!("config/kubernetes/{component}/rbac.yaml"))).expect("YAML");
        for (kind, ours) in [("ClusterRole", &rules["cluster"]), ("Role", &rules["namespaced"])] {
            let role = manifests.iter().find(|object| object["kind"] == kind).expect("a role");
            assert_eq!(&role["rules"], ours, "{component}: {kind}");
        }
    }
}

/// Version of the crate, and files that are links to what is shipped elsewhere.
#[test]
fn the_chart_is_of_this_version_and_complete() {
    let chart = yaml(&read(&format!("{CHART}/Chart.yaml")));
    assert_eq!(
        (chart["version"].as_str(), chart["appVersion"].as_str()),
        (Some(env!("CARGO_PKG_VERSION")), Some(env!("CARGO_PKG_VERSION")))
    );
    assert_eq!(read(&format!("{CHART}/files/kubgp.rules.yaml")), read("config/prometheus/kubgp.rules.yaml"));
    let count = |folder: &str| std::fs::read_dir(at(folder)).expect(folder).filter(|e| e.as_ref().is_ok_and(|e| e.path().exists())).count();
    assert_eq!(count(&format!("{CHART}/crds")), count("config/kubernetes/crds") - 1, "all but the kustomization");
}
