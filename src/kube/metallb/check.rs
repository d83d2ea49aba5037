//! From objects to the model: every object is judged by itself. A bad one is reported, its last valid version stays in force, and
//! everything else works.

mod advertisement;
mod peer;
mod pool;
#[cfg(test)]
mod tests;

use super::complaint::{Fault, ObjectRef, Report, Source};
use super::legacy;
use super::model::{BfdProfile, Config};
use super::objects::{
    BFDProfile, BFDProfileSpec, BGPAdvertisement, BGPAdvertisementSpec, BGPPeer, BGPPeerSpec, Community, CommunityAlias, IPAddressPool,
    IPAddressPoolSpec, L2Advertisement, LabelSelector, Unknown,
};
use super::selector::{Labels, Selector, Selectors};
use super::values::AnyCommunity;
use crate::kube::objects::{ConfigMap, Metadata, Object, Secret};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// All objects of MetalLB's namespace, in order of their names.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    pub pools: Vec<Arc<IPAddressPool>>,
    pub peers: Vec<Arc<BGPPeer>>,
    pub advertisements: Vec<Arc<BGPAdvertisement>>,
    pub l2_advertisements: Vec<Arc<L2Advertisement>>,
    pub bfd_profiles: Vec<Arc<BFDProfile>>,
    pub communities: Vec<Arc<Community>>,
    /// Those that peers name.
    pub secrets: Vec<Arc<Secret>>,
    /// The one named `config`, if there is one.
    pub config_map: Option<Arc<ConfigMap>>,
}

/// A spec and where it comes from.
#[derive(Clone, Debug)]
pub struct Item<T> {
    pub source: Source,
    pub name: String,
    pub labels: Labels,
    /// RFC 3339; of two that exclude each other the older one stays.
    pub created: String,
    pub spec: T,
}

/// The specs of all sources.
#[derive(Clone, Debug, Default)]
pub struct Specs {
    pub pools: Vec<Item<IPAddressPoolSpec>>,
    pub peers: Vec<Item<BGPPeerSpec>>,
    pub advertisements: Vec<Item<BGPAdvertisementSpec>>,
    pub bfd_profiles: Vec<Item<BFDProfileSpec>>,
    pub aliases: Vec<Item<CommunityAlias>>,
    /// The namespace of references.
    pub secrets: BTreeMap<String, Arc<Secret>>,
    /// ConfigMaps of which nothing could be read.
    pub unreadable: Vec<ObjectRef>,
}

impl Config {
    /// Checks all objects. `previous` supplies the last valid version of those that are bad now.
    pub fn build(objects: &Objects, previous: &Self) -> Self {
        let mut report = Report::default();
        let mut specs = Specs::of_resources(objects);
        if let Some(map) = &objects.config_map {
            specs.append(legacy::read_config_map(map, &mut report));
        }
        let mut config = Self::check(&specs, previous, &mut report);
        objects.l2_advertisements.iter().for_each(|l2| no_layer2(&config, l2, &mut report));
        config.complaints = report.0;
        config
    }

    /// As [`Config::build`], for specs of any source; the complaints stay in `report`.
    pub fn check(specs: &Specs, previous: &Self, report: &mut Report) -> Self {
        let aliases = aliases(&specs.aliases, report);
        let bfd_profiles = each(&specs.bfd_profiles, &previous.bfd_profiles, report, bfd_profile);
        let mut config = Self { bfd_profiles, ..Self::default() };
        pool::check_all(specs, previous, &mut config, report);
        config.advertisements =
            each(&specs.advertisements, &previous.advertisements, report, |item, report| advertisement::check(item, &aliases, report));
        peer::check_all(specs, previous, &mut config, report);
        config.keep_unreadable(&specs.unreadable, previous);
        advertisement::check_references(&mut config, report);
        config
    }

    /// What came from a document that cannot be read at all stays as it was.
    fn keep_unreadable(&mut self, unreadable: &[ObjectRef], previous: &Self) {
        let is_kept = |source: &Source| unreadable.contains(&source.object);
        let kept = previous.pools.iter().filter(|(_, pool)| is_kept(&pool.source));
        for (name, pool) in kept {
            let overlaps = self.pools.values().any(|other| pool::overlap(other, pool).is_some());
            if !overlaps && !self.pools.contains_key(name) {
                self.pools.insert(name.clone(), pool.clone());
            }
        }
        let kept = previous.advertisements.iter().filter(|(_, a)| is_kept(&a.source));
        self.advertisements.extend(kept.map(|(name, a)| (name.clone(), a.clone())));
        for (name, peer) in previous.peers.iter().filter(|(_, peer)| is_kept(&peer.source)) {
            self.peers.entry(name.clone()).or_insert_with(|| peer.clone());
        }
        for (name, profile) in previous.bfd_profiles.iter().filter(|(_, profile)| is_kept(&profile.source)) {
            self.bfd_profiles.entry(name.clone()).or_insert_with(|| profile.clone());
        }
    }
}

