//! `bgpctl import metallb|konvoy FILE`: the custom resources and the kubgp configuration that say the same as an old document.

use super::{Document, read_document};
use crate::config::file::{self, File};
use crate::config::plan::Secret;
use crate::kube::metallb::check::{Item, Specs};
use crate::kube::metallb::complaint::{Complaint, ObjectRef, Report, Severity};
use crate::kube::metallb::model::Config;
use crate::kube::metallb::objects::{BGPAdvertisementSpec, CommunitySpec, IPAddressPoolSpec, L2AdvertisementSpec, Unknown};
use crate::kube::metallb::peers;
use crate::kube::objects::Key;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What an import prints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// Manifests that `kubectl apply -f` takes; one document each.
    pub resources: String,
    /// The file for a node without Kubernetes objects.
    pub configuration: String,
    /// What could not be taken over, and what to know about the rest.
    pub complaints: Vec<Complaint>,
}

/// Finds the MetalLB documents in a file and translates them. The file may be the document itself, a ConfigMap manifest, Helm values
/// with `configInline`, or a Konvoy `cluster.yaml` whose MetalLB addon has them; several YAML documents are fine. Manifests are made
/// for `namespace`. Fails when no document is found.
pub fn import(file_name: &str, text: &str, namespace: &str) -> Result<Imported, String> {
    let parsed: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| format!("{file_name} is not YAML: {error}"))?;
    let mut found = Vec::new();
    parsed.iter().for_each(|value| find(value, 0, &mut found));
    if found.is_empty() {
        let kinds = "a document with peers or address-pools, a ConfigMap, or values with configInline";
        return Err(format!("{file_name} has no MetalLB configuration; expected {kinds}"));
    }
    let mut report = Report::default();
    let object = ObjectRef::new("File", Key::new("", file_name));
    let mut document = Document::default();
    for value in &found {
        let Document { specs, layer2 } = read_document(&object, value, &mut report);
        document.specs.append(specs);
        document.layer2.extend(layer2);
    }
    rename(&mut document);
    let config = Config::check(&document.specs, &Config::default(), &mut report);
    let resources = resources(&document, namespace);
    let configuration = configuration(&document.specs, &config);
    Ok(Imported { resources, configuration, complaints: report.0 })
}

/// Documents may be texts within documents, since values and ConfigMaps hold them so.
fn find(value: &Value, depth: usize, found: &mut Vec<Value>) {
    if depth > DEEPEST {
        return;
    }
    match value {
        Value::Object(map) if DOCUMENT_KEYS.iter().any(|key| map.contains_key(*key)) => found.push(value.clone()),
        Value::Object(map) => map.values().for_each(|inner| find(inner, depth + 1, found)),
        Value::Array(list) => list.iter().for_each(|inner| find(inner, depth + 1, found)),
        Value::String(text) if DOCUMENT_KEYS.iter().any(|key| text.contains(key)) => {
            if let Ok(inner) = serde_saphyr::from_str::<Value>(text) {
                find(&inner, depth + 1, found);
            }
        }
        _ => {}
    }
}

/// What tells a document of MetalLB from any other mapping.
const DOCUMENT_KEYS: [&str; 2] = ["address-pools", "peer-address"];
const DEEPEST: usize = 16;

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

/// The same without objects: neighbors, pools and what is announced of them.
fn configuration(specs: &Specs, config: &Config) -> String {
    let mut text = String::new();
    let mut neighbors = Vec::new();
    for peer in config.peers.values() {
        let mut neighbor = peers::neighbor(peer);
        if peer.password.as_ref().map(Secret::expose).is_some() {
            let path = format!("/etc/kubgp/{}.key", peer.name);
            note(&mut text, &format!("write the password of {} into {path}, readable by kubgpd only", peer.name));
            neighbor.password = Some(file::Password { file: Some(path.into()), ..file::Password::default() });
        }
        if !peer.nodes.is_empty() {
            note(&mut text, &format!("{} is for some nodes only (node-selectors): leave it out on the others", peer.name));
        }
        neighbors.push(neighbor);
    }
    let profiles = config.bfd_profiles.values().map(|profile| (profile.name.clone(), peers::bfd_profile(profile)));
    let profiles: BTreeMap<_, _> = profiles.collect();
    let pools = specs.pools.iter().filter(|pool| config.pools.contains_key(&pool.name));
    let advertise = specs.advertisements.iter().filter(|a| config.advertisements.contains_key(&a.name));
    let file = File {
        api_version: Some("kubgp.io/v1".to_owned()),
        router: peers::router(config.peers.values().map(AsRef::as_ref)),
        neighbors: Some(neighbors),
        bfd: Some(file::Bfd { profiles: Some(profiles) }).filter(|_| !config.bfd_profiles.is_empty()),
        vips: Some(file::Vips {
            pools: Some(pools.map(pool_entry).collect()),
            advertise: Some(advertise.map(|a| advertise_entry(a, config)).collect()),
            services: None,
        }),
        ..File::default()
    };
    text + &yaml(&file)
}

fn note(text: &mut String, what: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# {what}");
}

fn pool_entry(item: &Item<IPAddressPoolSpec>) -> Value {
    let mut entry = json!({ "name": item.name, "addresses": item.spec.addresses });
    if item.spec.auto_assign == Some(false) {
        entry["autoAssign"] = false.into();
    }
    if item.spec.avoid_buggy_ips {
        entry["avoidBuggyIPs"] = true.into();
    }
    entry
}

/// Aliases are resolved: the file knows communities only.
fn advertise_entry(item: &Item<BGPAdvertisementSpec>, config: &Config) -> Value {
    let mut entry = json!({ "pools": item.spec.ip_address_pools });
    let Some(advertisement) = config.advertisements.get(&item.name) else { return entry };
    let (standard, large) = peers::split(&advertisement.communities);
    let mut aggregate = serde_json::Map::new();
    if advertisement.aggregation < 32 {
        aggregate.insert("ipv4".to_owned(), advertisement.aggregation.into());
    }
    if advertisement.aggregation_v6 < 128 {
        aggregate.insert("ipv6".to_owned(), advertisement.aggregation_v6.into());
    }
    if !aggregate.is_empty() {
        entry["aggregate"] = aggregate.into();
    }
    if let Some(value) = advertisement.local_pref {
        entry["localPref"] = value.into();
    }
    for (key, list) in [("communities", standard), ("largeCommunities", large)] {
        if !list.is_empty() {
            entry[key] = list.into();
        }
    }
    entry
}

impl Imported {
    /// Whether something could not be taken over.
    pub fn is_complete(&self) -> bool {
        self.complaints.iter().all(|c| c.severity != Severity::Error)
    }
}
