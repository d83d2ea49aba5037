//! The keys of the configuration file, out of the macros that define them: `src/config/file.rs` and what is beside it.

use super::page::{code, table};
use super::read;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

struct Key {
    name: String,
    docs: String,
    kind: String,
}

#[derive(Default)]
struct Source {
    /// Mappings by the name of their type: docs, and keys.
    sections: BTreeMap<String, (String, Vec<Key>)>,
    /// Words that a value may be, by type.
    words: BTreeMap<String, Vec<String>>,
    /// What is expected, by type.
    expected: BTreeMap<String, String>,
}

const FILES: [&str; 4] = ["src/config/file.rs", "src/config/file/policy.rs", "src/config/file/values.rs", "src/config/file/vips.rs"];

/// A table for each mapping, in the order in which a file would have them.
pub fn tables() -> String {
    let source = Source::parse();
    let (mut text, mut done) = (String::new(), BTreeSet::new());
    source.describe("File", "", &mut done, &mut text);
    text
}

impl Source {
    fn parse() -> Self {
        let mut source = Self::default();
        let expected = Regex::new(r#"(?:text_type|number_or_word)!\s*[({]\s*(\w+),\s*"([^"]*)""#).unwrap();
        let visitors = Regex::new(r#"type Value = (\w+);\s*fn expecting\([^)]*\) -> [\w:]+ \{\s*f\.write_str\("([^"]*)"\)"#).unwrap();
        for text in FILES.map(read) {
            source.read_sections(&text);
            source.read_words(&text);
            for found in expected.captures_iter(&text).chain(visitors.captures_iter(&text)) {
                source.expected.insert(found[1].to_owned(), found[2].to_owned());
            }
        }
        source
    }

    fn read_sections(&mut self, text: &str) {
        let block = Regex::new(r"(?ms)^section! \{\n(.*?)^\}").unwrap();
        let header = Regex::new(r"pub struct (\w+) \{").unwrap();
        for found in block.captures_iter(text) {
            let (docs, keys) = lines(&found[1]);
            let name = header.captures(&found[1]).unwrap()[1].to_owned();
            self.sections.insert(name, (docs, keys));
        }
        let session = Regex::new(r"(?ms)^session! \{\n(.*?)^\}").unwrap();
        if let Some(found) = session.captures(text) {
            let own = |name: &str, kind: &str, docs: &str| Key { name: name.to_owned(), docs: docs.to_owned(), kind: kind.to_owned() };
            let neighbor = vec![
                own("name", "String", "For people, logs and metrics. Default: the address."),
                own("address", "IpAddr", "Required, but for `interface`."),
                own("port", "u16", "Default: 179."),
                own("group", "String", "Whose settings count where this neighbor says nothing."),
            ];
            self.sections.insert("Session".to_owned(), ("Settings of a session.".to_owned(), lines(&found[1]).1));
            self.sections.insert("Neighbor".to_owned(), ("One neighbor: these keys, and all of a group.".to_owned(), neighbor));
        }
    }

    fn read_words(&mut self, text: &str) {
        let block = Regex::new(r"(?ms)^words! \{\n(.*?)^\}").unwrap();
        let one = Regex::new(r"(?s)(\w+) \{([^}]*)\}").unwrap();
        let word = Regex::new(r#"= "([^"]*)""#).unwrap();
        for found in block.captures_iter(text) {
            for kind in one.captures_iter(&found[1]) {
                self.words.insert(kind[1].to_owned(), word.captures_iter(&kind[2]).map(|w| w[1].to_owned()).collect());
            }
        }
        let plain = Regex::new(r#"rename_all = "camelCase"\)\]\npub enum (\w+) \{\n((?:    \w+,\n)+)\}"#).unwrap();
        for found in plain.captures_iter(text) {
            let words = found[2].split(',').map(str::trim).filter(|word| !word.is_empty());
            self.words.insert(found[1].to_owned(), words.map(|word| word[..1].to_lowercase() + &word[1..]).collect());
        }
    }

    fn describe(&self, kind: &str, path: &str, done: &mut BTreeSet<String>, text: &mut String) {
        if !done.insert(kind.to_owned()) {
            return;
        }
        let (docs, keys) = &self.sections[kind];
        let title = if path.is_empty() { "The file".to_owned() } else { code(path) };
        let rows = keys.iter().map(|key| vec![code(&key.name), self.value(&key.kind), key.docs.clone()]);
        *text += &format!("## {title}\n\n{docs}\n\n{}\n", table(&["key", "value", "meaning"], rows));
        for key in keys {
            let (inner, plural) = unwrapped(&key.kind);
            if self.sections.contains_key(inner) {
                let dot = if path.is_empty() { "" } else { "." };
                self.describe(inner, &format!("{path}{dot}{}{plural}", key.name), done, text);
            }
        }
    }

    /// What may stand there.
    fn value(&self, kind: &str) -> String {
        if let Some(inner) = within(kind, "Box<") {
            return self.value(inner);
        }
        if let Some(inner) = within(kind, "Vec<") {
            return format!("list of: {}", self.value(inner));
        }
        if let Some(inner) = within(kind, "List<") {
            return format!("{}, or a list", self.value(inner));
        }
        if let Some(inner) = within(kind, "BTreeMap<String, ") {
            return format!("by name: {}", self.value(inner));
        }
        if let Some(words) = self.words.get(kind) {
            return words.iter().map(|word| code(word)).collect::<Vec<_>>().join(", ");
        }
        if self.sections.contains_key(kind) {
            return "keys below".to_owned();
        }
        if let Some(expected) = self.expected.get(kind) {
            return expected.clone();
        }
        match kind {
            "bool" => "`true`, `false`",
            "String" => "text",
            "PathBuf" => "path",
            "u8" | "u16" | "u32" => "number",
            "IpAddr" => "address",
            "Ipv4Addr" => "IPv4 address",
            "SocketAddr" => "address and port",
            "IpNet" => "prefix",
            _ => panic!("say in proto-tests/docs/keys.rs what a {kind} is"),
        }
        .to_owned()
    }
}

/// `inner` of `outer<inner>`.
fn within<'a>(kind: &'a str, outer: &str) -> Option<&'a str> {
    kind.strip_prefix(outer)?.strip_suffix('>')
}

/// The type inside lists and maps, and how that is shown in a path.
fn unwrapped(kind: &str) -> (&str, &'static str) {
    match (within(kind, "Vec<"), within(kind, "BTreeMap<String, "), within(kind, "Box<")) {
        (Some(inner), ..) => (unwrapped(inner).0, "[]"),
        (_, Some(inner), _) => (unwrapped(inner).0, if inner.starts_with("Vec<") { ".NAME[]" } else { ".NAME" }),
        (_, _, Some(inner)) => (inner, ""),
        _ => (kind, ""),
    }
}

/// The docs of a block, and its keys.
fn lines(block: &str) -> (String, Vec<Key>) {
    let field = Regex::new(r"^(?:r#)?([a-z]\w*): (.*),$").unwrap();
    let (mut of_block, mut docs, mut keys) = (String::new(), Vec::new(), Vec::new());
    for line in block.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            docs.push(text.trim().to_owned());
        } else if line.starts_with("pub struct") {
            of_block = std::mem::take(&mut docs).join(" ");
        } else if let Some(found) = field.captures(line) {
            let docs = std::mem::take(&mut docs).join(" ");
            keys.push(Key { name: camel(&found[1]), docs, kind: found[2].replace("super::", "") });
        }
    }
    (of_block, keys)
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |text, word| text + &word[..1].to_uppercase() + &word[1..])
}