impl Specs {
    fn of_resources(objects: &Objects) -> Self {
        let aliases = objects.communities.iter().flat_map(|object| {
            let of = |(i, alias): (usize, &CommunityAlias)| {
                let mut item = item(object.as_ref(), alias.clone());
                item.source.path = format!("spec.communities[{i}]");
                item
            };
            object.spec.communities.iter().enumerate().map(of).collect::<Vec<_>>()
        });
        Self {
            pools: objects.pools.iter().map(|o| item(o.as_ref(), o.spec.clone())).collect(),
            peers: objects.peers.iter().map(|o| item(o.as_ref(), o.spec.clone())).collect(),
            advertisements: objects.advertisements.iter().map(|o| item(o.as_ref(), o.spec.clone())).collect(),
            bfd_profiles: objects.bfd_profiles.iter().map(|o| item(o.as_ref(), o.spec.clone())).collect(),
            aliases: aliases.collect(),
            secrets: objects.secrets.iter().map(|s| (s.metadata.name.clone(), s.clone())).collect(),
            unreadable: Vec::new(),
        }
    }

    pub fn append(&mut self, other: Self) {
        self.pools.extend(other.pools);
        self.peers.extend(other.peers);
        self.advertisements.extend(other.advertisements);
        self.bfd_profiles.extend(other.bfd_profiles);
        self.aliases.extend(other.aliases);
        self.unreadable.extend(other.unreadable);
    }
}

fn item<O: Object, T>(object: &O, spec: T) -> Item<T> {
    let metadata: &Metadata = object.metadata();
    Item {
        source: Source { object: ObjectRef::new(O::KIND.name, metadata.key()), path: String::new() },
        name: metadata.name.clone(),
        labels: metadata.labels.clone(),
        created: metadata.creation_timestamp.clone().unwrap_or_default(),
        spec,
    }
}

/// Something of the model that came from one entry.
trait Entry {
    fn source(&self) -> &Source;
}

macro_rules! entries {
    ($($type:ident),*) => {
        $(impl Entry for super::model::$type {
            fn source(&self) -> &Source {
                &self.source
            }
        })*
    };
}
entries!(Pool, Advertisement, Peer, BfdProfile);

/// The last valid version of an entry, if it is of the same object.
fn last_valid<S, T: Entry>(item: &Item<S>, previous: &BTreeMap<String, Arc<T>>) -> Option<Arc<T>> {
    previous.get(&item.name).filter(|old| old.source().object == item.source.object).cloned()
}

/// Checks entries that do not depend on each other. Of several with one name the first counts.
fn each<S, T: Entry>(
    items: &[Item<S>],
    previous: &BTreeMap<String, Arc<T>>,
    report: &mut Report,
    mut check: impl FnMut(&Item<S>, &mut Report) -> Option<T>,
) -> BTreeMap<String, Arc<T>> {
    let mut valid = BTreeMap::new();
    for item in items {
        if valid.contains_key(&item.name) {
            name_twice(&item.source, &item.name, report);
            continue;
        }
        if let Some(entry) = check(item, report).map(Arc::new).or_else(|| last_valid(item, previous)) {
            valid.insert(item.name.clone(), entry);
        }
    }
    valid
}

fn name_twice(source: &Source, name: &str, report: &mut Report) {
    report.error(source, "", Fault::Duplicate, (format!("`{name}` is the name of another entry too"), "rename one of them"));
}

/// Names of communities. Of several with one name the first counts.
fn aliases(items: &[Item<CommunityAlias>], report: &mut Report) -> BTreeMap<String, AnyCommunity> {
    let mut aliases = BTreeMap::new();
    for Item { source, spec, .. } in items {
        let refuse = |report: &mut Report, reason, what| {
            // The path names the entry already.
            let entry = Source { path: source.path.clone(), object: source.object.clone() };
            report.error(&entry, "", reason, what);
        };
        if spec.name.is_empty() {
            refuse(report, Fault::Missing, ("the alias has no name".to_owned(), "give it one"));
        } else if aliases.contains_key(&spec.name) {
            refuse(report, Fault::Duplicate, (format!("the alias `{}` is defined twice", spec.name), "remove one"));
        } else {
            match AnyCommunity::parse(&spec.value) {
                Ok(value) => drop(aliases.insert(spec.name.clone(), value)),
                Err(why) => refuse(report, Fault::Invalid, (why, COMMUNITY_FORMS)),
            }
        }
    }
    aliases
}

