//! `config/kubernetes` and `config/prometheus`: what is shipped fits the API, itself, and the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::render::{documents, overlay, overlays, root};

/// What is read into the type of the API and written again is the same: no field is misspelt or in a wrong place.
fn same<T: DeserializeOwned + Serialize>(object: &Value) {
    let read: T = serde_json::from_value(object.clone()).unwrap_or_else(|e| panic!("{e}: {object}"));
    let (mut wrote, mut object) = (serde_json::to_value(read).unwrap(), object.clone());
    plain(&mut wrote);
    plain(&mut object);
    assert_eq!(wrote, object);
}

/// Limits are floating point numbers in the types of the API, and an absent field may be written as null.
fn plain(value: &mut Value) {
    match value {
        Value::Number(number) => *value = json!(number.as_f64()),
        Value::Array(list) => list.iter_mut().for_each(plain),
        Value::Object(fields) => {
            fields.retain(|_, inner| !inner.is_null());
            fields.values_mut().for_each(plain);
        }
        _ => {}
    }
}

#[test]
fn every_object_of_every_overlay_is_one_of_the_api() {
    for name in overlays() {
        for object in overlay(&name).values() {
            match object["kind"].as_str().unwrap() {
                "Namespace" => same::<Namespace>(object),
                "ServiceAccount" => same::<ServiceAccount>(object),
                "ConfigMap" => same::<ConfigMap>(object),
                "DaemonSet" => same::<DaemonSet>(object),
                "Deployment" => same::<Deployment>(object),
                "ClusterRole" => same::<ClusterRole>(object),
                "ClusterRoleBinding" => same::<ClusterRoleBinding>(object),
                "Role" => same::<Role>(object),
                "RoleBinding" => same::<RoleBinding>(object),
                "CustomResourceDefinition" => same::<CustomResourceDefinition>(object),
                kind => panic!("{name} has a {kind}"),
            }
        }
    }
}

#[test]
fn kustomize_makes_the_same_of_the_overlays() {
    for name in overlays() {
        let folder = root().join("kubernetes/overlays").join(&name);
        let Ok(made) = Command::new("kubectl").arg("kustomize").arg(folder).output() else {
            println!("SKIP: there is no kubectl to compare with");
            return;
        };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let theirs = documents(&String::from_utf8(made.stdout).unwrap());
        let theirs: BTreeMap<_, _> = theirs.into_iter().map(|object| (super::render::id(&object), trimmed(object))).collect();
        let ours: BTreeMap<_, _> = overlay(&name).into_iter().map(|(id, object)| (id, trimmed(object))).collect();
        assert_eq!(theirs, ours, "{name}");
    }
}

/// kustomize drops the line end of a text at the end of a patch.
fn trimmed(mut object: Value) -> Value {
    if let Some(data) = object["data"]["kubgp.yaml"].as_str().map(|text| text.trim_end().to_owned()) {
        object["data"]["kubgp.yaml"] = json!(data);
    }
    object
}

/// A DaemonSet or Deployment, and what it runs with.
struct Workload {
    object: Value,
    pod: Value,
    container: Value,
    /// The text of its configuration, and that as YAML.
    text: String,
    config: Value,
    roles: BTreeSet<String>,
}

fn workloads(name: &str) -> Vec<Workload> {
    let objects = overlay(name);
    let runs = objects.values().filter(|o| o["kind"] == "DaemonSet" || o["kind"] == "Deployment");
    let read = |object: &Value| {
        let pod = object["spec"]["template"]["spec"].clone();
        let namespace = object["metadata"]["namespace"].as_str().unwrap();
        let map = pod["volumes"][0]["configMap"]["name"].as_str().unwrap();
        let map = objects.get(&format!("ConfigMap {namespace}/{map}")).unwrap_or_else(|| panic!("{name}: no ConfigMap {map}"));
        let account = format!("ServiceAccount {namespace}/{}", pod["serviceAccountName"].as_str().unwrap());
        assert!(objects.contains_key(&account), "{name}: no {account}");
        let text = map["data"]["kubgp.yaml"].as_str().unwrap().to_owned();
        let config = documents(&text).remove(0);
        let roles = config["kubernetes"]["roles"].as_array().unwrap().iter().map(|role| role.as_str().unwrap().to_owned()).collect();
        Workload { container: pod["containers"][0].clone(), object: object.clone(), pod, text, config, roles }
    };
    runs.map(read).collect()
}

fn all_workloads() -> Vec<Workload> {
    overlays().iter().flat_map(|name| workloads(name)).collect()
}

/// Seconds of `20s`.
fn seconds(text: &Value) -> u64 {
    text.as_str().and_then(|text| text.strip_suffix('s')?.parse().ok()).unwrap_or(0)
}

