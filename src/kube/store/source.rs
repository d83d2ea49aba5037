use std::collections::BTreeMap;

use super::erased::Item;
use crate::kube::objects::{ApiVersion, Key};

/// How far a kind is known.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Presence {
    /// No role needs it.
    NotWatched,
    /// No complete list yet.
    Waiting,
    /// We may not read it, and can do without.
    Refused,
    /// The API server does not serve it: there are no objects.
    NotServed,
    /// The objects of a complete list, and the changes since.
    Synced,
}

/// The state of one watch.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) served: Option<ApiVersion>,
    pub(super) synced: bool,
    pub(super) not_served: bool,
    pub(super) refused: bool,
    pub(super) trouble: Option<String>,
    /// There was trouble since the last complete list, or another version is read now.
    pub(super) troubled: bool,
    /// The list that is coming in.
    pub(super) incoming: Option<BTreeMap<Key, Item>>,
    /// What the API server says since an empty list that followed trouble; it becomes the truth when that is confirmed.
    pub(super) unconfirmed: Option<BTreeMap<Key, Item>>,
}

impl Source {
    /// True when the reason is new.
    pub(super) fn suffer(&mut self, why: String) -> bool {
        self.troubled = true;
        let known = self.trouble.as_ref() == Some(&why);
        self.trouble = Some(why);
        !known
    }

    pub(super) fn presence(&self) -> Presence {
        match (self.synced, self.not_served, self.refused) {
            (true, ..) => Presence::Synced,
            (false, true, _) => Presence::NotServed,
            (false, false, true) => Presence::Refused,
            (false, false, false) => Presence::Waiting,
        }
    }
}
