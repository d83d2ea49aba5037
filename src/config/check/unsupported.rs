//! Keys of capabilities that are not there yet. They have their shape in the file, and are refused rather than ignored; a capability
//! that arrives removes its row.

use super::{Checker, Place};
use crate::config::complaint::{Path, Step};
use crate::config::file::{File, Ipip, Session};
use std::time::Duration;

/// A key of a section, and whether it says more than "off" or the default.
struct Row<T> {
    path: &'static [&'static str],
    is_used: fn(&T) -> bool,
}

const FILE_ROWS: [Row<File>; 5] = [
    Row { path: &["vips", "pools"], is_used: |f| f.vips.as_ref().and_then(|v| v.pools.as_ref()).is_some_and(|p| !p.is_empty()) },
    Row { path: &["vips", "advertise"], is_used: |f| f.vips.as_ref().and_then(|v| v.advertise.as_ref()).is_some_and(|a| !a.is_empty()) },
    Row { path: &["vips", "services"], is_used: |f| f.vips.as_ref().and_then(|v| v.services.as_ref()).is_some_and(|s| !s.is_empty()) },
    Row {
        path: &["fib", "tunnels", "ipip"],
        is_used: |f| f.fib.as_ref().and_then(|f| f.tunnels.as_ref()?.ipip).is_some_and(|ipip| ipip != Ipip::Never),
    },
    Row {
        path: &["fib", "tunnels", "device"],
        is_used: |f| f.fib.as_ref().and_then(|f| f.tunnels.as_ref()?.device.as_ref()).is_some_and(|d| d != "tunl0"),
    },
];

const SESSION_ROWS: [Row<Session>; 2] = [
    Row { path: &["interface"], is_used: |s| s.interface.is_some() },
    Row {
        path: &["longLivedGracefulRestart"],
        is_used: |s| s.long_lived_graceful_restart.as_ref().and_then(|l| l.time).is_some_and(|t| t.0 > Duration::ZERO),
    },
];

impl Checker<'_> {
    pub(super) fn refuse_unsupported(&mut self, origin: &Option<String>, file: &File) {
        let root = Place { origin: origin.clone(), path: Path::default() };
        for row in FILE_ROWS.iter().filter(|row| (row.is_used)(file)) {
            self.refuse(&root, row.path);
        }
        for (i, neighbor) in file.neighbors.iter().flatten().enumerate() {
            self.refuse_session(&root.key("neighbors").index(i), &neighbor.session());
        }
        for (name, group) in file.groups.iter().flatten() {
            self.refuse_session(&root.key("groups").key(name), group);
        }
    }

    fn refuse_session(&mut self, place: &Place, session: &Session) {
        for row in SESSION_ROWS.iter().filter(|row| (row.is_used)(session)) {
            self.refuse(place, row.path);
        }
    }

    fn refuse(&mut self, place: &Place, keys: &[&str]) {
        let mut place = place.clone();
        place.path.0.extend(keys.iter().map(|key| Step::Key((*key).to_owned())));
        self.complain(&place, "not supported yet; remove the key");
    }
}
