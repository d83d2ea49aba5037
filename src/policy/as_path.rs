//! AS_PATH as text, and the regular expressions that match it.
//!
//! The text is `64500 64501 {64502,64503}`: a sequence with spaces, AS_SET in braces; confederation segments are `(65001 65002)`
//! and `[65003,65004]`; the empty path is the empty text. The dialect is that of the regex crate, plus `_`, which stands for any
//! border: start, end, space, comma, brace, parenthesis or bracket.

use crate::wire::attr::{AttrSet, SegmentKind, code};
use regex::Regex;
use std::fmt::Write;

/// A compiled expression. Equal when the text is equal.
#[derive(Clone, Debug)]
pub struct PathRegex(Regex);

impl PathRegex {
    /// Size is limited by the regex crate, matching time is linear in the path.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        Regex::new(&translate(text)).map(Self)
    }

    pub fn is_match(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}

/// Replaces `_` outside of a character class (where it would be a plain character) by the border.
fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let (mut escaped, mut in_class) = (false, false);
    for c in text.chars() {
        match c {
            '_' if !escaped && !in_class => {
                out.push_str(r"(?:^|$|[ ,{}()\[\]])");
                continue;
            }
            '[' if !escaped => in_class = true,
            ']' if !escaped => in_class = false,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        out.push(c);
    }
    out
}

/// The segments of AS_PATH as they stand in the canonical set.
fn segments(attrs: &AttrSet) -> impl Iterator<Item = (u8, &[[u8; 4]])> {
    let mut rest = attrs.value(code::AS_PATH).unwrap_or_default();
    std::iter::from_fn(move || {
        let (header, tail) = rest.split_at_checked(2)?;
        let (asns, tail) = tail.split_at_checked(usize::from(*header.get(1)?) * 4)?;
        rest = tail;
        Some((*header.first()?, asns.as_chunks().0))
    })
}

/// Every AS number of the path, sets and confederation segments included.
pub fn asns(attrs: &AttrSet) -> impl Iterator<Item = u32> {
    segments(attrs).flat_map(|(_, asns)| asns.iter().map(|asn| u32::from_be_bytes(*asn)))
}

/// The path as text.
pub fn text(attrs: &AttrSet) -> String {
    let mut out = String::new();
    for (kind, asns) in segments(attrs) {
        if !out.is_empty() {
            out.push(' ');
        }
        let (open, separator, close) = match kind {
            k if k == SegmentKind::Set as u8 => ("{", ",", "}"),
            k if k == SegmentKind::ConfedSequence as u8 => ("(", " ", ")"),
            k if k == SegmentKind::ConfedSet as u8 => ("[", ",", "]"),
            _ => ("", " ", ""),
        };
        out.push_str(open);
        for (i, asn) in asns.iter().enumerate() {
            let separator = if i == 0 { "" } else { separator };
            // Writing to a String cannot fail.
            let _ = write!(out, "{separator}{}", u32::from_be_bytes(*asn));
        }
        out.push_str(close);
    }
    out
}
