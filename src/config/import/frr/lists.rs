//! Lists that route maps and neighbors name: of prefixes, communities, AS paths.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::config::file::{Match, Members, PrefixEntry, PrefixMap, Rule, RuleAction};
use crate::config::import::draft::{end, list, on_prefixes};

#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Entries in the order of their sequence numbers: permit or deny.
    prefixes: BTreeMap<String, BTreeMap<u32, (bool, PrefixEntry)>>,
    /// Lines, each of which needs all of its communities.
    communities: BTreeMap<String, Vec<Vec<String>>>,
    large_communities: BTreeMap<String, Vec<Vec<String>>>,
    as_paths: BTreeMap<String, Vec<String>>,
}

const DENIES: &str = "only lists that permit are taken over; write the exception as a rule of its own";

impl Lists {
    pub fn read(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            [_, "prefix-list", name, "seq", number, rest @ ..] => {
                let number = number.parse().map_err(|_| "the sequence number is none".to_owned())?;
                self.prefix(name, Some(number), rest)
            }
            [_, "prefix-list", _, "description", ..] => Ok(()),
            [_, "prefix-list", name, rest @ ..] => self.prefix(name, None, rest),
            [_, "community-list", "expanded", ..] => Err("regular expressions on communities are not supported".to_owned()),
            [_, "community-list", "standard", name, rest @ ..] | [_, "community-list", name, rest @ ..] => {
                members(self.communities.entry((*name).to_owned()).or_default(), rest)
            }
            [_, "large-community-list", "standard", name, rest @ ..] | [_, "large-community-list", name, rest @ ..] => {
                members(self.large_communities.entry((*name).to_owned()).or_default(), rest)
            }
            [_, "as-path", "access-list", name, rest @ ..] => {
                let rest = if let ["seq", _, rest @ ..] = rest { rest } else { rest };
                match rest {
                    ["permit", regex @ ..] => {
                        self.as_paths.entry((*name).to_owned()).or_default().push(regex.join(" "));
                        Ok(())
                    }
                    _ => Err(DENIES.to_owned()),
                }
            }
            _ => Err("has no counterpart".to_owned()),
        }
    }

    fn prefix(&mut self, name: &str, number: Option<u32>, words: &[&str]) -> Result<(), String> {
        let [action @ ("permit" | "deny"), prefix, rest @ ..] = words else {
            return Err("expected permit or deny and a prefix".to_owned());
        };
        let any = match *prefix {
            "any" => Some(if words.contains(&":") { "::/0" } else { "0.0.0.0/0" }),
            _ => None,
        };
        let prefix: IpNet = any.unwrap_or(prefix).parse().map_err(|_| "not a prefix".to_owned())?;
        let bound = |word: &str| {
            let found = rest.iter().position(|w| *w == word).and_then(|at| rest.get(at + 1));
            found.map(|text| text.parse::<u8>().map_err(|_| format!("`{word}` needs a length"))).transpose()
        };
        let (ge, le) = (bound("ge")?, bound("le")?);
        let entry = match (any, ge, le) {
            (Some(_), None, None) => PrefixEntry::Range(PrefixMap { prefix: Some(prefix), or_longer: Some(true), ..PrefixMap::default() }),
            (None, None, None) => PrefixEntry::Exact(prefix),
            (_, ge, le) => PrefixEntry::Range(PrefixMap { prefix: Some(prefix), ge, le, or_longer: None }),
        };
        let entries = self.prefixes.entry(name.to_owned()).or_default();
        // As FRR numbers them.
        let number = number.unwrap_or_else(|| entries.keys().next_back().map_or(5, |last| last + 5));
        entries.insert(number, (*action == "permit", entry));
        Ok(())
    }

    pub fn has_prefixes(&self, name: &str) -> bool {
        self.prefixes.contains_key(name)
    }

    /// A prefix list as a policy of its own; one that does not exist passes nothing.
    pub fn policy(&self, name: &str) -> Vec<Rule> {
        let mut rules: Vec<Rule> = Vec::new();
        for (permits, entry) in self.prefixes.get(name).into_iter().flat_map(BTreeMap::values) {
            let action = if *permits { RuleAction::Accept } else { RuleAction::Reject };
            let same = rules.last_mut().filter(|rule| rule.action == Some(action));
            match same.and_then(|rule| rule.r#match.as_mut()?.prefixes.as_mut()) {
                Some(prefixes) => prefixes.push(entry.clone()),
                None => rules.push(on_prefixes(vec![entry.clone()], action)),
            }
        }
        rules.push(end(RuleAction::Reject));
        rules
    }

    /// What a prefix list permits, as conditions of which any must hold: runs of entries, without what was denied before them.
    pub fn conditions(&self, name: &str) -> Option<Vec<Match>> {
        let mut denied: Vec<PrefixEntry> = Vec::new();
        let mut conditions: Vec<Match> = Vec::new();
        let mut open = false;
        for (permits, entry) in self.prefixes.get(name)?.values() {
            match (permits, open) {
                (false, _) => denied.push(entry.clone()),
                (true, true) => {
                    let prefixes = conditions.last_mut().and_then(|condition| condition.prefixes.as_mut());
                    prefixes.into_iter().for_each(|prefixes| prefixes.push(entry.clone()));
                }
                (true, false) => {
                    let not = (!denied.is_empty()).then(|| Box::new(Match { prefixes: Some(denied.clone()), ..Match::default() }));
                    conditions.push(Match { prefixes: Some(vec![entry.clone()]), not, ..Match::default() });
                }
            }
            open = *permits;
        }
        Some(conditions)
    }

    pub fn communities(&self, name: &str) -> Result<Members, String> {
        any_or_all(self.communities.get(name))
    }

    pub fn large_communities(&self, name: &str) -> Result<Members, String> {
        any_or_all(self.large_communities.get(name))
    }

    pub fn as_path(&self, name: &str) -> Option<&[String]> {
        self.as_paths.get(name).map(Vec::as_slice)
    }
}

fn members(lines: &mut Vec<Vec<String>>, words: &[&str]) -> Result<(), String> {
    let words = if let ["seq", _, rest @ ..] = words { rest } else { words };
    match words {
        ["permit", members @ ..] if !members.is_empty() => {
            lines.push(members.iter().map(|member| community(member)).collect());
            Ok(())
        }
        _ => Err(DENIES.to_owned()),
    }
}

/// FRR's names where ours differ.
pub(super) fn community(text: &str) -> String {
    match text {
        "local-AS" => "no-export-subconfed".to_owned(),
        other => other.to_owned(),
    }
}

fn any_or_all(lines: Option<&Vec<Vec<String>>>) -> Result<Members, String> {
    let lines = lines.ok_or("the list does not exist")?;
    match lines.as_slice() {
        [all] if all.len() > 1 => Ok(Members { any: None, all: Some(list(all.iter().cloned())) }),
        lines if lines.iter().all(|line| line.len() == 1) => Ok(Members { any: Some(list(lines.iter().flatten().cloned())), all: None }),
        _ => Err("lines of several communities each are not supported; write a rule for each line".to_owned()),
    }
}
