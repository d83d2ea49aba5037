//! The text of a file as a tree that knows the place of every key and value, so that complaints found much later can point at it.

use super::complaint::{Complaint, Path, Position, Step};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

/// A value and its place. A value that was complained about is `dead`: the rest of the file is read as if it were not there.
#[derive(Debug)]
pub(super) struct Node {
    pub at: Position,
    pub value: Value,
    pub dead: Cell<bool>,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug)]
pub(super) struct Key {
    pub text: String,
    pub at: Position,
}

/// The only call into the YAML library. Syntax errors come out with their place; duplicate keys stay, see [`Node::duplicates`].
pub(super) fn parse(text: &str) -> Result<Node, Complaint> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        let at = Position { line: 1, column: 1, len: 0 };
        return Ok(Node { at, value: Value::Map(Vec::new()), dead: Cell::new(false) });
    }
    let options = serde_saphyr::options! { strict_booleans: true, duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough, with_snippet: false, emit_comments: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let mut message = error.without_snippet().to_string();
        // The place is told apart from the words.
        if let Some(cut) = message.rfind(" at line ").or_else(|| message.rfind(" (line ")) {
            message.truncate(cut);
        }
        let at = error.location().map(position);
        Complaint { origin: None, path: Path::default(), at, message: message.trim().to_owned() }
    })
}

fn position(location: Location) -> Position {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Position { line: number(location.line()), column: number(location.column()), len: number(location.span().len()) }
}

impl Node {
    /// Marks what `path` names (with the indices of the text) as complained about.
    pub fn kill(&self, path: &Path) {
        let end = path.0.iter().try_fold(self, |node, step| match (step, &node.value) {
            (Step::Key(key), Value::Map(entries)) => entries.iter().find(|(k, _)| k.text == *key).map(|(_, v)| v),
            (Step::Index(index), Value::List(items)) => items.get(*index),
            _ => None,
        });
        if let Some(node) = end {
            node.dead.set(true);
        }
    }

    /// Complains about every key that its mapping has already, and takes it out.
    pub fn duplicates(&self, path: &Path, complaints: &mut Vec<Complaint>) {
        match &self.value {
            Value::List(items) => items.iter().enumerate().for_each(|(i, item)| item.duplicates(&path.index(i), complaints)),
            Value::Map(entries) => {
                let mut seen = BTreeMap::new();
                for (key, node) in entries {
                    let path = path.key(&key.text);
                    let Some(line) = seen.insert(&key.text, key.at.line) else {
                        node.duplicates(&path, complaints);
                        continue;
                    };
                    let message = format!("this key is there already, in line {line}; keep one of them");
                    complaints.push(Complaint { origin: None, path, at: Some(key.at), message });
                    node.dead.set(true);
                }
            }
            _ => {}
        }
    }

    /// Turns the indices of `complaint`, which count what was read, into those of the text, and finds its place: that of the value,
    /// or of the nearest thing around it that exists. `None` when it is about something that was complained about already.
    pub fn locate(&self, mut complaint: Complaint) -> Option<Complaint> {
        let (mut node, mut at) = (self, None);
        for step in &mut complaint.path.0 {
            let found = match (&mut *step, &node.value) {
                (Step::Key(key), Value::Map(entries)) => entries.iter().find(|(k, _)| k.text == *key).map(|(k, v)| (v, k.at)),
                (Step::Index(index), Value::List(items)) => {
                    let live = items.iter().enumerate().filter(|(_, item)| !item.dead.get()).nth(*index);
                    live.map(|(in_text, item)| {
                        *index = in_text;
                        (item, item.at)
                    })
                }
                _ => None,
            };
            let Some((next, key_at)) = found else { break };
            if next.dead.get() {
                return None;
            }
            at = Some(if matches!(next.value, Value::List(_) | Value::Map(_)) { key_at } else { next.at });
            node = next;
        }
        complaint.at = at;
        Some(complaint)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned: Spanned<Value> = Spanned::deserialize(deserializer)?;
        Ok(Self { at: position(spanned.referenced), value: spanned.value, dead: Cell::new(false) })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Signed(value), Value::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = access.next_entry::<Spanned<String>, Node>()? {
            entries.push((Key { at: position(key.referenced), text: key.value }, value));
        }
        Ok(Value::Map(entries))
    }
}
