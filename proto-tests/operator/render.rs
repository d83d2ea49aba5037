//! The manifests of `config/kubernetes` as an overlay makes them: the part of kustomize that they use, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::apiserver::patch::merge;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

pub fn overlays() -> Vec<String> {
    let entries = fs::read_dir(root().join("kubernetes/overlays")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The objects of an overlay by what names them.
pub fn overlay(name: &str) -> BTreeMap<String, Value> {
    let objects = render(&root().join("kubernetes/overlays").join(name));
    let count = objects.len();
    let named: BTreeMap<_, _> = objects.into_iter().map(|object| (id(&object), object)).collect();
    assert_eq!(named.len(), count, "{name} has an object twice");
    named
}

pub fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple::<Value>(text).unwrap().into_iter().filter(|document| !document.is_null()).collect()
}

/// `Kind namespace/name`.
pub fn id(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} {}/{}", text(&object["kind"]), text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

fn render(folder: &Path) -> Vec<Value> {
    let file = folder.join("kustomization.yaml");
    let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let [mut kustomization] = <[Value; 1]>::try_from(documents(&text)).unwrap();
    let fields = kustomization.as_object_mut().unwrap();
    assert_eq!(fields.remove("apiVersion"), Some(json!("kustomize.config.k8s.io/v1beta1")), "{}", file.display());
    assert_eq!(fields.remove("kind"), Some(json!("Kustomization")));
    let resources = fields.remove("resources").unwrap();
    let patches = fields.remove("patches").unwrap_or_else(|| json!([]));
    assert!(fields.is_empty(), "{}: a field that this test does not know: {fields:?}", file.display());
    let mut objects: Vec<Value> =
        resources.as_array().unwrap().iter().flat_map(|entry| resource(folder, entry.as_str().unwrap())).collect();
    for entry in patches.as_array().unwrap() {
        let [patch] = <[Value; 1]>::try_from(documents(entry["patch"].as_str().unwrap())).unwrap();
        apply(&mut objects, &patch);
    }
    objects
}

fn resource(folder: &Path, entry: &str) -> Vec<Value> {
    let path = folder.join(entry);
    if path.is_dir() {
        return render(&path);
    }
    assert!(!entry.contains('/'), "kustomize reads no file outside of the folder: {entry}");
    documents(&fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}

/// A patch must meet exactly one object.
fn apply(objects: &mut Vec<Value>, patch: &Value) {
    let (of, before) = (id(patch), objects.len());
    if patch["$patch"] == "delete" {
        objects.retain(|object| id(object) != of);
        assert_eq!(objects.len() + 1, before, "{of}");
        return;
    }
    let mut met: Vec<_> = objects.iter_mut().filter(|object| id(object) == of).collect();
    assert_eq!(met.len(), 1, "{of}");
    merge(met[0], patch);
}
