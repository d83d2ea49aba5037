//! Random histories with restarts, stability, and cost.

use super::*;
use crate::kube::metallb::check::Objects;
use crate::kube::metallb::event::EventType;
use serde_json::{Value, json};
use std::time::Instant;

/// A linear congruential generator: the same seed is the same history.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn one_of<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

fn config(pools: Value) -> Config {
    let read = |pool: &Value| Arc::new(serde_json::from_value(pool.clone()).unwrap());
    let objects = Objects { pools: pools.as_array().unwrap().iter().map(read).collect(), ..Objects::default() };
    Config::build(&objects, &Config::default())
}

fn service(value: Value) -> Service {
    serde_json::from_value(value).unwrap()
}

fn simple(name: &str, annotations: Value) -> Service {
    service(json!({
        "metadata": { "namespace": "default", "name": name, "annotations": annotations },
        "spec": { "type": "LoadBalancer", "clusterIPs": ["10.96.0.1"], "ports": [{ "port": 80 }] },
    }))
}

/// The API server: Services, and what was written to them.
struct World {
    services: BTreeMap<Key, Service>,
    config: Config,
    allocator: Allocator,
    events: Vec<Event>,
}

impl World {
    fn new(config: Config) -> Self {
        let mut world = Self { services: BTreeMap::new(), config, allocator: Allocator::default(), events: Vec::new() };
        world.restart();
        world
    }

    fn restart(&mut self) {
        self.allocator = Allocator::new(None);
        self.allocator.handle_config(&self.config);
        for name in ["default", "other"] {
            let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": name, "labels": { "name": name } } })).unwrap();
            self.allocator.handle_namespace(name, Some(&namespace));
        }
        for (key, service) in &self.services {
            self.allocator.handle_service(key, Some(service));
        }
        assert_eq!(self.allocator.poll(), None, "nothing may happen before everything is known");
        self.allocator.handle_synced();
        self.drain();
    }

    fn put(&mut self, service: Service) {
        let key = service.metadata.key();
        self.allocator.handle_service(&key, Some(&service));
        self.services.insert(key, service);
        self.drain();
    }

    fn delete(&mut self, key: &Key) {
        self.services.remove(key);
        self.allocator.handle_service(key, None);
        self.drain();
    }

    fn configure(&mut self, config: Config) {
        self.allocator.handle_config(&config);
        self.config = config;
        self.drain();
    }

    /// Does what the allocator asks for, until it asks for nothing.
    fn drain(&mut self) {
        for _ in 0..1000 {
            match self.allocator.poll() {
                None => return,
                Some(Output::Event(event)) => self.events.push(event),
                Some(Output::Status(write)) => {
                    let service = self.services.get_mut(&write.service).unwrap();
                    let ip = |address: &IpAddr| serde_json::from_value(json!({ "ip": address })).unwrap();
                    service.status.load_balancer.ingress = write.addresses.iter().map(ip).collect();
                    let name = class::annotation_name(class::ALLOCATED_FROM);
                    match write.pool {
                        Some(pool) => drop(service.metadata.annotations.insert(name, pool)),
                        None => drop(service.metadata.annotations.remove(&name)),
                    }
                    let service = service.clone();
                    self.allocator.handle_service(&write.service, Some(&service));
                }
            }
        }
        panic!("the allocator never comes to rest");
    }

    fn held(&self) -> BTreeMap<Key, Vec<IpAddr>> {
        self.allocator.allocations().map(|a| (a.service.clone(), a.addresses.to_vec())).collect()
    }

    fn has(&self, name: &str) -> String {
        let held = self.held();
        held[&Key::new("default", name)].iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" ")
    }

    fn events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events).iter().map(|e| format!("{:?} {} {}", e.kind, e.reason, e.message)).collect()
    }

    /// What must hold at any time, from the Services themselves.
    fn check(&self, seed: u64) {
        let held = self.held();
        let facts: BTreeMap<&Key, Facts> = self.services.iter().map(|(key, service)| (key, Facts::new(service, None))).collect();
        let mut holders: BTreeMap<IpAddr, Vec<&Key>> = BTreeMap::new();
        for (key, addresses) in &held {
            for address in addresses {
                holders.entry(*address).or_default().push(key);
                assert!(facts[key].families.contains(&Family::of(address)), "seed {seed}: {key} has a family that clusterIPs lacks");
                assert!(self.config.pools.values().any(|pool| pool.contains(address) && !pool.avoids(address)), "seed {seed}: {address}");
            }
            let families: BTreeSet<Family> = addresses.iter().map(Family::of).collect();
            assert_eq!(families.len(), addresses.len(), "seed {seed}: {key}");
            assert_eq!(&class::ingress_addresses(&self.services[key]), addresses, "seed {seed}: the status of {key} is what it holds");
        }
        for (address, keys) in holders {
            for (i, one) in keys.iter().enumerate() {
                for other in &keys[i + 1..] {
                    let right = facts[*one].claim.is_compatible(&facts[*other].claim);
                    assert!(right, "seed {seed}: {one} and {other} hold {address} without right to share");
                }
            }
        }
    }
}

