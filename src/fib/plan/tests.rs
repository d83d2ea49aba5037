use smallvec::smallvec;

use super::super::link::{Host, Link};
use super::super::{Device, Hop, KernelRoute};
use super::*;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn blackhole(prefix: &str, metric: u32) -> Route {
    Route { prefix: net(prefix), action: Action::Blackhole, metric }
}

fn ours(routes: impl IntoIterator<Item = Route>) -> Vec<Found> {
    routes.into_iter().map(|route| Found { route, inherited: false }).collect()
}

fn foreign(route: Route, protocol: u8) -> KernelRoute {
    KernelRoute { route, table: 254, protocol, local: false }
}

/// eth2 and eth3 with 10.0.2.0/24 and 10.0.3.0/24, and what others hold besides.
fn table(up: [bool; 2], others: &[KernelRoute]) -> NextHops {
    let mut table = NextHops::new(true);
    let link = |index: u32, up| Link { index, name: format!("eth{index}").into(), up, loopback: false };
    let links = [link(2, up[0]), link(3, up[1])].into_iter().map(|l| (l.index, l)).collect();
    *table.host_mut() = Host { links, ..Host::default() };
    let connected = [2u32, 3].map(|device| {
        let hop = Hop { via: None, device: Some(Device::Index(device)), onlink: false, weight: 1 };
        let action = Action::Unicast(smallvec![hop]);
        foreign(Route { prefix: net(&format!("10.0.{device}.0/24")), action, metric: 0 }, 2)
    });
    table.set_routes(connected.into_iter().chain(others.iter().cloned()));
    table
}

/// Answers every request as an obliging kernel does.
fn settle(plan: &mut Plan, table: &NextHops, now: Instant) -> Vec<Op> {
    let mut all = Vec::new();
    loop {
        let ops = plan.poll(now, 3, table);
        if ops.is_empty() {
            return all;
        }
        for op in ops {
            plan.complete(op.clone(), Outcome::Done, now);
            all.push(op);
        }
    }
}

#[test]
fn changes_to_one_prefix_cost_one_request() {
    let (now, table) = (some_instant(), table([true; 2], &[]));
    let mut plan = Plan::new(true);
    for metric in 1..50 {
        plan.apply(net("10.9.0.0/24"), Some(blackhole("10.9.0.0/24", metric)));
    }
    plan.apply(net("10.9.1.0/24"), Some(blackhole("10.9.1.0/24", 5)));
    plan.apply(net("10.9.1.0/24"), None);
    assert_eq!(settle(&mut plan, &table, now), [Op::Create(blackhole("10.9.0.0/24", 49))]);
    assert_eq!(plan.take_reports(9), [(net("10.9.0.0/24"), RouteState::Installed)]);
    // A new metric is a new route to the kernel: first there, then the old one goes.
    plan.apply(net("10.9.0.0/24"), Some(blackhole("10.9.0.0/24", 7)));
    let moved = [Op::Create(blackhole("10.9.0.0/24", 7)), Op::Delete(blackhole("10.9.0.0/24", 49))];
    assert_eq!(settle(&mut plan, &table, now), moved);
    assert_eq!(plan.counters.installed, [1, 0]);
}

