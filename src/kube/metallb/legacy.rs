//! The ConfigMap that MetalLB read before it had custom resources: `peers`, `address-pools`, `bgp-communities`, `bfd-profiles`. Each
//! entry becomes the custom resource that says the same, so that everything after this point is one model.

pub mod import;
#[cfg(test)]
mod tests;

use super::check::{Item, Specs};
use super::complaint::{Fault, ObjectRef, Report, Source};
use super::objects::{
    BFDProfileSpec, BGPAdvertisementSpec, BGPPeerSpec, CommunityAlias, IPAddressPoolSpec, LabelSelector, Requirement, Unknown,
};
use crate::config::complaint::did_you_mean;
use crate::kube::objects::ConfigMap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A document, entry by entry.
#[derive(Clone, Debug, Default)]
pub struct Document {
    pub specs: Specs,
    /// Pools that are for layer 2.
    pub layer2: Vec<String>,
}

/// The document in the key `config` of a ConfigMap. Where nothing can be read, the map is listed as unreadable.
pub fn read_config_map(map: &ConfigMap, report: &mut Report) -> Specs {
    let object = ObjectRef::new("ConfigMap", map.metadata.key());
    let source = Source { object: object.clone(), path: KEY.to_owned() };
    let unreadable = || Specs { unreadable: vec![object.clone()], ..Specs::default() };
    let Some(text) = map.data.get(KEY) else {
        report.error(&source, "", Fault::Missing, (format!("there is no key `{KEY}`"), "put the configuration there, as YAML"));
        return unreadable();
    };
    match serde_saphyr::from_str::<Value>(text) {
        Ok(value) if value.is_object() || value.is_null() => read_document(&object, &value, report).specs,
        Ok(_) => {
            report.error(&source, "", Fault::Invalid, ("the document is not a mapping".to_owned(), "start with peers: or address-pools:"));
            unreadable()
        }
        Err(error) => {
            report.error(
                &source,
                "",
                Fault::Invalid,
                (format!("the document is not YAML: {error}"), "correct it; the last valid one stays"),
            );
            unreadable()
        }
    }
}

/// Reads every entry by itself; what is wrong with one does not touch the others.
pub fn read_document(object: &ObjectRef, document: &Value, report: &mut Report) -> Document {
    let mut reader = Reader { object, report, document: Document::default() };
    if let Some(map) = document.as_object() {
        reader.known_keys("", map, &[("peers", ""), ("bgp-communities", ""), ("address-pools", ""), ("bfd-profiles", "")], &TOP_DIALECT);
        reader.list(map, "peers", Reader::peer);
        reader.communities(map.get("bgp-communities"));
        reader.list(map, "address-pools", Reader::pool);
        reader.list(map, "bfd-profiles", Reader::bfd_profile);
    }
    reader.document
}

/// The ConfigMap's data key.
const KEY: &str = "config";
/// Keys of older versions and what they are called now.
const TOP_DIALECT: [(&str, &str); 1] = [("communities", "bgp-communities")];
const POOL_DIALECT: [(&str, &str); 3] =
    [("cidr", "addresses"), ("advertisements", "bgp-advertisements"), ("arp-network", "nothing: it is not needed any more")];

struct Reader<'a> {
    object: &'a ObjectRef,
    report: &'a mut Report,
    document: Document,
}

/// Names of keys, each with something that the caller knows to use.
type Keys<'a> = &'a [(&'a str, &'a str)];

