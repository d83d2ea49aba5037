//! The metrics, out of what a scrape looks like: the snapshots of `src/metrics`, which are what the daemon writes.

use super::page::{code, table};
use super::read;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct Family {
    pub help: String,
    pub kind: String,
    pub labels: BTreeSet<String>,
}

#[derive(Default)]
pub struct Scrape(pub BTreeMap<String, Family>);

impl Scrape {
    fn parse(text: &str) -> Self {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        for line in text.lines() {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "HELP", name, help] => help.clone_into(&mut families.entry(name.to_owned()).or_default().help),
                ["#", "TYPE", name, kind] => kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind),
                _ => {
                    let name = line.split(['{', ' ']).next().unwrap_or_default();
                    let stem = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
                    let family = if families.contains_key(name) { name } else { stem };
                    if let (Some(family), Some((_, rest))) = (families.get_mut(family), line.split_once('{')) {
                        let labels = rest.split("\",").filter_map(|pair| pair.split_once("=\"")).map(|(label, _)| label.to_owned());
                        family.labels.extend(labels);
                    }
                }
            }
        }
        Self(families)
    }

    pub fn table(&self) -> String {
        let rows = self.0.iter().map(|(name, family)| {
            let labels: Vec<_> = family.labels.iter().filter(|label| *label != "le").map(|label| code(label)).collect();
            vec![code(name), family.kind.clone(), labels.join(", "), family.help.clone()]
        });
        table(&["metric", "type", "labels", "meaning"], rows)
    }
}

fn snapshot(name: &str) -> Scrape {
    Scrape::parse(&read(&format!("src/metrics/snapshots/kubgp__metrics__tests__{name}.snap")))
}

/// Ours, and the standard ones of a process.
pub fn own() -> Scrape {
    snapshot("text_of_a_scrape")
}

/// MetalLB's names.
pub fn metallb() -> Scrape {
    let mut scrape = snapshot("metallb_has_its_names_labels_and_types");
    let with_help = own();
    for (name, family) in &mut scrape.0 {
        if let Some(known) = with_help.0.get(name) {
            family.help.clone_from(&known.help);
        }
    }
    scrape
}

/// The snapshot has every family that there is, so that nothing is missing in what is made of it.
#[test]
fn the_snapshot_is_complete() {
    let names = regex::Regex::new(r#"(?:gauge|counter|histogram)\("(\w+)""#).unwrap();
    let source = read("src/metrics/names.rs");
    let known: BTreeSet<String> = names.captures_iter(&source).map(|found| found[1].to_owned()).collect();
    assert!(known.len() > 40, "{known:?}");
    let shown: BTreeSet<String> = own().0.into_keys().collect();
    assert_eq!(known.difference(&shown).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the snapshot of a scrape");
}
