//! What is told on objects as Events.

use super::status::{self, Wanted};
use crate::kube::calico::{Report, Severity, objects as calico};
use crate::kube::client::{Connection, Error};
use crate::kube::metallb::event::{Event, EventType};
use crate::kube::metallb::objects::{BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement};
use crate::kube::objects::{ConfigMap, Key, Object};
use crate::kube::store::Store;
use crate::kube::write::{About, Events, News, Rate};
use crate::speaker::Handle;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a node with the role `vip` tells; it falls silent when dropped.
pub struct Voice {
    pub events: Arc<Events>,
    wanted: watch::Sender<Option<Arc<Wanted>>>,
    _teller: JoinSet<()>,
}

impl Voice {
    pub fn start(connection: &Connection, (namespace, node): (&str, &str), speaker: Handle) -> Result<Self, Error> {
        let events = Arc::new(Events::start(connection.client()?, "kubgp-speaker", node, RATE));
        let (wanted, receiver) = watch::channel(None);
        let mut teller = JoinSet::new();
        let place = (connection.clone(), namespace.to_owned(), node.to_owned());
        teller.spawn(status::run(place, speaker, receiver, Arc::clone(&events)));
        Ok(Self { events, wanted, _teller: teller })
    }

    pub fn tell(&self, news: Vec<(About, News)>, wanted: Option<Arc<Wanted>>) {
        news.into_iter().for_each(|(about, news)| self.events.publish(about, news));
        self.wanted.send_if_modified(|old| {
            let differs = *old != wanted;
            *old = wanted;
            differs
        });
    }
}

/// The object that is told about.
pub fn about<T: Object>(object: &T) -> About {
    About::object(T::KIND.served_by[0], &T::KIND, object.metadata())
}

/// `action`: what was being done. A cause stands in its place: Events that differ in it are not taken for repetitions.
pub fn of_event(event: &Event, action: &'static str) -> News {
    let action = if event.cause.is_empty() { action } else { event.cause };
    News {
        warning: event.kind == EventType::Warning,
        reason: event.reason,
        action,
        note: event.message.clone(),
        is_common: event.is_common,
    }
}

/// The object of a report, where it is one of MetalLB's or says what Calico's peers are.
pub fn about_report(store: &Store, report: &Report) -> Option<About> {
    let (kind, name) = report.object.split_once(' ')?;
    let Some((namespace, name)) = name.split_once('/') else {
        // Calico's are objects of the cluster.
        let key = Key::new("", name);
        return match kind {
            "BGPPeer" => known::<calico::BgpPeer>(store, &key),
            "BGPFilter" => known::<calico::BgpFilter>(store, &key),
            "BGPConfiguration" => known::<calico::BgpConfiguration>(store, &key),
            _ => None,
        };
    };
    let key = Key::new(namespace, name);
    match kind {
        "IPAddressPool" => known::<IPAddressPool>(store, &key),
        "BGPPeer" => known::<BGPPeer>(store, &key),
        "BGPAdvertisement" => known::<BGPAdvertisement>(store, &key),
        "BFDProfile" => known::<BFDProfile>(store, &key),
        "Community" => known::<Community>(store, &key),
        "L2Advertisement" => known::<L2Advertisement>(store, &key),
        "ConfigMap" => known::<ConfigMap>(store, &key),
        _ => None,
    }
}

fn known<T: Object>(store: &Store, key: &Key) -> Option<About> {
    let object = store.get::<T>(key)?;
    Some(About::object(store.served::<T>()?, &T::KIND, object.metadata()))
}

pub fn of_report(report: &Report) -> News {
    let reason = match report.severity {
        Severity::Error => "ConfigurationError",
        Severity::Warning => "ConfigurationWarning",
    };
    let note = format!("{}: {}", report.field, report.message);
    News { warning: true, reason, action: "Configure", note, is_common: true }
}

/// There are many nodes.
const RATE: Rate = Rate { burst: 50, per_second: 1 };