impl Reader<'_> {
    fn source(&self, path: &str) -> Source {
        Source { object: self.object.clone(), path: path.to_owned() }
    }

    fn refuse(&mut self, path: &str, reason: Fault, message: String, remedy: &str) {
        let source = self.source(path);
        self.report.error(&source, "", reason, (message, remedy));
    }

    fn item<T>(&self, path: &str, name: String, spec: T) -> Item<T> {
        Item { source: self.source(path), name, labels: BTreeMap::new(), created: String::new(), spec }
    }

    /// Whether every key is among `known`; reports the others.
    fn known_keys(&mut self, path: &str, map: &Map<String, Value>, known: Keys<'_>, dialect: Keys<'_>) -> bool {
        let mut good = true;
        for key in map.keys().filter(|key| known.iter().all(|(name, _)| name != key)) {
            let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let message = match dialect.iter().find(|(old, _)| old == key) {
                Some((_, new)) => format!("`{key}` is of an older version; the key is now {new}"),
                None => format!("unknown key `{key}`{}", did_you_mean(key, known.iter().map(|(name, _)| *name))),
            };
            self.refuse(&at, Fault::Invalid, message, "rename or remove it");
            good = false;
        }
        good
    }

    fn list(&mut self, map: &Map<String, Value>, key: &str, read: impl Fn(&mut Self, &str, &Value)) {
        match map.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::Array(entries)) => {
                for (i, entry) in entries.iter().enumerate() {
                    read(self, &format!("{key}[{i}]"), entry);
                }
            }
            Some(_) => self.refuse(key, Fault::Invalid, "is not a list".to_owned(), "start each entry with a dash"),
        }
    }

    /// One entry: a mapping with known keys and values of the right types.
    fn entry<T: DeserializeOwned>(&mut self, path: &str, value: &Value, keys: Keys<'_>, dialect: Keys<'_>) -> Option<T> {
        let Some(map) = value.as_object() else {
            self.refuse(path, Fault::Invalid, "is not a mapping".to_owned(), "write keys with values");
            return None;
        };
        let known = self.known_keys(path, map, keys, dialect);
        match serde_json::from_value(value.clone()) {
            Ok(entry) if known => Some(entry),
            Ok(_) => None,
            Err(error) => {
                self.refuse(path, Fault::Invalid, format!("a value is not what it should be: {error}"), "correct the value");
                None
            }
        }
    }

    fn peer(&mut self, path: &str, value: &Value) {
        let number = self.document.specs.peers.len() + 1;
        let name = format!("config-peer{number}");
        let Some(peer) = self.entry::<Peer>(path, value, &PEER_KEYS, &[]) else { return };
        let mut selectors = Vec::new();
        for (i, selector) in peer.node_selectors.iter().enumerate() {
            let at = format!("{path}.node-selectors[{i}]");
            match self.entry::<NodeSelector>(&at, selector, &SELECTOR_KEYS, &[]) {
                Some(selector) => selectors.push(selector.convert()),
                None => return,
            }
        }
        let spec = BGPPeerSpec {
            my_asn: peer.my_asn,
            peer_asn: peer.peer_asn,
            peer_address: peer.peer_address,
            source_address: peer.source_address,
            peer_port: peer.peer_port.filter(|port| *port > 0),
            hold_time: peer.hold_time.filter(|text| !text.is_empty()),
            keepalive_time: peer.keepalive_time.filter(|text| !text.is_empty()),
            router_id: peer.router_id,
            password: peer.password,
            bfd_profile: peer.bfd_profile,
            ebgp_multi_hop: peer.ebgp_multihop,
            node_selectors: selectors,
            ..BGPPeerSpec::default()
        };
        let item = self.item(path, name, spec);
        self.document.specs.peers.push(item);
    }

    fn communities(&mut self, value: Option<&Value>) {
        match value {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) => {
                for (name, value) in map {
                    let path = format!("bgp-communities.{name}");
                    match value.as_str() {
                        Some(text) if text.starts_with("large:") => {
                            let what = "large communities came with custom resources only".to_owned();
                            self.refuse(&path, Fault::Invalid, what, "define it in a Community object");
                        }
                        Some(text) => {
                            let alias = CommunityAlias { name: name.clone(), value: text.to_owned(), unknown: Unknown::new() };
                            let item = self.item(&path, name.clone(), alias);
                            self.document.specs.aliases.push(item);
                        }
                        None => self.refuse(&path, Fault::Invalid, "is not a text".to_owned(), "write `64500:1`"),
                    }
                }
            }
            Some(_) => self.refuse("bgp-communities", Fault::Invalid, "is not a mapping".to_owned(), "write `name: 64500:1`"),
        }
    }

    fn pool(&mut self, path: &str, value: &Value) {
        let Some(pool) = self.entry::<Pool>(path, value, &POOL_KEYS, &POOL_DIALECT) else { return };
        let advertisements = pool.bgp_advertisements.as_deref().unwrap_or_default();
        if pool.name.is_empty() {
            return self.refuse(&format!("{path}.name"), Fault::Missing, "the pool has no name".to_owned(), "give it one");
        }
        match pool.protocol.as_str() {
            "bgp" => self.advertisements(path, &pool.name, advertisements),
            "layer2" if advertisements.is_empty() => {
                let source = self.source(path);
                let message = "kubgp does not announce by ARP or NDP; the pool is allocated from but not announced".to_owned();
                self.report.warn(&source, "protocol", Fault::Unsupported, (message, "use protocol: bgp"));
                self.document.layer2.push(pool.name.clone());
            }
            "layer2" => {
                let what = "bgp-advertisements are for protocol: bgp".to_owned();
                return self.refuse(&format!("{path}.bgp-advertisements"), Fault::Conflict, what, "remove them, or change the protocol");
            }
            "" => {
                let what = "address pool is missing the protocol field".to_owned();
                return self.refuse(&format!("{path}.protocol"), Fault::Missing, what, "set protocol: bgp");
            }
            other => {
                let what = format!("`{other}` is not a protocol");
                return self.refuse(&format!("{path}.protocol"), Fault::Invalid, what, "set protocol: bgp");
            }
        }
        let spec = IPAddressPoolSpec {
            addresses: pool.addresses,
            auto_assign: pool.auto_assign,
            avoid_buggy_ips: pool.avoid_buggy_ips,
            ..IPAddressPoolSpec::default()
        };
        let item = self.item(path, pool.name, spec);
        self.document.specs.pools.push(item);
    }

    /// Without any there is one with the defaults.
    fn advertisements(&mut self, pool_path: &str, pool: &str, written: &[Value]) {
        let default = [Value::Object(Map::new())];
        let (entries, explicit) = if written.is_empty() { (&default[..], false) } else { (written, true) };
        for (i, value) in entries.iter().enumerate() {
            let path = if explicit { format!("{pool_path}.bgp-advertisements[{i}]") } else { pool_path.to_owned() };
            if entries.iter().take(i).any(|earlier| earlier == value) {
                self.refuse(&path, Fault::Duplicate, "the advertisement is written twice".to_owned(), "remove one");
                continue;
            }
            let Some(entry) = self.entry::<Advertisement>(&path, value, &ADVERTISEMENT_KEYS, &[]) else { continue };
            let spec = BGPAdvertisementSpec {
                aggregation_length: entry.aggregation_length,
                aggregation_length_v6: entry.aggregation_length_v6,
                local_pref: entry.localpref,
                communities: entry.communities,
                ip_address_pools: vec![pool.to_owned()],
                ..BGPAdvertisementSpec::default()
            };
            let item = self.item(&path, format!("{pool}/{}", i + 1), spec);
            self.document.specs.advertisements.push(item);
        }
    }

    fn bfd_profile(&mut self, path: &str, value: &Value) {
        let Some(profile) = self.entry::<BfdProfile>(path, value, &BFD_KEYS, &[]) else { return };
        if profile.name.is_empty() {
            return self.refuse(&format!("{path}.name"), Fault::Missing, "the profile has no name".to_owned(), "give it one");
        }
        let spec = BFDProfileSpec {
            receive_interval: profile.receive_interval,
            transmit_interval: profile.transmit_interval,
            detect_multiplier: profile.detect_multiplier,
            echo_interval: profile.echo_interval,
            echo_mode: profile.echo_mode,
            passive_mode: profile.passive_mode,
            minimum_ttl: profile.minimum_ttl,
            unknown: Unknown::new(),
        };
        let item = self.item(path, profile.name, spec);
        self.document.specs.bfd_profiles.push(item);
    }
}

