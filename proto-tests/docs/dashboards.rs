//! Dashboards and alerts name metrics and labels that the daemon has.

use super::series::{self, Scrape};
use super::{at, read};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;

/// What Prometheus adds to every series, and what it or we make up.
const ADDED: [&str; 7] = ["instance", "job", "pod", "namespace", "node", "__name__", "alertname"];

/// Names and labels of what is exported, whatever the role.
struct Known {
    scrapes: [Scrape; 2],
    metric: Regex,
    matcher: Regex,
    grouping: Regex,
}

impl Known {
    fn new() -> Self {
        Self {
            scrapes: [series::own(), series::metallb()],
            metric: Regex::new(r"\b((?:kubgp|metallb|process)_[a-z0-9_]+)(?:\{([^}]*)\})?").unwrap(),
            matcher: Regex::new(r"(\w+)\s*(?:=~|!~|!=|=)").unwrap(),
            grouping: Regex::new(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)").unwrap(),
        }
    }

    fn labels(&self, metric: &str) -> Option<BTreeSet<String>> {
        let stem = ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end));
        let family = |name: &str| self.scrapes.iter().find_map(|scrape| scrape.0.get(name));
        let histogram = || stem.and_then(family).filter(|f| f.kind == "histogram");
        let family = family(metric).or_else(histogram)?;
        let mut labels = family.labels.clone();
        labels.extend(ADDED.map(str::to_owned));
        if metric.ends_with("_bucket") {
            labels.insert("le".to_owned());
        }
        Some(labels)
    }

    /// The labels that the result of an expression can have; what it names that there is not goes to `faults`.
    fn check(&self, place: &str, expression: &str, faults: &mut Vec<String>) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for found in self.metric.captures_iter(expression) {
            let Some(labels) = self.labels(&found[1]) else {
                faults.push(format!("{place}: there is no metric {}", &found[1]));
                continue;
            };
            for matcher in self.matcher.captures_iter(found.get(2).map_or("", |m| m.as_str())) {
                if !labels.contains(&matcher[1]) {
                    faults.push(format!("{place}: {} has no label {}", &found[1], &matcher[1]));
                }
            }
            all.extend(labels);
        }
        for group in self.grouping.captures_iter(expression) {
            for label in group[1].split(',').map(str::trim).filter(|label| !label.is_empty() && !all.contains(*label)) {
                faults.push(format!("{place}: nothing in {expression} has a label {label}"));
            }
        }
        all
    }
}

fn files(folder: &str, end: &str) -> Vec<String> {
    let entries = std::fs::read_dir(at(folder)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| name.ends_with(end)).map(|name| format!("{folder}/{name}")).collect();
    names.sort();
    assert!(!names.is_empty(), "{folder}");
    names
}

#[test]
fn dashboards_show_what_there_is() {
    let (known, legend) = (Known::new(), Regex::new(r"\{\{(\w+)\}\}").unwrap());
    let query = Regex::new(r"label_values\((\w+)(?:\{([^}]*)\})?, (\w+)\)").unwrap();
    let (mut faults, mut seen) = (Vec::new(), 0);
    for file in files("config/grafana", ".json") {
        let board: Value = serde_json::from_str(&read(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        for variable in board["templating"]["list"].as_array().unwrap() {
            if let Some(found) = variable["query"]["query"].as_str().and_then(|text| query.captures(text)) {
                let labels = known.check(&file, &found[0], &mut faults);
                assert!(labels.contains(&found[3]), "{file}: {}", &found[0]);
            }
        }
        for panel in board["panels"].as_array().unwrap() {
            let place = format!("{file}: {}", panel["title"].as_str().unwrap());
            for target in panel["targets"].as_array().into_iter().flatten() {
                let labels = known.check(&place, target["expr"].as_str().unwrap(), &mut faults);
                let named = legend.captures_iter(target["legendFormat"].as_str().unwrap());
                faults.extend(named.filter(|l| !labels.contains(&l[1])).map(|l| format!("{place}: no label {}", &l[1])));
                seen += 1;
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 60, "{seen} expressions");
}

/// Panels do not lie on each other, and no two have a number.
#[test]
fn dashboards_are_laid_out() {
    for file in files("config/grafana", ".json") {
        let board: Value = serde_json::from_str(&read(&file)).unwrap();
        let (mut cells, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for panel in board["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: {}", panel["id"]);
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(x + w <= 24, "{file}: {}", panel["title"]);
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(cells.insert(cell), "{file}: {} lies on another panel", panel["title"]);
            }
        }
    }
}

#[test]
fn alerts_watch_what_there_is() {
    let (known, label) = (Known::new(), Regex::new(r"\$labels\.(\w+)").unwrap());
    let (mut faults, mut names) = (Vec::new(), BTreeSet::new());
    for file in files("config/prometheus", ".yaml") {
        let rules: Value = serde_saphyr::from_str(&read(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        for rule in rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
            let name = rule["alert"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} is there twice");
            assert!(rule["labels"]["severity"].is_string(), "{name}");
            let labels = known.check(name, rule["expr"].as_str().unwrap(), &mut faults);
            let notes = rule["annotations"].to_string();
            faults.extend(label.captures_iter(&notes).filter(|l| !labels.contains(&l[1])).map(|l| format!("{name}: no label {}", &l[1])));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
