//! Kernel routes against a real kernel: every test runs in a network namespace of its own, made and deleted here.
//! Needs root and iproute2; otherwise each test prints a line with SKIP. The tunnel device of the tests is a veth: onlink and
//! device are what an IPIP device needs too, but no packet is encapsulated here.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may stop at what must not happen, and bounds its waiting by the clock"
)]

use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use kubgp::fib::{Action, Cause, Device, Event, Failure, Handle, Hop, Leave, NextHopState, Params, Route, RouteState, Rules, View, spawn};
use kubgp::wire::FamilySet;
use smallvec::smallvec;
use tokio::sync::mpsc::Receiver;

#[test]
fn every_kind_of_route_is_installed_and_removed() {
    in_namespace("every_kind_of_route_is_installed_and_removed", async {
        let (fib, _events) = start(Params::default()).await;
        let onlink = Hop { device: Some(Device::Name("va".into())), onlink: true, ..Hop::via(ip("172.31.0.9")) };
        fib.apply([
            want("10.9.1.0/24", Action::Unicast(smallvec![Hop::via(ip("10.0.1.2"))])),
            want("10.9.2.0/24", Action::Unicast(smallvec![Hop::via(ip("10.0.1.2")), Hop { weight: 3, ..Hop::via(ip("10.0.2.2")) }])),
            want("10.9.3.0/24", Action::Blackhole),
            want("10.9.4.0/24", Action::Unreachable),
            want("10.9.5.0/24", Action::Unicast(smallvec![onlink])),
            want("10.9.6.0/24", Action::Unicast(smallvec![Hop::via(ip("fd00:1::2"))])),
            want("fd09:1::/64", Action::Unicast(smallvec![Hop::via(ip("fd00:1::2"))])),
            want("fd09:2::/64", Action::Unicast(smallvec![Hop::via(ip("fd00:1::2")), Hop::via(ip("fd00:2::2"))])),
            want("fd09:3::/64", Action::Blackhole),
        ]);
        installed(&fib, 9).await;
        let v4 = run("ip -4 route show proto 179");
        let v6 = run("ip -6 route show proto 179");
        println!("{v4}{v6}");
        assert!(v4.contains("10.9.1.0/24 via 10.0.1.2 dev va metric 1024"));
        assert!(v4.contains("nexthop via 10.0.1.2 dev va weight 1") && v4.contains("nexthop via 10.0.2.2 dev vc weight 3"));
        assert!(v4.contains("blackhole 10.9.3.0/24 metric 1024") && v4.contains("unreachable 10.9.4.0/24 metric 1024"));
        assert!(v4.contains("10.9.5.0/24 via 172.31.0.9 dev va metric 1024 onlink"));
        assert!(v4.contains("10.9.6.0/24 via inet6 fd00:1::2 dev va metric 1024"));
        assert!(v6.contains("fd09:1::/64 via fd00:1::2 dev va metric 1024"));
        assert!(v6.contains("nexthop via fd00:1::2 dev va weight 1") && v6.contains("nexthop via fd00:2::2 dev vc weight 1"));
        assert!(v6.contains("blackhole fd09:3::/64"));
        // What the kernel reads back equals what was asked for: a reading changes nothing.
        let before = fib.counters();
        assert_eq!(fib.dump(View::Diff).await.unwrap(), []);
        assert_eq!((fib.counters().replaces, fib.counters().lost), (before.replaces, 0));

        // K10: a set of IPv6 hops is replaced exactly, from two to two others, to one, and back to two.
        let sets = [["fd00:1::2", "fd00:1::3"].as_slice(), &["fd00:2::2"], &["fd00:2::2", "fd00:1::3"]];
        for set in sets {
            fib.apply([want("fd09:2::/64", Action::Unicast(set.iter().map(|a| Hop::via(ip(a))).collect()))]);
            eventually(|| {
                let shown = run("ip -6 route show fd09:2::/64 proto 179");
                set.iter().all(|a| shown.contains(&format!("via {a} "))) && shown.matches("via").count() == set.len()
            })
            .await;
        }
        // The kind changes in place; the metric changes without a gap.
        fib.apply([want("10.9.3.0/24", Action::Unicast(smallvec![Hop::via(ip("10.0.1.2"))]))]);
        let (prefix, route) = want("10.9.1.0/24", Action::Blackhole);
        fib.apply([(prefix, route.map(|r| Route { metric: 77, ..r }))]);
        eventually(|| run("ip route show 10.9.3.0/24") == "10.9.3.0/24 via 10.0.1.2 dev va proto 179 metric 1024 \n").await;
        eventually(|| run("ip route show 10.9.1.0/24") == "blackhole 10.9.1.0/24 proto 179 metric 77 \n").await;

        assert_eq!(fib.stop(Leave::Remove).await.unwrap(), 0);
        assert_eq!(run("ip -4 route show proto 179") + &run("ip -6 route show proto 179"), "");
    });
}

