//! What is wrong with an object, and what helps.

use crate::kube::objects::Key;
use serde::Serialize;
use std::fmt;

/// An object, as Events and conditions refer to it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ObjectRef {
    pub kind: &'static str,
    #[serde(serialize_with = "as_text")]
    pub key: Key,
}

impl ObjectRef {
    pub fn new(kind: &'static str, key: Key) -> Self {
        Self { kind, key }
    }
}

impl fmt::Display for ObjectRef {
    /// `BGPPeer metallb-system/tor-a`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

/// Writes a key as `namespace/name`.
pub(super) fn as_text<S: serde::Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Where an entry of the configuration comes from: a custom resource, or a place in a document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    pub object: ObjectRef,
    /// Within a ConfigMap's document, such as `address-pools[0]`; empty for a custom resource.
    pub path: String,
}

impl Source {
    /// The full path of a field that is named as in the custom resource.
    pub fn field(&self, field: &str) -> String {
        if self.path.is_empty() { format!("spec.{field}") } else { format!("{}.{}", self.path, legacy_name(field)) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.object.fmt(f)?;
        if self.path.is_empty() { Ok(()) } else { write!(f, " ({})", self.path) }
    }
}

/// The name in the ConfigMap of a field of a custom resource; the index behind it stays.
fn legacy_name(field: &str) -> String {
    let end = field.find(['[', '.']).unwrap_or(field.len());
    let (name, rest) = field.split_at(end);
    let mut out = String::new();
    match LEGACY_NAMES.iter().find(|(camel, _)| *camel == name) {
        Some((_, legacy)) => out.push_str(legacy),
        None => {
            for c in name.chars() {
                if c.is_ascii_uppercase() {
                    out.push('-');
                }
                out.push(c.to_ascii_lowercase());
            }
        }
    }
    out + rest
}

/// Names that kebab case does not give.
const LEGACY_NAMES: [(&str, &str); 6] = [
    ("myASN", "my-asn"),
    ("peerASN", "peer-asn"),
    ("routerID", "router-id"),
    ("localPref", "localpref"),
    ("ebgpMultiHop", "ebgp-multihop"),
    ("avoidBuggyIPs", "avoid-buggy-ips"),
];

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// The object, or the entry, is not used.
    Error,
    /// It is used, but not for everything that it says.
    Warning,
}

/// What kind of thing is wrong; the reason of the condition and of the Event.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// A value that cannot be.
    Invalid,
    /// Something required is absent.
    Missing,
    /// Something is there twice.
    Duplicate,
    /// Addresses belong to another pool too.
    Overlap,
    /// Values exclude each other.
    Conflict,
    /// kubgp does not do this.
    Unsupported,
    /// It does not do anything any more.
    Deprecated,
    /// A name that nothing has; appears to be well once it has.
    UnknownReference,
}

impl Fault {
    /// The code as it stands in conditions and Events.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Missing => "missing",
            Self::Duplicate => "duplicate",
            Self::Overlap => "overlap",
            Self::Conflict => "conflict",
            Self::Unsupported => "unsupported",
            Self::Deprecated => "deprecated",
            Self::UnknownReference => "unknownReference",
        }
    }
}

/// One thing wrong with one object.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Complaint {
    pub object: ObjectRef,
    /// `spec.addresses[1]`; empty where it is about the object as a whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    pub severity: Severity,
    pub reason: Fault,
    pub message: String,
    pub remedy: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.object)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}; {}", self.message, self.remedy)
    }
}

/// Collects complaints.
#[derive(Debug, Default)]
pub struct Report(pub Vec<Complaint>);

impl Report {
    /// The entry cannot be used.
    pub fn error(&mut self, source: &Source, field: &str, reason: Fault, (message, remedy): (String, &str)) {
        self.add(source, field, (Severity::Error, reason), (message, remedy));
    }

    /// The entry is used all the same.
    pub fn warn(&mut self, source: &Source, field: &str, reason: Fault, (message, remedy): (String, &str)) {
        self.add(source, field, (Severity::Warning, reason), (message, remedy));
    }

    fn add(&mut self, source: &Source, field: &str, (severity, reason): (Severity, Fault), (message, remedy): (String, &str)) {
        let path = if field.is_empty() { source.path.clone() } else { source.field(field) };
        self.0.push(Complaint { object: source.object.clone(), path, severity, reason, message, remedy: remedy.to_owned() });
    }

    /// How many errors there are; a growing number tells that a check failed.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|c| c.severity == Severity::Error).count()
    }
}
