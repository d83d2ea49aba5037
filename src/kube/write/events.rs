use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::kube::objects::{ApiVersion, Kind, Metadata};
use crate::kube::words;

/// The object that an Event is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct About {
    pub api: ApiVersion,
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl About {
    pub fn object(api: ApiVersion, kind: &Kind, metadata: &Metadata) -> Self {
        let (namespace, name, uid) = (metadata.namespace.clone(), metadata.name.clone(), metadata.uid.clone());
        Self { api, kind: kind.name, namespace, name, uid }
    }

    fn reference(self) -> ObjectReference {
        let api_version =
            if self.api.group.is_empty() { self.api.version.to_owned() } else { format!("{}/{}", self.api.group, self.api.version) };
        let given = |text: String| (!text.is_empty()).then_some(text);
        ObjectReference {
            api_version: Some(api_version),
            kind: Some(self.kind.to_owned()),
            namespace: given(self.namespace),
            name: Some(self.name),
            uid: given(self.uid),
            ..ObjectReference::default()
        }
    }
}

/// What an Event says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct News {
    /// Type `Warning` instead of `Normal`.
    pub warning: bool,
    /// In CamelCase, for machines: `AllocationFailed`.
    pub reason: &'static str,
    /// What was being done: `Allocate`.
    pub action: &'static str,
    /// For people.
    pub note: String,
}

/// Publishes Events in the background. Repetitions of one reason for one object become a series of one Event; more than a burst
/// and a steady rate are dropped and counted, since Events are news and not state.
#[derive(Debug)]
pub struct Events {
    queue: mpsc::Sender<(About, News)>,
    dropped: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl Events {
    /// `controller` and `instance` (the node or pod) are named as the reporter. Needs a tokio runtime.
    pub fn start(client: Client, controller: &str, instance: &str) -> Self {
        let (queue, incoming) = mpsc::channel(BURST as usize);
        let dropped = Arc::new(AtomicU64::new(0));
        let reporter = Reporter { controller: controller.to_owned(), instance: Some(instance.to_owned()) };
        let mut task = JoinSet::new();
        task.spawn(publish(Recorder::new(client, reporter), incoming, Arc::clone(&dropped)));
        Self { queue, dropped, _task: task }
    }

    /// Never waits.
    pub fn publish(&self, about: About, news: News) {
        if self.queue.try_send((about, news)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events that were not published, for the rate or because the API server did not take them.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

async fn publish(recorder: Recorder, mut incoming: mpsc::Receiver<(About, News)>, dropped: Arc<AtomicU64>) {
    let mut bucket = Bucket::full(Instant::now());
    while let Some((about, news)) = incoming.recv().await {
        let why = if bucket.take(Instant::now()) {
            let event = Event {
                type_: if news.warning { EventType::Warning } else { EventType::Normal },
                reason: news.reason.to_owned(),
                note: Some(shortened(news.note)),
                action: news.action.to_owned(),
                secondary: None,
            };
            match timeout(PATIENCE, recorder.publish(&event, &about.reference())).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => words::of_error(&error),
                Err(_) => "no answer in time".to_owned(),
            }
        } else {
            "too many Events".to_owned()
        };
        dropped.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(reason = news.reason, why, "Event not published");
    }
}

/// Token bucket in tokens of one Event.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Self { tokens: f64::from(BURST), at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let grown = now.duration_since(self.at).as_secs_f64() * PER_SECOND;
        (self.tokens, self.at) = ((self.tokens + grown).min(f64::from(BURST)), now);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

/// Events that may be published at once.
const BURST: u32 = 200;
const PER_SECOND: f64 = 5.0;
const PATIENCE: Duration = Duration::from_secs(10);

/// The API refuses notes of more than 1024 octets.
fn shortened(mut note: String) -> String {
    const LIMIT: usize = 1024;
    if note.len() > LIMIT {
        let end = (0..=LIMIT - 3).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0);
        note.truncate(end);
        note.push_str("...");
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_a_steady_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        assert!((0..BURST).all(|_| bucket.take(start)));
        assert!(!bucket.take(start));
        assert!(bucket.take(start + Duration::from_millis(200)));
        assert!(!bucket.take(start + Duration::from_millis(300)));
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(shortened("short".into()), "short");
        let cut = shortened("ä".repeat(600));
        assert!(cut.len() <= 1024 && cut.ends_with("ä..."), "{} octets", cut.len());
    }
}
