//! The screen, from 80 columns and 24 lines on.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row, Sparkline, Table, TableState};

use super::model::Model;
use crate::api::types::Neighbor;
use crate::cli::output::{Tone, one_line};
use crate::cli::tables::tone;
use crate::cli::text::{bytes, or_dash, uptime, uptime_or_dash, why_down};

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let families = u16::try_from(model.sample.summary.rib.len()).unwrap_or(u16::MAX);
    let heights = [
        Constraint::Length(2),
        Constraint::Length(families),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(2),
    ];
    let [head, rib, updates, gap, table, foot] = Layout::vertical(heights).areas(frame.area());
    heading(frame, head, model);
    tables(frame, rib, model);
    past(frame, updates, model);
    frame.render_widget(Paragraph::new(""), gap);
    let rows = model.rows();
    neighbors(frame, table, model, &rows);
    footer(frame, foot, model, &rows);
}

fn heading(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let summary = &model.sample.summary;
    let state = match (&model.error, &summary.config_error, summary.drain) {
        (Some(_), ..) => "  NO ANSWER",
        (None, Some(_), _) => "  RELOAD FAILED",
        (None, None, true) => "  DRAINING",
        (None, None, false) => "",
    };
    let first =
        format!("kubgpd {}  {}  AS {}  up {}{state}", summary.version, summary.router_id, summary.asn, uptime(summary.uptime_seconds));
    let counts = &summary.neighbors;
    let cpu = model.cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{:.1}%", cpu * 100.0));
    let second = format!(
        "Neighbors {}: {} up, {} down, {} off   CPU {cpu}   RSS {}",
        counts.total,
        counts.established,
        counts.down,
        counts.admin_down,
        bytes(summary.resident_bytes)
    );
    let tone = match (state.is_empty(), model.error.is_some()) {
        (true, _) => Tone::Plain,
        (false, true) => Tone::Red,
        (false, false) => Tone::Yellow,
    };
    let lines = vec![Line::styled(first, style(model, tone).add_modifier(Modifier::BOLD)), Line::from(second)];
    frame.render_widget(Paragraph::new(lines), area);
}

fn tables(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let sizes = model.sample.summary.rib.iter().zip(&model.growth);
    let line = |(size, growth): (&crate::api::types::RibSize, &f64)| {
        Line::from(format!("{:<13} {:>9} prefixes {:>9} paths {:>+9.0}/s", size.family, size.prefixes, size.paths, growth))
    };
    frame.render_widget(Paragraph::new(sizes.map(line).collect::<Vec<_>>()), area);
}

fn past(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let [text, line] = Layout::horizontal([Constraint::Length(46), Constraint::Min(0)]).areas(area);
    let total = model.total;
    frame.render_widget(Paragraph::new(format!("UPDATEs       in {:>8.0}/s    out {:>8.0}/s", total.received, total.sent)), text);
    let room = usize::from(line.width);
    let data: Vec<u64> = model.past.iter().copied().skip(model.past.len().saturating_sub(room)).collect();
    frame.render_widget(Sparkline::default().data(data), line);
}

/// With the gaps between them 80 columns, where an IPv4 address and the longest state fit.
const WIDTHS: [Constraint; 9] = [
    Constraint::Min(15),
    Constraint::Length(10),
    Constraint::Length(11),
    Constraint::Length(8),
    Constraint::Length(5),
    Constraint::Length(5),
    Constraint::Length(5),
    Constraint::Length(5),
    Constraint::Length(5),
];

fn neighbors(frame: &mut Frame<'_>, area: Rect, model: &Model, rows: &[&Neighbor]) {
    let right = |text: String| Cell::from(Line::from(text).right_aligned());
    let cells = |row: &&Neighbor| {
        let rate = model.rate(row);
        let name = or_dash(row.name.as_ref().or(row.group.as_ref()));
        let texts = [row.label(), name, row.state.to_string(), uptime_or_dash(row.up_for_seconds.or(row.down_for_seconds))];
        let numbers = [
            short(row.total(|family| family.received) as f64),
            short(row.total(|family| family.advertised) as f64),
            short(rate.received),
            short(rate.sent),
            short(row.dropped_count as f64),
        ];
        let cells = texts.into_iter().map(|text| Cell::from(one_line(&text))).chain(numbers.into_iter().map(right));
        Row::new(cells).style(style(model, tone(row)))
    };
    let titles = ["NEIGHBOR", "NAME", "STATE", "UP/DOWN"].into_iter().map(Cell::from);
    let numbers = ["RCVD", "SENT", "IN/s", "OUT/s", "FLAPS"].map(|title| right(title.to_owned()));
    let header = Row::new(titles.chain(numbers)).style(Style::new().add_modifier(Modifier::REVERSED));
    let table = Table::new(rows.iter().map(cells), WIDTHS)
        .header(header)
        .row_highlight_style(Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED));
    let mut state = TableState::new().with_selected((!rows.is_empty()).then(|| model.position(rows)));
    frame.render_stateful_widget(table, area, &mut state);
}

/// Why the chosen neighbor is down, or why nothing comes; below it the keys.
fn footer(frame: &mut Frame<'_>, area: Rect, model: &Model, rows: &[&Neighbor]) {
    let chosen = rows.get(model.position(rows));
    let (text, tone) = match (&model.error, chosen) {
        (Some(error), _) => (error.clone(), Tone::Red),
        (None, Some(row)) if !row.is_established() => (format!("{}: {}", row.label(), why_down(row)), tone(row)),
        (None, Some(row)) => (
            format!(
                "{}: AS {}, {} UPDATEs in, {} out",
                row.label(),
                or_dash(row.remote_asn),
                row.messages.received.update,
                row.messages.sent.update
            ),
            Tone::Plain,
        ),
        (None, None) => ("no neighbors".to_owned(), Tone::Plain),
    };
    let keys =
        format!("q quit  s sort ({})  d {}  arrows, PgUp, PgDn", model.sort.name(), if model.only_down { "all" } else { "only down" });
    let lines = vec![Line::styled(one_line(&text), style(model, tone)), Line::styled(keys, Style::new().add_modifier(Modifier::DIM))];
    frame.render_widget(Paragraph::new(lines), area);
}

/// At most five characters: `99999`, then `100k`, `1.2M`.
fn short(value: f64) -> String {
    match value {
        ..99_999.5 => format!("{value:.0}"),
        ..999_500.0 => format!("{:.0}k", value / 1e3),
        ..99_950_000.0 => format!("{:.1}M", value / 1e6),
        _ => format!("{:.0}M", value / 1e6),
    }
}

fn style(model: &Model, tone: Tone) -> Style {
    match tone {
        Tone::Red if model.color => Style::new().fg(Color::Red),
        Tone::Yellow if model.color => Style::new().fg(Color::Yellow),
        _ => Style::new(),
    }
}