#[test]
fn routes_of_others_are_never_touched() {
    in_namespace("routes_of_others_are_never_touched", async {
        let foreign = ["10.8.1.0/24 via 10.0.1.2 dev va proto bird metric 1024", "10.8.2.0/24 via 10.0.1.3 dev va proto static metric 7"];
        foreign.iter().for_each(|route| drop(run(&format!("ip route add {route}"))));
        run("ip -6 route add fd08::/64 via fd00:1::3 dev va proto bird metric 1024");
        let shown = || run("ip route show 10.8.0.0/16") + &run("ip -6 route show fd08::/64");
        let before = shown();
        let (fib, _events) = start(Params::default()).await;
        let hop = |a| Action::Unicast(smallvec![Hop::via(ip(a))]);
        fib.apply([want("10.8.1.0/24", hop("10.0.2.2")), want("fd08::/64", hop("fd00:2::2")), want("10.9.1.0/24", hop("10.0.2.2"))]);
        installed(&fib, 1).await;
        let states: Vec<_> = fib.dump(View::Desired).await.unwrap().into_iter().map(|v| v.state.unwrap()).collect();
        let taken = RouteState::Failed(Failure::Occupied(12));
        assert_eq!(states, [taken, RouteState::Installed, taken]);
        assert_eq!(shown(), before);
        // The slot becomes free: ours goes in. Somebody takes it over: reported, not fought for.
        run("ip route del 10.8.1.0/24 proto bird");
        eventually(|| run("ip route show 10.8.1.0/24").contains("via 10.0.2.2 dev vc proto 179")).await;
        run("ip route replace 10.8.1.0/24 via 10.0.1.3 dev va proto static metric 1024");
        eventually_async(async || fib.dump(View::Desired).await.unwrap()[0].state == Some(RouteState::Failed(Failure::Occupied(4)))).await;
        fib.apply([("10.8.1.0/24".parse().unwrap(), None), ("10.8.2.0/24".parse().unwrap(), None)]);
        fib.stop(Leave::Remove).await.unwrap();
        assert!(run("ip route show 10.8.1.0/24").contains("via 10.0.1.3 dev va proto static"));
        assert!(run("ip route show 10.8.2.0/24").contains("proto static metric 7"));
        assert!(run("ip -6 route show fd08::/64").contains("proto bird"));
    });
}

#[test]
fn link_down_and_up_brings_the_routes_back() {
    in_namespace("link_down_and_up_brings_the_routes_back", async {
        let (fib, mut events) = start(Params::default()).await;
        fib.watch_next_hop(ip("10.0.1.2"));
        let up = next_hop(&mut events, |s| s.is_reachable()).await;
        assert!(matches!(up, NextHopState::Reachable { connected: true, via: None, .. }));
        let both = Action::Unicast(smallvec![Hop::via(ip("10.0.1.2")), Hop::via(ip("10.0.2.2"))]);
        let named = Hop { device: Some(Device::Name("va".into())), onlink: true, ..Hop::via(ip("172.31.0.9")) };
        fib.apply([
            want("10.9.1.0/24", Action::Unicast(smallvec![Hop::via(ip("10.0.1.2"))])),
            want("10.9.2.0/24", both),
            want("10.9.3.0/24", Action::Unicast(smallvec![named])),
        ]);
        installed(&fib, 3).await;
        run("ip link set va down");
        next_hop(&mut events, |s| !s.is_reachable()).await;
        eventually(|| run("ip route show proto 179") == "10.9.2.0/24 via 10.0.2.2 dev vc metric 1024 \n").await;
        assert_eq!(fib.counters().failed, [2, 0]);
        run("ip link set va up");
        next_hop(&mut events, |s| s.is_reachable()).await;
        installed(&fib, 3).await;
        eventually(|| run("ip route show proto 179").matches("nexthop").count() == 2).await;
        // Carrier lost at the other end; then the address goes and comes.
        run("ip link set vb down");
        assert_eq!(next_hop(&mut events, |s| !s.is_reachable()).await, NextHopState::Unreachable(Failure::LinkDown));
        run("ip link set vb up");
        next_hop(&mut events, |s| s.is_reachable()).await;
        run("ip addr del 10.0.1.1/24 dev va");
        next_hop(&mut events, |s| !s.is_reachable()).await;
        eventually(|| !run("ip route show proto 179").contains("10.0.1.2")).await;
        run("ip addr add 10.0.1.1/24 dev va");
        installed(&fib, 3).await;
        println!("{:?}", fib.counters().resyncs);
        fib.stop(Leave::Remove).await.unwrap();
    });
}

