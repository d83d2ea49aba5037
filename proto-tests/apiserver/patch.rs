//! The ways to change an object: merge patch (RFC 7386, also taken for strategic), JSON patch (RFC 6902), server-side apply.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Which managers hold which leaf of an object; paths are JSON pointers.
pub type Owners = BTreeMap<String, BTreeSet<String>>;

pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let fields = target.as_object_mut().expect("made an object above");
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// RFC 6902 without `move` and `copy`.
pub fn json_patch(target: &mut Value, operations: &Value) -> Result<(), String> {
    for operation in operations.as_array().ok_or("expected a list of operations")? {
        let path = operation["path"].as_str().ok_or("expected a path")?;
        let value = operation["value"].clone();
        match operation["op"].as_str() {
            Some("test") if target.pointer(path) == Some(&value) => {}
            Some("test") => return Err(format!("{path}: the test failed")),
            Some("add") => set(target, path, Some(value), true)?,
            Some("replace") => set(target, path, Some(value), false)?,
            Some("remove") => set(target, path, None, false)?,
            other => return Err(format!("{other:?}: operation not supported")),
        }
    }
    Ok(())
}

fn set(target: &mut Value, path: &str, value: Option<Value>, insert: bool) -> Result<(), String> {
    let (parent, last) = path.rsplit_once('/').ok_or_else(|| format!("{path}: expected a JSON pointer"))?;
    let last = last.replace("~1", "/").replace("~0", "~");
    match target.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            match value {
                Some(value) => fields.insert(last, value),
                None => Some(fields.remove(&last).ok_or_else(|| format!("{path}: not there"))?),
            };
        }
        Some(Value::Array(items)) => {
            let at = if last == "-" { items.len() } else { last.parse().map_err(|_| format!("{path}: expected an index"))? };
            match value {
                Some(value) if insert && at <= items.len() => items.insert(at, value),
                Some(value) if at < items.len() => items[at] = value,
                None if at < items.len() => drop(items.remove(at)),
                _ => return Err(format!("{path}: index out of range")),
            }
        }
        _ => return Err(format!("{path}: not there")),
    }
    Ok(())
}

/// Server-side apply. Err names the manager and the leaves that it holds with other values.
pub fn apply(target: &mut Value, owners: &mut Owners, manager: &str, force: bool, wanted: &Value) -> Result<(), String> {
    let wanted_leaves = leaves(wanted);
    let conflicts: Vec<_> = wanted_leaves
        .iter()
        .filter(|(path, value)| target.pointer(path).is_some_and(|present| present != *value))
        .filter_map(|(path, _)| {
            let other = owners.get(path)?.iter().find(|owner| *owner != manager)?;
            Some(format!("{path} (held by {other})"))
        })
        .collect();
    if !force && !conflicts.is_empty() {
        return Err(format!("apply failed with {} conflicts: {}", conflicts.len(), conflicts.join(", ")));
    }
    let given_up: Vec<_> = owners
        .iter()
        .filter(|(path, holders)| holders.contains(manager) && !wanted_leaves.contains_key(*path))
        .map(|(path, holders)| (path.clone(), holders.len() == 1))
        .collect();
    for (path, alone) in given_up {
        if let Some(holders) = owners.get_mut(&path) {
            holders.remove(manager);
        }
        if alone && set(target, &path, None, false).is_ok() {
            owners.remove(&path);
        }
    }
    let before = target.clone();
    merge(target, wanted);
    for (path, value) in wanted_leaves {
        let holders = owners.entry(path.clone()).or_default();
        if before.pointer(&path) != Some(&value) {
            holders.clear();
        }
        holders.insert(manager.to_owned());
    }
    Ok(())
}

/// After a write that is no apply: the writer holds what it changed.
pub fn note_changes(before: &Value, after: &Value, owners: &mut Owners, manager: &str) {
    owners.retain(|path, _| after.pointer(path).is_some());
    for (path, value) in leaves(after) {
        if before.pointer(&path) != Some(&value) {
            owners.insert(path, BTreeSet::from([manager.to_owned()]));
        }
    }
}

/// Everything that is owned by somebody: the leaves outside metadata, and its labels and annotations.
fn leaves(object: &Value) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    collect("", object, &mut found);
    found.retain(|path, _| {
        let metadata = path.starts_with("/metadata/labels") || path.starts_with("/metadata/annotations");
        metadata || !(path.starts_with("/metadata") || path == "/apiVersion" || path == "/kind")
    });
    found
}

fn collect(path: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                collect(&format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), value, found);
            }
        }
        leaf => {
            found.insert(path.to_owned(), leaf.clone());
        }
    }
}
