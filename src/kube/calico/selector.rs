//! Calico's selector language: which labelled things an object means.
//!
//! ```text
//! or    := and { "||" and }
//! and   := not { "&&" not }
//! not   := "!" not | "(" or ")" | term
//! term  := "all()" | "global()" | "has(" label ")" | label ( "==" | "!=" | "contains" | "starts with" | "ends with" ) string
//!        | label [ "not" ] "in" "{" [ string { "," string } ] "}"
//! ```
//!
//! Strings stand in `'` or `"` and know no escapes. Conditions that deny (`!=`, `not in`) hold where the label is absent.

use std::collections::BTreeMap;
use std::fmt;

/// Labels of one object.
pub type Labels = BTreeMap<String, String>;

/// A parsed selector; [`fmt::Display`] prints it so that it parses to the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Selector {
    /// `all()`, and the empty text.
    All,
    /// `global()`: things without a namespace, as all nodes are.
    Global,
    Has(String),
    Equals(String, String),
    Differs(String, String),
    Contains(String, String),
    StartsWith(String, String),
    EndsWith(String, String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Not(Box<Selector>),
    And(Vec<Selector>),
    Or(Vec<Selector>),
}

/// Where a text stops being a selector, and what would have been right there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SelectorError {
    /// In characters, from 1.
    pub column: usize,
    /// What was expected.
    pub expected: &'static str,
    /// What stands there instead; empty at the end.
    pub found: String,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, expected, found } = self;
        if found.is_empty() {
            write!(f, "selector ends at column {column} where {expected} is expected")
        } else {
            write!(f, "selector has `{found}` at column {column} where {expected} is expected")
        }
    }
}

impl std::error::Error for SelectorError {}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// With the place and what was expected there.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        parser.space();
        if parser.rest().is_empty() {
            return Ok(Self::All);
        }
        let selector = parser.or()?;
        if parser.rest().is_empty() { Ok(selector) } else { Err(parser.expected("&&, || or the end")) }
    }

    /// Whether the labels are selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = |label: &String| labels.get(label);
        let holds = |label: &String, test: &dyn Fn(&str) -> bool| value(label).is_some_and(|v| test(v));
        match self {
            Self::All | Self::Global => true,
            Self::Has(label) => labels.contains_key(label),
            Self::Equals(label, text) => holds(label, &|v| v == text),
            Self::Differs(label, text) => !holds(label, &|v| v == text),
            Self::Contains(label, text) => holds(label, &|v| v.contains(text.as_str())),
            Self::StartsWith(label, text) => holds(label, &|v| v.starts_with(text.as_str())),
            Self::EndsWith(label, text) => holds(label, &|v| v.ends_with(text.as_str())),
            Self::In(label, set) => value(label).is_some_and(|v| set.contains(v)),
            Self::NotIn(label, set) => value(label).is_none_or(|v| !set.contains(v)),
            Self::Not(inner) => !inner.matches(labels),
            Self::And(all) => all.iter().all(|one| one.matches(labels)),
            Self::Or(any) => any.iter().any(|one| one.matches(labels)),
        }
    }

    /// How tightly it binds: what is looser than its surroundings needs parentheses.
    const fn binding(&self) -> u8 {
        match self {
            Self::Or(_) => 0,
            Self::And(_) => 1,
            _ => 2,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = |f: &mut fmt::Formatter<'_>, inner: &Self, least: u8| {
            if inner.binding() < least { write!(f, "({inner})") } else { write!(f, "{inner}") }
        };
        let list = |f: &mut fmt::Formatter<'_>, parts: &[Self], operator: &str, least: u8| {
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    f.write_str(operator)?;
                }
                within(f, part, least)?;
            }
            Ok(())
        };
        let set = |set: &[String]| set.iter().map(|s| quoted(s)).collect::<Vec<_>>().join(", ");
        match self {
            Self::All => f.write_str("all()"),
            Self::Global => f.write_str("global()"),
            Self::Has(label) => write!(f, "has({label})"),
            Self::Equals(label, text) => write!(f, "{label} == {}", quoted(text)),
            Self::Differs(label, text) => write!(f, "{label} != {}", quoted(text)),
            Self::Contains(label, text) => write!(f, "{label} contains {}", quoted(text)),
            Self::StartsWith(label, text) => write!(f, "{label} starts with {}", quoted(text)),
            Self::EndsWith(label, text) => write!(f, "{label} ends with {}", quoted(text)),
            Self::In(label, values) => write!(f, "{label} in {{{}}}", set(values)),
            Self::NotIn(label, values) => write!(f, "{label} not in {{{}}}", set(values)),
            Self::Not(inner) => {
                f.write_str("!")?;
                within(f, inner, 2)
            }
            Self::And(parts) => list(f, parts, " && ", 2),
            Self::Or(parts) => list(f, parts, " || ", 1),
        }
    }
}

fn quoted(text: &str) -> String {
    if text.contains('\'') { format!("\"{text}\"") } else { format!("'{text}'") }
}