#[test]
fn configurations_are_good_and_fit_the_pods_that_mount_them() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kubgp.yaml");
    for Workload { object, pod, container, text, config, .. } in all_workloads() {
        let name = &object["metadata"]["name"];
        std::fs::write(&file, &text).unwrap();
        let daemon = env!("CARGO_BIN_EXE_kubgpd");
        let check = Command::new(daemon).arg("--check").arg("--config").arg(&file).env("NODE_NAME", "n1").output().unwrap();
        let said = String::from_utf8_lossy(&check.stderr);
        assert!(check.status.success(), "{name}: {said}");

        // Names, paths and ports that two places have to agree on.
        assert_eq!(object["spec"]["selector"]["matchLabels"], object["spec"]["template"]["metadata"]["labels"], "{name}");
        assert_eq!(container["image"], json!(format!("kubgp:{}", env!("CARGO_PKG_VERSION"))), "{name}");
        assert_eq!(container["args"], json!(["--config", "/etc/kubgp/kubgp.yaml"]));
        assert_eq!(container["env"][0]["name"], json!("NODE_NAME"));
        let mounts: Vec<_> = container["volumeMounts"].as_array().unwrap().iter().map(|m| (&m["name"], &m["mountPath"])).collect();
        assert_eq!(mounts, [(&json!("config"), &json!("/etc/kubgp")), (&json!("run"), &json!("/run/kubgp"))], "{name}");
        let port = &container["ports"][0];
        let listen = config["metrics"]["listen"].as_str().unwrap();
        assert_eq!(listen, format!("0.0.0.0:{}", port["containerPort"]), "{name}: Prometheus comes from elsewhere");
        let on_host = pod["hostNetwork"] == json!(true);
        for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            let get = &container[probe]["httpGet"];
            assert_eq!((&get["path"], &get["port"]), (&json!(path), &port["name"]), "{name}");
            assert_eq!(get["host"], if on_host { json!("127.0.0.1") } else { Value::Null }, "{name}");
        }
        let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(grace >= seconds(&config["drain"]["gracePeriod"]) + 10, "{name} is killed while it drains");
    }
}

#[test]
fn no_pod_may_do_more_than_its_role_needs() {
    for Workload { object, pod, container, config, roles, .. } in all_workloads() {
        let name = &object["metadata"]["name"];
        let has = |role: &str| roles.contains(role);
        let listens = config["listen"] != json!([]);
        let mut needed = Vec::new();
        if has("node") {
            needed.push("NET_ADMIN");
        }
        if listens {
            needed.push("NET_BIND_SERVICE");
        }
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], json!(false), "{name}");
        assert_eq!(security["readOnlyRootFilesystem"], json!(true), "{name}");
        assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{name}");
        assert_eq!(security["capabilities"].get("add").cloned().unwrap_or_else(|| json!([])), json!(needed), "{name}");
        assert!(security.get("privileged").is_none(), "{name}");
        // Capabilities reach no other user than root here: allowPrivilegeEscalation is off, and Kubernetes gives no ambient ones.
        assert_eq!(pod["securityContext"]["runAsNonRoot"] == json!(true), needed.is_empty(), "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], json!("RuntimeDefault"), "{name}");
        for key in ["hostPID", "hostIPC", "shareProcessNamespace", "initContainers"] {
            assert!(pod.get(key).is_none(), "{name}: {key}");
        }
        assert_eq!(pod["containers"].as_array().unwrap().len(), 1, "{name}");
        assert!(container["resources"]["requests"]["cpu"].is_string() && container["resources"]["limits"]["memory"].is_string(), "{name}");
        let critical = if object["kind"] == "DaemonSet" { "system-node-critical" } else { "system-cluster-critical" };
        assert_eq!(pod["priorityClassName"], json!(critical), "{name}");
    }
}

#[test]
fn reflectors_run_on_the_nodes_of_their_pool_and_on_no_other() {
    let all = workloads("route-reflector");
    let [Workload { pod, .. }] = &all[..] else { panic!("one workload") };
    assert_eq!(pod["nodeSelector"]["dedicated"], json!("route-reflector"));
    let toleration = json!({"key": "dedicated", "operator": "Equal", "value": "route-reflector", "effect": "NoExecute"});
    assert!(pod["tolerations"].as_array().unwrap().contains(&toleration));
    // Where they have a host to themselves, no other daemon of ours wants its port.
    let node = workloads("all-in-one").into_iter().find(|w| w.roles.contains("node")).unwrap();
    let terms = &node.pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    let apart = json!([{"matchExpressions": [{"key": "dedicated", "operator": "NotIn", "values": ["route-reflector"]}]}]);
    assert_eq!(*terms, apart);
    assert_eq!(node.pod["tolerations"], json!([{"operator": "Exists"}]), "nodes are for every taint");
}

#[test]
fn bindings_name_what_there_is() {
    for name in overlays() {
        let objects = overlay(&name);
        for binding in objects.values().filter(|o| o["kind"].as_str().is_some_and(|kind| kind.ends_with("RoleBinding"))) {
            let (kind, role) = (binding["roleRef"]["kind"].as_str().unwrap(), binding["roleRef"]["name"].as_str().unwrap());
            let namespace = if kind == "Role" { binding["metadata"]["namespace"].as_str().unwrap() } else { "" };
            assert!(objects.contains_key(&format!("{kind} {namespace}/{role}")), "{name}: {binding}");
            for subject in binding["subjects"].as_array().unwrap() {
                let (namespace, account) = (subject["namespace"].as_str().unwrap(), subject["name"].as_str().unwrap());
                assert!(objects.contains_key(&format!("ServiceAccount {namespace}/{account}")), "{name}: {binding}");
            }
        }
    }
}