#[test]
fn foreign_hands_are_repaired_within_a_second() {
    in_namespace("foreign_hands_are_repaired_within_a_second", async {
        let (fib, _events) = start(Params::default()).await;
        fib.apply([want("10.9.1.0/24", Action::Unicast(smallvec![Hop::via(ip("10.0.1.2"))])), want("fd09::/64", Action::Blackhole)]);
        installed(&fib, 2).await;
        let whole = || run("ip route show proto 179").contains("via 10.0.1.2") && run("ip -6 route show proto 179").contains("fd09::");
        for damage in [
            "ip route del 10.9.1.0/24",
            "ip route flush proto 179",
            "ip -6 route flush proto 179",
            "ip route replace 10.9.1.0/24 via 10.0.2.2 dev vc proto 179 metric 1024",
        ] {
            let lost = fib.counters().lost;
            run(damage);
            let began = Instant::now();
            eventually(|| fib.counters().lost > lost && whole()).await;
            println!("{damage}: repaired after {:?}", began.elapsed());
            assert!(began.elapsed() < Duration::from_secs(1));
        }
        // A route that somebody writes under our number goes.
        run("ip route add 10.9.7.0/24 via 10.0.1.2 dev va proto 179 metric 5");
        eventually(|| run("ip route show 10.9.7.0/24").is_empty()).await;
        fib.stop(Leave::Keep).await.unwrap();
        assert!(whole());
    });
}

#[test]
fn restart_adopts_without_deleting() {
    in_namespace("restart_adopts_without_deleting", async {
        let (fib, _events) = start(Params::default()).await;
        let hop = |a: &str| Action::Unicast(smallvec![Hop::via(ip(a))]);
        let routes: Vec<_> = (0..500).map(|i| want(&format!("10.9.{}.{}/32", i / 250, i % 250), hop("10.0.1.2"))).collect();
        fib.apply(routes.clone());
        installed(&fib, 500).await;
        assert_eq!(fib.stop(Leave::Keep).await.unwrap(), 500);

        let mut monitor = Monitor::start();
        let (fib, mut events) = spawn(Params::default()).unwrap();
        assert_eq!(events.recv().await, Some(Event::Ready { adopted: 500 }));
        assert_eq!(fib.counters().stale, 500);
        // All but ten are learned again, one with another next hop; then the rest is swept.
        let again = routes.iter().take(489).cloned().chain([want(&routes[489].0.to_string(), hop("10.0.2.2"))]);
        fib.apply(again);
        installed(&fib, 490).await;
        assert_eq!(fib.counters().stale, 10);
        assert_eq!(run("ip route show proto 179").lines().count(), 500);
        fib.sweep_stale(FamilySet::ALL, Rules::plain(1024).into()).await.unwrap();
        eventually(|| run("ip route show proto 179").lines().count() == 490).await;
        run("ip route add blackhole 10.255.255.255/32 proto static");
        let seen = monitor.until("10.255.255.255");
        let seen: Vec<_> = seen.into_iter().filter(|line| line.contains("proto 179")).collect();
        let deleted = seen.iter().filter(|l| l.starts_with("Deleted")).count();
        assert_eq!((deleted, seen.len() - deleted), (10, 1), "{seen:?}");
        fib.stop(Leave::Remove).await.unwrap();
    });
}

