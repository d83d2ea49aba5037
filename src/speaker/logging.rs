//! The log: lines on stderr, written by a thread of its own, text on a terminal and JSON otherwise, with levels that can be changed while it runs.

use super::sink::Sink;
use crate::config::file::LogFormat;
use crate::config::plan::LogPlan;
use std::io::IsTerminal;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// Changes what is logged.
#[derive(Clone)]
pub struct Levels {
    filter: reload::Handle<EnvFilter, Registry>,
    sink: Sink,
}

impl Levels {
    /// Waits, a second at the most, until what was logged is written.
    pub fn flush(&self) {
        self.sink.flush();
    }

    /// The last lines of the log, oldest first.
    pub fn tail(&self) -> String {
        self.sink.tail()
    }

    /// Takes directives such as `info` or `info,kubgp::session=debug`.
    ///
    /// # Errors
    /// What is wrong with the directives.
    pub fn set(&self, directives: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(directives).map_err(|e| e.to_string())?;
        self.filter.reload(filter).map_err(|e| e.to_string())
    }
}

/// Starts the log of this process.
///
/// # Errors
/// The directives of the configuration are wrong, or the process has a log already.
pub fn init(plan: &LogPlan) -> Result<Levels, String> {
    let filter = EnvFilter::try_new(&plan.level).map_err(|e| e.to_string())?;
    let (filter, handle) = reload::Layer::new(filter);
    let sink = Sink::start(std::io::stderr()).map_err(|e| format!("the operating system refuses a thread: {e}"))?;
    let terminal = std::io::stderr().is_terminal();
    let json = match plan.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let lines = fmt::layer().with_writer(sink.clone()).with_ansi(terminal);
    let lines = if json { lines.json().flatten_event(true).boxed() } else { lines.boxed() };
    tracing_subscriber::registry().with(filter).with(lines).try_init().map_err(|e| e.to_string())?;
    Ok(Levels { filter: handle, sink })
}
