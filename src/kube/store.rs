//! The latest object per key and kind, as the watches report them. Pure: a watch is a sequence of [`Change`]s.
//!
//! What is stored is what the API server is known to hold, never less for lack of contact: trouble keeps the last good state, and
//! an empty list that follows trouble takes nothing away before a second look confirms it.

mod erased;
mod source;
mod table;
#[cfg(test)]
mod tests;

pub use self::erased::{AnyKind, Item};
pub use self::source::Presence;

use std::any::TypeId;
use std::collections::BTreeMap;

use self::table::Table;
use super::objects::{ApiVersion, Key, Object};

/// Names one watch that feeds a [`Store`]; a kind may have several, for example Secrets of two namespaces.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SourceId {
    kind: TypeId,
    number: usize,
}

/// What a watch reports.
#[derive(Clone, Debug)]
pub enum Change {
    /// The kind is served, and read in this version from now on.
    Served(ApiVersion),
    /// The API server answers and does not serve the kind.
    NotServed,
    /// A complete list begins; it replaces what this watch reported before, once it is complete.
    ListStarted,
    Listed(Item),
    ListDone,
    /// An object is new or has changed.
    Applied(Item),
    Deleted(Key),
    /// A second list, taken later and without trouble in between, was empty too.
    EmptyConfirmed,
    /// Contact was lost or refused; the reason is for people.
    Trouble(String),
    /// We may not read these objects, and can do without them.
    Refused(String),
    /// The watch goes on where it stopped.
    Resumed,
}

/// An object that could not be read. Its last good version, if there is one, stays in the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed<'a> {
    pub kind: &'static str,
    pub key: &'a Key,
    pub why: &'a str,
}

/// What is wrong with a watch at the moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Trouble<'a> {
    pub kind: &'static str,
    pub why: &'a str,
}

/// See the module documentation.
#[derive(Debug, Default)]
pub struct Store {
    tables: BTreeMap<TypeId, Table>,
    generation: u64,
}

impl Store {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a watch of a kind.
    pub fn add_source(&mut self, kind: AnyKind) -> SourceId {
        let number = self.tables.entry(kind.type_id()).or_insert_with(|| Table::new(kind)).add_source();
        SourceId { kind: kind.type_id(), number }
    }

    /// Takes in what the watch `source` reports. True when something that translators see has changed.
    pub fn handle(&mut self, source: SourceId, change: Change) -> bool {
        let table = self.tables.get_mut(&source.kind).expect("a source id comes from add_source of the same store");
        let changed = table.handle(source.number, change);
        if changed {
            self.generation += 1;
            table.generation = self.generation;
        }
        changed
    }

    /// Puts an object in as if a watch that is in sync had reported it: for manifests from files, and tests.
    pub fn insert<T: Object>(&mut self, mut object: T) {
        object.trim();
        let key = TypeId::of::<T>();
        if !self.tables.contains_key(&key) {
            let source = self.add_source(AnyKind::of::<T>());
            for change in [Change::Served(T::KIND.served_by[0]), Change::ListStarted, Change::ListDone] {
                self.handle(source, change);
            }
        }
        self.handle(SourceId { kind: key, number: 0 }, Change::Applied(Item::good(object)));
    }

    /// Takes an object out, as [`insert`](Self::insert) puts it in.
    pub fn remove<T: Object>(&mut self, key: &Key) {
        if self.tables.contains_key(&TypeId::of::<T>()) {
            self.handle(SourceId { kind: TypeId::of::<T>(), number: 0 }, Change::Deleted(key.clone()));
        }
    }

    pub fn get<T: Object>(&self, key: &Key) -> Option<&T> {
        self.table::<T>()?.get(key)?.downcast()
    }

    /// All good objects of a kind, in the order of namespace and name.
    pub fn list<T: Object>(&self) -> impl Iterator<Item = &T> {
        self.table::<T>().into_iter().flat_map(Table::objects).filter_map(|item| item.downcast())
    }

    /// All good objects of a kind in one namespace, in the order of names.
    pub fn list_in<'a, T: Object>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a T> {
        self.table::<T>().into_iter().flat_map(move |table| table.objects_in(namespace)).filter_map(|item| item.downcast())
    }

    /// Objects that could not be read, in the order of namespace and name within each kind.
    pub fn malformed(&self) -> Vec<Malformed<'_>> {
        let mut all: Vec<_> = self.tables.values().flat_map(Table::malformed).collect();
        all.sort_by_key(|m| (m.kind, m.key));
        all
    }

    /// How far a kind is known; the least known of its watches decides.
    pub fn presence<T: Object>(&self) -> Presence {
        self.table::<T>().map_or(Presence::NotWatched, Table::presence)
    }

    /// The version that a kind is read in.
    pub fn served<T: Object>(&self) -> Option<ApiVersion> {
        self.table::<T>()?.served()
    }

    /// Why objects of a kind may not be read, if none ever could be.
    pub fn refusal<T: Object>(&self) -> Option<&str> {
        self.table::<T>().filter(|table| table.presence() == Presence::Refused)?.trouble().next().map(|trouble| trouble.why)
    }

    /// Changes with every change that translators see; never goes back.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The generation of the last change of a kind; 0 before the first.
    pub fn generation_of<T: Object>(&self) -> u64 {
        self.table::<T>().map_or(0, |table| table.generation)
    }

    /// How many changes of objects of a kind there were, for [`changed_since`](Self::changed_since).
    pub fn changes_of<T: Object>(&self) -> u64 {
        self.table::<T>().map_or(0, Table::changes)
    }

    /// The objects of a kind that are new, differ or are gone since there were `since` changes, in the order of the changes, some
    /// perhaps several times. `None`: too many to be told, so look at all.
    pub fn changed_since<T: Object>(&self, since: u64) -> Option<Vec<&Key>> {
        self.table::<T>()?.changed_since(since).map(Iterator::collect)
    }

    /// Whether every kind is in sync, known not to be served, or one that we may not read and can do without: from then on the absence
    /// of an object means something.
    pub fn is_synced(&self) -> bool {
        self.tables.values().all(|table| table.presence() > Presence::Waiting)
    }

    /// What is wrong at the moment, in the order of kinds.
    pub fn trouble(&self) -> Vec<Trouble<'_>> {
        let mut all: Vec<_> = self.tables.values().flat_map(Table::trouble).collect();
        all.sort_by_key(|t| (t.kind, t.why));
        all
    }

    /// The kinds that are not in sync yet, by name.
    pub fn waiting(&self) -> Vec<&'static str> {
        let mut all: Vec<_> = self.tables.values().filter(|t| t.presence() == Presence::Waiting).map(Table::name).collect();
        all.sort_unstable();
        all
    }

    /// Good and malformed objects per kind, in the order of kinds.
    pub fn sizes(&self) -> Vec<(&'static str, usize)> {
        let mut all: Vec<_> = self.tables.values().map(|table| (table.name(), table.len())).collect();
        all.sort_unstable();
        all
    }

    fn table<T: Object>(&self) -> Option<&Table> {
        self.tables.get(&TypeId::of::<T>())
    }
}
