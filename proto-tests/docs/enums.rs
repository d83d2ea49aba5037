//! Codes out of the enums that have them: names, docs and codes as the source has them, since an enum cannot be listed.

use super::page::{code, table};
use super::read;
use std::collections::BTreeMap;

/// A variant, with its docs as one line.
struct Variant {
    name: String,
    docs: String,
}

/// The variants of an enum, in their order.
fn variants(source: &str, name: &str) -> Vec<Variant> {
    let start = source.find(&format!("enum {name} {{")).unwrap_or_else(|| panic!("no enum {name}"));
    let body = &source[start..];
    let body = &body[body.find('{').unwrap() + 1..body.find("\n}").unwrap()];
    let (mut found, mut docs) = (Vec::new(), Vec::new());
    for line in body.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(text) = line.strip_prefix("///") {
            docs.push(text.trim());
        } else {
            let name = line.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned();
            found.push(Variant { name, docs: sentence(&docs.join(" ")) });
            docs.clear();
        }
    }
    found
}

/// Starts with a capital letter, unless it starts with a name, and ends without a full stop.
fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let first = text.split(' ').next().unwrap_or_default();
    if first == "bgpctl" || first.chars().any(|c| c.is_uppercase() || c == '`') {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// What a function says about each variant: the first text of the arm of its `match`.
fn arms(source: &str, function: &str) -> BTreeMap<String, String> {
    let start = source.find(&format!("fn {function}")).unwrap_or_else(|| panic!("no fn {function}"));
    let body = &source[start..];
    let body = &body[..body.find("\n}").unwrap_or(body.len())];
    // Ends before the next function of the same impl.
    let body = body.split("\n    }\n").next().unwrap();
    let pattern = regex::Regex::new(
        r#"(?s)((?:\w+::\w+(?:\([^)]*\))?\s*\|?\s*)+)=>\s*\{?\s*(?:write!\(f,\s*|f\.write_str\()?(?:format!\()?"((?:[^"\\]|\\.)*)""#,
    )
    .unwrap();
    let name = regex::Regex::new(r"\w+::(\w+)").unwrap();
    let mut found = BTreeMap::new();
    for arm in pattern.captures_iter(body) {
        for variant in name.captures_iter(&arm[1]) {
            found.insert(variant[1].to_owned(), arm[2].to_owned());
        }
    }
    found
}

/// `code`, then for each of `texts` what it says.
fn codes(path: &str, name: &str, head: &[&str], texts: &[BTreeMap<String, String>]) -> String {
    let source = read(path);
    let codes = arms(&source[source.find(&format!("impl {name} {{")).unwrap()..], "code");
    let rows = variants(&source, name).into_iter().map(|variant| {
        let code_of = codes.get(&variant.name).unwrap_or_else(|| panic!("{path}: {} has no code", variant.name));
        let mut row = vec![code(code_of)];
        if texts.is_empty() {
            row.push(variant.docs);
        }
        row.extend(texts.iter().map(|says| says.get(&variant.name).map(|text| sentence(text)).unwrap_or_default()));
        row
    });
    table(head, rows)
}

pub fn routes() -> String {
    let source = read("src/api/live/reasons.rs");
    let mut sentences = arms(&source, "sentence");
    sentences.insert("DeniedByPolicy".to_owned(), "rejected by a rule of the policies; the number of the rule follows".to_owned());
    codes("src/policy/reason.rs", "Reason", &["code", "meaning", "remedy"], &[sentences, arms(&source, "remedy")])
}

pub fn vips() -> String {
    let path = "src/api/live/services/file.rs";
    let remedies = arms(&read(path), "remedy");
    codes(path, "Gate", &["code", "remedy"], &[remedies])
}

pub fn decision() -> String {
    let source = read("src/rib/decide.rs");
    let words = arms(&source[source.find("impl fmt::Display for Step").unwrap()..], "fmt");
    codes("src/rib/decide.rs", "Step", &["code", "the better path has, or is"], &[words])
}

pub fn kernel() -> String {
    codes("src/fib/mod.rs", "Failure", &["code", "meaning"], &[])
}

/// These have no code: what is said stands in its place.
pub fn left() -> String {
    let source = read("src/fib/rules.rs");
    let says = arms(&source[source.find("impl fmt::Display for Left").expect("what is said")..], "fmt");
    table(&["shown as", "meaning"], variants(&source, "Left").into_iter().map(|variant| vec![says[&variant.name].clone(), variant.docs]))
}

/// The codes of Services, which a macro lists with their remedies.
pub fn services() -> String {
    let source = read("src/kube/metallb/reason.rs");
    let body = &source[source.rfind("reasons! {").unwrap()..];
    let line = regex::Regex::new(r#"^\s*\w+ = "(\w+)", "(.*)";$"#).unwrap();
    let rows = body.lines().filter_map(|text| line.captures(text)).map(|found| vec![code(&found[1]), sentence(&found[2])]);
    table(&["code", "remedy"], rows)
}