/// Defines an entry: its struct, where every key may be absent or null, and the list of its keys.
macro_rules! entry {
    ($name:ident, $keys:ident: $count:literal, { $($key:literal => $field:ident: $type:ty,)* }) => {
        #[derive(Debug, Default, Deserialize)]
        #[serde(default)]
        struct $name { $(#[serde(rename = $key, deserialize_with = "lenient")] $field: $type,)* }

        const $keys: [(&str, &str); $count] = [$(($key, stringify!($field))),*];
    };
}

entry!(Peer, PEER_KEYS: 12, {
    "my-asn" => my_asn: u32,
    "peer-asn" => peer_asn: u32,
    "peer-address" => peer_address: String,
    "peer-port" => peer_port: Option<u32>,
    "source-address" => source_address: String,
    "hold-time" => hold_time: Option<String>,
    "keepalive-time" => keepalive_time: Option<String>,
    "router-id" => router_id: String,
    "password" => password: String,
    "bfd-profile" => bfd_profile: String,
    "ebgp-multihop" => ebgp_multihop: bool,
    "node-selectors" => node_selectors: Vec<Value>,
});

entry!(NodeSelector, SELECTOR_KEYS: 2, {
    "match-labels" => match_labels: BTreeMap<String, String>,
    "match-expressions" => match_expressions: Vec<Requirement>,
});

entry!(Pool, POOL_KEYS: 6, {
    "name" => name: String,
    "protocol" => protocol: String,
    "addresses" => addresses: Vec<String>,
    "avoid-buggy-ips" => avoid_buggy_ips: bool,
    "auto-assign" => auto_assign: Option<bool>,
    "bgp-advertisements" => bgp_advertisements: Option<Vec<Value>>,
});

entry!(Advertisement, ADVERTISEMENT_KEYS: 4, {
    "aggregation-length" => aggregation_length: Option<i32>,
    "aggregation-length-v6" => aggregation_length_v6: Option<i32>,
    "localpref" => localpref: u32,
    "communities" => communities: Vec<String>,
});

entry!(BfdProfile, BFD_KEYS: 8, {
    "name" => name: String,
    "receive-interval" => receive_interval: Option<u32>,
    "transmit-interval" => transmit_interval: Option<u32>,
    "detect-multiplier" => detect_multiplier: Option<u32>,
    "echo-interval" => echo_interval: Option<u32>,
    "echo-mode" => echo_mode: bool,
    "passive-mode" => passive_mode: bool,
    "minimum-ttl" => minimum_ttl: Option<u32>,
});

impl NodeSelector {
    fn convert(self) -> LabelSelector {
        LabelSelector { match_labels: self.match_labels, match_expressions: self.match_expressions, unknown: Unknown::new() }
    }
}

fn lenient<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
