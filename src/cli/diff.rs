//! What a configuration would do here, as text.

use std::io::{self, Write};

use super::output::{Column, Lines, Row, Style, Tabular, Text, Tone, one_line};
use super::tables::hop;
use super::text::or_dash;
use crate::api::types::{Preview, PreviewRoute, PreviewSession, RouteFate, RouteForm, RouteShape};

const fn left(title: &'static str) -> Column {
    Column { title, right: false }
}

impl Text for Preview {
    fn write(&self, out: &mut dyn Write, style: &Style) -> io::Result<()> {
        for remark in &self.remarks {
            writeln!(out, "# {}", one_line(remark))?;
        }
        table(out, style, &self.sessions)?;
        let Some(routes) = &self.routes else { return Ok(()) };
        let changes: Vec<&PreviewRoute> = routes.iter().filter(|route| style.wide || route.fate != RouteFate::Keep).collect();
        writeln!(out)?;
        if !changes.is_empty() {
            table(out, style, changes)?;
            writeln!(out)?;
        }
        let counts = RouteFate::ALL.map(|fate| format!("{} {}", fate.name(), routes.iter().filter(|r| r.fate == fate).count()));
        writeln!(out, "Kernel routes: {}", counts.join(", "))
    }

    fn name(&self) -> String {
        "preview".to_owned()
    }
}

fn table<'a, T: Tabular + 'a>(out: &mut dyn Write, style: &Style, items: impl IntoIterator<Item = &'a T>) -> io::Result<()> {
    Lines::of::<T>(style).write(out, items.into_iter().flat_map(|item| item.rows(style)).collect())
}

impl Tabular for PreviewSession {
    fn columns(_wide: bool) -> &'static [Column] {
        const { &[left("NEIGHBOR"), left("PORT"), left("NAME"), left("AS"), left("SESSION")] }
    }

    fn rows(&self, _style: &Style) -> Vec<Row> {
        let session = match (self.held_down, self.passive) {
            (true, _) => "stays down",
            (false, true) => "passive",
            (false, false) => "active",
        };
        let cells = vec![self.address.to_string(), self.port.to_string(), self.name.clone(), or_dash(self.remote_asn), session.to_owned()];
        vec![Row { cells, tone: if self.held_down { Tone::Red } else { Tone::Plain } }]
    }

    fn name(&self) -> String {
        self.address.to_string()
    }
}

impl Tabular for PreviewRoute {
    fn columns(_wide: bool) -> &'static [Column] {
        const { &[left("NETWORK"), left("ACTION"), left("NOW"), left("THEN"), left("REASON")] }
    }

    fn rows(&self, _style: &Style) -> Vec<Row> {
        let form = |form: &Option<RouteForm>| form.as_ref().map_or_else(|| "-".to_owned(), words);
        let cells =
            vec![self.prefix.to_string(), self.fate.name().to_owned(), form(&self.now), form(&self.then), or_dash(self.reason.as_ref())];
        let tone = match self.fate {
            RouteFate::Fail => Tone::Red,
            RouteFate::Replace | RouteFate::Remove => Tone::Yellow,
            RouteFate::Keep | RouteFate::Adopt | RouteFate::Add | RouteFate::Leave => Tone::Plain,
        };
        vec![Row { cells, tone }]
    }

    fn name(&self) -> String {
        self.prefix.to_string()
    }
}

/// As `ip route` would say it.
fn words(form: &RouteForm) -> String {
    let what = match form.shape {
        RouteShape::Unicast => form.hops.iter().map(hop).collect::<Vec<_>>().join(", "),
        RouteShape::Blackhole => "blackhole".to_owned(),
        RouteShape::Unreachable => "unreachable".to_owned(),
        RouteShape::Prohibit => "prohibit".to_owned(),
    };
    let metric = if form.metric == 0 { String::new() } else { format!(" metric {}", form.metric) };
    format!("{what} proto {}{metric}", form.protocol)
}
