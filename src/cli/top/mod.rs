//! `bgpctl top`: one screen that follows a daemon.
//!
//! `model` makes rates of two looks and keeps what the keys say; `view` draws it; here is the loop around them.

mod model;
#[cfg(test)]
mod tests;
mod view;

use std::io::IsTerminal;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::Context;
use super::failure::Failure;
use crate::api::client::{Client, Error};
use crate::api::query::NeighborQuery;
use crate::api::types::{Document, Family, List, Neighbor, Summary};
use model::{Key, Model, Sample};

/// Follows the daemon until `q`.
pub(super) async fn run(context: &mut Context<'_>, interval: Duration) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() {
        return Err(Failure::usage("top needs a terminal; `bgpctl show neighbors --watch` and `bgpctl monitor` do not"));
    }
    // Nobody there is said on an ordinary screen.
    let started = Instant::now();
    let family = context.global.family();
    let first = look(&context.client, family, started).await?;
    let mut model = Model::new(first, context.printer.style.color);
    let mut terminal = ratatui::try_init()?;
    let outcome = follow(&mut terminal, &mut model, (&context.client, family), (started, interval.max(SHORTEST))).await;
    ratatui::restore();
    outcome
}

async fn follow(
    terminal: &mut DefaultTerminal,
    model: &mut Model,
    (client, family): (&Client, Option<Family>),
    (started, interval): (Instant, Duration),
) -> Result<(), Failure> {
    let mut keys = keys();
    let mut looks = tokio::time::interval_at(Instant::now() + interval, interval);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        terminal.draw(|frame| view::draw(frame, model))?;
        tokio::select! {
            _ = looks.tick() => match look(client, family, started).await {
                Ok(sample) => model.take(sample),
                Err(error) => model.missed(error.to_string()),
            },
            key = keys.recv() => match key {
                Some(Key::Quit) | None => return Ok(()),
                Some(key) => model.press(key),
            },
        }
    }
}

async fn look(client: &Client, family: Option<Family>, started: Instant) -> Result<Sample, Error> {
    let summary: Document<Summary> = client.get("/v1/summary", &()).await?;
    let query = NeighborQuery { family, ..NeighborQuery::default() };
    let neighbors: List<Neighbor> = client.get("/v1/neighbors", &query).await?;
    Ok(Sample { at: started.elapsed(), summary: summary.body, neighbors: neighbors.items })
}

/// Keys as they are pressed. The thread that waits for them ends with the process.
fn keys() -> mpsc::Receiver<Key> {
    let (sender, receiver) = mpsc::channel(KEYS);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let key = match event {
                Event::Key(key) if key.kind == KeyEventKind::Press => meaning(key),
                Event::Resize(..) => Some(Key::Redraw),
                _ => None,
            };
            if key.is_some_and(|key| sender.blocking_send(key).is_err()) {
                return;
            }
        }
    });
    receiver
}

fn meaning(key: KeyEvent) -> Option<Key> {
    Some(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::Quit,
        KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
        KeyCode::Char('k') | KeyCode::Up => Key::Up(1),
        KeyCode::Char('j') | KeyCode::Down => Key::Down(1),
        KeyCode::PageUp => Key::Up(PAGE),
        KeyCode::PageDown => Key::Down(PAGE),
        KeyCode::Home => Key::Up(usize::MAX),
        KeyCode::End => Key::Down(usize::MAX),
        KeyCode::Char('s') => Key::Sort,
        KeyCode::Char('d') => Key::OnlyDown,
        _ => return None,
    })
}

/// Rows of a page key.
const PAGE: usize = 10;
const KEYS: usize = 64;
/// Each look costs the daemon a list of its neighbors.
const SHORTEST: Duration = Duration::from_millis(500);
