//! What we have to say about an object: shown on Events, in the log and in `bgpctl`.

use serde::Serialize;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The object, or the session it asks for, is not in effect.
    Error,
    /// Something of it is not in effect, or most likely not meant so.
    Warning,
}

/// One remark on one object.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Report {
    pub severity: Severity,
    /// Kind and name: `BGPPeer tor-a`.
    pub object: String,
    /// Path within the object: `spec.peerIP`.
    pub field: String,
    pub message: String,
}

impl Report {
    pub fn error(kind: &str, name: &str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, object: format!("{kind} {name}"), field: field.into(), message: message.into() }
    }

    pub fn warning(kind: &str, name: &str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(kind, name, field, message) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, object, field, message } = self;
        let word = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{word}: {object}: {field}: {message}")
    }
}
