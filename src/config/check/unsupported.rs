//! Keys of capabilities that are not there yet. They have their shape in the file, and are refused rather than ignored; a capability
//! that arrives removes its row.

use super::{Checker, Place};
use crate::config::complaint::{Path, Step};
use crate::config::file::{File, Session};

/// A key of a session, and whether it says more than "off" or the default.
struct Row {
    path: &'static [&'static str],
    is_used: fn(&Session) -> bool,
}

const SESSION_ROWS: [Row; 1] = [Row { path: &["interface"], is_used: |s| s.interface.is_some() }];

impl Checker<'_> {
    pub(super) fn refuse_unsupported(&mut self, origin: &Option<String>, file: &File) {
        let root = Place { origin: origin.clone(), path: Path::default() };
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
