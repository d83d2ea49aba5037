//! Random networks and what happens to them.

use crate::chance::Chance;
use crate::network::{Cut, Death, Network};
use crate::node::Setup;
use crate::{AS, EXTERNAL_AS, attributes, model};
use ipnet::IpNet;
use kubgp::export::{AddPath, NextHopMode};
use kubgp::session::GrMode;
use kubgp::wire::attr::{AttrSet, Origin};
use kubgp::wire::{Family, FamilySet};
use std::time::Duration;

/// How big and how busy a run is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub reflectors: u64,
    pub clients: u64,
    pub externals: u64,
    pub operations: u64,
}

impl Size {
    /// A small network of a seed.
    pub fn small(chance: &mut Chance) -> Self {
        Self {
            reflectors: chance.within(2..=3),
            clients: chance.within(2..=5),
            externals: chance.within(0..=2),
            operations: chance.within(5..=25),
        }
    }
}

/// Runs one seed to its end; returns the digest of all that happened.
///
/// # Errors
/// What is wrong with the network at rest.
pub fn run(seed: u64, size: Option<Size>) -> Result<u64, String> {
    let mut net = Network::new(seed);
    let size = size.unwrap_or_else(|| Size::small(&mut net.chance));
    build(&mut net, size);
    for node in 0..net.nodes.len() {
        originate(&mut net, node);
        net.boot(node, false);
    }
    for _ in 0..size.operations {
        let pause = if net.chance.percent(70) { 0..=400 } else { 0..=15_000 };
        let pause = Duration::from_millis(net.chance.within(pause));
        net.run_until(net.time + pause);
        operate(&mut net);
    }
    for node in 0..net.nodes.len() {
        if !net.nodes[node].alive {
            let restarting = net.chance.percent(50);
            net.boot(node, restarting);
        }
    }
    net.settle_down(REST)?;
    model::check(&net)?;
    Ok(net.trace)
}

fn build(net: &mut Network, size: Size) {
    let one_cluster = net.chance.percent(50);
    let node = |net: &mut Network, name: String, asn: u32, cluster: Option<u32>| {
        let id = 0x0a00_0001 + net.nodes.len() as u32;
        net.add_node(Setup { name, asn, id, cluster: cluster.unwrap_or(id) })
    };
    let reflectors: Vec<_> = (0..size.reflectors).map(|i| node(net, format!("rr{i}"), AS, one_cluster.then_some(7))).collect();
    let clients: Vec<_> = (0..size.clients).map(|i| node(net, format!("client{i}"), AS, None)).collect();
    let externals: Vec<_> = (0..size.externals).map(|i| node(net, format!("external{i}"), EXTERNAL_AS + i as u32, None)).collect();
    for (i, a) in reflectors.iter().enumerate() {
        for b in &reflectors[i + 1..] {
            link(net, *a, *b);
        }
    }
    for client in &clients {
        let first = net.chance.index(reflectors.len());
        let both = net.chance.percent(60);
        // A plain iBGP speaker needs a session with every reflector.
        let plain = net.chance.percent(10);
        for (i, reflector) in reflectors.iter().enumerate() {
            if plain || i == first || both && i == (first + 1) % reflectors.len() {
                let link = link(net, *reflector, *client);
                net.links[link].ends[0].client = !plain;
            }
        }
    }
    for external in externals {
        let mut inside = [reflectors.as_slice(), clients.as_slice()].concat();
        for _ in 0..net.chance.within(1..=2) {
            let at = net.chance.index(inside.len());
            link(net, external, inside.swap_remove(at));
        }
    }
}

fn link(net: &mut Network, a: usize, b: usize) -> usize {
    let mut chance = net.chance.clone();
    let link = net.add_link(a, b);
    link.hold = [9, 60, 90, 180][chance.index(4)];
    link.capacity = [100, 1000, 5000, 65536][chance.index(4)];
    link.delay = Duration::from_millis([1, 5, 50, 400][chance.index(4)]);
    let families = if chance.percent(40) { FamilySet::ALL } else { FamilySet::from_iter([Family::Ipv4Unicast]) };
    let passive = chance.percent(40).then(|| chance.index(2));
    for side in 0..2 {
        let end = &mut link.ends[side];
        end.families = families;
        end.passive = passive == Some(side);
        end.gr = [GrMode::Full, GrMode::Full, GrMode::Helper, GrMode::Off][chance.index(4)];
        if chance.percent(15) {
            end.add_path = [AddPath::All, AddPath::Best(2)][chance.index(2)];
        }
        if chance.percent(10) {
            end.next_hop = NextHopMode::SelfAddress;
        }
    }
    net.chance = chance;
    net.links.len() - 1
}

