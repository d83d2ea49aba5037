use std::collections::{BTreeMap, VecDeque};
use std::mem;

use super::erased::{AnyKind, Item};
use super::source::{Presence, Source};
use super::{Change, Malformed, Trouble};
use crate::kube::objects::{ApiVersion, Key};

/// The objects of one kind and the watches that report them.
#[derive(Debug)]
pub(super) struct Table {
    kind: AnyKind,
    sources: Vec<Source>,
    entries: BTreeMap<Key, Entry>,
    pub(super) generation: u64,
    /// Keys of the latest changes, oldest first.
    recent: VecDeque<Key>,
    /// How many changes there were.
    changes: u64,
}

#[derive(Debug)]
struct Entry {
    source: usize,
    good: Option<Item>,
    /// The present version, when it cannot be read.
    bad: Option<Item>,
}

impl Table {
    pub(super) fn new(kind: AnyKind) -> Self {
        Self { kind, sources: Vec::new(), entries: BTreeMap::new(), generation: 0, recent: VecDeque::new(), changes: 0 }
    }

    pub(super) fn add_source(&mut self) -> usize {
        self.sources.push(Source::default());
        self.sources.len() - 1
    }

    /// True when a reader sees a difference.
    pub(super) fn handle(&mut self, number: usize, change: Change) -> bool {
        let source = &mut self.sources[number];
        match change {
            Change::Served(api) => {
                source.not_served = false;
                let before = source.served.replace(api);
                source.troubled |= before.is_some_and(|before| before != api);
                before != Some(api)
            }
            Change::NotServed => self.not_served(number),
            Change::ListStarted => {
                source.incoming = Some(BTreeMap::new());
                false
            }
            Change::Listed(item) => {
                source.incoming.get_or_insert_default().insert(item.key.clone(), item);
                false
            }
            Change::ListDone => self.list_done(number),
            Change::Applied(item) => {
                if let Some(unconfirmed) = &mut source.unconfirmed {
                    unconfirmed.insert(item.key.clone(), item.clone());
                }
                self.put(number, item)
            }
            Change::Deleted(key) => {
                if let Some(unconfirmed) = &mut source.unconfirmed {
                    unconfirmed.remove(&key);
                }
                self.take(number, &key)
            }
            Change::EmptyConfirmed => match source.unconfirmed.take() {
                Some(truth) => self.replace(number, truth),
                None => false,
            },
            Change::Trouble(why) => source.suffer(why),
            Change::Refused(why) => {
                let news = !mem::replace(&mut source.refused, true);
                source.suffer(why) || news
            }
            Change::Resumed => source.unconfirmed.is_none() && source.trouble.take().is_some(),
        }
    }

    /// A kind that disappears from discovery while we hold objects of it was not seen to lose them: deleting a definition
    /// deletes its objects first, and the watch tells. So this is trouble, not absence.
    fn not_served(&mut self, number: usize) -> bool {
        let holds = self.entries.values().any(|entry| entry.source == number);
        let source = &mut self.sources[number];
        if holds {
            return source.suffer("no longer served; the last known objects stay".into());
        }
        source.synced = false;
        let healed = source.trouble.take().is_some();
        !mem::replace(&mut source.not_served, true) || healed
    }

    fn list_done(&mut self, number: usize) -> bool {
        let held = self.entries.values().filter(|entry| entry.source == number).count();
        let source = &mut self.sources[number];
        let incoming = source.incoming.take().unwrap_or_default();
        if incoming.is_empty() && held > 0 && (source.troubled || source.unconfirmed.is_some()) {
            let why = format!("empty list after an error; the last {held} known stay until it is confirmed");
            source.unconfirmed = Some(incoming);
            return source.suffer(why);
        }
        self.replace(number, incoming)
    }

    /// The list is the truth about this watch.
    fn replace(&mut self, number: usize, list: BTreeMap<Key, Item>) -> bool {
        let source = &mut self.sources[number];
        let first = !mem::replace(&mut source.synced, true);
        let healed = source.trouble.take().is_some();
        (source.troubled, source.not_served, source.unconfirmed) = (false, false, None);
        let is_gone = |(key, entry): &(&Key, &Entry)| entry.source == number && !list.contains_key(*key);
        let gone: Vec<Key> = self.entries.iter().filter(is_gone).map(|(key, _)| key.clone()).collect();
        let mut changed = first || healed || !gone.is_empty();
        for key in gone {
            self.entries.remove(&key);
            self.note(key);
        }
        for item in list.into_values() {
            changed |= self.put(number, item);
        }
        changed
    }

    fn put(&mut self, number: usize, item: Item) -> bool {
        let key = item.key.clone();
        let entry = self.entries.entry(key.clone()).or_insert(Entry { source: number, good: None, bad: None });
        entry.source = number;
        let same = if item.object.is_err() {
            let same = entry.bad.as_ref().is_some_and(|old| self.kind.is_same(old, &item));
            entry.bad = Some(item);
            same
        } else {
            let same = entry.bad.is_none() && entry.good.as_ref().is_some_and(|old| self.kind.is_same(old, &item));
            (entry.good, entry.bad) = (Some(item), None);
            same
        };
        if !same {
            self.note(key);
        }
        !same
    }

    fn take(&mut self, number: usize, key: &Key) -> bool {
        let taken = self.entries.get(key).is_some_and(|entry| entry.source == number) && self.entries.remove(key).is_some();
        if taken {
            self.note(key.clone());
        }
        taken
    }

    fn note(&mut self, key: Key) {
        self.changes += 1;
        self.recent.push_back(key);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// The keys of the changes after the first `since`; `None` where they are not kept any more.
    pub(super) fn changed_since(&self, since: u64) -> Option<impl Iterator<Item = &Key>> {
        let news = usize::try_from(self.changes - since).ok().filter(|news| *news <= self.recent.len())?;
        Some(self.recent.range(self.recent.len() - news..))
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Item> {
        self.entries.get(key)?.good.as_ref()
    }

    pub(super) fn objects(&self) -> impl Iterator<Item = &Item> {
        self.entries.values().filter_map(|entry| entry.good.as_ref())
    }

    pub(super) fn objects_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Item> {
        let here = self.entries.range(Key::new(namespace, "")..).take_while(move |(key, _)| &*key.namespace == namespace);
        here.filter_map(|(_, entry)| entry.good.as_ref())
    }

    pub(super) fn malformed(&self) -> impl Iterator<Item = Malformed<'_>> {
        self.entries.iter().filter_map(|(key, entry)| {
            let why = entry.bad.as_ref()?.object.as_ref().err()?;
            Some(Malformed { kind: self.name(), key, why })
        })
    }

    pub(super) fn trouble(&self) -> impl Iterator<Item = Trouble<'_>> {
        self.sources.iter().filter_map(|source| Some(Trouble { kind: self.name(), why: source.trouble.as_deref()? }))
    }

    pub(super) fn presence(&self) -> Presence {
        self.sources.iter().map(Source::presence).min().unwrap_or(Presence::NotWatched)
    }

    pub(super) fn served(&self) -> Option<ApiVersion> {
        self.sources.iter().find_map(|source| source.served)
    }

    pub(super) fn name(&self) -> &'static str {
        self.kind.kind.name
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Changes that are remembered by their keys. Who is further behind looks at everything.
const RECENT: usize = 4096;
