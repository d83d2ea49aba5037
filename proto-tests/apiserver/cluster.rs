//! The objects, their versions and the history that watches read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::kinds::Row;
use super::patch::{self, Owners};
use super::selector::Selector;

/// Kind (as a pointer into the table), namespace, name.
pub type Id = (&'static str, &'static str, String, String);

pub fn id(row: &Row, namespace: &str, name: &str) -> Id {
    (row.group, row.plural, namespace.to_owned(), name.to_owned())
}

#[derive(Clone, Debug)]
struct Stored {
    object: Value,
    owners: Owners,
}

/// One change of the past.
#[derive(Clone, Debug)]
pub struct Record {
    pub version: u64,
    pub group: &'static str,
    pub plural: &'static str,
    pub namespace: String,
    /// `None`: created.
    pub before: Option<Value>,
    /// The last state, where the object is deleted.
    pub after: Value,
    pub deleted: bool,
}

/// An answer that is no success: HTTP status, reason, message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal(pub u16, pub &'static str, pub String);

impl Refusal {
    pub fn not_found(what: &str) -> Self {
        Self(404, "NotFound", format!("{what} not found"))
    }

    pub fn conflict(why: impl Into<String>) -> Self {
        Self(409, "Conflict", why.into())
    }

    pub fn invalid(why: impl Into<String>) -> Self {
        Self(422, "Invalid", why.into())
    }

    /// The cache is behind what was asked for.
    pub fn too_large() -> Self {
        Self(504, "Timeout", "Too large resource version".into())
    }
}

/// Which part of an object a write may change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// Everything: what tests put in by hand.
    Whole,
    /// Through the kind's own path; the status is kept where it has a subresource.
    Main,
    Status,
}

#[derive(Debug)]
pub struct Cluster {
    objects: BTreeMap<Id, Stored>,
    version: u64,
    history: VecDeque<Record>,
    /// Watches from before this version get 410.
    oldest: u64,
    uids: u64,
    /// Groups, and `group/plural`, that are not served at present.
    pub unserved: BTreeSet<String>,
}

impl Default for Cluster {
    fn default() -> Self {
        // Calico's API server or native CRDs are the exception; tests switch them on.
        let unserved = BTreeSet::from(["projectcalico.org".to_owned()]);
        Self { objects: BTreeMap::new(), version: 1000, history: VecDeque::new(), oldest: 0, uids: 0, unserved }
    }
}

impl Cluster {
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn is_served(&self, row: &Row) -> bool {
        !self.unserved.contains(row.group) && !self.unserved.contains(&format!("{}/{}", row.group, row.plural))
    }

    pub fn get(&self, id: &Id) -> Option<&Value> {
        self.objects.get(id).map(|stored| &stored.object)
    }