#[test]
fn routes_found_at_start_stay_until_desired_or_swept() {
    let (now, table) = (some_instant(), table([true; 2], &[]));
    let mut plan = Plan::new(false);
    let found = ["10.9.0.0/24", "10.9.1.0/24", "10.9.2.0/24", "fd00::/64"].map(|p| blackhole(p, 1024));
    plan.handle_kernel(ours(found), true);
    plan.apply(net("10.9.0.0/24"), Some(blackhole("10.9.0.0/24", 1024)));
    plan.apply(net("10.9.1.0/24"), Some(blackhole("10.9.1.0/24", 9)));
    let replaced = [Op::Create(blackhole("10.9.1.0/24", 9)), Op::Delete(blackhole("10.9.1.0/24", 1024))];
    assert_eq!(settle(&mut plan, &table, now), replaced);
    assert_eq!(plan.counters.stale, 2);
    plan.sweep_stale([Family::Ipv4Unicast].into_iter().collect(), |_| false);
    assert_eq!(settle(&mut plan, &table, now), [Op::Delete(blackhole("10.9.2.0/24", 1024))]);
    plan.apply(net("fd00::/64"), None);
    assert_eq!(settle(&mut plan, &table, now), [Op::Delete(blackhole("fd00::/64", 1024))]);
    assert_eq!(plan.counters.stale, 0);
    // Later readings do not adopt: an unknown route under our number is deleted.
    plan.handle_kernel(ours([blackhole("10.9.0.0/24", 1024), blackhole("10.9.1.0/24", 9), blackhole("10.9.7.0/24", 1)]), true);
    assert_eq!(settle(&mut plan, &table, now), [Op::Delete(blackhole("10.9.7.0/24", 1))]);
}

#[test]
fn inherited_routes_are_replaced_in_place_and_go_only_where_they_are_ours_to_take() {
    let (now, table) = (some_instant(), table([true; 2], &[]));
    let mut plan = Plan::new(false);
    let prefixes = ["10.9.0.0/24", "10.9.1.0/24", "10.9.2.0/24", "10.9.3.0/24"];
    let inherit = |prefix: &&str| Found { route: blackhole(prefix, 0), inherited: true };
    plan.handle_kernel(prefixes.iter().map(inherit), true);
    assert_eq!((plan.inherited_len(), plan.own_routes().count()), (4, 0));
    plan.apply(net(prefixes[0]), Some(blackhole(prefixes[0], 0)));
    // A route of another metric is a second one to the kernel: that goes when the new one is there.
    plan.apply(net(prefixes[1]), Some(blackhole(prefixes[1], 1024)));
    // That a neighbor takes back what it said is no reason yet to believe that nobody says it.
    plan.apply(net(prefixes[2]), None);
    let ops = [Op::Replace(blackhole(prefixes[0], 0)), Op::Create(blackhole(prefixes[1], 1024)), Op::Evict(blackhole(prefixes[1], 0))];
    assert_eq!(settle(&mut plan, &table, now), ops);
    assert_eq!((plan.inherited_len(), plan.own_routes().count(), plan.counters.stale), (2, 2, 2));
    plan.sweep_stale(FamilySet::ALL, |prefix| *prefix != net(prefixes[3]));
    assert_eq!(settle(&mut plan, &table, now), [Op::Evict(blackhole(prefixes[2], 0))]);
    // What the other program writes later is its own.
    let late = inherit(&"10.9.7.0/24");
    let mine = [blackhole(prefixes[0], 0), blackhole(prefixes[1], 1024)];
    plan.handle_kernel(ours(mine).into_iter().chain([inherit(&prefixes[3]), late]), true);
    assert_eq!((settle(&mut plan, &table, now), plan.inherited_len()), (vec![], 1));
}

#[test]
fn refusals_back_off_and_an_occupied_slot_is_not_touched() {
    let start = some_instant();
    let mut plan = Plan::new(false);
    let route = blackhole("10.9.0.0/24", 5);
    plan.apply(route.prefix, Some(route.clone()));
    let free = table([true; 2], &[]);
    let (mut now, mut waits) = (start, Vec::new());
    for _ in 0..12 {
        assert_eq!(plan.poll(now, 9, &free), [Op::Create(route.clone())]);
        plan.complete(Op::Create(route.clone()), Outcome::Refused(12), now);
        assert_eq!(plan.poll(now, 9, &free), []);
        let next = plan.poll_timeout().unwrap();
        waits.push(next.duration_since(now).as_millis());
        now = next;
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000]);
    assert_eq!(plan.view_desired()[0].state, Some(RouteState::Failed(Failure::Kernel(12))));

    let taken = table([true; 2], &[foreign(route.clone(), 12)]);
    assert_eq!(plan.poll(now, 9, &taken), []);
    assert_eq!(plan.view_desired()[0].state, Some(RouteState::Failed(Failure::Occupied(12))));
    plan.handle_foreign(route.key());
    assert_eq!(settle(&mut plan, &free, now), [Op::Create(route.clone())]);
    // A create that meets a route that nobody told us of asks for a reading, once.
    plan.handle_lost(route.key(), now);
    let ops = plan.poll(now, 9, &free);
    plan.complete(ops[0].clone(), Outcome::Refused(EEXIST), now);
    assert!(plan.take_suspicion() && !plan.take_suspicion());
    plan.handle_kernel(ours([route.clone()]), true);
    assert_eq!(settle(&mut plan, &free, now + Duration::from_secs(1)), []);
    assert_eq!(plan.counters.installed, [1, 0]);
}