fn random_service(chance: &mut Chance) -> Service {
    let mut annotations = json!({});
    if chance.below(2) == 0 {
        annotations["metallb.io/allow-shared-ip"] = chance.one_of(&["one", "two"]).into();
    }
    match chance.below(6) {
        0 => {
            annotations["metallb.io/loadBalancerIPs"] =
                chance.one_of(&["10.0.0.1", "10.0.1.2", "10.9.9.9", "10.0.0.2,2001:db8::1", "x"]).into()
        }
        1 => annotations["metallb.io/address-pool"] = chance.one_of(&["a", "b", "gone"]).into(),
        _ => {}
    }
    let cluster_ips = [json!(["10.96.0.1"]), json!(["fd00::1"]), json!(["10.96.0.1", "fd00::1"]), json!([])];
    service(json!({
        "metadata": {
            "namespace": chance.one_of(&["default", "other"]),
            "name": format!("s{}", chance.below(8)),
            "annotations": annotations,
            "labels": { "tier": chance.one_of(&["gold", "lead"]) },
        },
        "spec": {
            "type": chance.one_of(&["LoadBalancer", "LoadBalancer", "LoadBalancer", "LoadBalancer", "ClusterIP"]),
            "clusterIPs": chance.one_of(&cluster_ips),
            "ipFamilyPolicy": chance.one_of(&["SingleStack", "PreferDualStack", "RequireDualStack"]),
            "externalTrafficPolicy": chance.one_of(&["Cluster", "Cluster", "Local"]),
            "selector": { "app": chance.one_of(&["x", "y"]) },
            "ports": [{ "port": chance.one_of(&[80, 81, 82]) }],
        },
    }))
}

fn random_config(chance: &mut Chance) -> Config {
    let pool = |name: &str, addresses: Value, extra: Value| {
        let mut spec = json!({ "addresses": addresses });
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!({ "metadata": { "name": name }, "spec": spec })
    };
    let gold = json!({ "serviceAllocation": { "serviceSelectors": [{ "matchLabels": { "tier": "gold" } }], "priority": 5 } });
    let other = json!({ "serviceAllocation": { "namespaceSelectors": [{ "matchLabels": { "name": "other" } }] } });
    let small = json!(["10.0.0.0-10.0.0.3", "2001:db8::1-2001:db8::2"]);
    config(match chance.below(5) {
        0 => json!([pool("a", small, json!({})), pool("b", json!(["10.0.1.0/30"]), gold)]),
        1 => json!([pool("a", small, json!({ "avoidBuggyIPs": true })), pool("b", json!(["10.0.1.0/30"]), other)]),
        2 => json!([pool("a", json!(["10.0.0.1-10.0.0.2"]), json!({})), pool("c", json!(["2001:db8::/126"]), json!({}))]),
        3 => json!([pool("renamed", small, json!({})), pool("b", json!(["10.0.1.0/30"]), json!({ "autoAssign": false }))]),
        _ => json!([pool("a", small, json!({})), pool("b", json!(["10.0.1.0/29"]), json!({}))]),
    })
}