struct Parser<'a> {
    text: &'a str,
    /// In octets; always at the border of a character.
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Takes `token` and the space behind it.
    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
            self.space();
        }
        found
    }

    /// Takes a word that no further character of a label follows.
    fn word(&mut self, word: &str) -> bool {
        self.rest().strip_prefix(word).is_some_and(|after| !after.starts_with(is_label_char)) && self.take(word)
    }

    fn expected(&self, expected: &'static str) -> SelectorError {
        let found = self.rest().split_whitespace().next().unwrap_or_default();
        let column = self.text.get(..self.at).unwrap_or_default().chars().count() + 1;
        SelectorError { column, expected, found: found.chars().take(MOST_SHOWN).collect() }
    }

    fn or(&mut self) -> Result<Selector, SelectorError> {
        let mut parts = vec![self.and()?];
        while self.take("||") {
            parts.push(self.and()?);
        }
        Ok(single_or(parts, Selector::Or))
    }

    fn and(&mut self) -> Result<Selector, SelectorError> {
        let mut parts = vec![self.not()?];
        while self.take("&&") {
            parts.push(self.not()?);
        }
        Ok(single_or(parts, Selector::And))
    }

    fn not(&mut self) -> Result<Selector, SelectorError> {
        if self.depth > DEEPEST {
            return Err(self.expected("a selector that is nested less deeply"));
        }
        self.depth += 1;
        let selector = if self.take("!") {
            Selector::Not(Box::new(self.not()?))
        } else if self.take("(") {
            let inner = self.or()?;
            self.closing(")", "&&, || or )")?;
            inner
        } else {
            self.term()?
        };
        self.depth -= 1;
        Ok(selector)
    }

    fn term(&mut self) -> Result<Selector, SelectorError> {
        if self.take("all(") {
            return self.closing(")", ")").map(|()| Selector::All);
        }
        if self.take("global(") {
            return self.closing(")", ")").map(|()| Selector::Global);
        }
        if self.take("has(") {
            let label = self.label()?;
            return self.closing(")", ")").map(|()| Selector::Has(label));
        }
        let label = self.label()?;
        self.condition(label)
    }

    fn condition(&mut self, label: String) -> Result<Selector, SelectorError> {
        if self.take("==") {
            return Ok(Selector::Equals(label, self.string()?));
        }
        if self.take("!=") {
            return Ok(Selector::Differs(label, self.string()?));
        }
        if self.take("contains") {
            return Ok(Selector::Contains(label, self.string()?));
        }
        if self.take("starts") {
            self.closing("with", "with")?;
            return Ok(Selector::StartsWith(label, self.string()?));
        }
        if self.take("ends") {
            self.closing("with", "with")?;
            return Ok(Selector::EndsWith(label, self.string()?));
        }
        if self.word("in") {
            return Ok(Selector::In(label, self.set()?));
        }
        if self.take("not") {
            if !self.word("in") {
                return Err(self.expected("in"));
            }
            return Ok(Selector::NotIn(label, self.set()?));
        }
        Err(self.expected("one of ==, !=, contains, starts with, ends with, in, not in"))
    }

    fn closing(&mut self, token: &str, expected: &'static str) -> Result<(), SelectorError> {
        if self.take(token) { Ok(()) } else { Err(self.expected(expected)) }
    }

    fn label(&mut self) -> Result<String, SelectorError> {
        let rest = self.rest();
        let label = rest.get(..rest.find(|c| !is_label_char(c)).unwrap_or(rest.len())).unwrap_or_default();
        if label.is_empty() || label.len() > LONGEST_LABEL {
            return Err(self.expected("a label of 1 to 512 characters (A-Z, a-z, 0-9, _ . / -), all(), has(..), ! or ("));
        }
        self.take(label);
        Ok(label.to_owned())
    }

    fn string(&mut self) -> Result<String, SelectorError> {
        let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            return Err(self.expected("a string in quotes"));
        };
        let inner = self.rest().get(1..).unwrap_or_default();
        let Some(end) = inner.find(quote) else {
            return Err(self.expected("a string with its closing quote"));
        };
        self.at += end + 2;
        self.space();
        Ok(inner.get(..end).unwrap_or_default().to_owned())
    }

    fn set(&mut self) -> Result<Vec<String>, SelectorError> {
        self.closing("{", "{")?;
        let mut values = Vec::new();
        if self.take("}") {
            return Ok(values);
        }
        loop {
            values.push(self.string()?);
            if self.take("}") {
                return Ok(values);
            }
            self.closing(",", ", or }")?;
        }
    }
}

fn single_or(mut parts: Vec<Selector>, many: fn(Vec<Selector>) -> Selector) -> Selector {
    if parts.len() == 1 { parts.swap_remove(0) } else { many(parts) }
}

const fn is_label_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-')
}