#[test]
fn a_fight_slows_down() {
    let (mut now, table, route) = (some_instant(), table([true; 2], &[]), blackhole("10.9.0.0/24", 5));
    let mut plan = Plan::new(false);
    plan.apply(route.prefix, Some(route.clone()));
    let mut waits = Vec::new();
    for _ in 0..7 {
        assert_eq!(settle(&mut plan, &table, now).len(), 1);
        plan.handle_lost(route.key(), now);
        let at = plan.poll_timeout().unwrap_or(now);
        waits.push(at.duration_since(now).as_millis());
        now = at;
    }
    assert_eq!(waits, [0, 0, 50, 100, 200, 400, 800]);
    assert_eq!(settle(&mut plan, &table, now).len(), 1);
    plan.handle_lost(route.key(), now + FIGHT_WINDOW * 2);
    assert_eq!(plan.poll_timeout(), None);
}

#[test]
fn an_incomplete_reading_forgets_nothing() {
    let (now, table) = (some_instant(), table([true; 2], &[]));
    let mut plan = Plan::new(false);
    plan.handle_kernel(ours([]), true);
    for prefix in ["10.9.0.0/24", "10.9.1.0/24"] {
        plan.apply(net(prefix), Some(blackhole(prefix, 5)));
    }
    settle(&mut plan, &table, now);
    plan.handle_kernel(ours([blackhole("10.9.0.0/24", 5)]), false);
    assert_eq!(settle(&mut plan, &table, now), []);
    plan.handle_kernel(ours([blackhole("10.9.0.0/24", 5)]), true);
    assert_eq!(settle(&mut plan, &table, now), [Op::Create(blackhole("10.9.1.0/24", 5))]);
}

/// A pseudo-random sequence from a seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn route(&mut self) -> (IpNet, Route) {
        let prefix = net(&format!("10.9.{}.0/24", self.below(12)));
        let hop = |r: &mut Self| Hop::via(format!("10.0.{}.{}", 2 + r.below(2), 2 + r.below(3)).parse().unwrap());
        let action = match self.below(4) {
            0 => Action::Blackhole,
            1 => Action::Unicast(smallvec![hop(self), hop(self)]),
            _ => Action::Unicast(smallvec![hop(self)]),
        };
        (prefix, Route { prefix, action, metric: 5 + u32::try_from(self.below(2)).unwrap() })
    }
}

/// The kernel of the model: by key, the route and whether it is ours.
#[derive(Default)]
struct Model {
    routes: BTreeMap<Key, (Route, bool)>,
    foreign_at_start: usize,
}

impl Model {
    fn answer(&mut self, op: &Op, random: &mut Random) -> Outcome {
        if random.below(8) == 0 {
            return Outcome::Refused(12);
        }
        let key = op.route().key();
        let slot = self.routes.get(&key).map(|(_, ours)| *ours);
        let outcome = match (op, slot) {
            (Op::Create(_), Some(_)) => Outcome::Refused(EEXIST),
            (Op::Replace(_), Some(false)) => panic!("{op:?} would replace a route of somebody else"),
            (Op::Evict(_), _) => panic!("there is nothing to inherit"),
            (Op::Delete(_), None | Some(false)) => Outcome::Refused(ESRCH),
            (Op::Delete(_), Some(true)) => {
                self.routes.remove(&key);
                Outcome::Done
            }
            (Op::Create(route) | Op::Replace(route), _) => {
                self.routes.insert(key, (route.clone(), true));
                Outcome::Done
            }
        };
        // Sometimes the answer gets lost.
        if random.below(16) == 0 { Outcome::Unknown } else { outcome }
    }