const COMMUNITY_FORMS: &str = "write `a:b` with parts up to 65535, or `large:a:b:c` with parts up to 4294967295";

fn bfd_profile(item: &Item<BFDProfileSpec>, report: &mut Report) -> Option<BfdProfile> {
    let (spec, source, before) = (&item.spec, &item.source, report.errors());
    unknown_fields(source, &spec.unknown, report);
    let mut within = |field: &str, value: Option<u32>, (least, most): (u32, u32)| {
        let wrong = value.filter(|v| !(least..=most).contains(v));
        if let Some(value) = wrong {
            report.error(source, field, Fault::Invalid, (format!("{value} is not in {least}..={most}"), "use a value in this range"));
        }
        value
    };
    let milliseconds = |value: Option<u32>| value.map(|ms| Duration::from_millis(ms.into()));
    let octet = |value: Option<u32>| value.and_then(|v| u8::try_from(v).ok());
    let profile = BfdProfile {
        name: item.name.clone(),
        source: source.clone(),
        receive: milliseconds(within("receiveInterval", spec.receive_interval, (10, 60_000))),
        transmit: milliseconds(within("transmitInterval", spec.transmit_interval, (10, 60_000))),
        multiplier: octet(within("detectMultiplier", spec.detect_multiplier, (2, 255))),
        passive: spec.passive_mode,
        minimum_ttl: octet(within("minimumTtl", spec.minimum_ttl, (1, 254))),
    };
    within("echoInterval", spec.echo_interval, (10, 60_000));
    if spec.echo_mode || spec.echo_interval.is_some() {
        let message = "the echo function is not supported".to_owned();
        report.warn(source, "echoMode", Fault::Unsupported, (message, "control packets do the work at the intervals above; remove it"));
    }
    (report.errors() == before).then_some(profile)
}

fn no_layer2(config: &Config, l2: &L2Advertisement, report: &mut Report) {
    let source = Source { object: ObjectRef::new("L2Advertisement", l2.metadata.key()), path: String::new() };
    let by_bgp = |name: &String| config.pools.get(name).is_some_and(|pool| config.advertisements.values().any(|a| a.pools.includes(pool)));
    let remedy = if !l2.spec.ip_address_pools.is_empty() && l2.spec.ip_address_pools.iter().all(by_bgp) {
        "its pools are announced by BGP; remove it"
    } else {
        "add a BGPAdvertisement for its pools, or leave it to another controller with its own loadBalancerClass"
    };
    report.warn(&source, "", Fault::Unsupported, ("kubgp does not announce by ARP or NDP".to_owned(), remedy));
}

/// Reports keys that nobody reads.
fn unknown_fields(source: &Source, unknown: &Unknown, report: &mut Report) {
    for key in unknown.keys() {
        report.warn(
            source,
            key,
            Fault::Unsupported,
            (format!("`{key}` is not known to kubgp"), "remove it, or use a version that knows it"),
        );
    }
}

/// Reads a list of selectors; repetitions are refused as MetalLB refuses them.
fn selectors(source: &Source, field: &str, written: &[LabelSelector], report: &mut Report) -> Selectors {
    let mut read = Vec::new();
    for (i, selector) in written.iter().enumerate() {
        let at = format!("{field}[{i}]");
        if written.iter().take(i).any(|earlier| earlier == selector) {
            report.error(source, &at, Fault::Duplicate, ("the selector is written twice".to_owned(), "remove one"));
        }
        match Selector::new(selector) {
            Ok(selector) => read.push(selector),
            Err(why) => report.error(source, &at, Fault::Invalid, (why, "correct the selector")),
        }
    }
    Selectors(read)
}

/// Reads a list of names; repetitions are refused as MetalLB refuses them.
fn names(source: &Source, field: &str, written: &[String], report: &mut Report) -> BTreeSet<String> {
    for (i, name) in written.iter().enumerate() {
        if written.iter().take(i).any(|earlier| earlier == name) {
            report.error(source, &format!("{field}[{i}]"), Fault::Duplicate, (format!("`{name}` is listed twice"), "remove one"));
        }
    }
    written.iter().cloned().collect()
}
