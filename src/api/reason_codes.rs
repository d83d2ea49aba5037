//! The list of all reason codes: they stand in `explain`, `show services`, metric labels, conditions and Events, and never change.

use super::live::GATES;
use super::session_trace::Block;
use super::types::ReasonCode;
use crate::operator::metallb::reason::Reason as ServiceReason;
use crate::policy::Reason;

/// Every code with what to do about it, by what it is about: routes, Services, sessions.
pub fn all() -> Vec<ReasonCode> {
    let row = |about: &str, code: &str, remedy: Option<&str>| ReasonCode {
        about: about.to_owned(),
        code: code.to_owned(),
        remedy: remedy.map(str::to_owned),
    };
    let routes = Reason::ALL.iter().map(|reason| row("route", reason.code(), super::live::remedy(*reason)));
    let more = [
        ("notReceived", Some("ask the neighbor that should announce it what it sends: `bgpctl show rib in PREFIX`")),
        ("undecided", Some("wait: after a restart selection begins when the neighbors that were up have sent their routes, or after 30 s")),
    ];
    let services = ServiceReason::ALL.iter().map(|reason| row("service", reason.code(), Some(reason.remedy())));
    let gates = GATES.iter().map(|(code, remedy)| row("service", code, Some(remedy)));
    let sessions = Block::ALL.iter().map(|block| row("session", block.code(), Some(block.remedy())));
    let routes = routes.chain(more.into_iter().map(|(code, remedy)| row("route", code, remedy)));
    routes.chain(services).chain(gates).chain(sessions).chain([row("session", "established", None)]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// All of the tests' text: scenarios, vectors, and what stands behind `#[cfg(test)]`.
    fn tests_below(folder: &Path, texts: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.display().to_string();
            if path.is_dir() {
                tests_below(&path, texts);
            } else if ["fixtures", "snapshots"].iter().any(|word| name.contains(word)) || name.ends_with(file!()) {
                // What stands there was put there by hand, or is what a fixture says.
            } else if let Ok(text) = fs::read_to_string(&path) {
                let is_test = name.contains("proto-tests") || name.contains("/tests");
                texts.push_str(if is_test { &text } else { text.split_once("#[cfg(test)]").map_or("", |(_, tests)| tests) });
            }
        }
    }

    #[test]
    fn every_code_is_produced_by_a_test() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut texts = String::new();
        for folder in ["src", "proto-tests"] {
            tests_below(&root.join(folder), &mut texts);
        }
        let words: BTreeSet<&str> = texts.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let variant = |code: &str| {
            let (first, rest) = code.split_at(1);
            first.to_uppercase() + rest
        };
        let missing: Vec<String> = all()
            .into_iter()
            .map(|row| row.code)
            .filter(|code| !words.contains(code.as_str()) && !words.contains(variant(code).as_str()))
            .collect();
        assert!(missing.is_empty(), "no test expects {missing:?}");
    }

    #[test]
    fn codes_are_words_and_say_what_to_do() {
        let fine = ["splitHorizon", "draining", "advertised", "established"];
        let mut seen = BTreeSet::new();
        for row in all() {
            assert!(seen.insert((row.about.clone(), row.code.clone())), "{row:?} twice");
            assert!(
                row.code.chars().all(|c| c.is_ascii_alphanumeric()) && row.code.starts_with(|c: char| c.is_ascii_lowercase()),
                "{row:?}"
            );
            assert!(row.remedy.is_some() || fine.contains(&row.code.as_str()), "{row:?}");
        }
    }
}
