//! Route maps as rules.

use super::lists::{Lists, community};
use crate::config::file::{
    Asn, CommunityEdit, List, Match, MedText, NextHopMode, NumberRange, OriginText, Prepend, RouteNextHop, Rule, RuleAction, Set,
};
use crate::config::import::draft::{Draft, end, list};

/// One sequence number of a route map.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    permits: bool,
    pub line: usize,
    /// Every condition has a counterpart.
    pub is_understood: bool,
    conditions: Vec<Condition>,
    set: Set,
}

/// A list that must hold.
#[derive(Clone, Debug)]
enum Condition {
    Prefixes(String),
    Communities(String),
    LargeCommunities(String),
    AsPath(String),
    Med(u32),
    LocalPref(u32),
    Peer(String),
    Origin(OriginText),
}

impl Clause {
    pub fn new(permits: bool, line: usize) -> Self {
        Self { permits, line, is_understood: true, conditions: Vec::new(), set: Set::default() }
    }

    pub fn read(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["match", rest @ ..] => {
                let condition = condition(rest)?;
                self.conditions.push(condition);
                Ok(())
            }
            ["set", rest @ ..] => self.set(rest),
            ["description", ..] => Ok(()),
            _ => Err("has no counterpart".to_owned()),
        }
    }

    fn set(&mut self, words: &[&str]) -> Result<(), String> {
        let number = |text: &str| text.parse::<u32>().map_err(|_| format!("`{text}` is no number"));
        let set = &mut self.set;
        match words {
            ["local-preference", value] => set.local_pref = Some(number(value)?),
            ["metric", value] => {
                set.med = Some(match (value.strip_prefix('+'), value.strip_prefix('-')) {
                    (Some(more), _) => MedText::Add(number(more)?),
                    (_, Some(less)) => MedText::Subtract(number(less)?),
                    _ => MedText::To(number(value)?),
                });
            }
            ["community", rest @ ..] => set.communities = Some(edit(rest)),
            ["large-community", rest @ ..] => set.large_communities = Some(edit(rest)),
            ["as-path", "prepend", "last-as", ..] => return Err("write the AS number that is to be prepended".to_owned()),
            ["as-path", "prepend", asns @ ..] => set.prepend = Some(prepend(asns)?),
            ["ip" | "ipv6", "next-hop", "unchanged"] => set.next_hop = Some(RouteNextHop::Mode(NextHopMode::Unchanged)),
            ["ip", "next-hop", address] | ["ipv6", "next-hop", "global", address] => {
                let address = address.parse().map_err(|_| "only an address or `unchanged`".to_owned())?;
                set.next_hop = Some(RouteNextHop::Address(address));
            }
            ["origin", word] => set.origin = Some(origin(word)?),
            _ => return Err("has no counterpart".to_owned()),
        }
        Ok(())
    }
}

fn condition(words: &[&str]) -> Result<Condition, String> {
    let owned = |text: &str| text.to_owned();
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("`{text}` is no number"));
    Ok(match words {
        ["ip" | "ipv6", "address", "prefix-list", name] => Condition::Prefixes(owned(name)),
        ["community", name] => Condition::Communities(owned(name)),
        ["large-community", name] => Condition::LargeCommunities(owned(name)),
        ["as-path", name] => Condition::AsPath(owned(name)),
        ["metric", value] => Condition::Med(number(value)?),
        ["local-preference", value] => Condition::LocalPref(number(value)?),
        ["peer", address] => Condition::Peer(owned(address)),
        ["origin", word] => Condition::Origin(origin(word)?),
        _ => return Err("has no counterpart".to_owned()),
    })
}

fn origin(word: &str) -> Result<OriginText, String> {
    match word {
        "igp" => Ok(OriginText::Igp),
        "egp" => Ok(OriginText::Egp),
        "incomplete" => Ok(OriginText::Incomplete),
        _ => Err("expected igp, egp or incomplete".to_owned()),
    }
}

