//! Links inside the repository lead somewhere, and every page can be found from the index.

use super::{at, read};
use clap::Parser;
use clap::error::ErrorKind;
use kubgp::cli::args::Cli;
use regex::Regex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const TOP: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "bench/RESULTS.md"];

fn pages() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = TOP.iter().map(|name| at(name)).collect();
    let mut folders = vec![at("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.extension() {
                _ if entry.is_dir() => folders.push(entry),
                Some(end) if end == "md" => found.push(entry),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// Text outside of fenced blocks.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}

/// What GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(path: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(path).unwrap();
    prose(&text).lines().filter(|line| line.starts_with('#')).map(|line| anchor(line.trim_start_matches('#'))).collect()
}

#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut faults = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for found in link.captures_iter(&prose(&text)) {
            let target = &found[1];
            if target.contains("://") {
                continue;
            }
            let (path, part) = target.split_once('#').unwrap_or((target, ""));
            let there = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            if !there.exists() || (!part.is_empty() && !anchors(&there).contains(part)) {
                faults.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_page_is_in_the_index() {
    let index = read("docs/README.md");
    let missing: Vec<_> = pages()
        .into_iter()
        .filter_map(|page| page.strip_prefix(at("docs")).ok().map(|page| page.display().to_string()))
        .filter(|page| page != "README.md" && !index.contains(&format!("({page})")))
        .collect();
    assert!(missing.is_empty(), "not in docs/README.md: {missing:?}");
}

/// A command line without comment, redirection and what follows; placeholders as values.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" #").next().unwrap_or_default();
    let value = |word: &str| match word {
        "PREFIX" => "10.0.0.0/8".to_owned(),
        "SHELL" => "bash".to_owned(),
        _ => word.trim_matches(['"', '\'']).to_owned(),
    };
    line.split_whitespace().take_while(|word| !word.starts_with(['>', '|', '2', ';', '&', '<'])).map(value).collect()
}

/// Every `bgpctl ...` of the pages is a command that there is.
#[test]
fn commands_are_understood() {
    let inline = Regex::new(r"`(bgpctl [^`]*)`").unwrap();
    let (mut faults, mut seen) = (Vec::new(), 0);
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let fenced = text.split("```sh\n").skip(1).flat_map(|rest| rest.split("```").next().unwrap_or_default().lines());
        let fenced = fenced.filter(|line| line.starts_with("bgpctl ")).map(str::to_owned);
        let prose = prose(&text);
        let inline = inline.captures_iter(&prose).map(|found| found[1].to_owned());
        for line in fenced.chain(inline).filter(|line| !line.contains("...") && !line.contains('…') && !line.contains(['<', '['])) {
            // A page may leave arguments out where it names a command.
            let error = Cli::try_parse_from(words(&line)).err().filter(|error| {
                matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand | ErrorKind::ValueValidation)
            });
            faults.extend(error.map(|error| format!("{}: {line}\n{error}", page.display())));
            seen += 1;
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 60, "{seen} commands");
}
