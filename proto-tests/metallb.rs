//! Vectors of the MetalLB part: objects in, addresses and announcements out.
//!
//! `vectors-kube/metallb/*.yaml` holds a list of vectors. Each has a `name`, optionally settings (`class`, `node`,
//! `ignoreExcludeLabel`, `strict`, `drain`), and `steps`: lists of objects as one writes them for kubectl. An object replaces the one
//! of its kind and name; with `delete: true` it goes. After each step everything settles, statuses are written back, and
//! the answer holds what there is to see. `*.json` beside it has the answers; `UPDATE_VECTORS=1` rewrites them.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use kubgp::kube::metallb::allocator::{Allocator, Output};
use kubgp::kube::metallb::announce::{Announcer, NodeFacts, Settings};
use kubgp::kube::metallb::check::Objects;
use kubgp::kube::metallb::class::{ALLOCATED_FROM, annotation_name};
use kubgp::kube::metallb::model::Config;
use kubgp::kube::metallb::peers::{Lowering, Surroundings};
use kubgp::kube::metallb::status::{ServiceBgpStatus, status_of};
use kubgp::kube::metallb::values::AnyCommunity;
use kubgp::kube::objects::{ConfigMap, EndpointSlice, Key, Namespace, Node, Object, Secret, Service};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[test]
fn objects_become_addresses_and_announcements() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-tests/vectors-kube/metallb");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    assert!(files.len() >= 2, "vectors are missing");
    let mut failures = String::new();
    for file in files {
        let vectors: Vec<Value> = serde_saphyr::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let mut answers = Map::new();
        for vector in &vectors {
            let old = answers.insert(vector["name"].as_str().unwrap().to_owned(), run(vector));
            assert!(old.is_none(), "{} has {} twice", file.display(), vector["name"]);
        }
        let text = serde_json::to_string_pretty(&answers).unwrap() + "\n";
        let golden = file.with_extension("json");
        if std::env::var_os("UPDATE_VECTORS").is_some() {
            fs::write(&golden, &text).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != text {
            writeln!(failures, "{} differs; look at the diff after UPDATE_VECTORS=1", golden.display()).unwrap();
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// The objects by kind and key.
#[derive(Default)]
struct Store(BTreeMap<String, BTreeMap<String, Value>>);

impl Store {
    fn apply(&mut self, object: &Value) {
        let kind = object["kind"].as_str().expect("a kind").to_owned();
        let metadata = &object["metadata"];
        let name = format!("{}/{}", metadata["namespace"].as_str().unwrap_or_default(), metadata["name"].as_str().expect("a name"));
        let all = self.0.entry(kind).or_default();
        if object["delete"] == json!(true) {
            all.remove(&name);
            return;
        }
        // The status belongs to the controller, unless the vector gives one.
        let mut object = object.clone();
        if let Some(old) = all.get(&name).filter(|_| object["status"].is_null()) {
            object["status"] = old["status"].clone();
            let output = annotation_name(ALLOCATED_FROM);
            if let Some(pool) = old["metadata"]["annotations"].get(&output) {
                object["metadata"]["annotations"][&output] = pool.clone();
            }
        }
        all.insert(name, object);
    }

    fn all<T: DeserializeOwned>(&self, kind: &str) -> Vec<Arc<T>> {
        let read = |value: &Value| Arc::new(serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{e}: {value}")));
        self.0.get(kind).into_iter().flat_map(BTreeMap::values).map(read).collect()
    }

    fn objects(&self) -> Objects {
        Objects {
            pools: self.all("IPAddressPool"),
            peers: self.all("BGPPeer"),
            advertisements: self.all("BGPAdvertisement"),
            l2_advertisements: self.all("L2Advertisement"),
            bfd_profiles: self.all("BFDProfile"),
            communities: self.all("Community"),
            secrets: self.all::<Secret>("Secret"),
            config_map: self.all::<ConfigMap>("ConfigMap").pop(),
        }
    }
}

fn run(vector: &Value) -> Value {
    let node_name = vector["node"].as_str().unwrap_or("n1");
    let class = vector["class"].as_str().map(str::to_owned);
    let settings = Settings {
        class: class.clone(),
        ignore_exclude_label: vector["ignoreExcludeLabel"] == json!(true),
        strict: vector["strict"] == json!(true),
    };
    let mut run = Run {
        store: Store::default(),
        config: Arc::default(),
        allocator: Allocator::new(class),
        announcer: Announcer::new(settings, NodeFacts { name: node_name.to_owned(), ..NodeFacts::default() }),
        lowering: Lowering::default(),
        known: Vec::new(),
    };
    Value::Array(vector["steps"].as_array().expect("steps").iter().map(|step| run.step(step, node_name)).collect())
}

struct Run {
    store: Store,
    config: Arc<Config>,
    allocator: Allocator,
    announcer: Announcer,
    lowering: Lowering,
    known: Vec<Key>,
}

impl Run {
    fn step(&mut self, objects: &Value, node: &str) -> Value {
        objects.as_array().expect("objects").iter().for_each(|object| self.store.apply(object));
        self.config = Arc::new(Config::build(&self.store.objects(), &self.config));
        self.allocator.handle_config(&self.config);
        for namespace in self.store.all::<Namespace>("Namespace") {
            self.allocator.handle_namespace(&namespace.metadata.name, Some(&namespace));
        }
        self.feed();
        self.allocator.handle_synced();
        let mut events = self.settle();
        self.announcer.handle_config(self.config.clone());
        if let Some(found) = self.store.all::<Node>("Node").iter().find(|n| n.metadata.name == node) {
            self.announcer.handle_node(NodeFacts::from(found.as_ref()));
        }
        self.announce();
        events.extend(
            std::iter::from_fn(|| self.announcer.poll_event())
                .map(|e| json!(format!("{:?} {} {}: {}", e.kind, e.object.key, e.reason, e.message))),
        );
        self.answer(events)
    }

    /// Gives every Service to the allocator, and tells which are gone.
    fn feed(&mut self) {
        let services = self.store.all::<Service>("Service");
        let keys: Vec<Key> = services.iter().map(|s| s.key()).collect();
        for gone in self.known.iter().filter(|key| !keys.contains(key)) {
            self.allocator.handle_service(gone, None);
            self.announcer.handle_service(gone, None);
        }
        services.iter().for_each(|service| self.allocator.handle_service(&service.key(), Some(service)));
        self.known = keys;
    }

    fn settle(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(output) = self.allocator.poll() {
            match output {
                Output::Event(e) => events.push(json!(format!("{:?} {} {}: {}", e.kind, e.object.key, e.reason, e.message))),
                Output::Status(write) => {
                    let services = self.store.0.get_mut("Service").expect("there are Services");
                    let object = services.get_mut(&write.service.to_string()).expect("the Service is there");
                    object["status"] =
                        json!({ "loadBalancer": { "ingress": write.addresses.iter().map(|ip| json!({ "ip": ip })).collect::<Vec<_>>() } });
                    object["metadata"]["annotations"][annotation_name(ALLOCATED_FROM)] = json!(write.pool);
                    if write.pool.is_none() {
                        object["metadata"]["annotations"].as_object_mut().unwrap().remove(&annotation_name(ALLOCATED_FROM));
                    }
                    let service: Service = serde_json::from_value(object.clone()).unwrap();
                    self.allocator.handle_service(&write.service, Some(&service));
                }
            }
        }
        events
    }

    fn announce(&mut self) {
        let slices = self.store.all::<EndpointSlice>("EndpointSlice");
        for service in self.store.all::<Service>("Service") {
            let of = |slice: &&Arc<EndpointSlice>| {
                slice.service() == Some(&service.metadata.name) && slice.metadata.namespace == service.metadata.namespace
            };
            let mut mine = slices.iter().filter(of).map(AsRef::as_ref);
            self.announcer.handle_service(&service.key(), Some((&service, &mut mine)));
        }
    }

    /// Where every peer has taken everything.
    fn status(&self, service: &Key) -> Option<ServiceBgpStatus> {
        let routes = self.announcer.routes_of(service).into_iter().map(|route| (route.prefix, route.peers)).collect();
        status_of(&self.announcer.node().name, service, &routes, |_, _| true)
    }

    fn answer(&mut self, events: Vec<Value>) -> Value {
        let announcements: Vec<_> = self.announcer.announcements().collect();
        let attributes = |a: &kubgp::kube::metallb::announce::Attributes| {
            let text = |c: &AnyCommunity| match c {
                AnyCommunity::Standard(c) => c.to_string(),
                AnyCommunity::Large(c) => c.to_string(),
            };
            json!({ "localPref": a.local_pref, "communities": a.communities.iter().map(text).collect::<Vec<_>>() })
        };
        let announced: Map<String, Value> = announcements
            .iter()
            .map(|a| {
                let mut value = json!({
                    "services": a.services.iter().map(Key::to_string).collect::<Vec<_>>(),
                    "peers": a.peers.iter().map(|(name, own)| (name.clone(), attributes(own))).collect::<Map<_, _>>(),
                });
                if let Some(all) = &a.everybody {
                    value["everybody"] = attributes(all);
                }
                if a.conflict {
                    value["conflict"] = json!(true);
                }
                if !a.attracted.is_empty() {
                    value["attracted"] = a.attracted.iter().map(Key::to_string).collect();
                }
                (a.prefix.to_string(), value)
            })
            .collect();
        let allocations = self.allocator.allocations().map(|a| {
            let mut value = json!({ "addresses": a.addresses, "pool": a.pool });
            if let Some(refusal) = a.refusal {
                value["refusal"] = json!(refusal);
            }
            (a.service.to_string(), value)
        });
        let allocations: Map<String, Value> = allocations.collect();
        let why = self.known.iter().filter_map(|key| self.announcer.explain(key));
        let why: Map<String, Value> =
            why.map(|e| (e.service.to_string(), json!(format!("{} at {}", e.reason, e.steps.last().map_or("", |s| s.stage))))).collect();
        let status: Vec<Value> = self.known.iter().filter_map(|key| self.status(key)).map(|s| json!(s)).collect();
        let around = Surroundings { tags: 16, ..Surroundings::default() };
        let lowered = self.lowering.lower(&self.config, &self.announcer.node().labels, &announcements, &around);
        let file = serde_json::to_value(&lowered.input.file).unwrap();
        let complaints: Vec<String> = self.config.complaints.iter().chain(&lowered.complaints).map(ToString::to_string).collect();
        json!({
            "complaints": complaints, "allocations": allocations, "events": events, "announcements": announced, "why": why,
            "serviceBGPStatus": status, "neighbors": file["neighbors"], "policies": file["policies"],
        })
    }
}