    /// Objects of a kind after the key `after`, in the order of namespace and name.
    pub fn list<'a>(
        &'a self,
        row: &'a Row,
        namespace: Option<&'a str>,
        selector: &'a Selector,
        after: Option<(String, String)>,
    ) -> impl Iterator<Item = &'a Value> {
        self.objects
            .iter()
            .filter(move |((group, plural, ns, name), _)| {
                let after = after.as_ref().is_none_or(|(after_ns, after_name)| (ns, name) > (after_ns, after_name));
                *group == row.group && *plural == row.plural && namespace.is_none_or(|wanted| wanted == ns) && after
            })
            .map(|(_, stored)| &stored.object)
            .filter(|object| selector.matches(object))
    }

    /// The changes after `from`; `None` when that is too old to know.
    pub fn since(&self, from: u64) -> Option<impl Iterator<Item = &Record>> {
        if from < self.oldest || from > self.version {
            return None;
        }
        let start = self.history.partition_point(|record| record.version <= from);
        Some(self.history.iter().skip(start))
    }

    pub fn create(&mut self, row: &'static Row, namespace: &str, mut object: Value, part: Part, manager: &str) -> Result<Value, Refusal> {
        let metadata = &mut object["metadata"];
        if metadata["name"].as_str().unwrap_or_default().is_empty() {
            let Some(prefix) = metadata["generateName"].as_str() else { return Err(Refusal::invalid("metadata.name: Required value")) };
            metadata["name"] = json!(format!("{prefix}{:05}", self.uids));
        }
        let id = id(row, if row.namespaced { namespace } else { "" }, metadata["name"].as_str().unwrap_or_default());
        if self.objects.contains_key(&id) {
            return Err(Refusal(409, "AlreadyExists", format!("{} {:?} already exists", row.plural, id.3)));
        }
        if row.namespaced {
            metadata["namespace"] = json!(id.2);
        }
        self.uids += 1;
        metadata["uid"] = json!(format!("00000000-0000-4000-8000-{:012}", self.uids));
        metadata["creationTimestamp"] = json!(now());
        metadata["generation"] = json!(1);
        if row.status
            && part == Part::Main
            && !matches!(row.plural, "nodes" | "pods")
            && let Some(fields) = object.as_object_mut()
        {
            fields.remove("status");
        }
        let mut owners = Owners::new();
        patch::note_changes(&Value::Null, &object, &mut owners, manager);
        Ok(self.commit(id, None, object, owners))
    }

    /// Replaces an object by `object`, as far as `part` allows.
    pub fn update(&mut self, row: &'static Row, id: &Id, object: Value, part: Part, manager: &str) -> Result<Value, Refusal> {
        let stored = self.objects.get(id).ok_or_else(|| Refusal::not_found(&id.3))?;
        let mut owners = stored.owners.clone();
        let mut next = self.checked(row, id, object, part)?;
        let before = stored.object.clone();
        patch::note_changes(&before, &next, &mut owners, manager);
        Ok(self.settle(id, before, &mut next, owners))
    }

    pub fn apply(
        &mut self,
        row: &'static Row,
        id: &Id,
        wanted: &Value,
        part: Part,
        (manager, force): (&str, bool),
    ) -> Result<Value, Refusal> {
        let Some(stored) = self.objects.get(id) else {
            if part == Part::Status {
                return Err(Refusal::not_found(&id.3));
            }
            return self.create(row, &id.2, wanted.clone(), part, manager);
        };
        let (mut object, owners) = (stored.object.clone(), stored.owners.clone());
        // Each path owns its part of the object: what the other one applied is neither asked for nor given up here.
        let here = |path: &str| !row.status || (part == Part::Status) == path.starts_with("/status");
        let (mut mine, others): (Owners, Owners) = owners.into_iter().partition(|(path, _)| here(path));
        let mut wanted = wanted.clone();
        if let (Some(fields), true) = (wanted.as_object_mut(), row.status) {
            fields.retain(|key, _| (part == Part::Status) == (key == "status") || key == "metadata");
            if part == Part::Status {
                fields.remove("metadata");
            }
        }
        patch::apply(&mut object, &mut mine, manager, force, &wanted).map_err(Refusal::conflict)?;
        let owners = mine.into_iter().chain(others).collect();
        let before = self.objects[id].object.clone();
        let mut next = self.checked(row, id, object, part)?;
        Ok(self.settle(id, before, &mut next, owners))
    }

    pub fn delete(&mut self, id: &Id) -> Result<Value, Refusal> {
        let stored = self.objects.get(id).ok_or_else(|| Refusal::not_found(&id.3))?;
        let before = stored.object.clone();
        if has_finalizers(&before) {
            let (mut next, owners) = (before.clone(), stored.owners.clone());
            next["metadata"]["deletionTimestamp"] = json!(now());
            return Ok(self.settle(id, before, &mut next, owners));
        }
        Ok(self.remove(id, before))
    }

    /// What was is forgotten: every watch from before now gets 410, as after a restart of the API server with an empty cache.
    pub fn forget(&mut self) {
        self.history.clear();
        self.version += 1;
        self.oldest = self.version;
    }

    /// The storage comes from a backup: versions begin anew, below those that were seen.
    pub fn rewind(&mut self) {
        self.forget();
        (self.version, self.oldest) = (1, 1);
    }

    /// Drops all objects of a kind without telling any watch.
    pub fn wipe(&mut self, plural: &str) {
        self.objects.retain(|(_, kind, _, _), _| *kind != plural);
    }

    /// The object that a write leads to, if it is allowed.
    fn checked(&self, row: &Row, id: &Id, mut next: Value, part: Part) -> Result<Value, Refusal> {
        let old = &self.objects[id].object;
        let wanted = next["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if !wanted.is_empty() && old["metadata"]["resourceVersion"] != wanted {
            return Err(Refusal::conflict(format!(
                "Operation cannot be fulfilled on {} {:?}: the object has been modified; please apply your changes to the latest version",
                row.plural, id.3
            )));
        }
        if !next["metadata"]["name"].is_null() && next["metadata"]["name"] != id.3 {
            return Err(Refusal::invalid("metadata.name: field is immutable"));
        }
        if !row.status && part == Part::Status {
            return Err(Refusal::not_found("the status subresource"));
        }
        if row.status && part == Part::Main {
            copy("status", old, &mut next);
        }
        if part == Part::Status {
            let (status, metadata) = (next["status"].take(), next["metadata"].take());
            next = old.clone();
            next["status"] = status;
            if !row.custom {
                next["metadata"] = metadata;
            }
        }
        for field in ["uid", "creationTimestamp", "generation", "name", "namespace", "deletionTimestamp"] {
            copy(field, &old["metadata"], &mut next["metadata"]);
        }
        Ok(next)
    }

    fn settle(&mut self, id: &Id, before: Value, next: &mut Value, owners: Owners) -> Value {
        next["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        if before["spec"] != next["spec"] {
            next["metadata"]["generation"] = json!(before["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
        }
        if *next == before {
            if let Some(stored) = self.objects.get_mut(id) {
                stored.owners = owners;
            }
            return before;
        }
        if !next["metadata"]["deletionTimestamp"].is_null() && !has_finalizers(next) {
            return self.remove(id, before);
        }
        self.commit(id.clone(), Some(before), next.clone(), owners)
    }

    fn commit(&mut self, id: Id, before: Option<Value>, mut object: Value, owners: Owners) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.remember(&id, before, object.clone(), false);
        self.objects.insert(id, Stored { object: object.clone(), owners });
        object
    }

    fn remove(&mut self, id: &Id, mut last: Value) -> Value {
        self.objects.remove(id);
        self.version += 1;
        let before = last.clone();
        last["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.remember(id, Some(before), last.clone(), true);
        last
    }

    fn remember(&mut self, id: &Id, before: Option<Value>, after: Value, deleted: bool) {
        let (group, plural, namespace) = (id.0, id.1, id.2.clone());
        self.history.push_back(Record { version: self.version, group, plural, namespace, before, after, deleted });
        while self.history.len() > HISTORY {
            if let Some(gone) = self.history.pop_front() {
                self.oldest = gone.version;
            }
        }
    }
}

/// Changes that are remembered.
const HISTORY: usize = 50_000;

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
}

fn copy(field: &str, from: &Value, to: &mut Value) {
    let Some(fields) = to.as_object_mut() else { return };
    match from.get(field) {
        Some(value) => fields.insert(field.to_owned(), value.clone()),
        None => fields.remove(field),
    };
}

fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}
