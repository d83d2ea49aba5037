//! `bgpctl import metallb|konvoy FILE`: the custom resources and the kubgp configuration that say the same as an old document.

use super::{Document, read_document};
use crate::config::file::{self, File};
use crate::config::plan::Secret;
use crate::kube::metallb::complaint::{Complaint, Fault, ObjectRef, Report, Severity, Source};
use crate::kube::metallb::model::Config;
use crate::kube::metallb::objects::{CommunitySpec, L2AdvertisementSpec, Unknown};
use crate::kube::metallb::peers;
use crate::kube::objects::Key;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What an import prints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// Manifests that `kubectl apply -f` takes; one document each.
    pub resources: String,
    /// The file that has the same sessions without those resources.
    pub configuration: String,
    /// What could not be taken over, and what to know about the rest.
    pub complaints: Vec<Complaint>,
}

/// Where the documents are looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// The document itself, a ConfigMap manifest, or Helm values with `configInline`.
    Metallb,
    /// A Konvoy `cluster.yaml`, whose MetalLB addon has them.
    Konvoy,
}

/// Finds the MetalLB documents in a file and translates them; several YAML documents are fine. What lies around them is listed as not
/// taken over. Manifests are made for `namespace`. Fails when no document is found.
pub fn import(file_name: &str, text: &str, format: Format, namespace: &str) -> Result<Imported, String> {
    let parsed: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| format!("{file_name} is not YAML: {error}"))?;
    if format == Format::Konvoy && !parsed.iter().any(|value| value["kind"] == CLUSTER) {
        return Err(format!("{file_name} has no {CLUSTER} of Konvoy; other files are for `import metallb`"));
    }
    let mut search = Search::default();
    for (i, value) in parsed.iter().enumerate().filter(|(_, value)| !value.is_null()) {
        if !search.look(value, "", 0) {
            let kind = value["kind"].as_str().map(|kind| format!(" ({kind})")).unwrap_or_default();
            search.passed.push(format!("document {}{kind}", i + 1));
        }
    }
    if search.found.is_empty() {
        let kinds = "a document with peers or address-pools, a ConfigMap, or values with configInline";
        return Err(format!("{file_name} has no MetalLB configuration; expected {kinds}"));
    }
    let mut report = Report::default();
    let object = ObjectRef::new("File", Key::new("", file_name));
    let mut document = Document::default();
    for value in &search.found {
        let Document { specs, layer2 } = read_document(&object, value, &mut report);
        document.specs.append(specs);
        document.layer2.extend(layer2);
    }
    for path in search.passed {
        let what = ("is not taken over: it is not MetalLB's configuration".to_owned(), "nothing to do for the addresses of Services");
        report.warn(&Source { object: object.clone(), path }, "", Fault::Unsupported, what);
    }
    rename(&mut document);
    let config = Config::check(&document.specs, &Config::default(), &mut report);
    let resources = resources(&document, namespace);
    let configuration = configuration(&config, namespace, &mut report);
    Ok(Imported { resources, configuration, complaints: report.0 })
}

/// The way through a file to the documents in it.
#[derive(Default)]
struct Search {
    found: Vec<Value>,
    /// Paths of what lies beside them.
    passed: Vec<String>,
}

