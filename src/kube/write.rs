//! What is written to the API: status, objects of our own, Events, and the Lease of the leader election.
//!
//! Writes are level-triggered like everything else: a failed one leaves nothing behind and is repeated by whoever still sees a
//! difference. Here they are retried a bounded number of times.

mod assign;
mod bgp_status;
mod configuration_state;
mod events;
mod lease;
mod pool_status;
mod retries;

pub use self::bgp_status::{NODE_LABEL, OURS};
pub use self::events::{About, Events, News, Rate};
pub use self::lease::{Election, Terms};
pub use self::retries::Retries;

use std::fmt;
use std::time::Duration;

use kube::Client;
use kube::api::{DeleteParams, GetParams, Patch, PatchParams};
use kube::core::Request;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::backoff::Backoff;
use super::objects::{ApiVersion, Key, Object};
use super::words;

/// Writes as one field manager.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    manager: String,
    patience: Duration,
}

/// The object that a write is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    pub api: ApiVersion,
    pub plural: &'static str,
    pub key: Key,
}

/// Why a write was given up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WriteError {
    /// The object, or its kind, does not exist.
    NotFound,
    /// Somebody else changed the object; what was written was based on an old version.
    Conflict(String),
    /// The API server will not accept this write however often it is repeated.
    Refused(String),
    /// No contact, or the API server is in trouble.
    Failed(String),
}

impl Writer {
    /// `manager` names us as the owner of the fields that we write. No write takes longer than `patience` per attempt.
    pub fn new(client: Client, manager: &str, patience: Duration) -> Self {
        Self { client, manager: manager.to_owned(), patience }
    }

    /// Merges `patch` into the object through its status subresource (status, and metadata where the kind allows that), provided it
    /// is still at `resource_version`. One attempt; returns the object as written.
    pub async fn patch_status(&self, target: &Target, resource_version: &str, mut patch: Value) -> Result<Value, WriteError> {
        if let Some(object) = patch.as_object_mut() {
            let metadata = object.entry("metadata").or_insert_with(|| json!({}));
            metadata["resourceVersion"] = json!(resource_version);
        }
        let params = PatchParams { field_manager: Some(self.manager.clone()), ..PatchParams::default() };
        let request = Request::new(target.path()).patch_subresource("status", &target.key.name, &params, &Patch::Merge(&patch));
        self.ask(request).await
    }

    /// Reads the object, lets `change` say what to merge into it (`None`: it is right already), and writes that; from the beginning
    /// again after a conflict or trouble, up to [`ATTEMPTS`] times. Returns the object as written, `None` if nothing was to be done.
    pub async fn update_status(
        &self,
        target: &Target,
        mut change: impl FnMut(&Value) -> Option<Value>,
    ) -> Result<Option<Value>, WriteError> {
        let mut backoff = Backoff::new(RETRY);
        let mut attempt = 1;
        loop {
            let result = match self.get(target).await {
                Ok(object) => match change(&object) {
                    Some(patch) => self.patch_status(target, version_of(&object), patch).await.map(Some),
                    None => return Ok(None),
                },
                Err(error) => Err(error),
            };
            match result {
                Err(WriteError::Conflict(_) | WriteError::Failed(_)) if attempt < ATTEMPTS => sleep(backoff.next()).await,
                done => return done,
            }
            attempt += 1;
        }
    }

    /// Creates or updates an object of our own by server-side apply; other managers' fields of the same object stay.
    pub async fn apply(&self, target: &Target, object: &Value) -> Result<Value, WriteError> {
        let params = PatchParams::apply(&self.manager).force();
        self.retry(|| Request::new(target.path()).patch(&target.key.name, &params, &Patch::Apply(object))).await
    }

    /// Applies the status of an object of our own.
    pub async fn apply_status(&self, target: &Target, object: &Value) -> Result<Value, WriteError> {
        let params = PatchParams::apply(&self.manager).force();
        self.retry(|| Request::new(target.path()).patch_subresource("status", &target.key.name, &params, &Patch::Apply(object))).await
    }

    /// Deletes an object; one that is gone already is no error.
    pub async fn delete(&self, target: &Target) -> Result<(), WriteError> {
        let params = DeleteParams::default();
        match self.retry(|| Request::new(target.path()).delete(&target.key.name, &params)).await {
            Ok(_) | Err(WriteError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub async fn get(&self, target: &Target) -> Result<Value, WriteError> {
        self.ask(Request::new(target.path()).get(&target.key.name, &GetParams::default())).await
    }

    async fn retry(&self, request: impl Fn() -> Result<hyper::Request<Vec<u8>>, kube::core::request::Error>) -> Result<Value, WriteError> {
        let mut backoff = Backoff::new(RETRY);
        for _ in 1..ATTEMPTS {
            match self.ask(request()).await {
                Err(WriteError::Conflict(_) | WriteError::Failed(_)) => sleep(backoff.next()).await,
                done => return done,
            }
        }
        self.ask(request()).await
    }

    async fn ask(&self, request: Result<hyper::Request<Vec<u8>>, kube::core::request::Error>) -> Result<Value, WriteError> {
        let request = request.map_err(|error| WriteError::Refused(error.to_string()))?;
        match timeout(self.patience, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(WriteError::of(&error)),
            Err(_) => Err(WriteError::Failed(format!("no answer within {} s", self.patience.as_secs_f32()))),
        }
    }
}

impl Target {
    /// `api` is where the kind is served, as [`Store::served`](super::store::Store::served) says.
    pub fn of<T: Object>(api: ApiVersion, key: Key) -> Self {
        Self { api, plural: T::KIND.plural, key }
    }

    fn path(&self) -> String {
        self.api.path(self.plural, (!self.key.namespace.is_empty()).then_some(&*self.key.namespace))
    }
}

impl WriteError {
    fn of(error: &kube::Error) -> Self {
        let text = words::of_error(error);
        match error {
            kube::Error::Api(status) => match status.code {
                404 => Self::NotFound,
                409 => Self::Conflict(text),
                429 | 500.. => Self::Failed(text),
                _ => Self::Refused(text),
            },
            _ => Self::Failed(text),
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::Conflict(why) => write!(f, "changed by somebody else meanwhile: {why}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for WriteError {}

/// Attempts per write, the first included.
pub const ATTEMPTS: u32 = 6;

/// First and longest pause between them.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

fn version_of(object: &Value) -> &str {
    object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default()
}
