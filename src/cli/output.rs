//! Printing: the formats of `--output`, tables that grow line by line, colours.

use std::io::{self, Write};

use comfy_table::{CellAlignment, ColumnConstraint, Table, Width, presets::NOTHING};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::args::Output;
use super::failure::Failure;
use crate::api::types::{Document, List, Listed, WatchEvent, WatchKind};

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub title: &'static str,
    pub right: bool,
}

/// How a row stands out on a terminal.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Tone {
    #[default]
    Plain,
    /// Degraded.
    Yellow,
    /// Down against intent.
    Red,
}

/// A line of a table.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub cells: Vec<String>,
    pub tone: Tone,
}

/// Something with lines in a table.
pub trait Tabular {
    /// Widest line in the default form: the last column is shortened to fit.
    const MAX_WIDTH: Option<usize> = None;

    fn columns(wide: bool) -> &'static [Column];
    fn rows(&self, style: &Style) -> Vec<Row>;
    /// What `-o name` prints.
    fn name(&self) -> String;
}

/// Text for `-o table` of a single document.
pub trait Text {
    fn write(&self, out: &mut dyn Write, style: &Style) -> io::Result<()>;
    /// What `-o name` prints.
    fn name(&self) -> String;
}

/// What the options say about the look.
#[derive(Clone, Debug)]
pub struct Style {
    pub wide: bool,
    pub headers: bool,
    pub color: bool,
    pub zone: TimeZone,
}

impl Style {
    /// A time to the second, in the zone of the options.
    pub fn time(&self, at: Timestamp) -> String {
        let zoned = at.to_zoned(self.zone.clone());
        let format = if self.zone == TimeZone::UTC { "%Y-%m-%d %H:%M:%SZ" } else { "%Y-%m-%d %H:%M:%S %Z" };
        zoned.strftime(format).to_string()
    }

    /// A line in the colour of its tone.
    pub fn paint(&self, tone: Tone, line: &str) -> String {
        match (self.color, tone) {
            (true, Tone::Red) => format!("\x1b[31m{line}\x1b[0m"),
            (true, Tone::Yellow) => format!("\x1b[33m{line}\x1b[0m"),
            _ => line.to_owned(),
        }
    }
}

/// Writes answers in one format.
pub struct Printer<'a> {
    pub out: &'a mut (dyn Write + Send),
    pub output: Output,
    pub style: Style,
    /// Where rows go that are to stand in one table with those of other nodes.
    pub gathered: Option<&'a mut Vec<Gathered>>,
}

/// Rows of one table, not laid out yet.
#[derive(Debug)]
pub struct Gathered {
    pub columns: Vec<Column>,
    pub max_width: Option<usize>,
    pub rows: Vec<Row>,
}

impl Printer<'_> {
    /// Rows below those that were written before.
    ///
    /// # Errors
    /// What writing says.
    pub fn rows(&mut self, lines: &mut Lines, rows: Vec<Row>) -> io::Result<()> {
        match &mut self.gathered {
            Some(all) => {
                all.push(Gathered { columns: lines.columns.clone(), max_width: lines.max_width, rows });
                Ok(())
            }
            None => lines.write(self.out, rows),
        }
    }

    /// A whole list.
    ///
    /// # Errors
    /// What writing says.
    pub fn list<T: Tabular + Serialize>(&mut self, list: &List<T>) -> Result<(), Failure> {
        match self.output {
            Output::Table | Output::Wide => {
                let mut table = Lines::of::<T>(&self.style);
                let rows = list.items.iter().flat_map(|item| item.rows(&self.style)).collect();
                self.rows(&mut table, rows)?;
            }
            Output::Json => self.json(list)?,
            Output::Ndjson => list.items.iter().try_for_each(|item| self.line(item))?,
            Output::Yaml => self.yaml(list)?,
            Output::Name => list.items.iter().try_for_each(|item| writeln!(self.out, "{}", item.name()))?,
        }
        Ok(())
    }

    /// A single document.
    ///
    /// # Errors
    /// What writing says.
    pub fn document<T: Text + Serialize>(&mut self, document: &Document<T>) -> Result<(), Failure> {
        match self.output {
            Output::Table | Output::Wide => document.body.write(self.out, &self.style)?,
            Output::Json => self.json(document)?,
            Output::Ndjson => self.line(document)?,
            Output::Yaml => self.yaml(document)?,
            Output::Name => writeln!(self.out, "{}", document.body.name())?,
        }
        Ok(())
    }

    /// One change of a watch; `lines` keeps the widths between calls.
    ///
    /// # Errors
    /// What writing says.
    pub fn change<T: Tabular + Serialize>(&mut self, lines: &mut Lines, event: &WatchEvent<T>) -> Result<(), Failure> {
        match (self.output, &event.object) {
            (Output::Json | Output::Ndjson, _) => self.line(event)?,
            (Output::Yaml, _) => {
                self.out.write_all(b"---\n")?;
                self.yaml(event)?;
            }
            (Output::Name, Some(object)) => writeln!(self.out, "{}", object.name())?,
            (Output::Table | Output::Wide, Some(object)) => {
                let mut rows = object.rows(&self.style);
                rows.iter_mut().for_each(|row| row.cells.insert(0, word(event.kind).to_owned()));
                lines.write(self.out, rows)?;
            }
            (_, None) if event.kind == WatchKind::Lagged => writeln!(self.out, "-- too slow: changes were missed --")?,
            (_, None) => {}
        }
        Ok(self.out.flush()?)
    }

    /// One value as one line of JSON.
    ///
    /// # Errors
    /// What writing says.
    pub fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, value)?;
        self.out.write_all(b"\n")
    }

    /// A value as a document of JSON.
    ///
    /// # Errors
    /// What writing says.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *self.out, value)?;
        self.out.write_all(b"\n")
    }

    /// YAML of any value.
    ///
    /// # Errors
    /// What writing says.
    pub fn yaml(&mut self, value: &impl Serialize) -> io::Result<()> {
        // By way of JSON: flattened structs know no order of their own in YAML, and both formats then agree.
        let value = serde_json::to_value(value)?;
        let text = serde_saphyr::to_string(&value).map_err(io::Error::other)?;
        self.out.write_all(text.as_bytes())
    }

    /// The heading of a list that is printed piece by piece.
    pub fn lines<T: Listed + Tabular>(&self) -> Lines {
        Lines::of::<T>(&self.style)
    }

    /// As [`Self::lines`], with a column for the kind of change.
    pub fn change_lines<T: Tabular>(&self) -> Lines {
        let mut lines = Lines::of::<T>(&self.style);
        lines.columns.insert(0, Column { title: "EVENT", right: false });
        lines.widths.insert(0, "MODIFIED".len());
        lines
    }
}