impl Search {
    /// Whether there is a document in `value`. Documents may be texts within documents, since values and ConfigMaps hold them so.
    fn look(&mut self, value: &Value, path: &str, depth: usize) -> bool {
        if depth > DEEPEST {
            return false;
        }
        match value {
            Value::Object(map) if DOCUMENT_KEYS.iter().any(|key| map.contains_key(*key)) => {
                self.found.push(value.clone());
                true
            }
            Value::Object(map) => {
                let of = |key: &String| if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let inner = map.iter().filter(|(key, value)| !is_wrapping(key, value)).map(|(key, inner)| (of(key), inner));
                self.look_within(inner.collect(), depth)
            }
            Value::Array(list) => {
                let of = |(i, inner): (usize, &'_ Value)| format!("{path}[{i}]{}", named(inner.as_object()));
                self.look_within(list.iter().enumerate().map(|(i, inner)| (of((i, inner)), inner)).collect(), depth)
            }
            Value::String(text) if DOCUMENT_KEYS.iter().any(|key| text.contains(key)) => {
                serde_saphyr::from_str::<Value>(text).is_ok_and(|inner| self.look(&inner, path, depth + 1))
            }
            _ => false,
        }
    }

    /// What has nothing is listed where something beside it has.
    fn look_within(&mut self, all: Vec<(String, &Value)>, depth: usize) -> bool {
        let (with, without): (Vec<_>, Vec<_>) = all.into_iter().partition(|(path, inner)| self.look(inner, path, depth + 1));
        if !with.is_empty() {
            self.passed.extend(without.into_iter().map(|(path, _)| path));
        }
        !with.is_empty()
    }
}

/// Keys that say what a mapping is, and nothing that could be taken over.
fn is_wrapping(key: &str, value: &Value) -> bool {
    matches!(key, "apiVersion" | "kind" | "metadata" | "name") || (key == "enabled" && *value == Value::Bool(true))
}

/// ` (dashboard)` behind the path of an entry with a name.
fn named(entry: Option<&Map<String, Value>>) -> String {
    let name = entry.and_then(|map| map.get("name")?.as_str());
    name.map(|name| format!(" ({name})")).unwrap_or_default()
}

/// What tells a document of MetalLB from any other mapping.
const DOCUMENT_KEYS: [&str; 2] = ["address-pools", "peer-address"];
const DEEPEST: usize = 16;
/// The kind in a Konvoy `cluster.yaml` that has the addons.
const CLUSTER: &str = "ClusterConfiguration";

/// Gives every entry a name that the API accepts; advertisements follow their pools.
fn rename(document: &mut Document) {
    let specs = &mut document.specs;
    let mut pools = BTreeMap::new();
    for pool in &mut specs.pools {
        let name = dns_name(&pool.name);
        pools.insert(pool.name.clone(), name.clone());
        pool.name = name;
    }
    for (i, advertisement) in specs.advertisements.iter_mut().enumerate() {
        advertisement.name = format!("bgpadvertisement{}", i + 1);
        for pool in &mut advertisement.spec.ip_address_pools {
            *pool = pools.get(pool).cloned().unwrap_or_else(|| dns_name(pool));
        }
    }
    for (i, peer) in specs.peers.iter_mut().enumerate() {
        peer.name = format!("peer{}", i + 1);
        if !peer.spec.bfd_profile.is_empty() {
            peer.spec.bfd_profile = dns_name(&peer.spec.bfd_profile);
        }
        peer.spec.hold_time.get_or_insert_with(|| "90s".to_owned());
    }
    for profile in &mut specs.bfd_profiles {
        profile.name = dns_name(&profile.name);
    }
    for name in &mut document.layer2 {
        *name = dns_name(name);
    }
}

/// Lower case, `_` as `-`, from the first letter on.
fn dns_name(name: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let name: String = name.chars().map(clean).collect();
    let is_valid = |name: &str| name.starts_with(|c: char| c.is_ascii_alphanumeric());
    let name = if is_valid(&name) { name.as_str() } else { name.trim_start_matches(|c: char| !c.is_ascii_alphabetic()) };
    let name = name.trim_end_matches(['-', '.']);
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

fn resources(document: &Document, namespace: &str) -> String {
    let specs = &document.specs;
    let mut out = Manifests { namespace, text: String::new() };
    specs.pools.iter().for_each(|pool| out.add("IPAddressPool", "v1beta1", &pool.name, &pool.spec));
    specs.advertisements.iter().for_each(|a| out.add("BGPAdvertisement", "v1beta1", &a.name, &a.spec));
    for (i, pool) in document.layer2.iter().enumerate() {
        let spec = L2AdvertisementSpec { ip_address_pools: vec![pool.clone()], ..L2AdvertisementSpec::default() };
        out.add("L2Advertisement", "v1beta1", &format!("l2advertisement{}", i + 1), &spec);
    }
    specs.bfd_profiles.iter().for_each(|profile| out.add("BFDProfile", "v1beta1", &profile.name, &profile.spec));
    if !specs.aliases.is_empty() {
        let communities = specs.aliases.iter().map(|alias| alias.spec.clone()).collect();
        out.add("Community", "v1beta1", "communities", &CommunitySpec { communities, unknown: Unknown::new() });
    }
    specs.peers.iter().for_each(|peer| out.add("BGPPeer", "v1beta2", &peer.name, &peer.spec));
    out.text
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a, T> {
    api_version: String,
    kind: &'a str,
    metadata: BTreeMap<&'static str, &'a str>,
    spec: &'a T,
}

struct Manifests<'a> {
    namespace: &'a str,
    text: String,
}

impl Manifests<'_> {
    fn add<T: Serialize>(&mut self, kind: &str, version: &str, name: &str, spec: &T) {
        let api_version = format!("{}/{version}", super::super::objects::GROUP);
        let metadata = BTreeMap::from([("name", name), ("namespace", self.namespace)]);
        self.text.push_str("---\n");
        self.text.push_str(&yaml(&Manifest { api_version, kind, metadata, spec }));
    }
}

fn yaml<T: Serialize>(value: &T) -> String {
    let options = serde_saphyr::ser_options! { no_lang_directive: true, prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(value, options).expect("plain mappings and texts can be written as YAML");
    if text.ends_with('\n') { text } else { text + "\n" }
}

/// The same sessions, pools and attributes without objects. Addresses of Services need the objects; those of the file are chosen by hand.
fn configuration(config: &Config, namespace: &str, report: &mut Report) -> String {
    let mut text = String::new();
    note(&mut text, "Sessions and pools, for a daemon that follows no cluster. One that follows the custom resources needs this instead:");
    note(&mut text, &format!("  kubernetes: {{ enabled: true, namespace: {namespace}, roles: [vip, allocator] }}"));
    let vips = vips(config, &mut text, report);
    let mut neighbors = Vec::new();
    for peer in config.peers.values() {
        let mut neighbor = peers::neighbor(peer);
        if peer.password.as_ref().map(Secret::expose).is_some() {
            let path = format!("/etc/kubgp/{}.key", peer.name);
            note(&mut text, &format!("Write the password of {} into {path}, readable by kubgpd only.", peer.name));
            neighbor.password = Some(file::Password { file: Some(path.into()), ..file::Password::default() });
        }
        if !peer.nodes.is_empty() {
            note(&mut text, &format!("{} is for some nodes only (node-selectors): leave it out on the others.", peer.name));
        }
        neighbor.bfd.clone_from(&peer.bfd_profile);
        neighbor.import = Some(file::List(vec![NOTHING.to_owned()]));
        neighbors.push(neighbor);
    }
    let file = File {
        api_version: Some("kubgp.io/v1".to_owned()),
        router: peers::router(config.peers.values().map(AsRef::as_ref)),
        policies: Some(BTreeMap::from([(NOTHING.to_owned(), vec![peers::reject()])])).filter(|_| !neighbors.is_empty()),
        bfd: profiles(config),
        neighbors: Some(neighbors).filter(|all| !all.is_empty()),
        vips,
        ..File::default()
    };
    text + &yaml(&file)
}

/// The pools that are announced, and how. An address is announced when `vips.services` names it.
fn vips(config: &Config, text: &mut String, report: &mut Report) -> Option<file::Vips> {
    let mut vips = file::Vips::default();
    for advertisement in config.advertisements.values() {
        let names: Vec<String> =
            config.pools.values().filter(|pool| advertisement.pools.includes(pool)).map(|pool| pool.name.clone()).collect();
        if names.is_empty() {
            continue;
        }
        if (advertisement.aggregation, advertisement.aggregation_v6) != (32, 128) {
            let what = ("addresses of the file are announced by themselves".to_owned(), "announce the aggregate in originate.networks");
            report.warn(&advertisement.source, "aggregationLength", Fault::Unsupported, what);
        }
        let (standard, large) = peers::split(&advertisement.communities);
        let given = |texts: Vec<String>| Some(texts).filter(|texts| !texts.is_empty());
        vips.advertise.get_or_insert_default().push(file::VipAdvertisement {
            pools: Some(names),
            communities: given(standard),
            large_communities: given(large),
            local_pref: advertisement.local_pref,
            ..file::VipAdvertisement::default()
        });
    }
    for pool in config.pools.values() {
        if !config.advertisements.values().any(|advertisement| advertisement.pools.includes(pool)) {
            note(text, &format!("Pool {} is for layer 2, which kubgp does not announce: it is left out.", pool.name));
            continue;
        }
        let ranges = pool.blocks.iter().map(|block| format!("{}-{}", block.first, block.last));
        vips.pools.get_or_insert_default().push(file::VipPool { name: Some(pool.name.clone()), addresses: Some(ranges.collect()) });
        if !pool.auto_assign || pool.avoid_buggy {
            note(text, &format!("auto-assign and avoid-buggy-ips of pool {} are for the role allocator.", pool.name));
        }
    }
    vips.pools.as_ref()?;
    note(text, "An address is announced when vips.services names it: services: [{ name: web, addresses: [ADDRESS] }].");
    Some(vips)
}

/// The BFD profiles that peers name.
fn profiles(config: &Config) -> Option<file::Bfd> {
    let is_used = |name: &String| config.peers.values().any(|peer| peer.bfd_profile.as_ref() == Some(name));
    let used = config.bfd_profiles.iter().filter(|(name, _)| is_used(name));
    let profiles: BTreeMap<_, _> = used.map(|(name, profile)| (name.clone(), peers::bfd_profile(profile))).collect();
    Some(file::Bfd { profiles: Some(profiles) }).filter(|bfd| bfd.profiles.iter().any(|all| !all.is_empty()))
}

/// The policy of peers that only listen to us.
const NOTHING: &str = "nothing";

fn note(text: &mut String, what: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# {what}");
}

impl Imported {
    /// Whether something could not be taken over.
    pub fn is_complete(&self) -> bool {
        self.complaints.iter().all(|c| c.severity != Severity::Error)
    }
}
