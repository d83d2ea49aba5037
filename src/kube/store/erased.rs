use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::kube::objects::{ApiVersion, Key, Kind, Metadata, Object};

type AnyObject = dyn Any + Send + Sync;
type Parsed = Result<Arc<AnyObject>, String>;

/// A kind whose Rust type is known by its functions only, so that watches and tables are written once for all kinds.
#[derive(Clone, Copy)]
pub struct AnyKind {
    pub kind: Kind,
    type_id: TypeId,
    parse: fn(&ApiVersion, Value) -> Parsed,
    same: fn(&AnyObject, &AnyObject) -> bool,
}

impl AnyKind {
    pub fn of<T: Object>() -> Self {
        Self { kind: T::KIND, type_id: TypeId::of::<T>(), parse: parse::<T>, same: same::<T> }
    }

    pub fn type_id(&self) -> TypeId {
        self.type_id
    }

    /// Reads one object. An unreadable one keeps its key, so that it can be named; without even a name there is nothing to keep.
    pub fn read(&self, api: &ApiVersion, value: Value) -> Option<Item> {
        let key = key_of(&value)?;
        Some(Item { key, object: (self.parse)(api, value) })
    }

    pub(super) fn is_same(&self, one: &Item, other: &Item) -> bool {
        match (&one.object, &other.object) {
            (Ok(one), Ok(other)) => (self.same)(one.as_ref(), other.as_ref()),
            (Err(one), Err(other)) => one == other,
            _ => false,
        }
    }
}

impl fmt::Debug for AnyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name)
    }
}

/// One object as a watch reports it: readable, or the reason why it is not.
#[derive(Clone)]
pub struct Item {
    pub key: Key,
    pub(super) object: Parsed,
}

impl Item {
    pub fn good<T: Object>(object: T) -> Self {
        Self { key: object.key(), object: Ok(Arc::new(object)) }
    }

    pub(super) fn downcast<T: Object>(&self) -> Option<&T> {
        self.object.as_ref().ok()?.downcast_ref()
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            Ok(_) => write!(f, "{}", self.key),
            Err(why) => write!(f, "{} ({why})", self.key),
        }
    }
}

/// A copy of the whole object that `kubectl apply` leaves behind.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn parse<T: Object>(api: &ApiVersion, value: Value) -> Parsed {
    let mut object = T::parse(api, value)?;
    object.metadata_mut().annotations.remove(LAST_APPLIED);
    object.trim();
    Ok(Arc::new(object))
}

/// Equal but for the resource version, which changes with whatever is not kept.
fn same<T: Object>(one: &AnyObject, other: &AnyObject) -> bool {
    let (Some(one), Some(other)) = (one.downcast_ref::<T>(), other.downcast_ref::<T>()) else { return false };
    let mut one = one.clone();
    one.metadata_mut().resource_version.clone_from(&other.metadata().resource_version);
    one == *other
}

fn key_of(value: &Value) -> Option<Key> {
    let metadata = value.get("metadata")?;
    let text = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or_default();
    (!text("name").is_empty()).then(|| Metadata::named(text("namespace"), text("name")).key())
}