#[test]
fn next_hops_are_resolved_and_guarded() {
    in_namespace("next_hops_are_resolved_and_guarded", async {
        run("ip route add 192.0.2.0/24 via 10.0.2.2 dev vc proto static metric 30");
        let (fib, mut events) = start(Params { resolve_via_default: false, report_routes: true, ..Params::default() }).await;
        let hop = |a: &str| Action::Unicast(smallvec![Hop::via(ip(a))]);
        fib.watch_next_hop(ip("192.0.2.7"));
        let state = next_hop(&mut events, |s| s.is_reachable()).await;
        assert!(matches!(state, NextHopState::Reachable { metric: 30, connected: false, via: Some(via), .. } if via == ip("10.0.2.2")));
        fib.apply([
            want("10.9.1.0/24", hop("192.0.2.7")),
            // Ours must not resolve the next hop of another one of ours.
            want("198.51.100.0/24", hop("10.0.1.2")),
            want("10.9.2.0/24", hop("198.51.100.1")),
            want("10.0.1.1/32", hop("10.0.1.2")),
            want("127.1.0.0/16", hop("10.0.1.2")),
            want("10.9.3.0/24", hop("10.0.1.1")),
        ]);
        installed(&fib, 2).await;
        assert!(run("ip route show 10.9.1.0/24").contains("via 10.0.2.2 dev vc"));
        let failures: Vec<_> = fib.dump(View::Diff).await.unwrap().into_iter().map(|v| (v.prefix.to_string(), v.state.unwrap())).collect();
        let failed = |p: &str, f| (p.to_owned(), RouteState::Failed(f));
        assert_eq!(
            failures,
            [
                failed("10.0.1.1/32", Failure::OwnAddress),
                failed("10.9.2.0/24", Failure::NextHopUnresolved),
                failed("10.9.3.0/24", Failure::NextHopOwn),
                failed("127.1.0.0/16", Failure::Martian),
            ]
        );
        // The way to the next hop moves, and the route with it.
        run("ip route replace 192.0.2.0/24 via 10.0.1.3 dev va proto static metric 30");
        eventually(|| run("ip route show 10.9.1.0/24").contains("via 10.0.1.3 dev va")).await;
        run("ip route add default via 10.0.1.2");
        run("ip route del 192.0.2.0/24");
        assert_eq!(next_hop(&mut events, |s| !s.is_reachable()).await, NextHopState::Unreachable(Failure::NextHopViaDefault));
        eventually(|| run("ip route show 10.9.1.0/24").is_empty()).await;
        fib.stop(Leave::Remove).await.unwrap();
    });
}

#[test]
fn addresses_on_the_loopback() {
    in_namespace("addresses_on_the_loopback", async {
        run("ip addr add 203.0.113.1/32 dev lo");
        let (fib, _events) = start(Params::default()).await;
        for address in ["203.0.113.1", "203.0.113.7", "fd00:7::7"] {
            fib.add_address(ip(address)).await.unwrap();
        }
        let shown = || run("ip -o addr show dev lo");
        assert!(shown().contains("203.0.113.7/32") && shown().contains("fd00:7::7/128"));
        run("ip addr del 203.0.113.7/32 dev lo");
        eventually(|| shown().contains("203.0.113.7/32")).await;
        fib.remove_address(ip("203.0.113.1")).await.unwrap();
        fib.remove_address(ip("203.0.113.7")).await.unwrap();
        assert!(shown().contains("203.0.113.1/32"), "an address of others stays");
        assert!(!shown().contains("203.0.113.7/32"));
        fib.stop(Leave::Keep).await.unwrap();
        assert!(shown().contains("fd00:7::7/128"));
        let (fib, _events) = start(Params::default()).await;
        fib.sweep_addresses().await.unwrap();
        assert!(!shown().contains("fd00:7::7/128"), "the mark tells what an earlier life left");
        fib.stop(Leave::Remove).await.unwrap();
    });
}

