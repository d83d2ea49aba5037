//! The file that people write, its checking, the resolved [`Plan`], and the difference of two Plans.
//!
//! `text -> load -> File -> check -> Plan -> diff -> Action`. [`mod@file`] is all optional and strict; [`plan`] has no `Option` that
//! means "default"; [`check()`] is the only bridge. Whatever is wrong comes out at once, as [`Complaint`]s with path, place, remedy.
//!
//! Invariants: a Plan printed as a file checks to the same Plan; secrets are never printed; an action names a peer only if
//! something about that peer changed.
//!
//! Must never know: tokio, Kubernetes objects (they arrive as [`Input`]s).

pub mod check;
pub mod complaint;
mod de;
pub mod diff;
pub mod file;
pub mod import;
pub mod plan;
mod print;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
mod tree;

pub use check::{Host, Input, LocalHost, check};
pub use complaint::{Complaint, Diagnostics};
pub use diff::{Action, diff};
pub use file::File;
pub use plan::Plan;

use std::fs;
use std::path::Path;

/// JSON Schema of the file (draft 2020-12), for editors.
pub const SCHEMA: &str = include_str!("../../config/kubgp.schema.json");

/// Reads and checks a file: the whole way from the name to the Plan, and the text that it was made of.
pub fn load(path: &Path, inputs: &[Input], host: &dyn Host) -> Result<(Plan, String), Diagnostics> {
    let name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => Ok((load_text(&name, &text, inputs, host)?, text)),
        Err(error) => {
            let complaint = Complaint::new(complaint::Path::default(), format!("cannot be read: {error}"));
            Err(Diagnostics { name, text: String::new(), complaints: vec![complaint] })
        }
    }
}

/// Who the text of a file says that we and our neighbors are, for those who must not say something else. What cannot be read counts as
/// not said: the way to complain about it is [`load_text`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identities {
    pub router_id: Option<std::net::Ipv4Addr>,
    /// Where we listen is said by the file, and not by objects.
    pub says_listeners: bool,
    /// Names by address; the address where there is no name.
    pub neighbors: std::collections::BTreeMap<std::net::IpAddr, String>,
}

impl Identities {
    pub fn read(text: &str) -> Self {
        let Ok(tree) = tree::parse(text) else { return Self::default() };
        let file = de::read::<File>(&tree, &mut Vec::new());
        let router_id = file.router.and_then(|router| match router.id {
            Some(file::RouterIdText::Id(id)) => Some(id),
            _ => None,
        });
        let name = |n: file::Neighbor| n.address.map(|address| (address, n.name.unwrap_or_else(|| address.to_string())));
        let says_listeners = file.listen.is_some();
        Self { router_id, says_listeners, neighbors: file.neighbors.into_iter().flatten().filter_map(name).collect() }
    }
}

/// As [`load`], for a text; `name` is what diagnostics call it.
pub fn load_text(name: &str, text: &str, inputs: &[Input], host: &dyn Host) -> Result<Plan, Diagnostics> {
    let failed = |mut complaints: Vec<Complaint>| {
        complaints.sort_by_key(|c| (c.at.map_or((usize::MAX, 0), |at| (at.line, at.column)), c.path.to_string()));
        Diagnostics { name: name.to_owned(), text: text.to_owned(), complaints }
    };
    let tree = tree::parse(text).map_err(|complaint| failed(vec![complaint]))?;
    let mut complaints = Vec::new();
    tree.duplicates(&complaint::Path::default(), &mut complaints);
    let file = de::read::<File>(&tree, &mut complaints);
    match check(file, inputs, host) {
        Ok(plan) if complaints.is_empty() => Ok(plan),
        Ok(_) => Err(failed(complaints)),
        Err(found) => {
            let (elsewhere, here): (Vec<_>, Vec<_>) = found.into_iter().partition(|c| c.origin.is_some());
            let located: Vec<_> = here.into_iter().filter_map(|c| tree.locate(c)).collect();
            // Something that lacks what could not be read is not to blame for it.
            let lacks = |c: &Complaint| complaints.iter().any(|unread: &Complaint| unread.path.0.starts_with(&c.path.0));
            let located: Vec<_> = located.into_iter().filter(|c| !lacks(c)).collect();
            complaints.extend(located.into_iter().chain(elsewhere));
            Err(failed(complaints))
        }
    }
}
