//! Switches that make the server misbehave.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What goes wrong at present. In a change, an absent field stays as it is.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Faults {
    /// So many watches to come are answered by 410.
    pub gone: u32,
    /// So many requests to come are answered by `error`.
    pub errors: u32,
    /// So many writes to come are answered by 409.
    pub conflicts: u32,
    /// Requests wait without an answer, and watches bring nothing.
    pub stall: bool,
    /// Writes are forbidden.
    pub reject_writes: bool,
    /// Lists are empty although there are objects.
    pub empty_lists: bool,
    /// Initial lists as part of the watch are refused, as by an API server without the feature.
    pub no_streaming: bool,
    /// Plurals that may not be listed or watched.
    pub forbidden: BTreeSet<String>,
}

/// A change of the faults, or something to do once.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Order {
    pub gone: Option<u32>,
    pub errors: Option<u32>,
    pub conflicts: Option<u32>,
    pub stall: Option<bool>,
    pub reject_writes: Option<bool>,
    pub empty_lists: Option<bool>,
    pub no_streaming: Option<bool>,
    pub forbidden: Option<BTreeSet<String>>,
    /// Cuts all watches.
    pub drop_watches: bool,
    /// Forgets old resource versions, and cuts all watches.
    pub restart: bool,
    /// Versions begin anew, as after the storage was restored from a backup; cuts all watches.
    pub restore: bool,
    /// Plurals whose objects vanish without a word to any watch.
    pub wipe: Vec<String>,
    /// Groups or `group/plural` that are served from now on, or not.
    pub serve: Vec<String>,
    pub unserve: Vec<String>,
}

impl Faults {
    pub fn change(&mut self, order: &Order) {
        let Order { gone, errors, conflicts, stall, reject_writes, empty_lists, no_streaming, forbidden, .. } = order.clone();
        self.gone = gone.unwrap_or(self.gone);
        self.errors = errors.unwrap_or(self.errors);
        self.conflicts = conflicts.unwrap_or(self.conflicts);
        self.stall = stall.unwrap_or(self.stall);
        self.reject_writes = reject_writes.unwrap_or(self.reject_writes);
        self.empty_lists = empty_lists.unwrap_or(self.empty_lists);
        self.no_streaming = no_streaming.unwrap_or(self.no_streaming);
        if let Some(forbidden) = forbidden {
            self.forbidden = forbidden;
        }
    }

    /// Uses up one of a number of faults.
    pub fn take(count: &mut u32) -> bool {
        let due = *count > 0;
        *count = count.saturating_sub(1);
        due
    }
}
