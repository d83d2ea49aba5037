//! What is told to the user as an Event on an object.

use super::complaint::ObjectRef;
use super::reason::Reason;
use crate::kube::objects::Key;
use serde::Serialize;

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum EventType {
    Normal,
    Warning,
}

/// One Event; the writer adds times and merges repetitions.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Event {
    pub object: ObjectRef,
    #[serde(rename = "type")]
    pub kind: EventType,
    pub reason: &'static str,
    /// The code of what stands against it, so that another cause is another Event; may be empty.
    #[serde(skip)]
    pub cause: &'static str,
    pub message: String,
    /// Every node says the same.
    #[serde(skip)]
    pub is_common: bool,
}

impl Event {
    pub fn normal(service: &Key, reason: &'static str, message: String) -> Self {
        Self { object: ObjectRef::new("Service", service.clone()), kind: EventType::Normal, reason, cause: "", message, is_common: false }
    }

    pub fn warning(service: &Key, reason: &'static str, message: String) -> Self {
        Self { kind: EventType::Warning, ..Self::normal(service, reason, message) }
    }

    pub fn common(self) -> Self {
        Self { is_common: true, ..self }
    }

    pub fn because(self, cause: Reason) -> Self {
        Self { cause: cause.code(), ..self }
    }
}
