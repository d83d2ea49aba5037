//! What is told about the announcements of this node: a ServiceBGPStatus for each Service that a peer was sent in fact, and an Event
//! on the Service when that begins or ends.
//!
//! Level-triggered: what the tables say now is compared with the objects that the API server has, whoever wrote or removed them.

use super::until;
use crate::kube::client::{Connection, Error};
use crate::kube::metallb::announce::{Announcement, Announcer};
use crate::kube::metallb::model::Config;
use crate::kube::metallb::reason::Reason;
use crate::kube::metallb::status::{
    Component, ConfigurationState, ConfigurationStateObject, ServiceBGPStatus, ServiceBgpStatus, WantedRoutes, status_of,
};
use crate::kube::objects::{Key, Metadata, Node, Object, Service};
use crate::kube::selection::{Selection, Selections};
use crate::kube::store::{Presence, Store};
use crate::kube::watch::{Options, Watch};
use crate::kube::write::{About, Events, NODE_LABEL, News, OURS, Retries, Target, WriteError, Writer};
use crate::speaker::Handle;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{debug, error};

/// What this node wants to announce.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Of our Node.
    node: Metadata,
    services: BTreeMap<Key, WantedService>,
    /// The peers of this node by the names of their objects.
    peers: BTreeMap<String, IpAddr>,
    /// How the objects are.
    state: ConfigurationState,
}

#[derive(Clone, Debug, PartialEq)]
struct WantedService {
    uid: String,
    routes: WantedRoutes,
}

impl Wanted {
    /// `announcements`: those of the announcer.
    pub fn of(announcer: &Announcer, announcements: &[Announcement], config: &Config, (node, store): (&Node, &Store)) -> Self {
        let mut services: BTreeMap<Key, WantedService> = BTreeMap::new();
        for announcement in announcements {
            for key in &announcement.services {
                let Some(service) = store.get::<Service>(key) else { continue };
                let fresh = || WantedService { uid: service.metadata.uid.clone(), routes: WantedRoutes::new() };
                let wanted = services.entry(key.clone()).or_insert_with(fresh);
                wanted.routes.push((announcement.prefix, Arc::clone(&announcement.peers)));
            }
        }
        let address = |name: &String| Some((name.clone(), config.peers.get(name)?.address));
        // What else there is of the Node changes often.
        let identity = Metadata { uid: node.metadata.uid.clone(), ..Metadata::named("", &node.metadata.name) };
        Self {
            node: identity,
            services,
            peers: announcer.peers().iter().filter_map(address).collect(),
            state: ConfigurationState::new(config, Component::Speaker),
        }
    }

    /// What the tables say to it.
    async fn found(&self, speaker: &Handle) -> Option<BTreeMap<Key, ServiceBgpStatus>> {
        let mut question: BTreeMap<IpNet, BTreeSet<IpAddr>> = BTreeMap::new();
        for (prefix, names) in self.services.values().flat_map(|service| &service.routes) {
            question.entry(*prefix).or_default().extend(names.keys().filter_map(|name| self.peers.get(name)));
        }
        let sent = speaker.sent(question).await.ok()?;
        let is_sent = |name: &str, prefix: &IpNet| self.peers.get(name).is_some_and(|peer| sent.contains(&(*prefix, *peer)));
        let status =
            |(key, service): (&Key, &WantedService)| Some((key.clone(), status_of(&self.node.name, key, &service.routes, is_sent)?));
        Some(self.services.iter().filter_map(status).collect())
    }

    /// Whether everything that is wanted is in `found`.
    fn is_met(&self, found: &BTreeMap<Key, ServiceBgpStatus>) -> bool {
        self.services.iter().all(|(key, service)| {
            let names: BTreeSet<&String> = service.routes.iter().flat_map(|(_, names)| names.keys()).collect();
            names.is_empty() || found.get(key).is_some_and(|status| status.peers.len() == names.len())
        })
    }
}

/// Tells until it is dropped. `None` in `wanted`: not known yet, so nothing is touched.
pub async fn run(
    (connection, namespace, node): (Connection, String, String),
    speaker: Handle,
    wanted: watch::Receiver<Option<Arc<Wanted>>>,
    events: Arc<Events>,
) {
    loop {
        match Teller::new(&connection, (&namespace, &node), speaker.clone(), Arc::clone(&events)) {
            Ok(mut teller) => return teller.run(wanted).await,
            Err(e) => error!(reason = %e, "the API server cannot be asked"),
        }
        sleep(RETRY).await;
    }
}