/// K5: the only thread is busy while others change routes, so the events of our own loss are lost with many others.
#[test]
fn lost_events_lead_to_a_new_reading() {
    in_namespace_on(tokio::runtime::Builder::new_current_thread(), "lost_events_lead_to_a_new_reading", async {
        let (fib, _events) = start(Params::default()).await;
        let names: Vec<String> = (0..200).map(|i| format!("10.9.{i}.0/24")).collect();
        fib.apply(names.iter().map(|prefix| want(prefix, Action::Blackhole)));
        installed(&fib, 200).await;
        let storm =
            |from: u32| -> String { (0..8000).map(|i| format!("route add blackhole {} proto static\n", block(from + i))).collect() };
        let damage: String = names.iter().map(|prefix| format!("route del {prefix} proto 179\n")).collect();
        // Three batches: iproute2 carries the protocol of a delete over to later lines of the same batch.
        [storm(0), damage, storm(8000)].iter().for_each(|lines| ip_batch(lines));
        eventually(|| fib.counters().resyncs.get(Cause::Overrun) > 0 && fib.counters().lost == 200).await;
        installed(&fib, 200).await;
        let shown = run("ip route show");
        assert_eq!(shown.lines().filter(|line| line.contains("proto 179")).count(), 200);
        assert_eq!(shown.lines().filter(|line| line.contains("proto static")).count(), 16_000);
        println!("resyncs {:?}", fib.counters().resyncs);
        fib.stop(Leave::Remove).await.unwrap();
    });
}

#[test]
fn a_hundred_thousand_routes() {
    in_namespace("a_hundred_thousand_routes", async {
        const COUNT: u32 = 100_000;
        let (fib, mut events) = start(Params { table: 1790, ..Params::default() }).await;
        for gateway in ["10.0.1.2", "10.0.2.2"] {
            fib.watch_next_hop(ip(gateway));
            next_hop(&mut events, |s| s.is_reachable()).await;
        }
        let route = |i, gateway| {
            let action = Action::Unicast(smallvec![Hop::via(ip(gateway))]);
            (block(i), Some(Route { prefix: block(i), action, metric: 1024 }))
        };
        let began = Instant::now();
        fib.apply((0..COUNT).map(|i| route(i, "10.0.1.2")));
        installed(&fib, u64::from(COUNT)).await;
        let took = began.elapsed();
        println!("install of {COUNT} routes: {took:?}, {:.0} routes/s", f64::from(COUNT) / took.as_secs_f64());
        let (reads, began) = (fib.counters().resyncs, Instant::now());
        fib.apply((0..100).map(|i| route(i * 1000, "10.0.2.2")));
        eventually(|| fib.counters().replaces.done == 100).await;
        println!("100 changes: {:?}", began.elapsed());
        assert_eq!(fib.counters().resyncs, reads, "no dump for a diff");
        assert_eq!(run("ip route show table 1790 via 10.0.2.2").lines().count(), 100);

        // K5: a storm of foreign changes disturbs nothing, overrun or not.
        let lines: String = (0..COUNT).map(|i| format!("route add blackhole {} table 254 proto static\n", block(i))).collect();
        let began = Instant::now();
        ip_batch(&lines);
        let now = fib.counters().resyncs;
        println!("100000 foreign routes: {:?}, resyncs {now:?}", began.elapsed());
        // None of them matters to us; where the kernel dropped some, readings keep twice their own time apart.
        assert_eq!(now.get(Cause::Route), reads.get(Cause::Route));
        assert!(now.get(Cause::Overrun) < 50, "{now:?}");
        run("ip route del table 1790 20.0.1.0/24");
        eventually(|| run("ip route show table 1790 20.0.1.0/24").contains("10.0.1.2")).await;
        assert_eq!(fib.dump(View::Diff).await.unwrap(), []);
        println!("read of it all: {:?}", fib.counters().last_resync);
        let began = Instant::now();
        assert_eq!(fib.stop(Leave::Remove).await.unwrap(), 0);
        println!("removal: {:?}", began.elapsed());
    });
}