const LONGEST_LABEL: usize = 512;
/// Nesting is bounded, since each level is a call.
const DEEPEST: usize = 100;
/// How much of what was found an error shows.
const MOST_SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn selects(text: &str, on: &Labels) -> bool {
        Selector::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).matches(on)
    }

    #[test]
    fn every_operator_means_what_calico_means() {
        let on = labels(&[("role", "route-reflector"), ("zone", "a"), ("empty", ""), ("kubernetes.io/os", "linux")]);
        for text in [
            "",
            "  ",
            "all()",
            "all( )",
            "global()",
            "has(role)",
            "has( kubernetes.io/os )",
            "!has(missing)",
            "zone == 'a'",
            "zone==\"a\"",
            "zone != 'b'",
            "missing != 'b'",
            "role contains 'te-re'",
            "role starts with 'route'",
            "role ends with 'tor'",
            "zone in {'a', 'b'}",
            "zone in{'b','a'}",
            "missing not in {'a'}",
            "zone not in {'b'}",
            "zone not in {}",
            "empty == ''",
            "empty contains ''",
            "zone == 'b' || zone == 'a' && role == 'route-reflector'",
            "!(zone == 'b') && !!has(zone)",
            "! zone == 'b'",
            "in != 'x' && has(in) || not != 'y'",
        ] {
            assert!(selects(text, &on), "{text}");
        }
        for text in [
            "!all()",
            "has(missing)",
            "zone == 'A'",
            "zone != 'a'",
            "missing == ''",
            "missing contains ''",
            "missing starts with ''",
            "missing in {''}",
            "zone in {}",
            "zone not in {'a'}",
            // && binds tighter than ||, ! tighter than both.
            "(zone == 'a' || zone == 'b') && role == 'x'",
            "!zone == 'a' && has(zone)",
        ] {
            assert!(!selects(text, &on), "{text}");
        }
    }

    #[test]
    fn errors_name_the_place_and_what_would_be_right_there() {
        for (text, column, found) in [
            ("zone = 'a'", 6, "="),
            ("zone == a", 9, "a"),
            ("zone == 'a", 9, "'a"),
            ("has(zone", 9, ""),
            ("has()", 5, ")"),
            ("(zone == 'a'", 13, ""),
            ("zone == 'a' has(b)", 13, "has(b)"),
            ("zone == 'a' &&", 15, ""),
            ("zone in {'a' 'b'}", 14, "'b'}"),
            ("zone in {'a',}", 14, "}"),
            ("zone not 'a'", 10, "'a'"),
            ("zone starts 'a'", 13, "'a'"),
            ("ä == 'a'", 1, "ä"),
            ("zone == 'ä' ?", 13, "?"),
        ] {
            let error = Selector::parse(text).expect_err(text);
            assert_eq!((error.column, error.found.as_str()), (column, found), "{text}: {error}");
        }
        let deep = format!("{}all()", "!".repeat(10_000));
        assert!(Selector::parse(&deep).is_err());
        assert!(Selector::parse(&format!("has({})", "x".repeat(513))).is_err());
    }

    fn term() -> impl Strategy<Value = Selector> {
        let label = || "[a-z][A-Za-z0-9_./-]{0,8}";
        let value = || prop_oneof!["[a-z '{}|&!=,ä]{0,6}", "[a-z \"]{0,6}"];
        prop_oneof![
            Just(Selector::All),
            Just(Selector::Global),
            label().prop_map(Selector::Has),
            (label(), value()).prop_map(|(l, v)| Selector::Equals(l, v)),
            (label(), value()).prop_map(|(l, v)| Selector::Differs(l, v)),
            (label(), value()).prop_map(|(l, v)| Selector::Contains(l, v)),
            (label(), value()).prop_map(|(l, v)| Selector::StartsWith(l, v)),
            (label(), value()).prop_map(|(l, v)| Selector::EndsWith(l, v)),
            (label(), prop::collection::vec(value(), 0..3)).prop_map(|(l, v)| Selector::In(l, v)),
            (label(), prop::collection::vec(value(), 0..3)).prop_map(|(l, v)| Selector::NotIn(l, v)),
        ]
    }

    fn selector() -> impl Strategy<Value = Selector> {
        // Lists of two and more, none directly within its own kind: the parser makes no others.
        term().prop_recursive(4, 24, 3, |inner| {
            let nested = |flat: fn(&Selector) -> bool| prop::collection::vec(inner.clone().prop_filter("flat", move |s| !flat(s)), 2..4);
            prop_oneof![
                inner.clone().prop_map(|s| Selector::Not(Box::new(s))),
                nested(|s| matches!(s, Selector::And(_))).prop_map(Selector::And),
                nested(|s| matches!(s, Selector::Or(_))).prop_map(Selector::Or),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(selector in selector()) {
            let text = selector.to_string();
            prop_assert_eq!(Selector::parse(&text), Ok(selector), "{}", text);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-z()'\" !=&|{},ä]{0,40}") {
            let _ = Selector::parse(&text);
        }
    }
}