struct Teller {
    namespace: String,
    speaker: Handle,
    events: Arc<Events>,
    watch: Watch,
    writer: Writer,
    writes: JoinSet<(Key, Result<(), WriteError>)>,
    busy: BTreeSet<Key>,
    retries: Retries,
    /// Who was sent each Service when that was told last.
    told: BTreeMap<Key, BTreeSet<String>>,
}

impl Teller {
    fn new(connection: &Connection, (namespace, node): (&str, &str), speaker: Handle, events: Arc<Events>) -> Result<Self, Error> {
        let mut selections = Selections::default();
        let labels = format!("{NODE_LABEL}={node},{}={}", OURS.0, OURS.1);
        selections.add(Selection::of::<ServiceBGPStatus>().in_namespace(namespace).with_labels(&labels));
        selections.add(Selection::of::<ConfigurationStateObject>().in_namespace(namespace).named(&format!("speaker-{node}")));
        Ok(Self {
            namespace: namespace.to_owned(),
            speaker,
            events,
            watch: Watch::start(&connection.client()?, &selections, Options::default()),
            writer: Writer::new(connection.impatient_client(PATIENCE)?, MANAGER, PATIENCE),
            writes: JoinSet::new(),
            busy: BTreeSet::new(),
            retries: Retries::new(AGAIN),
            told: BTreeMap::new(),
        })
    }