async fn start(params: Params) -> (Handle, Receiver<Event>) {
    let (fib, mut events) = spawn(params).unwrap();
    assert!(matches!(events.recv().await, Some(Event::Ready { .. })));
    (fib, events)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The i-th of many networks.
fn block(i: u32) -> IpNet {
    IpNet::new(IpAddr::from((0x1400_0000 + (i << 8)).to_be_bytes()), 24).unwrap()
}

fn want(prefix: &str, action: Action) -> (IpNet, Option<Route>) {
    let prefix = prefix.parse().unwrap();
    (prefix, Some(Route { prefix, action, metric: 1024 }))
}

async fn installed(fib: &Handle, count: u64) {
    eventually(|| fib.counters().installed.iter().sum::<u64>() == count && fib.counters().pending == [0, 0]).await;
}

async fn next_hop(events: &mut Receiver<Event>, wanted: impl Fn(&NextHopState) -> bool) -> NextHopState {
    let find = async {
        loop {
            if let Some(Event::NextHops(states)) = events.recv().await
                && let Some((_, state)) = states.into_iter().find(|(_, state)| wanted(state))
            {
                return state;
            }
        }
    };
    tokio::time::timeout(PATIENCE, find).await.expect("the next hop changes its state")
}

async fn eventually(condition: impl Fn() -> bool) {
    eventually_async(async || condition()).await;
}

async fn eventually_async(condition: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "still not so:\n{:.4000}", run("ip route show table all proto 179"));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Runs a command line and returns what it prints.
fn run(line: &str) -> String {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn ip_batch(lines: &str) {
    use std::io::Write;
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// `ip monitor route`, which shows every change of a route.
struct Monitor {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Monitor {
    /// Returns when the monitor is listening.
    fn start() -> Self {
        let mut child = Command::new("ip").args(["monitor", "route"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut monitor = Self { child, lines };
        // The first line proves that it listens; a probe that came too early is repeated.
        let prober = std::thread::spawn(|| {
            for _ in 0..20 {
                run("ip route add blackhole 10.255.255.254/32 proto static");
                run("ip route del 10.255.255.254/32 proto static");
                std::thread::sleep(Duration::from_millis(20));
            }
            run("ip route add blackhole 10.255.255.253/32 proto static");
        });
        monitor.until("10.255.255.253");
        prober.join().unwrap();
        monitor
    }

    /// The lines up to the one that names `mark`, without it.
    fn until(&mut self, mark: &str) -> Vec<String> {
        self.lines.by_ref().map(Result::unwrap).take_while(|line| !line.contains(mark)).collect()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `test` in this binary once more, within a fresh network namespace with two veth pairs.
fn in_namespace(name: &str, test: impl Future<Output = ()>) {
    in_namespace_on(tokio::runtime::Builder::new_multi_thread(), name, test);
}

fn in_namespace_on(mut runtime: tokio::runtime::Builder, name: &str, test: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        for line in SETUP {
            run(line);
        }
        return runtime.enable_all().build().unwrap().block_on(test);
    }
    let namespace = format!("kubgp-fib-{}-{}", std::process::id(), &name[..name.len().min(12)]);
    let made = Command::new("ip").args(["netns", "add", &namespace]).output();
    if !made.is_ok_and(|output| output.status.success()) {
        println!("SKIP {name}: needs root and iproute2 (ip netns add failed)");
        return;
    }
    let me = std::env::current_exe().unwrap();
    let status =
        Command::new("ip").args(["netns", "exec", &namespace]).arg(me).args([name, "--exact", "--nocapture"]).env(INSIDE, "1").status();
    run(&format!("ip netns del {namespace}"));
    assert!(status.unwrap().success());
}

const INSIDE: &str = "KUBGP_FIB_TEST_INSIDE";
const PATIENCE: Duration = Duration::from_secs(20);
const SETUP: [&str; 12] = [
    "ip link set lo up",
    "ip link add va type veth peer name vb",
    "ip link add vc type veth peer name vd",
    "ip addr add 10.0.1.1/24 dev va",
    "ip addr add 10.0.2.1/24 dev vc",
    "ip addr add fd00:1::1/64 dev va nodad",
    "ip addr add fd00:2::1/64 dev vc nodad",
    "ip link set va up",
    "ip link set vb up",
    "ip link set vc up",
    "ip link set vd up",
    "sysctl -qw net.ipv6.conf.all.keep_addr_on_down=1",
];