const fn word(kind: WatchKind) -> &'static str {
    match kind {
        WatchKind::Added => "ADDED",
        WatchKind::Modified => "MODIFIED",
        WatchKind::Deleted => "DELETED",
        WatchKind::Bookmark | WatchKind::Lagged => "",
    }
}

/// A borderless table that may be written in pieces: a column only ever grows wider, and the header comes once.
pub struct Lines {
    columns: Vec<Column>,
    widths: Vec<usize>,
    header: bool,
    max_width: Option<usize>,
    style: Style,
}

impl Lines {
    pub fn new(columns: &[Column], style: &Style) -> Self {
        Self { columns: columns.to_vec(), widths: vec![0; columns.len()], header: style.headers, max_width: None, style: style.clone() }
    }

    /// The table of one type.
    pub fn of<T: Tabular>(style: &Style) -> Self {
        let max_width = T::MAX_WIDTH.filter(|_| !style.wide);
        Self { max_width, ..Self::new(T::columns(style.wide), style) }
    }

    /// A table of several nodes: which one stands before each row.
    pub fn of_nodes(columns: &[Column], max_width: Option<usize>, style: &Style) -> Self {
        let mut lines = Self { max_width, ..Self::new(columns, style) };
        lines.columns.insert(0, Column { title: "NODE", right: false });
        lines.widths.insert(0, 0);
        lines
    }

    /// Writes rows below those written before.
    ///
    /// # Errors
    /// What writing says.
    pub fn write(&mut self, out: &mut dyn Write, mut rows: Vec<Row>) -> io::Result<()> {
        let Some(last) = self.columns.len().checked_sub(1) else { return Ok(()) };
        rows.iter_mut().for_each(|row| row.cells.iter_mut().for_each(|cell| *cell = one_line(cell)));
        for (index, width) in self.widths.iter_mut().enumerate().take(last) {
            let title = if self.header { self.columns.get(index).map_or(0, |column| column.title.len()) } else { 0 };
            let cells = rows.iter().filter_map(|row| row.cells.get(index)).map(|cell| cell.chars().count());
            *width = cells.chain([title, *width]).max().unwrap_or(0);
        }
        self.shorten(&mut rows, last);
        let table = self.table(&rows);
        if std::mem::take(&mut self.header) {
            rows.insert(0, Row::default());
        } else if rows.is_empty() {
            return Ok(());
        }
        for (line, row) in table.to_string().lines().zip(&rows) {
            writeln!(out, "{}", self.style.paint(row.tone, line.trim_end()))?;
        }
        Ok(())
    }

    /// The last column takes what is left of the line.
    fn shorten(&self, rows: &mut [Row], last: usize) {
        let Some(max_width) = self.max_width else { return };
        let used: usize = self.widths.iter().take(last).map(|width| width + GAP).sum();
        let room = max_width.saturating_sub(used).max(MIN_LAST);
        for cell in rows.iter_mut().filter_map(|row| row.cells.get_mut(last)) {
            if cell.chars().count() > room {
                *cell = cell.chars().take(room - 1).chain(['…']).collect();
            }
        }
    }

    fn table(&self, rows: &[Row]) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        rows.iter().for_each(|row| {
            table.add_row(row.cells.iter());
        });
        if self.header {
            table.set_header(self.columns.iter().map(|column| column.title));
        }
        for (index, (column, width)) in self.columns.iter().zip(&self.widths).enumerate() {
            let Some(cells) = table.column_mut(index) else { continue };
            let gap = if index + 1 == self.columns.len() { 0 } else { GAP };
            cells.set_padding((0, u16::try_from(gap).unwrap_or_default()));
            cells.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(u16::try_from(width + gap).unwrap_or(u16::MAX))));
            cells.set_cell_alignment(if column.right { CellAlignment::Right } else { CellAlignment::Left });
        }
        table
    }
}

/// Even beside wide columns an error keeps its first words.
const MIN_LAST: usize = 16;
const GAP: usize = 2;

/// Text from the network stays on its line and sends no control sequences to the terminal.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
