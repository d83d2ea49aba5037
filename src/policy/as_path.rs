//! Regular expressions on AS_PATH as text, which is how [`PathView`] prints it: `64500 64501 {64502 64503}`, confederation segments
//! `(65001 65002)` and `[65003 65004]`, nothing for the empty path. The dialect is that of the regex crate, plus `_`, which stands
//! for any border: start, end, space, brace, parenthesis or bracket.
//!
//! [`PathView`]: crate::wire::attr::as_path::PathView

use regex::Regex;

/// A compiled expression. Its size is limited, and matching takes time linear in the path.
#[derive(Clone, Debug)]
pub struct PathRegex(Regex);

impl PathRegex {
    /// Fails where the regex crate does.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        Regex::new(&translate(text)).map(Self)
    }

    pub fn is_match(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}

/// Replaces `_` by the border, unless it is escaped or in a character class.
fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let (mut escaped, mut in_class) = (false, false);
    for c in text.chars() {
        match c {
            '_' if !escaped && !in_class => {
                out.push_str(r"(?:^|$|[ {}()\[\]])");
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
