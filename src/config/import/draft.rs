//! The file under construction, and what there is to say about it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::config::check::API_VERSION;
use crate::config::file::{self, File, List, Match, Rule, RuleAction, Session};

/// What became of a foreign configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Imported {
    /// A configuration file.
    pub configuration: String,
    /// In the order of the lines they are about.
    pub remarks: Vec<Remark>,
}

impl Imported {
    /// Everything that concerns BGP was taken over.
    pub fn is_complete(&self) -> bool {
        !self.remarks.iter().any(|remark| remark.is_lost)
    }
}

/// Something that was not taken over, or that one should know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remark {
    /// From 1.
    pub line: usize,
    /// What stands there.
    pub written: String,
    pub text: String,
    /// The result does less than the original.
    pub is_lost: bool,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_lost { "NOT TAKEN OVER" } else { "note" };
        write!(f, "line {}: `{}`: {word}: {}", self.line, self.written, self.text)
    }
}

/// Policies by name.
pub(super) type Policies = BTreeMap<String, Vec<Rule>>;

#[derive(Debug, Default)]
pub(super) struct Draft {
    pub file: File,
    pub policies: Policies,
    pub groups: BTreeMap<String, Session>,
    pub neighbors: Vec<file::Neighbor>,
    pub ranges: Vec<file::DynamicNeighbor>,
    pub networks: Vec<file::Network>,
    pub profiles: BTreeMap<String, file::BfdProfile>,
    pub remarks: Vec<Remark>,
}

impl Draft {
    /// Has no counterpart, and is missing in the result.
    pub fn lost(&mut self, line: usize, written: &str, text: impl Into<String>) {
        self.remark(line, written, text.into(), true);
    }

    /// Needs no counterpart, or is to be known.
    pub fn note(&mut self, line: usize, written: &str, text: impl Into<String>) {
        self.remark(line, written, text.into(), false);
    }

    fn remark(&mut self, line: usize, written: &str, text: String, is_lost: bool) {
        self.remarks.push(Remark { line, written: hidden(written), text, is_lost });
    }

    /// A key goes to a file of its own, whose name is made of the neighbor's; what it is stays unsaid.
    pub fn password(&mut self, line: usize, written: &str, name: &str) -> file::Password {
        let safe: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' }).collect();
        let path = format!("/etc/kubgp/{safe}.key");
        self.note(line, written, format!("write this password into {path}, readable for kubgpd alone"));
        file::Password { file: Some(PathBuf::from(path)), ..file::Password::default() }
    }

    /// The name of a policy that passes everything, or nothing.
    pub fn plain_policy(&mut self, passes: bool) -> String {
        let (name, action) = if passes { ("accept-all", RuleAction::Accept) } else { ("reject-all", RuleAction::Reject) };
        self.policies.entry(name.to_owned()).or_insert_with(|| vec![end(action)]);
        name.to_owned()
    }

    /// The result as text.
    pub fn finish(mut self) -> Imported {
        self.remarks.sort_by_key(|remark| remark.line);
        let Self { policies, groups, neighbors, ranges, networks, profiles, remarks, .. } = self;
        let networks = filled(networks).map(|networks| file::Originate { networks: Some(networks) });
        let used: Vec<&str> = sessions(&neighbors, &groups).collect();
        let policies: Policies = policies.into_iter().filter(|(name, _)| used.contains(&name.as_str())).collect();
        let file = File {
            api_version: Some(API_VERSION.to_owned()),
            policies: (!policies.is_empty()).then_some(policies),
            groups: (!groups.is_empty()).then_some(groups),
            neighbors: filled(neighbors),
            dynamic_neighbors: filled(ranges),
            originate: networks,
            bfd: (!profiles.is_empty()).then_some(file::Bfd { profiles: Some(profiles) }),
            ..self.file
        };
        Imported { configuration: file.to_yaml(), remarks }
    }
}

/// Names of the policies that somebody uses.
fn sessions<'a>(neighbors: &'a [file::Neighbor], groups: &'a BTreeMap<String, Session>) -> impl Iterator<Item = &'a str> {
    let of_neighbors = neighbors.iter().flat_map(|n| [&n.import, &n.export]);
    let of_groups = groups.values().flat_map(|s| [&s.import, &s.export]);
    of_neighbors.chain(of_groups).flatten().flat_map(|list| &list.0).map(String::as_str)
}

fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// A rule that matches all that is left.
pub(super) fn end(action: RuleAction) -> Rule {
    Rule { action: Some(action), ..Rule::default() }
}

/// A rule on prefixes.
pub(super) fn on_prefixes(prefixes: Vec<file::PrefixEntry>, action: RuleAction) -> Rule {
    let matched = Match { prefixes: Some(prefixes), ..Match::default() };
    Rule { r#match: Some(matched), set: None, action: Some(action) }
}

pub(super) fn list(items: impl IntoIterator<Item = String>) -> List<String> {
    List(items.into_iter().collect())
}

/// A line without the secret in it: what follows the word `password`.
fn hidden(written: &str) -> String {
    match written.split_once("password ") {
        Some((before, _)) => format!("{before}password …"),
        None => written.to_owned(),
    }
}
