//! From the tree to the structs of [`super::file`]: a serde deserializer whose errors know their path.

use super::complaint::{Complaint, Path, Step, did_you_mean};
use super::tree::{Key, Node, Value};
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Reads everything that can be read. After each error the value in question is taken out and reading starts again, so that all
/// errors of a file come out at once; `T` must be readable from nothing.
pub(super) fn read<T: DeserializeOwned + Default>(tree: &Node, complaints: &mut Vec<Complaint>) -> T {
    while complaints.len() < MOST_COMPLAINTS {
        match T::deserialize(tree) {
            Ok(value) => return value,
            Err(error) => {
                let path = Path(error.reversed.into_iter().rev().collect());
                tree.kill(&path);
                complaints.push(Complaint { origin: None, at: error.at.or(Some(tree.at)), message: error.message, path });
                if tree.dead.get() {
                    break;
                }
            }
        }
    }
    T::default()
}

/// A file with more errors than this is not a configuration of ours.
const MOST_COMPLAINTS: usize = 100;

/// What the standard library says about addresses, and ipnet about prefixes, without saying which.
const BAD_ADDRESS: &str = "invalid IP address syntax";

/// An error on its way up: the path grows at its end.
#[derive(Debug)]
pub(super) struct Error {
    message: String,
    at: Option<super::complaint::Position>,
    reversed: Vec<Step>,
}

impl Error {
    fn within(mut self, step: Step, node: &Node) -> Self {
        self.at = self.at.or(Some(node.at));
        if let Value::Text(text) = &node.value
            && self.message == BAD_ADDRESS
        {
            self.message = format!("`{text}` is not an IP address or prefix, such as 10.0.0.1, 10.0.0.0/24, 2001:db8::/32");
        }
        self.reversed.push(step);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), at: None, reversed: Vec::new() }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expectation(expected);
        let quotes = if expected == "text" && !matches!(found, Unexpected::Map | Unexpected::Seq) { "; put it in quotes" } else { "" };
        Self::custom(format_args!("expected {expected}, found {}{quotes}", finding(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {}, found {}", expectation(expected), finding(found)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let near = did_you_mean(variant, expected.iter().copied());
        Self::custom(format_args!("unknown value `{variant}`{near}; use one of {}", expected.join(", ")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let near = did_you_mean(field, expected.iter().copied());
        let list = if near.is_empty() { format!("; use one of {}", expected.join(", ")) } else { String::new() };
        Self::custom(format_args!("unknown key{near}{list}"))
    }
}

/// Serde's names of types in words of the file.
fn expectation(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "a string" => "text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        "u8" => "a number in 0..=255".to_owned(),
        "u16" => "a number in 0..=65535".to_owned(),
        "u32" => "a number in 0..=4294967295".to_owned(),
        _ if text.starts_with("struct ") => "a mapping".to_owned(),
        _ if text.starts_with("enum ") => "a word".to_owned(),
        _ => text,
    }
}

fn finding(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => format!("`{text}`"),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => number.to_string(),
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unit => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Unsigned(value) => visitor.visit_u64(*value),
            Value::Signed(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_borrowed_str(value),
            Value::List(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Map(entries) => visitor.visit_map(Entries { rest: entries.iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if matches!(self.value, Value::Null) || self.dead.get() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Text(word) => visitor.visit_enum(Word(word)),
            _ => self.deserialize_any(visitor),
        }
    }

    /// Serde would take a list for a struct, field by field; nobody writes that on purpose.
    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &"a mapping")),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct
        map identifier ignored_any
    }
}

struct Items<'de>(std::iter::Enumerate<std::slice::Iter<'de, Node>>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        match self.0.find(|(_, node)| !node.dead.get()) {
            Some((index, node)) => seed.deserialize(node).map(Some).map_err(|e| e.within(Step::Index(index), node)),
            None => Ok(None),
        }
    }
}

struct Entries<'de> {
    rest: std::slice::Iter<'de, (Key, Node)>,
    value: Option<(&'de Key, &'de Node)>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, node)) = self.rest.find(|(_, node)| !node.dead.get()) else { return Ok(None) };
        self.value = Some((key, node));
        let text: StrDeserializer<'_, Error> = key.text.as_str().into_deserializer();
        seed.deserialize(text).map(Some).map_err(|mut e| {
            e.at = Some(key.at);
            e.reversed.push(Step::Key(key.text.clone()));
            e
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (key, node) = self.value.take().expect("serde asks for a value only after its key");
        seed.deserialize(node).map_err(|e| e.within(Step::Key(key.text.clone()), node))
    }
}

/// An enum without data.
struct Word<'de>(&'de str);

impl<'de> EnumAccess<'de> for Word<'de> {
    type Error = Error;
    type Variant = UnitOnly;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, UnitOnly), Error> {
        let word: StrDeserializer<'_, Error> = self.0.into_deserializer();
        Ok((seed.deserialize(word)?, UnitOnly))
    }
}

struct UnitOnly;

impl<'de> de::VariantAccess<'de> for UnitOnly {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, Error> {
        Err(de::Error::custom("expected a word"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("expected a word"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _fields: &'static [&'static str], _visitor: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("expected a word"))
    }
}
