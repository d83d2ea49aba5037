use std::time::Duration;

use kube::core::Status;

use crate::kube::words::{of_error, of_status};

/// Why a watch stopped.
#[derive(Debug)]
pub(super) enum Fault {
    /// The position is too old, or newer than anything that the API server has: list again.
    Gone(String),
    /// The path is unknown: ask again what is served.
    NotFound,
    /// The server cannot send the list as part of the watch.
    NoStreaming(String),
    /// We may not read it.
    Forbidden(String),
    Other(String),
    /// Nobody listens any more.
    Closed,
}

impl Fault {
    pub(super) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status),
            other => Self::Other(of_error(other)),
        }
    }

    pub(super) fn of_status(status: &Status) -> Self {
        match status.code {
            410 => Self::Gone(of_status(status)),
            504 if is_too_new(status) => Self::Gone(of_status(status)),
            404 => Self::NotFound,
            403 => Self::Forbidden(of_status(status)),
            _ => Self::Other(of_status(status)),
        }
    }

    pub(super) fn silence(patience: Duration) -> Self {
        Self::Other(format!("no answer within {} s", patience.as_secs_f32()))
    }

    /// A refusal of the parameter `sendInitialEvents`.
    pub(super) fn or_no_streaming(self, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 400 || status.code == 422 => Self::NoStreaming(of_status(status)),
            _ => self,
        }
    }
}

/// The cache of the API server waited in vain for the version that was asked for, as after its storage was restored from a backup.
fn is_too_new(status: &Status) -> bool {
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == "ResourceVersionTooLarge")
}
