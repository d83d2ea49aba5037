//! The role `vip`: addresses of Services go to the peers that MetalLB's objects name.

use super::foresight::foresee;
use super::news;
use super::reports::of_complaint;
use super::state::{Foresights, Vips};
use super::status::Wanted;
use crate::config::Identities;
use crate::config::plan::KubernetesPlan;
use crate::kube::calico::Report;
use crate::kube::metallb::announce::{Announcer, NodeFacts, Settings};
use crate::kube::metallb::check;
use crate::kube::metallb::model::Config;
use crate::kube::metallb::objects::{BFDProfile, BGPAdvertisement, BGPPeer, Community, IPAddressPool, L2Advertisement};
use crate::kube::metallb::peers::{Lowered, Lowering, Surroundings};
use crate::kube::objects::{ConfigMap, EndpointSlice, Key, Node, Object, Secret, Service};
use crate::kube::selection::{LEGACY_CONFIG, Selection};
use crate::kube::store::Store;
use crate::kube::write::{About, News};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tracing::info;

/// The translation of one node. It remembers the last good version of each object, and what it has seen.
pub struct Vip {
    class: Option<String>,
    config: Arc<Config>,
    announcer: Announcer,
    lowering: Lowering,
    /// State of the store when the configuration, and the Services, were read last.
    read: (Option<u64>, Option<u64>),
    services: BTreeSet<Key>,
    /// The configuration, the node or a Service changed since [`picture`](Self::picture) was taken.
    is_new: bool,
    /// What is to be told on objects.
    news: Vec<(About, News)>,
    wanted: Option<Arc<Wanted>>,
}

impl Vip {
    pub fn new(plan: &KubernetesPlan) -> Self {
        let settings =
            Settings { class: plan.load_balancer_class.clone(), ignore_exclude_label: plan.ignore_exclude_label, strict: plan.strict };
        let node = NodeFacts { name: plan.node_name.clone(), ..NodeFacts::default() };
        Self {
            class: plan.load_balancer_class.clone(),
            config: Arc::default(),
            announcer: Announcer::new(settings, node),
            lowering: Lowering::default(),
            read: (None, None),
            services: BTreeSet::new(),
            is_new: false,
            news: Vec::new(),
            wanted: None,
        }
    }

    /// What was decided, if that differs from what the last call gave.
    pub fn picture(&mut self) -> Option<Arc<Vips>> {
        let take = || Arc::new(Vips { config: Arc::clone(&self.config), announcer: self.announcer.clone() });
        std::mem::take(&mut self.is_new).then(take)
    }

    /// What there is to tell on objects since the last call, and what is wanted now.
    pub fn said(&mut self) -> (Vec<(About, News)>, Option<Arc<Wanted>>) {
        (std::mem::take(&mut self.news), self.wanted.clone())
    }

    /// What an allocator would decide about Services without address.
    pub fn foresights(&self, store: &Store) -> Foresights {
        foresee(&self.config, self.class.as_deref(), store)
    }

    /// MetalLB's kinds; those of the core come with the role.
    pub fn watches(namespace: &str) -> Vec<Selection> {
        let all = [
            Selection::of::<IPAddressPool>(),
            Selection::of::<BGPPeer>(),
            Selection::of::<BGPAdvertisement>(),
            Selection::of::<L2Advertisement>(),
            Selection::of::<BFDProfile>(),
            Selection::of::<Community>(),
        ];
        all.into_iter().map(|selection| selection.in_namespace(namespace)).collect()
    }

    /// What follows. The file, and other objects, have said who we and some neighbors are.
    pub fn translate(&mut self, store: &Store, node: &Node, said: Identities) -> (Lowered, Vec<Report>) {
        self.configure(store);
        let facts = NodeFacts::from(node);
        self.is_new |= *self.announcer.node() != facts;
        self.announcer.handle_node(facts);
        self.look_at_services(store);
        while let Some(event) = self.announcer.poll_event() {
            info!(service = %event.object.key, reason = event.reason, "{}", event.message);
            if let Some(service) = store.get::<Service>(&event.object.key) {
                self.news.push((news::about(service), news::of_event(&event, "Announce")));
            }
        }
        let announcements: Vec<_> = self.announcer.announcements().collect();
        if self.is_new {
            self.wanted = Some(Arc::new(Wanted::of(&self.announcer, &announcements, &self.config, (node, store))));
        }
        let names = said.neighbors.into_values().collect();
        let around = Surroundings { names, router_id: said.router_id, tags: TAGS };
        let lowered = self.lowering.lower(&self.config, &node.metadata.labels, &announcements, &around);
        let reports = self.config.complaints.iter().chain(&lowered.complaints).map(of_complaint).collect();
        (lowered, reports)
    }

    fn configure(&mut self, store: &Store) {
        let generations = [
            store.generation_of::<IPAddressPool>(),
            store.generation_of::<BGPPeer>(),
            store.generation_of::<BGPAdvertisement>(),
            store.generation_of::<L2Advertisement>(),
            store.generation_of::<BFDProfile>(),
            store.generation_of::<Community>(),
            store.generation_of::<Secret>(),
            store.generation_of::<ConfigMap>(),
        ];
        let latest = generations.into_iter().max();
        if latest == self.read.0 {
            return;
        }
        let objects = check::Objects {
            pools: shared(store),
            peers: shared(store),
            advertisements: shared(store),
            l2_advertisements: shared(store),
            bfd_profiles: shared(store),
            communities: shared(store),
            secrets: shared(store),
            config_map: store.list::<ConfigMap>().find(|map| map.metadata.name == LEGACY_CONFIG).cloned().map(Arc::new),
        };
        self.config = Arc::new(Config::build(&objects, &self.config));
        self.announcer.handle_config(Arc::clone(&self.config));
        (self.read.0, self.is_new) = (latest, true);
    }

    fn look_at_services(&mut self, store: &Store) {
        let latest = Some(store.generation_of::<Service>().max(store.generation_of::<EndpointSlice>()));
        if latest == self.read.1 {
            return;
        }
        let mut slices: BTreeMap<(&str, &str), Vec<&EndpointSlice>> = BTreeMap::new();
        for slice in store.list::<EndpointSlice>() {
            if let Some(service) = slice.service() {
                slices.entry((&slice.metadata.namespace, service)).or_default().push(slice);
            }
        }
        let mut present = BTreeSet::new();
        for service in store.list::<Service>() {
            let key = service.key();
            let of = slices.get(&(&*key.namespace, &*key.name)).map(Vec::as_slice).unwrap_or_default();
            self.announcer.handle_service(&key, Some((service, &mut of.iter().copied())));
            present.insert(key);
        }
        for gone in self.services.difference(&present) {
            self.announcer.handle_service(gone, None);
        }
        (self.services, self.read.1, self.is_new) = (present, latest, true);
    }
}

/// All objects of a kind.
pub(super) fn shared<T: Object + Clone>(store: &Store) -> Vec<Arc<T>> {
    store.list::<T>().cloned().map(Arc::new).collect()
}

/// Of the 24 tags with names; the others are for the file, for Calico's objects, and for telling the two kinds of objects apart.
const TAGS: usize = 15;
