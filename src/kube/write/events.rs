use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event as Record;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::kube::objects::{ApiVersion, Kind, Metadata};
use crate::kube::words::{self, fnv};

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
    /// Every node finds this out. The Event has a name that follows from what it says, so that it is there once, however many publish
    /// it; they do so one after the other, over a few seconds.
    pub is_common: bool,
}

/// How fast Events may come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// That many at once.
    pub burst: u32,
    pub per_second: u32,
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
    pub fn start(client: Client, controller: &str, instance: &str, rate: Rate) -> Self {
        let (queue, incoming) = mpsc::channel(rate.burst as usize);
        let dropped = Arc::new(AtomicU64::new(0));
        let reporter = Reporter { controller: controller.to_owned(), instance: Some(instance.to_owned()) };
        let publisher = Publisher {
            recorder: Recorder::new(client.clone(), reporter.clone()),
            client,
            reporter,
            bucket: Bucket::full(rate, Instant::now()),
            dropped: Arc::clone(&dropped),
        };
        let mut task = JoinSet::new();
        task.spawn(publisher.run(incoming));
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

struct Publisher {
    recorder: Recorder,
    client: Client,
    reporter: Reporter,
    bucket: Bucket,
    dropped: Arc<AtomicU64>,
}

impl Publisher {
    async fn run(mut self, mut incoming: mpsc::Receiver<(About, News)>) {
        // At most a burst waits, since whoever has no token is dropped before.
        let mut later: JoinSet<(&'static str, Result<(), String>)> = JoinSet::new();
        loop {
            let (reason, result) = tokio::select! {
                item = incoming.recv() => {
                    let Some((about, news)) = item else { return };
                    let reason = news.reason;
                    if !self.bucket.take(Instant::now()) {
                        (reason, Err("too many Events".to_owned()))
                    } else if news.is_common {
                        let post = self.post(about, news);
                        later.spawn(async move { (reason, post.await) });
                        continue;
                    } else {
                        (reason, self.record(about, news).await)
                    }
                }
                Some(done) = later.join_next() => done.expect("a post does not panic"),
            };
            if let Err(why) = result {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(reason, why, "Event not published");
            }
        }
    }

    /// One that is ours alone.
    async fn record(&self, about: About, news: News) -> Result<(), String> {
        let event = Event {
            type_: if news.warning { EventType::Warning } else { EventType::Normal },
            reason: news.reason.to_owned(),
            note: Some(shortened(news.note)),
            action: news.action.to_owned(),
            secondary: None,
        };
        answer(self.recorder.publish(&event, &about.reference())).await
    }

    /// One that may be there already.
    fn post(&self, about: About, news: News) -> impl Future<Output = Result<(), String>> + use<> {
        let instance = self.reporter.instance.clone().unwrap_or_default();
        let name = common_name(&about, &news);
        let pause = Duration::from_millis(fnv(&format!("{instance}/{name}")) % SPREAD_MS);
        let namespace = if about.namespace.is_empty() { "default".to_owned() } else { about.namespace.clone() };
        let record = Record {
            metadata: ObjectMeta { name: Some(name), namespace: Some(namespace.clone()), ..ObjectMeta::default() },
            type_: Some((if news.warning { "Warning" } else { "Normal" }).to_owned()),
            reason: Some(news.reason.to_owned()),
            note: Some(shortened(news.note)),
            action: Some(news.action.to_owned()),
            event_time: Some(MicroTime(Timestamp::now())),
            reporting_controller: Some(self.reporter.controller.clone()),
            reporting_instance: Some(instance),
            regarding: Some(about.reference()),
            ..Record::default()
        };
        let api: Api<Record> = Api::namespaced(self.client.clone(), &namespace);
        async move {
            sleep(pause).await;
            let created = async {
                match api.create(&PostParams::default(), &record).await {
                    Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
                    done => done.map(drop),
                }
            };
            answer(created).await
        }
    }
}

async fn answer(request: impl Future<Output = kube::Result<()>>) -> Result<(), String> {
    match timeout(PATIENCE, request).await {
        Ok(result) => result.map_err(|error| words::of_error(&error)),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// The same for all who say the same about an object.
fn common_name(about: &About, news: &News) -> String {
    let said = fnv(&format!("{}/{}/{}/{}", about.kind, about.uid, news.reason, news.note));
    let short: String = about.name.chars().take(LONGEST_NAME).collect();
    format!("{}.{said:016x}", short.trim_end_matches(['.', '-']))
}

/// Token bucket in tokens of one Event.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: f64::from(rate.burst), at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let grown = now.duration_since(self.at).as_secs_f64() * f64::from(self.rate.per_second);
        (self.tokens, self.at) = ((self.tokens + grown).min(f64::from(self.rate.burst)), now);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

/// All nodes tell what is common within that time.
const SPREAD_MS: u64 = 5000;
/// Of the object in the name of an Event; names have at most 253 octets.
const LONGEST_NAME: usize = 200;
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
        let mut bucket = Bucket::full(Rate { burst: 200, per_second: 5 }, start);
        assert!((0..200).all(|_| bucket.take(start)));
        assert!(!bucket.take(start));
        assert!(bucket.take(start + Duration::from_millis(200)));
        assert!(!bucket.take(start + Duration::from_millis(300)));
    }

    #[test]
    fn who_says_the_same_gives_it_the_same_name() {
        let about = |uid: &str| About {
            api: ApiVersion { group: "metallb.io", version: "v1beta2" },
            kind: "BGPPeer",
            namespace: "metallb-system".into(),
            name: "tor".repeat(80),
            uid: uid.into(),
        };
        let news =
            |note: &str| News { warning: true, reason: "ConfigurationError", action: "Configure", note: note.into(), is_common: true };
        let name = common_name(&about("1"), &news("a"));
        assert!(name == common_name(&about("1"), &news("a")) && name.len() < 253, "{name}");
        assert!([(&about("2"), &news("a")), (&about("1"), &news("b"))].iter().all(|(about, news)| common_name(about, news) != name));
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(shortened("short".into()), "short");
        let cut = shortened("ä".repeat(600));
        assert!(cut.len() <= 1024 && cut.ends_with("ä..."), "{} octets", cut.len());
    }
}
