//! The log level: what the configuration says, and what an operator says for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::api::types::{LogRequest, LogStatus, Problem};
use crate::speaker::logging::Levels;

/// Changes the log level of the process; cheap to clone.
#[derive(Clone)]
pub(super) struct Logs(Arc<Inner>);

struct Inner {
    levels: Levels,
    state: Mutex<State>,
}

struct State {
    /// What the configuration says.
    configured: String,
    /// Counts the changes, so that a revert that was overtaken does nothing.
    changes: u64,
}

impl Logs {
    pub fn new(levels: Levels, configured: &str) -> Self {
        Self(Arc::new(Inner { levels, state: Mutex::new(State { configured: configured.to_owned(), changes: 0 }) }))
    }

    /// The last lines, oldest first.
    pub fn tail(&self) -> String {
        self.0.levels.tail()
    }

    /// The configuration says something new: it ends whatever an operator set.
    pub fn configure(&self, directives: &str) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.configured == directives {
            return;
        }
        directives.clone_into(&mut state.configured);
        state.changes += 1;
        match self.0.levels.set(directives) {
            Ok(()) => tracing::info!(directives, "log level changed"),
            Err(e) => tracing::error!(directives, error = %e, "the log level stays as it is: write it as `info,kubgp::net=debug`"),
        }
    }

    /// An operator's change; after its time what the configuration says comes back.
    ///
    /// # Errors
    /// The directives or the time are wrong.
    pub fn change(&self, request: LogRequest) -> Result<LogStatus, Problem> {
        let time = request.for_seconds.map(Duration::try_from_secs_f64).transpose();
        let time = time.map_err(|_| Problem::usage("`forSeconds` is no time"))?;
        self.set(&request.directives, time)?;
        Ok(LogStatus { directives: request.directives, reverts_in_seconds: request.for_seconds })
    }

    fn set(&self, directives: &str, time: Option<Duration>) -> Result<(), Problem> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = |e| Problem::usage(format!("`{directives}` are no log directives")).with_detail(e);
        self.0.levels.set(directives).map_err(wrong)?;
        state.changes += 1;
        if let Some(time) = time {
            tokio::spawn(self.clone().revert(state.changes, time));
        }
        Ok(())
    }

    async fn revert(self, change: u64, after: Duration) {
        tokio::time::sleep(after).await;
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.changes == change {
            match self.0.levels.set(&state.configured) {
                Ok(()) => tracing::info!(directives = state.configured, "log level as configured again"),
                Err(e) => tracing::error!(error = %e, "the log level stays as it is"),
            }
        }
    }
}
