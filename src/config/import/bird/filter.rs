//! Filters of the simple kind: `if net ~ [ … ] then …`, communities, and assignments. What is not understood rejects from there on.

use super::lexer::Statement;
use crate::config::file::{CommunityEdit, Match, MedText, Members, PrefixEntry, PrefixMap, Rule, RuleAction, Set};
use crate::config::import::draft::{Draft, end, list};

/// The rules of a filter's body.
pub(super) fn rules(body: &[Statement], draft: &mut Draft) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut set = Set::default();
    for statement in body {
        let words = statement.words();
        let done = match words.as_slice() {
            ["accept" | "reject"] => {
                let action = action(&words);
                rules.push(Rule { set: changed(&set, action), ..end(action) });
                return rules;
            }
            ["if", rest @ ..] => condition(rest, &statement.body, &set),
            words => assign(&mut set, words).then(Vec::new),
        };
        let Some(more) = done else {
            draft.lost(statement.line, &statement.text(), "is not understood; from here on the filter rejects");
            rules.push(end(RuleAction::Reject));
            return rules;
        };
        rules.extend(more);
    }
    // A filter that ends without a word rejects.
    rules.push(end(RuleAction::Reject));
    rules
}

/// `if COND then accept`, or `if COND then { assignments; accept; }`.
fn condition(words: &[&str], body: &[Statement], before: &Set) -> Option<Vec<Rule>> {
    let at = words.iter().position(|word| *word == "then")?;
    let (test, then) = words.split_at(at);
    let matched = matched(&test.concat())?;
    let mut set = before.clone();
    let action = match (then, body) {
        (["then", "accept" | "reject"], []) => action(then),
        (["then"], [inner @ .., last]) if matches!(last.words().as_slice(), ["accept" | "reject"]) => {
            inner.iter().all(|statement| assign(&mut set, &statement.words())).then_some(())?;
            action(&last.words())
        }
        _ => return None,
    };
    Some(vec![Rule { r#match: Some(matched), set: changed(&set, action), action: Some(action) }])
}

fn action(words: &[&str]) -> RuleAction {
    if words.last() == Some(&"accept") { RuleAction::Accept } else { RuleAction::Reject }
}

fn changed(set: &Set, action: RuleAction) -> Option<Set> {
    (action == RuleAction::Accept && *set != Set::default()).then(|| set.clone())
}

/// A condition without blanks: `net~[…]`, `net~10.0.0.0/8`, `net=10.0.0.0/8`, `(64500,1)~bgp_community`, or one of these in parentheses.
fn matched(test: &str) -> Option<Match> {
    let on = |prefixes| Some(Match { prefixes: Some(prefixes), ..Match::default() });
    if let Some(pair) = test.strip_suffix("~bgp_community") {
        let any = Some(list([community(pair)?]));
        return Some(Match { communities: Some(Members { any, all: None }), ..Match::default() });
    }
    if let Some(inner) = test.strip_prefix('(').and_then(|test| test.strip_suffix(')')) {
        return matched(inner);
    }
    if let Some(set) = test.strip_prefix("net~[") {
        return on(entries(set.strip_suffix(']')?)?);
    }
    match (test.strip_prefix("net~"), test.strip_prefix("net=")) {
        // A prefix within another one, or itself.
        (Some(outer), _) => on(vec![prefix(&format!("{outer}+"))?]),
        (_, Some(one)) => on(vec![prefix(one)?]),
        _ => None,
    }
}

/// The entries of a set; commas also stand within braces.
fn entries(set: &str) -> Option<Vec<PrefixEntry>> {
    let mut depth = 0;
    let parts = set.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    parts.map(prefix).collect()
}

/// `10.0.0.0/8`, `10.0.0.0/8+`, `10.0.0.0/8{16,24}`; `10.0.0.0/8-` has no counterpart.
fn prefix(text: &str) -> Option<PrefixEntry> {
    if let Some(prefix) = text.strip_suffix('+') {
        let prefix = Some(prefix.parse().ok()?);
        return Some(PrefixEntry::Range(PrefixMap { prefix, or_longer: Some(true), ..PrefixMap::default() }));
    }
    if let Some((prefix, range)) = text.split_once('{') {
        let (low, high) = range.strip_suffix('}')?.split_once(',')?;
        let (prefix, ge, le) = (prefix.parse().ok()?, low.parse().ok()?, high.parse().ok()?);
        return Some(PrefixEntry::Range(PrefixMap { prefix: Some(prefix), ge: Some(ge), le: Some(le), or_longer: None }));
    }
    text.parse().ok().map(PrefixEntry::Exact)
}

/// `(64500,1)`.
fn community(text: &str) -> Option<String> {
    let (high, low) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    let part = |text: &str| text.parse::<u16>().ok();
    Some(format!("{}:{}", part(high)?, part(low)?))
}

/// Whether the assignment was understood.
fn assign(set: &mut Set, words: &[&str]) -> bool {
    let number = |text: &str| text.parse::<u32>().ok();
    match words {
        ["bgp_local_pref", "=", value] => set.local_pref = number(value),
        ["bgp_med", "=", value] => set.med = number(value).map(MedText::To),
        [call, pair] if matches!(*call, "bgp_community.add" | "bgp_community.delete") => {
            let inner = pair.strip_prefix('(').and_then(|pair| pair.strip_suffix(')')).and_then(community);
            let Some(inner) = inner else { return false };
            let edit: &mut CommunityEdit = set.communities.get_or_insert_default();
            let side = if call.ends_with("add") { &mut edit.add } else { &mut edit.remove };
            side.get_or_insert_default().0.push(inner);
            return true;
        }
        _ => return false,
    }
    words.last().is_some_and(|value| number(value).is_some())
}
