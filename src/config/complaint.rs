//! What is wrong with a configuration, where, and what helps.

use miette::{LabeledSpan, MietteDiagnostic, NamedSource, Report};
use std::fmt;

/// One step from the root of the file to a value.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Step {
    Key(String),
    Index(usize),
}

/// The way from the root of the file to a value; prints as `neighbors[3].holdTime`.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Path(pub Vec<Step>);

impl Path {
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// A place in the text, lines and columns from 1, columns in characters.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position {
    pub line: usize,
    pub column: usize,
    /// Length in characters, where known; 0 otherwise.
    pub len: usize,
}

/// One thing wrong, with its remedy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Complaint {
    /// Which of several inputs, for example a Kubernetes object; `None` for the file itself.
    pub origin: Option<String>,
    pub path: Path,
    /// `None` where there is no text, or where the place is the file as a whole.
    pub at: Option<Position>,
    pub message: String,
}

impl Complaint {
    pub fn new(path: Path, message: impl Into<String>) -> Self {
        Self { origin: None, path, at: None, message: message.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.path.0.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// All complaints about one text, with the text, for printing.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    /// File name as it was given.
    pub name: String,
    pub text: String,
    /// In order of their place.
    pub complaints: Vec<Complaint>,
}

impl Diagnostics {
    /// With excerpts of the text, for people; without colour unless `color`.
    pub fn render(&self, color: bool) -> String {
        let theme = if color { miette::GraphicalTheme::unicode() } else { miette::GraphicalTheme::unicode_nocolor() };
        let handler = miette::GraphicalReportHandler::new_themed(theme).with_width(120).with_context_lines(1);
        let mut out = String::new();
        for complaint in &self.complaints {
            let report = self.report(complaint);
            // Writing to a String cannot fail.
            let _ = handler.render_report(&mut out, report.as_ref());
        }
        out
    }

    fn report(&self, complaint: &Complaint) -> Report {
        let mut diagnostic = MietteDiagnostic::new(complaint.to_string());
        let Some(at) = complaint.at else {
            return Report::new(diagnostic);
        };
        diagnostic = diagnostic.with_label(LabeledSpan::underline(self.span(at)));
        Report::new(diagnostic).with_source_code(NamedSource::new(&self.name, self.text.clone()))
    }

    /// Octets of the text for a position in characters; a length of 0 marks the word at the position.
    fn span(&self, at: Position) -> std::ops::Range<usize> {
        let line_start: usize = self.text.split_inclusive('\n').take(at.line.saturating_sub(1)).map(str::len).sum();
        let line = self.text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let octets = |chars: usize| line.char_indices().nth(chars).map_or(line.len(), |(i, _)| i);
        let from = octets(at.column.saturating_sub(1));
        let word = line.get(from..).unwrap_or_default().chars().take_while(|c| !c.is_whitespace() && !",]}".contains(*c)).count();
        let to = octets(at.column.saturating_sub(1) + if at.len == 0 { word.max(1) } else { at.len });
        line_start + from..line_start + to
    }
}

impl fmt::Display for Diagnostics {
    /// One line a complaint: `file:line:column: path: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, complaint) in self.complaints.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            match complaint.at {
                Some(at) => write!(f, "{}:{}:{}: {complaint}", self.name, at.line, at.column)?,
                None => write!(f, "{}: {complaint}", self.name)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// ` (did you mean X?)` when one of the candidates is close to what was written.
pub fn did_you_mean<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let limit = (written.chars().count() / 3).max(1);
    let near = |candidate: &&str| distance(&written.to_lowercase(), &candidate.to_lowercase());
    let best = candidates.into_iter().map(|c| (near(&c), c)).min();
    best.filter(|(d, _)| *d <= limit).map(|(_, c)| format!(" (did you mean `{c}`?)")).unwrap_or_default()
}

/// Edits between two words: insert, delete, replace, swap neighbors.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
