//! The screen on a terminal in memory.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::model::{Key, Model, Sample};
use super::view;
use crate::api::types::{Neighbor, Summary};

fn neighbors() -> Vec<Neighbor> {
    serde_json::from_str(include_str!("../../../proto-tests/cli/fixtures/neighbors.json")).unwrap()
}

fn sample(seconds: u64) -> Sample {
    let rest: serde_json::Value = serde_json::from_str(include_str!("../../../proto-tests/cli/fixtures/rest.json")).unwrap();
    let mut summary: Summary = serde_json::from_value(rest["summary"].clone()).unwrap();
    summary.uptime_seconds += seconds as f64;
    summary.cpu_seconds = Some(10.0);
    Sample { at: Duration::from_secs(seconds), summary, neighbors: neighbors() }
}

/// Two seconds later: 40 UPDATEs from the first neighbor, 3 to it, 10 prefixes more, half a second of CPU.
fn later() -> Model {
    let mut model = Model::new(sample(0), false);
    let mut next = sample(2);
    next.summary.cpu_seconds = Some(10.5);
    next.summary.rib[0].prefixes += 10;
    next.neighbors[0].messages.received.update += 40;
    next.neighbors[0].messages.sent.update += 3;
    model.take(next);
    model
}

fn screen(model: &Model, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, model)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn everything_fits_on_80_by_24() {
    insta::assert_snapshot!(screen(&later(), (80, 24)));
}

#[test]
fn rates_are_per_second_and_of_one_life() {
    let mut model = later();
    assert_eq!((model.total.received, model.total.sent, model.growth[0], model.cpu), (20.0, 1.5, 5.0, Some(0.25)));
    assert_eq!(model.past, [22]);
    let mut young = sample(4);
    young.summary.uptime_seconds = 1.0;
    model.take(young);
    assert_eq!(model.total.received, 0.0, "a restarted daemon counts from 0");
}

#[test]
fn down_comes_first_and_the_cursor_stays_with_its_neighbor() {
    let mut model = later();
    let first = |model: &Model| model.rows()[0].label();
    assert_eq!(first(&model), "10.0.0.2", "it is down");
    model.press(Key::Down(usize::MAX));
    let chosen = model.rows()[model.position(&model.rows())].label();
    model.press(Key::Sort);
    assert_eq!(first(&model), "10.0.0.1", "by address");
    assert_eq!(model.rows()[model.position(&model.rows())].label(), chosen);
    model.press(Key::OnlyDown);
    assert!(model.rows().iter().all(|row| !row.is_established()));
}

#[test]
fn thousands_of_neighbors_scroll_and_a_silent_daemon_is_said() {
    let mut many = sample(0);
    let one = many.neighbors[0].clone();
    many.neighbors = (0..2000u16).map(|n| Neighbor { address: Some([10, 1, (n >> 8) as u8, n as u8].into()), ..one.clone() }).collect();
    let mut model = Model::new(many, true);
    model.press(Key::Sort);
    model.press(Key::Down(usize::MAX));
    let text = screen(&model, (80, 24));
    assert!(text.contains("10.1.7.207") && !text.contains("10.1.0.0 "), "{text}");
    model.missed("kubgpd does not answer".to_owned());
    let text = screen(&model, (100, 30));
    assert!(text.contains("NO ANSWER") && text.contains("kubgpd does not answer"), "{text}");
}