fn operate(net: &mut Network) {
    let link = net.chance.index(net.links.len());
    let node = net.chance.index(net.nodes.len());
    let side = net.chance.index(2);
    let end = net.links[link].ends[side].node;
    let family = Family::ALL[usize::from(net.chance.percent(20))];
    match net.chance.within(0..=109) {
        0..=39 => originate(net, node),
        40..=47 => net.cut(link, Cut::Reset),
        48..=52 => net.cut(link, Cut::Silent),
        53..=60 => {
            let time = Duration::from_millis(net.chance.within(100..=40_000));
            net.stall(link, time);
        }
        61..=66 => net.ask_refresh(end, link, family),
        67..=70 => net.resend(end, link, family),
        71..=78 => change(net, end, link),
        79..=84 => {
            let hard = net.chance.percent(50);
            net.reset(end, link, hard);
        }
        85..=92 if net.nodes[node].alive => {
            let death = [Death::Crash, Death::PowerLoss, Death::Graceful, Death::Shutdown][net.chance.index(4)];
            net.kill(node, death);
        }
        100..=109 => storm(net, end, link),
        _ if !net.nodes[node].alive => {
            let restarting = net.chance.percent(60);
            net.boot(node, restarting);
        }
        _ => originate(net, node),
    }
}

/// Routes change while a peer changes its group, asks for them again, or loses its session.
fn storm(net: &mut Network, node: usize, link: usize) {
    for _ in 0..net.chance.within(5..=20) {
        match net.chance.within(0..=9) {
            0 | 1 => change(net, node, link),
            2 => net.resend(node, link, Family::Ipv4Unicast),
            3 if net.chance.percent(20) => net.reset(node, link, false),
            _ => {
                let source = net.chance.index(net.nodes.len());
                originate(net, source);
            }
        }
        let pause = Duration::from_micros(net.chance.within(0..=6000));
        net.run_until(net.time + pause);
    }
}

/// A change of rules of a running session.
fn change(net: &mut Network, node: usize, link: usize) {
    let what = net.chance.index(4);
    let reflector = net.nodes[node].setup.name.starts_with("rr");
    net.change(node, link, |end| match what {
        0 if reflector => end.client = !end.client,
        0 | 1 => end.deny = if end.deny.is_some() { None } else { Some(DENIED) },
        2 => end.next_hop = if end.next_hop == NextHopMode::Auto { NextHopMode::SelfAddress } else { NextHopMode::Auto },
        _ => {
            end.add_path = match end.add_path {
                AddPath::Off => AddPath::Off,
                AddPath::All => AddPath::Best(2),
                AddPath::Best(_) => AddPath::All,
            }
        }
    });
}

/// Some prefixes of a node come, change or go.
fn originate(net: &mut Network, node: usize) {
    let many = net.chance.percent(10);
    let count = if many { net.chance.within(20..=60) } else { net.chance.within(1..=4) };
    let withdraws = net.chance.percent(40);
    for _ in 0..count {
        let prefix = prefix(&mut net.chance, if many { 80 } else { 10 });
        let attrs = (!withdraws).then(|| some_attributes(&mut net.chance, &prefix));
        net.nodes[node].originate(prefix, attrs);
    }
    if net.nodes[node].alive {
        net.plan_rib(node);
    }
}

fn prefix(chance: &mut Chance, pool: u64) -> IpNet {
    let number = chance.within(0..=pool - 1);
    let text = if chance.percent(20) { format!("2001:db8:{number:x}::/48") } else { format!("10.{number}.0.0/16") };
    text.parse().expect("a written prefix")
}

fn some_attributes(chance: &mut Chance, prefix: &IpNet) -> AttrSet {
    let mut attrs = attributes(prefix);
    attrs.med = chance.percent(40).then(|| chance.within(0..=2) as u32);
    attrs.local_pref = chance.percent(20).then(|| [50, 100, 150][chance.index(3)]);
    attrs.origin = [Origin::Igp, Origin::Igp, Origin::Incomplete][chance.index(3)];
    if chance.percent(30) {
        attrs.communities.push(AS << 16 | 1);
    }
    if chance.percent(30) {
        attrs.communities.push(DENIED);
    }
    AttrSet::from(&attrs)
}

/// Routes with this community stay where a rule denies them.
const DENIED: u32 = AS << 16 | 666;
/// Enough for the longest back-off, hold time, restart time and stale time one after the other.
const REST: Duration = Duration::from_secs(1500);