    fn ours(&self) -> Vec<Route> {
        self.routes.values().filter(|(_, ours)| *ours).map(|(route, _)| route.clone()).collect()
    }

    fn others(&self) -> Vec<KernelRoute> {
        self.routes.values().filter(|(_, ours)| !ours).map(|(route, _)| foreign(route.clone(), 12)).collect()
    }
}

/// Whatever happens in between: after a last reading and enough time the kernel holds exactly what is desired and can be had,
/// and every route of others.
#[test]
#[expect(clippy::too_many_lines, reason = "one table of operations reads best in one piece")]
fn random_changes_losses_and_refusals_converge() {
    for seed in 1..=400u64 {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (mut plan, mut model, mut now) = (Plan::new(false), Model::default(), some_instant());
        let (mut up, mut desired) = ([true; 2], BTreeMap::new());
        for _ in 0..random.below(3) {
            let (_, route) = random.route();
            let mine = random.below(2) == 0;
            model.routes.insert(route.key(), (blackhole(&route.prefix.to_string(), route.metric), mine));
        }
        model.foreign_at_start = model.others().len();
        let mut view = table(up, &model.others());
        plan.handle_kernel(ours(model.ours()), true);
        for _ in 0..120 {
            now += Duration::from_millis(random.below(400));
            match random.below(12) {
                0..=3 => {
                    let (prefix, route) = random.route();
                    desired.insert(prefix, route.clone());
                    plan.apply(prefix, Some(route));
                }
                4 => {
                    let (prefix, _) = random.route();
                    desired.remove(&prefix);
                    plan.apply(prefix, None);
                }
                5 => {
                    // Silently lost, as with a link that goes down.
                    let key = model.routes.iter().find(|(_, (_, ours))| *ours).map(|(key, _)| *key);
                    key.and_then(|key| model.routes.remove(&key));
                }
                6 => {
                    up[usize::try_from(random.below(2)).unwrap()] ^= true;
                    view = table(up, &model.others());
                    plan.handle_table(&every_gateway(&plan), true);
                }
                7 => plan.handle_kernel(ours(model.ours()), random.below(2) == 0),
                _ => {
                    for op in plan.poll(now, 4, &view) {
                        let outcome = model.answer(&op, &mut random);
                        plan.complete(op, outcome, now);
                    }
                }
            }
        }
        plan.sweep_stale(FamilySet::ALL, |_| false);
        for _ in 0..40 {
            now += Duration::from_secs(31);
            plan.handle_kernel(ours(model.ours()), true);
            for op in plan.poll(now, 100, &view) {
                let outcome = model.answer(&op, &mut random);
                plan.complete(op, outcome, now);
            }
        }
        plan.handle_kernel(ours(model.ours()), true);
        let expected: Vec<Route> = desired
            .values()
            .filter_map(|route| view.resolve(&route.clone().normalized()).ok())
            .filter(|route| view.occupant(route.key()).is_none())
            .collect();
        assert_eq!(model.ours(), expected, "seed {seed}");
        assert_eq!(model.others().len(), model.foreign_at_start, "seed {seed}");
        let tally = plan.counters;
        assert_eq!(tally.installed[0] + tally.failed[0] + tally.pending[0], desired.len() as u64, "seed {seed}");
        assert_eq!((tally.installed[0], tally.stale), (expected.len() as u64, 0), "seed {seed}");
    }
}

fn every_gateway(plan: &Plan) -> BTreeSet<IpAddr> {
    plan.gateways().keys().copied().collect()
}

/// The start of a test's clock; only differences matter.
#[expect(clippy::disallowed_methods, reason = "an Instant comes from the clock only")]
fn some_instant() -> Instant {
    Instant::now()
}