fn edit(words: &[&str]) -> CommunityEdit {
    let members = list(words.iter().filter(|word| **word != "additive").map(|word| community(word)));
    match words {
        ["none"] => CommunityEdit { replace: Some(List(Vec::new())), ..CommunityEdit::default() },
        _ if words.contains(&"additive") => CommunityEdit { add: Some(members), ..CommunityEdit::default() },
        _ => CommunityEdit { replace: Some(members), ..CommunityEdit::default() },
    }
}

fn prepend(asns: &[&str]) -> Result<Prepend, String> {
    let [first, ..] = asns else { return Err("expected AS numbers".to_owned()) };
    let asn = first.parse().ok().and_then(crate::wire::Asn::new).ok_or("expected AS numbers")?;
    if asns.iter().any(|asn| asn != first) {
        return Err("different AS numbers cannot be prepended at once".to_owned());
    }
    let times = u8::try_from(asns.len()).map_err(|_| "so many AS numbers cannot be prepended")?;
    Ok(Prepend { asn: Some(Asn::Number(asn)), times: Some(times) })
}

/// The rules of a route map. A clause of which a condition is not understood rejects everything that reaches it: what is behind it
/// was not meant for those routes.
pub(super) fn rules(clauses: &[Clause], lists: &Lists, draft: &mut Draft) -> Vec<Rule> {
    let mut rules = Vec::new();
    for clause in clauses {
        match alternatives(clause, lists) {
            Ok(_) if !clause.is_understood => rules.push(end(RuleAction::Reject)),
            Ok(matches) => rules.extend(matches.into_iter().map(|matched| rule(clause, matched))),
            Err((written, why)) => {
                draft.lost(clause.line, &written, format!("{why}; the clause rejects everything that reaches it"));
                rules.push(end(RuleAction::Reject));
            }
        }
    }
    rules.push(end(RuleAction::Reject));
    rules
}

fn rule(clause: &Clause, matched: Match) -> Rule {
    let set = Some(clause.set.clone()).filter(|set| clause.permits && *set != Set::default());
    let action = if clause.permits { RuleAction::Accept } else { RuleAction::Reject };
    Rule { r#match: Some(matched).filter(|matched| *matched != Match::default()), set, action: Some(action) }
}

/// Conditions of which any makes the clause match.
fn alternatives(clause: &Clause, lists: &Lists) -> Result<Vec<Match>, (String, String)> {
    let mut common = Match::default();
    let mut prefixes = None;
    for condition in &clause.conditions {
        let failed = |name: &str, why: String| (name.to_owned(), why);
        match condition {
            Condition::Prefixes(name) if prefixes.is_none() => {
                prefixes = Some(lists.conditions(name).ok_or_else(|| failed(name, "there is no such prefix list".to_owned()))?);
            }
            Condition::Prefixes(name) => return Err(failed(name, "one prefix list per clause".to_owned())),
            Condition::Communities(name) => common.communities = Some(lists.communities(name).map_err(|why| failed(name, why))?),
            Condition::LargeCommunities(name) => {
                common.large_communities = Some(lists.large_communities(name).map_err(|why| failed(name, why))?);
            }
            Condition::AsPath(name) => {
                let found = lists.as_path(name).ok_or_else(|| failed(name, "there is no such access list".to_owned()))?;
                common.as_path = Some(list(found.iter().cloned()));
            }
            Condition::Med(value) => common.med = Some(NumberRange::Exact(*value)),
            Condition::LocalPref(value) => common.local_pref = Some(NumberRange::Exact(*value)),
            Condition::Peer(address) => common.neighbors = Some(list([address.clone()])),
            Condition::Origin(origin) => common.origin = Some(List(vec![*origin])),
        }
    }
    Ok(match prefixes {
        None => vec![common],
        Some(runs) => runs.into_iter().map(|run| Match { prefixes: run.prefixes, not: run.not, ..common.clone() }).collect(),
    })
}