#[test]
fn nobody_holds_an_address_without_right_and_nobody_loses_one_without_reason() {
    for seed in 0..150 {
        let mut chance = Chance(seed);
        let mut world = World::new(random_config(&mut chance));
        for _ in 0..80 {
            let before = world.held();
            match chance.below(20) {
                0 => {
                    let config = random_config(&mut chance);
                    world.configure(config);
                }
                1 | 2 => {
                    world.restart();
                    assert_eq!(world.held(), before, "seed {seed}: a restart changes nothing");
                }
                3..=5 => {
                    let keys: Vec<Key> = world.services.keys().cloned().collect();
                    if !keys.is_empty() {
                        let gone = chance.one_of(&keys);
                        world.delete(&gone);
                        unharmed(seed, &before, &world, &gone);
                    }
                }
                _ => {
                    let mut new = random_service(&mut chance);
                    let key = new.metadata.key();
                    if let Some(old) = world.services.get(&key) {
                        new.status = old.status.clone();
                        let name = class::annotation_name(class::ALLOCATED_FROM);
                        let pool = old.metadata.annotations.get(&name).cloned();
                        new.metadata.annotations.extend(pool.map(|pool| (name, pool)));
                    }
                    world.put(new);
                    unharmed(seed, &before, &world, &key);
                }
            }
            world.check(seed);
        }
    }
}

/// Every other Service has at least what it had, unless it wished for something else and got it.
fn unharmed(seed: u64, before: &BTreeMap<Key, Vec<IpAddr>>, world: &World, touched: &Key) {
    let after = world.held();
    for (key, addresses) in before.iter().filter(|(key, addresses)| *key != touched && !addresses.is_empty()) {
        let facts = Facts::new(&world.services[key], None);
        let wishes = facts.pool_wish.is_some() || !matches!(facts.wish, Ok(None)) || facts.families.len() > 1;
        let kept = addresses.iter().all(|address| after[key].contains(address));
        assert!(kept || (wishes && !after[key].is_empty()), "seed {seed}: {key} lost {addresses:?}, has {:?}", after[key]);
    }
}

#[test]
fn the_first_address_is_the_lowest_and_existing_ones_come_first() {
    let pools = config(json!([{ "metadata": { "name": "my-ip-space" }, "spec": { "addresses": ["172.40.100.0/24"] } }]));
    let mut world = World::new(pools);
    world.put(simple("b", json!({})));
    assert_eq!(world.has("b"), "172.40.100.0");
    assert_eq!(world.events(), ["Normal IPAllocated Assigned IP [\"172.40.100.0\"] from pool \"my-ip-space\""]);
    // A new Service that is older by name must not take it while we were away.
    world.services.insert(Key::new("default", "a"), simple("a", json!({})));
    world.restart();
    assert_eq!((world.has("a").as_str(), world.has("b").as_str()), ("172.40.100.1", "172.40.100.0"));
}

#[test]
fn a_wish_that_cannot_be_met_costs_nobody_a_working_address() {
    let pools = config(json!([{ "metadata": { "name": "p" }, "spec": { "addresses": ["10.0.0.0/30"] } }]));
    let mut world = World::new(pools);
    world.put(simple("a", json!({})));
    world.put(simple("b", json!({})));
    world.events();
    let mut wishing = world.services[&Key::new("default", "b")].clone();
    wishing.metadata.annotations.insert("metallb.io/loadBalancerIPs".into(), "10.0.0.0".into());
    world.put(wishing);
    assert_eq!(world.has("b"), "10.0.0.1");
    let events = world.events();
    assert!(
        events.len() == 1 && events[0].starts_with("Warning AllocationFailed") && events[0].contains("used by default/a"),
        "{events:?}"
    );
    // As soon as the other goes, the wish comes true.
    world.delete(&Key::new("default", "a"));
    assert_eq!(world.has("b"), "10.0.0.0");
}

#[test]
fn waiting_services_get_what_becomes_free_and_every_pool_says_why_not() {
    let pools = config(json!([
        { "metadata": { "name": "full" }, "spec": { "addresses": ["10.0.0.1/32"] } },
        { "metadata": { "name": "manual" }, "spec": { "addresses": ["10.0.1.0/24"], "autoAssign": false } },
        { "metadata": { "name": "pinned" }, "spec": { "addresses": ["10.0.2.0/24"], "serviceAllocation": { "namespaces": ["other"] } } },
        { "metadata": { "name": "six" }, "spec": { "addresses": ["2001:db8::/64"] } },
    ]));
    let mut world = World::new(pools);
    world.put(simple("a", json!({})));
    world.events();
    world.put(simple("b", json!({})));
    let refused = world.events();
    let expected = "Warning AllocationFailed Failed to allocate IP for \"default/b\": no available IPs (pool pinned: poolNotAllowed, \
                    pool full: poolExhausted, pool manual: poolNotAutomatic, pool six: poolLacksFamily)";
    assert_eq!(refused, [expected]);
    world.delete(&Key::new("default", "a"));
    assert_eq!(world.has("b"), "10.0.0.1");
}

