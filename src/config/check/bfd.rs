//! BFD profiles, and which of them a session has.

use super::session::Scope;
use super::{Checker, Fragment, Place};
use crate::config::file;
use crate::config::plan::{BfdPlan, BfdProfile};
use std::collections::BTreeMap;
use std::time::Duration;

impl Checker<'_> {
    pub(super) fn collect_bfd_profiles(&mut self, fragments: &[Fragment]) {
        for (origin, file) in fragments {
            for (name, written) in file.bfd.iter().flat_map(|bfd| bfd.profiles.iter().flatten()) {
                let place = Place::new(origin, "bfd").key("profiles").key(name);
                if self.bfd_profiles.contains_key(name) {
                    self.complain(&place, format!("profile `{name}` is defined in two places; rename one"));
                    continue;
                }
                let profile = self.bfd_profile(&place, written);
                self.bfd_profiles.insert(name.clone(), profile);
            }
        }
    }

    fn bfd_profile(&mut self, place: &Place, written: &file::BfdProfile) -> BfdProfile {
        let mut interval = |key: &str, period: Option<file::Period>| {
            let time = period.map_or(INTERVAL, |period| period.0);
            if !(SHORTEST..=LONGEST).contains(&time) {
                self.complain(&place.key(key), format!("{} is not in 10ms..=60s; use such as 300ms", file::Period(time)));
            }
            time
        };
        let (transmit, receive) = (interval("transmit", written.transmit), interval("receive", written.receive));
        if written.multiplier == Some(0) {
            let message = "0 packets would be missed at once; use 1..=255, such as 3 (RFC 5880 6.8.1)";
            self.complain(&place.key("multiplier"), message);
        }
        if written.minimum_ttl == Some(0) {
            self.complain(&place.key("minimumTtl"), "nothing arrives with TTL 0; use 1..=255, or remove the key");
        }
        BfdProfile {
            transmit,
            receive,
            multiplier: written.multiplier.unwrap_or(MULTIPLIER),
            passive: written.passive.unwrap_or(false),
            minimum_ttl: written.minimum_ttl,
        }
    }

    pub(super) fn bfd(&mut self, scope: &Scope) -> Option<BfdPlan> {
        let name = scope.merged.bfd.as_ref()?;
        let settings = self.bfd_profiles.get(name).copied();
        if settings.is_none() {
            let known: Vec<String> = self.bfd_profiles.keys().cloned().collect();
            self.unknown(&scope.at("bfd", |s| &s.bfd), "BFD profile", name, known.iter().map(String::as_str));
        }
        Some(BfdPlan { profile: name.clone(), settings: settings? })
    }

    /// Profiles for the plan.
    pub(super) fn take_bfd_profiles(&mut self) -> BTreeMap<String, BfdProfile> {
        std::mem::take(&mut self.bfd_profiles)
    }
}

/// What users of other speakers know as default: detection after 900 ms.
const INTERVAL: Duration = Duration::from_millis(300);
const MULTIPLIER: u8 = 3;
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(60);
