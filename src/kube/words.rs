//! Errors of the API in one line.

use std::error::Error as _;

use kube::core::Status;

/// One line with the cause at its end: what a person needs to see.
pub(super) fn of_error(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return of_status(status);
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

pub(super) fn of_status(status: &Status) -> String {
    format!("{} {}: {}", status.code, status.reason, status.message)
}