#[test]
fn a_pool_that_is_broken_or_missing_at_the_start_costs_nobody_an_address() {
    let mut held = simple("a", json!({ "metallb.io/ip-allocated-from-pool": "p" }));
    held.status = serde_json::from_value(json!({ "loadBalancer": { "ingress": [{ "ip": "10.0.0.7" }] } })).unwrap();
    let broken = config(json!([{ "metadata": { "name": "p" }, "spec": { "addresses": ["10.0.0.0/33"] } }]));
    for config in [Config::default(), broken] {
        let mut world = World::new(config);
        world.services.insert(held.metadata.key(), held.clone());
        world.restart();
        assert_eq!(class::ingress_addresses(&world.services[&held.metadata.key()]).len(), 1);
        assert!(world.events.iter().all(|event| event.kind == EventType::Warning));
    }
    // Once there was a pool, its end is the end of its addresses.
    let mut world = World::new(config(json!([{ "metadata": { "name": "p" }, "spec": { "addresses": ["10.0.0.0/24"] } }])));
    world.put(held);
    world.configure(Config::default());
    assert_eq!(world.has("a"), "");
    let told = world.events().iter().filter(|event| event.starts_with("Normal ClearAssignment")).count();
    assert_eq!(told, 1, "a loss is told once");
}

#[test]
fn a_failed_write_is_asked_for_again() {
    let mut allocator = Allocator::new(None);
    allocator.handle_config(&config(json!([{ "metadata": { "name": "p" }, "spec": { "addresses": ["10.0.0.0/24"] } }])));
    let service = simple("a", json!({}));
    allocator.handle_service(&service.metadata.key(), Some(&service));
    allocator.handle_synced();
    let mut writes = || std::iter::from_fn(|| allocator.poll()).filter(|o| matches!(o, Output::Status(_))).collect::<Vec<_>>();
    let first = writes();
    assert_eq!((first.len(), writes().len()), (1, 0));
    allocator.handle_write_failed(&service.metadata.key());
    let mut again = Vec::new();
    while let Some(output) = allocator.poll() {
        again.push(output);
    }
    assert_eq!(again, first);
}