    async fn run(&mut self, mut wanted: watch::Receiver<Option<Arc<Wanted>>>) {
        let mut sessions = self.speaker.events();
        let (mut pause, mut look_at) = (LOOK.0, None);
        let mut found: Option<BTreeMap<Key, ServiceBgpStatus>> = None;
        loop {
            let now = wanted.borrow_and_update().clone();
            if let Some(wanted) = &now {
                if look_at.is_none_or(|at| at <= Instant::now()) {
                    found = wanted.found(&self.speaker).await;
                    pause = if found.as_ref().is_some_and(|found| wanted.is_met(found)) { LOOK.1 } else { (pause * 2).min(LOOK.1) };
                    look_at = Some(Instant::now() + pause);
                }
                if let Some(found) = &found {
                    self.tell(wanted, found);
                    self.write(wanted, found);
                }
                self.write_state(wanted);
            }
            let (next_retry, next_look) = (self.retries.next(), look_at);
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => (pause, look_at) = (LOOK.0, None),
                    Err(_) => return,
                },
                event = sessions.recv() => match event {
                    // The tables follow the session in a moment.
                    Ok(_) | Err(RecvError::Lagged(_)) => (pause, look_at) = (LOOK.0, Some(Instant::now() + LOOK.0)),
                    Err(RecvError::Closed) => return,
                },
                () = self.watch.changed() => {}
                Some(done) = self.writes.join_next() => {
                    let (key, result) = done.expect("a write does not panic");
                    self.written(key, result);
                }
                () = until(next_retry) => self.retry(),
                () = until(next_look) => {}
            }
        }
    }

    /// Events where something begins or ends. A change among several peers is no news: the object shows it.
    fn tell(&mut self, wanted: &Wanted, found: &BTreeMap<Key, ServiceBgpStatus>) {
        let node = &wanted.node.name;
        for (key, status) in found.iter().filter(|(key, _)| !self.told.contains_key(*key)) {
            let Some(service) = wanted.services.get(key) else { continue };
            let prefixes = list(service.routes.iter().map(|(prefix, _)| prefix.to_string()));
            let note = format!("{prefixes} sent from node \"{node}\" to {}", list(status.peers.iter().cloned()));
            self.publish(key, &service.uid, News { warning: false, reason: "Announced", action: ACTION, note, is_common: false });
        }
        for (key, _) in self.told.iter().filter(|(key, _)| !found.contains_key(*key)) {
            // Where the Service is not meant to be announced any more, whoever decided that has told why.
            let Some(service) = wanted.services.get(key) else { continue };
            let peers = list(service.routes.iter().flat_map(|(_, names)| names.keys()).cloned());
            let (reason, remedy) = (Reason::NoSession, Reason::NoSession.remedy());
            let note = format!("not announced from node \"{node}\": {reason}: no peer has it any more of {peers}; {remedy}");
            self.publish(key, &service.uid, News { warning: true, reason: "NotAnnounced", action: reason.code(), note, is_common: false });
        }
        self.told = found.iter().map(|(key, status)| (key.clone(), status.peers.clone())).collect();
    }

    fn publish(&self, key: &Key, uid: &str, news: News) {
        let metadata = Metadata { uid: uid.to_owned(), ..Metadata::named(&key.namespace, &key.name) };
        self.events.publish(About::object(Service::KIND.served_by[0], &Service::KIND, &metadata), news);
    }

    /// Makes the objects say what was found.
    fn write(&mut self, wanted: &Wanted, found: &BTreeMap<Key, ServiceBgpStatus>) {
        let store = self.watch.store();
        let (Presence::Synced, Some(api)) = (store.presence::<ServiceBGPStatus>(), store.served::<ServiceBGPStatus>()) else { return };
        let target = |service: &Key| Target::bgp_status(api, &self.namespace, &wanted.node.name, service);
        let desired: BTreeMap<Key, (Target, &ServiceBgpStatus)> = found
            .iter()
            .map(|(key, status)| (target(key), status))
            .map(|(target, status)| (target.key.clone(), (target, status)))
            .collect();
        let mut due = Vec::new();
        for (key, (target, status)) in &desired {
            let known = store.get::<ServiceBGPStatus>(key);
            if known.is_none_or(|known| known.status != **status) {
                due.push((target.clone(), Some((*status).clone()), known.is_some()));
            } else {
                self.retries.forget(key);
            }
        }
        for object in store.list::<ServiceBGPStatus>().filter(|object| !desired.contains_key(&object.key())) {
            due.push((Target::of::<ServiceBGPStatus>(api, object.key()), None, true));
        }
        for (target, status, is_known) in due {
            if self.writes.len() >= AT_ONCE {
                return;
            }
            if self.retries.is_waiting(&target.key) || !self.busy.insert(target.key.clone()) {
                continue;
            }
            let (writer, owner) = (self.writer.clone(), wanted.node.clone());
            self.writes.spawn(async move {
                let result = match &status {
                    Some(status) => writer.put_bgp_status(&target, status, &owner, is_known).await,
                    None => writer.delete(&target).await,
                };
                (target.key, result)
            });
        }
    }

    /// Makes the ConfigurationState say how the objects are.
    fn write_state(&mut self, wanted: &Wanted) {
        let store = self.watch.store();
        let presence = store.presence::<ConfigurationStateObject>();
        let (Presence::Synced, Some(api)) = (presence, store.served::<ConfigurationStateObject>()) else { return };
        let target = Target::configuration_state(api, &self.namespace, Some(&wanted.node.name));
        if store.get::<ConfigurationStateObject>(&target.key).is_some_and(|known| known.status == wanted.state) {
            self.retries.forget(&target.key);
            return;
        }
        if self.writes.len() >= AT_ONCE || self.retries.is_waiting(&target.key) || !self.busy.insert(target.key.clone()) {
            return;
        }
        let (writer, state, node) = (self.writer.clone(), wanted.state.clone(), wanted.node.name.clone());
        self.writes.spawn(async move {
            let result = writer.put_configuration_state(&target, (Component::Speaker, Some(&node)), &state).await;
            (target.key, result)
        });
    }

    /// The next comparison may write these objects again.
    fn retry(&mut self) {
        while let Some(key) = self.retries.due() {
            let store = self.watch.store();
            if store.get::<ServiceBGPStatus>(&key).is_none() && store.get::<ConfigurationStateObject>(&key).is_none() {
                self.retries.forget(&key);
            }
        }
    }

    fn written(&mut self, key: Key, result: Result<(), WriteError>) {
        self.busy.remove(&key);
        // What was written comes by the watch; until then it is not written again.
        let after = self.retries.add(key.clone());
        match result {
            Ok(()) => {}
            Err(e) => debug!(object = %key, reason = %e, ?after, "a status object was not written"),
        }
    }
}

fn list(words: impl Iterator<Item = String>) -> String {
    words.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
}

const ACTION: &str = "Announce";
/// Owner of the fields that we write.
const MANAGER: &str = "kubgp-speaker";
/// Writes under way together.
const AT_ONCE: usize = 8;
/// No request takes longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// First and longest pause before an object is written again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// First and longest pause between two looks into the tables.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));
const RETRY: Duration = Duration::from_secs(5);
