//! Texts for people, and names that follow from texts.

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

/// FNV-1a: the same text has the same number in every build and on every node.
pub(super) fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3))
}