/// Allocates for `count` Services at once; how much work that was.
fn work_for(count: usize, annotations: &Value) -> u64 {
    let pools = json!([{ "metadata": { "name": "p" }, "spec": { "addresses": ["10.0.0.0/16", "2001:db8::/64"], "avoidBuggyIPs": true } }]);
    let mut allocator = Allocator::new(None);
    allocator.handle_config(&config(pools));
    for i in 0..count {
        let service = simple(&format!("s{i}"), annotations.clone());
        allocator.handle_service(&service.metadata.key(), Some(&service));
    }
    allocator.handle_synced();
    while allocator.poll().is_some() {}
    let distinct: BTreeSet<IpAddr> = allocator.allocations().flat_map(|a| a.addresses.to_vec()).collect();
    assert_eq!(distinct.len(), count);
    assert_eq!(allocator.usage()[0].1, [count as u64, 0]);
    allocator.work()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures")]
fn ten_thousand_services_cost_twice_as_much_as_five_thousand() {
    // All with one sharing key and one port: the worst case, since nobody can share.
    for annotations in [json!({}), json!({ "metallb.io/allow-shared-ip": "key" })] {
        let half = work_for(5_000, &annotations);
        let started = Instant::now();
        let whole = work_for(10_000, &annotations);
        println!("10000 Services: {whole} looks in {:?}", started.elapsed());
        assert!(whole <= half * 2 + half / 10 && whole < 100_000, "{half} looks for 5000, {whole} for 10000");
    }
}

/// The API server whose news come late, with writes that are late, fail, or are lost with who wrote them.
struct Late {
    api: BTreeMap<Key, Service>,
    /// What the allocator has been told of it.
    seen: BTreeMap<Key, Service>,
    config: Config,
    allocator: Allocator,
    queue: Queue,
    under_way: Vec<StatusWrite>,
}

impl Late {
    /// Somebody else leads: a new list of everything, and nothing of what was on its way.
    fn restart(&mut self) {
        (self.allocator, self.queue, self.under_way) = (Allocator::new(None), Queue::default(), Vec::new());
        self.allocator.handle_config(&self.config);
        self.seen.clone_from(&self.api);
        for (key, service) in &self.api {
            self.allocator.handle_service(key, Some(service));
        }
        self.allocator.handle_synced();
    }

    fn hear(&mut self, key: &Key) {
        let news = self.api.get(key).cloned();
        self.allocator.handle_service(key, news.as_ref());
        match news {
            Some(service) => drop(self.seen.insert(key.clone(), service)),
            None => {
                self.seen.remove(key);
                self.queue.forget(key);
            }
        }
    }

    fn go_on(&mut self) {
        while let Some(output) = self.allocator.poll() {
            if let Output::Status(write) = output {
                let shown = self.seen.get(&write.service).map(class::ingress_addresses).unwrap_or_default();
                self.queue.push(write, &shown);
            }
        }
        while let Some(write) = self.queue.begin() {
            self.under_way.push(write);
        }
    }

    fn arrive(&mut self, write: &StatusWrite, seed: u64) {
        let Some(service) = self.api.get_mut(&write.service) else { return };
        let ip = |address: &IpAddr| serde_json::from_value(json!({ "ip": address })).unwrap();
        service.status.load_balancer.ingress = write.addresses.iter().map(ip).collect();
        let name = class::annotation_name(class::ALLOCATED_FROM);
        service.metadata.annotations.remove(&name);
        service.metadata.annotations.extend(write.pool.clone().map(|pool| (name, pool)));
        let all: Vec<IpAddr> = self.api.values().flat_map(class::ingress_addresses).collect();
        let distinct: BTreeSet<&IpAddr> = all.iter().collect();
        assert_eq!(distinct.len(), all.len(), "seed {seed}: {write:?} makes a status show what another one has: {all:?}");
    }
}

#[test]
fn no_two_statuses_show_one_address_whatever_is_late_or_lost() {
    for seed in 0..200 {
        let mut chance = Chance(seed * 31 + 1);
        let config = random_config(&mut chance);
        let mut late = Late {
            api: BTreeMap::new(),
            seen: BTreeMap::new(),
            config,
            allocator: Allocator::default(),
            queue: Queue::default(),
            under_way: Vec::new(),
        };
        late.restart();
        for _ in 0..200 {
            let key = Key::new("default", &format!("s{}", chance.below(7)));
            match chance.below(16) {
                0..=2 => {
                    let wish = chance.one_of(&[
                        json!({}),
                        json!({ "metallb.io/loadBalancerIPs": "10.0.0.1" }),
                        json!({ "metallb.io/loadBalancerIPs": "10.0.1.2" }),
                        json!({ "metallb.io/address-pool": "b" }),
                    ]);
                    let mut new = simple(&key.name, wish);
                    if let Some(old) = late.api.get(&key) {
                        new.status = old.status.clone();
                        let name = class::annotation_name(class::ALLOCATED_FROM);
                        new.metadata.annotations.extend(old.metadata.annotations.get(&name).map(|pool| (name, pool.clone())));
                    }
                    late.api.insert(key, new);
                }
                3 => drop(late.api.remove(&key)),
                4 => {
                    late.config = random_config(&mut chance);
                    late.allocator.handle_config(&late.config);
                }
                5 => late.restart(),
                6..=9 => late.hear(&key),
                _ if late.under_way.is_empty() => {}
                n => {
                    let at = chance.below(late.under_way.len());
                    let write = late.under_way.swap_remove(at);
                    let (arrives, is_known) = (n != 10, n > 11);
                    if arrives {
                        late.arrive(&write, seed);
                    }
                    late.queue.done(&write.service, is_known);
                    if !is_known {
                        late.allocator.handle_write_failed(&write.service);
                    }
                }
            }
            late.go_on();
        }
    }
}

#[test]
fn a_service_without_cluster_ips_waits_for_them() {
    let mut world = World::new(config(json!([{ "metadata": { "name": "p" }, "spec": { "addresses": ["10.0.0.0/24"] } }])));
    let bare = service(json!({ "metadata": { "namespace": "default", "name": "bare" }, "spec": { "type": "LoadBalancer" } }));
    let key = bare.metadata.key();
    world.put(bare);
    assert_eq!(world.allocator.refusal(&key).map(|refusal| refusal.reason.code()), Some("noClusterIPs"));
}
