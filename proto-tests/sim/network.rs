//! A network of nodes with a clock and a scheduler of its own: everything happens in the order that the seed determines.

use crate::chance::Chance;
use crate::model;
use crate::node::{Node, Setup};
use crate::pipe::{End, Pipe};
use crate::port::Wants;
use ipnet::IpNet;
use kubgp::export::{AddPath, NextHopMode};
use kubgp::net::Rules;
use kubgp::policy::community::StandardPattern;
use kubgp::policy::params::{Action, Match, Members, Rule};
use kubgp::policy::{AtEnd, Chain, Params, Policy};
use kubgp::session::{Direction, GrMode, GrParams, HoldTime, PeerParams, RemoteAs, StopReason};
use kubgp::wire::{Asn, ClusterId, Family, FamilySet, RouterId};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// All nodes, what connects them, and what is going to happen.
pub struct Network {
    pub nodes: Vec<Node>,
    pub links: Vec<Link>,
    pub chance: Chance,
    /// Since the start.
    pub time: Duration,
    /// Digest of everything that happened.
    pub trace: u64,
    /// What a node must have at every moment.
    pub watches: Vec<Watch>,
    base: Instant,
    wires: Vec<Wire>,
    events: BTreeMap<(Duration, u64), Event>,
    planned: u64,
}

/// A configured session.
pub struct Link {
    pub ends: [LinkEnd; 2],
    pub hold: u16,
    /// Octets that the buffers between the two hold.
    pub capacity: usize,
    /// Longest delay of a segment.
    pub delay: Duration,
    /// No packet passes before this time.
    pub stalled_until: Duration,
}

/// One node's side of a link, as configured.
#[derive(Clone, Debug)]
pub struct LinkEnd {
    pub node: usize,
    pub client: bool,
    /// Routes with this community are not exported.
    pub deny: Option<u32>,
    pub add_path: AddPath,
    pub next_hop: NextHopMode,
    pub gr: GrMode,
    /// Long-lived stale time; zero is off.
    pub llgr: Duration,
    pub passive: bool,
    pub families: FamilySet,
}

/// A prefix that a node is watched for.
pub struct Watch {
    pub node: usize,
    pub prefix: IpNet,
    /// When it was first without.
    pub missed: Option<Duration>,
}

/// A TCP connection; side 0 dialed.
struct Wire {
    ends: [WireEnd; 2],
    /// By the side that writes.
    pipes: [Rc<Pipe>; 2],
    /// A delivery is planned, by the side that writes.
    planned: [bool; 2],
    link: usize,
    /// Packets vanish and nobody is told.
    lost: bool,
}

#[derive(Clone, Copy)]
struct WireEnd {
    node: usize,
    port: usize,
    generation: u32,
    open: bool,
}

/// How a connection is taken away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    Reset,
    Silent,
}

/// How a node goes down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Death {
    /// The kernel resets its connections.
    Crash,
    /// Nobody is told.
    PowerLoss,
    /// Connections end without a NOTIFICATION, so that helpers keep the routes.
    Graceful,
    /// A NOTIFICATION for everybody.
    Shutdown,
}

enum Event {
    Timer { node: usize, port: usize, generation: u32 },
    Rib { node: usize, generation: u32 },
    RibTimer { node: usize, generation: u32 },
    Shard { node: usize, generation: u32 },
    Dialed { node: usize, port: usize, generation: u32, dials: u32 },
    Accepted { wire: usize },
    Deliver { wire: usize, side: usize },
}

impl Network {
    pub fn new(seed: u64) -> Self {
        Self {
            nodes: Vec::new(),
            links: Vec::new(),
            chance: Chance::new(seed),
            time: Duration::ZERO,
            trace: 0xcbf2_9ce4_8422_2325,
            watches: Vec::new(),
            base: some_instant(),
            wires: Vec::new(),
            events: BTreeMap::new(),
            planned: 0,
        }
    }

    /// The time as the machines see it.
    pub fn now(&self) -> Instant {
        self.base + self.time
    }

    pub fn add_node(&mut self, setup: Setup) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Node::new(setup, self.now()));
        index
    }

    /// Adds a session; it runs from the next boot of its nodes on.
    pub fn add_link(&mut self, a: usize, b: usize) -> &mut Link {
        let end = |node| LinkEnd {
            node,
            client: false,
            deny: None,
            add_path: AddPath::Off,
            next_hop: NextHopMode::Auto,
            gr: GrMode::Full,
            llgr: Duration::ZERO,
            passive: false,
            families: FamilySet::from_iter([Family::Ipv4Unicast]),
        };
        let delay = Duration::from_millis(20);
        self.links.push(Link { ends: [end(a), end(b)], hold: 90, capacity: 65536, delay, stalled_until: Duration::ZERO });
        self.links.last_mut().expect("one was just added")
    }

    /// The index of the port of `node` on `link`, and of its peer's.
    pub fn port_of(&self, node: usize, link: usize) -> usize {
        let ports = self.links[..link].iter().filter(|l| l.ends.iter().any(|e| e.node == node));
        ports.count()
    }

    pub fn link_between(&self, a: usize, b: usize) -> Option<usize> {
        self.links.iter().position(|l| [[a, b], [b, a]].contains(&[l.ends[0].node, l.ends[1].node]))
    }

    /// Starts a node. `restarting`: its forwarding state is as it was, and the peers are told so.
    pub fn boot(&mut self, node: usize, restarting: bool) {
        let (now, seed) = (self.now(), self.chance.number());
        let mut settings = Vec::new();
        for (index, link) in self.links.iter().enumerate() {
            for side in 0..2 {
                if link.ends[side].node == node {
                    settings.push((
                        index,
                        side,
                        self.addresses(index, side),
                        (self.params(index, side, restarting), self.rules(index, side)),
                    ));
                }
            }
        }
        self.nodes[node].boot(settings, (seed, restarting), now);
        self.note(1, node, 0, &[]);
        for port in 0..self.nodes[node].ports.len() {
            self.settle(node, port);
        }
        self.plan_rib(node);
    }

    /// Takes a node down.
    pub fn kill(&mut self, node: usize, death: Death) {
        let now = self.now();
        self.note(2, node, death as usize, &[]);
        let reason = match death {
            Death::Graceful => Some(StopReason::GracefulClose),
            Death::Shutdown => Some(StopReason::AdminDown(None)),
            Death::Crash | Death::PowerLoss => None,
        };
        if let Some(reason) = reason {
            for port in 0..self.nodes[node].ports.len() {
                self.nodes[node].ports[port].machine.handle_stop(reason.clone(), now);
                self.settle(node, port);
            }
        }
        self.nodes[node].alive = false;
        self.nodes[node].generation += 1;
        for wire in 0..self.wires.len() {
            for side in 0..2 {
                if self.wires[wire].ends[side].node == node && self.wires[wire].ends[side].open {
                    self.wires[wire].lost |= death == Death::PowerLoss;
                    self.wires[wire].pipes[side].finish(End::Reset);
                    self.close_end(wire, side);
                }
            }
        }
        self.nodes[node].ports.clear();
    }

    /// Takes the connections of a link away.
    pub fn cut(&mut self, link: usize, cut: Cut) {
        self.note(3, link, cut as usize, &[]);
        for wire in 0..self.wires.len() {
            if self.wires[wire].link != link || self.wires[wire].ends.iter().all(|e| !e.open) {
                continue;
            }
            match cut {
                Cut::Silent => self.wires[wire].lost = true,
                Cut::Reset => {
                    for side in 0..2 {
                        self.wires[wire].pipes[side].finish(End::Reset);
                        self.plan_delivery(wire, side);
                    }
                }
            }
        }
    }

    /// Nothing passes the link for a while; nothing is lost either.
    pub fn stall(&mut self, link: usize, time: Duration) {
        self.note(4, link, time.as_millis() as usize, &[]);
        self.links[link].stalled_until = self.time + time;
    }

    /// The operator ends the session from one side; it comes back.
    pub fn reset(&mut self, node: usize, link: usize, hard: bool) {
        let reason = if hard { StopReason::HardReset(None) } else { StopReason::AdminReset(None) };
        self.with_port(node, link, |port, now| port.machine.handle_stop(reason, now));
    }

    /// The node asks its peer for the routes again.
    pub fn ask_refresh(&mut self, node: usize, link: usize, family: Family) {
        self.with_port(node, link, |port, _| _ = port.machine.request_refresh(family));
    }

    /// The node sends its peer all routes again.
    pub fn resend(&mut self, node: usize, link: usize, family: Family) {
        self.with_port(node, link, |port, _| port.resend(family));
    }

    /// Changes one side of a link while the session stays.
    pub fn change(&mut self, node: usize, link: usize, change: impl FnOnce(&mut LinkEnd)) {
        let side = usize::from(self.links[link].ends[1].node == node);
        change(&mut self.links[link].ends[side]);
        let rules = self.rules(link, side);
        self.with_port(node, link, |port, _| port.set_rules(rules));
    }

    fn with_port(&mut self, node: usize, link: usize, act: impl FnOnce(&mut crate::port::Port, Instant)) {
        let now = self.now();
        let port = self.port_of(node, link);
        if self.nodes[node].alive {
            act(&mut self.nodes[node].ports[port], now);
            self.settle(node, port);
        }
    }

    /// The RIB of a node has something to do.
    pub fn plan_rib(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        if !std::mem::replace(&mut it.rib_planned, true) {
            let generation = it.generation;
            let delay = Duration::from_micros(self.chance.within(10..=4000));
            self.plan(delay, Event::Rib { node, generation });
        }
    }

    /// Goes to the next event; false when it is later than `until`.
    fn step(&mut self, until: Duration) -> bool {
        let Some(entry) = self.events.first_entry().filter(|e| e.key().0 <= until) else { return false };
        let ((time, _), event) = entry.remove_entry();
        self.time = self.time.max(time);
        self.happen(event);
        self.look();
        true
    }

    pub fn run_until(&mut self, until: Duration) {
        while self.step(until) {}
        self.time = until;
    }

    fn happen(&mut self, event: Event) {
        let now = self.now();
        let current = |net: &Self, node: usize, generation: u32| net.nodes[node].alive && net.nodes[node].generation == generation;
        match event {
            Event::Timer { node, port, generation } if current(self, node, generation) => {
                let it = &mut self.nodes[node].ports[port];
                it.timer = None;
                it.machine.handle_timeout(now);
                self.settle(node, port);
            }
            Event::Rib { node, generation } if current(self, node, generation) => self.rib_turn(node),
            Event::RibTimer { node, generation } if current(self, node, generation) => {
                self.nodes[node].rib_timer = None;
                self.plan_rib(node);
            }
            Event::Shard { node, generation } if current(self, node, generation) => self.shard_turn(node),
            Event::Dialed { node, port, generation, dials } if current(self, node, generation) => self.dialed(node, port, dials),
            Event::Accepted { wire } => self.accepted(wire),
            Event::Deliver { wire, side } => self.deliver(wire, side),
            _ => {}
        }
    }

    /// Notes which watched prefixes are not there now.
    fn look(&mut self) {
        let mut watches = std::mem::take(&mut self.watches);
        for watch in watches.iter_mut().filter(|w| w.missed.is_none()) {
            if !model::table(self, watch.node).contains_key(&watch.prefix) {
                watch.missed = Some(self.time);
            }
        }
        self.watches = watches;
    }

    pub fn rib_turn(&mut self, node: usize) {
        let now = self.now();
        let most = self.chance.within(1..=64) as usize;
        self.note(5, node, most, &[]);
        let wake = self.nodes[node].rib_turn(most, now);
        if wake {
            self.plan_shard(node);
        }
        for port in 0..self.nodes[node].ports.len() {
            if !self.nodes[node].ports[port].outbox.is_empty() {
                self.settle(node, port);
            }
        }
        if self.nodes[node].rib_is_busy() {
            self.plan_rib(node);
        } else if let Some(at) = self.nodes[node].state.next_deadline() {
            let it = &mut self.nodes[node];
            if it.rib_timer.is_none_or(|t| at < t) {
                it.rib_timer = Some(at);
                let generation = it.generation;
                self.plan(at.saturating_duration_since(now), Event::RibTimer { node, generation });
            }
        }
    }

    /// The shard wakes: commands and the journals wait for it, and either may come first.
    fn shard_turn(&mut self, node: usize) {
        self.nodes[node].shard_planned = false;
        let obeys = self.chance.percent(70);
        self.note(6, node, usize::from(obeys), &[]);
        let now = self.now();
        if obeys {
            self.nodes[node].obey_all(now);
        }
        for port in 0..self.nodes[node].ports.len() {
            self.settle(node, port);
        }
        self.nodes[node].publish();
        if !self.nodes[node].commands.is_empty() {
            self.plan_shard(node);
        }
    }

    fn plan_shard(&mut self, node: usize) {
        let it = &mut self.nodes[node];
        if !std::mem::replace(&mut it.shard_planned, true) {
            let generation = it.generation;
            // Now and then the thread is busy with something else.
            let most = if self.chance.percent(10) { 50_000 } else { 3000 };
            let delay = Duration::from_micros(self.chance.within(10..=most));
            self.plan(delay, Event::Shard { node, generation });
        }
    }

    fn dialed(&mut self, node: usize, port: usize, dials: u32) {
        let now = self.now();
        let it = &mut self.nodes[node].ports[port];
        if !it.dialing || it.dials != dials {
            return;
        }
        it.dialing = false;
        let (link, side) = (it.link, it.side);
        let other = self.links[link].ends[1 - side].node;
        let reachable = self.nodes[other].alive && self.links[link].stalled_until <= self.time;
        self.note(7, node, port, &[u8::from(reachable)]);
        if !reachable {
            self.nodes[node].ports[port].machine.handle_connect_failed(now, "connection refused".to_owned());
            return self.settle(node, port);
        }
        let capacity = self.links[link].capacity;
        let pipes = [Pipe::new(capacity), Pipe::new(capacity)];
        let end =
            |net: &Self, node: usize| WireEnd { node, port: net.port_of(node, link), generation: net.nodes[node].generation, open: true };
        let wire = self.wires.len();
        let ends = [end(self, node), end(self, other)];
        self.wires.push(Wire { ends, pipes: pipes.clone(), planned: [false; 2], link, lost: false });
        let [out, _] = pipes;
        self.nodes[node].ports[port].connected(wire, out, Direction::Outbound, now);
        let delay = self.delay(link);
        self.plan(delay, Event::Accepted { wire });
        self.settle(node, port);
    }

    fn accepted(&mut self, wire: usize) {
        let now = self.now();
        let WireEnd { node, port, generation, .. } = self.wires[wire].ends[1];
        let alive = self.nodes[node].alive && self.nodes[node].generation == generation;
        if !alive || !self.wires[wire].ends[1].open || self.wires[wire].lost {
            self.wires[wire].ends[1].open = false;
            return;
        }
        self.note(8, node, port, &[]);
        let out = Rc::clone(&self.wires[wire].pipes[1]);
        self.nodes[node].ports[port].connected(wire, out, Direction::Inbound, now);
        self.settle(node, port);
        self.plan_delivery(wire, 0);
    }

    /// Some of what `side` wrote arrives at the other one.
    fn deliver(&mut self, wire: usize, side: usize) {
        let now = self.now();
        self.wires[wire].planned[side] = false;
        let it = &self.wires[wire];
        let (from, to, link) = (it.ends[side], it.ends[1 - side], it.link);
        if it.lost {
            return;
        }
        let until = self.links[link].stalled_until;
        if until > self.time {
            self.wires[wire].planned[side] = true;
            return self.plan(until - self.time, Event::Deliver { wire, side });
        }
        let pipe = Rc::clone(&self.wires[wire].pipes[side]);
        if !to.open {
            pipe.drain();
        } else {
            let reader = &self.nodes[to.node].ports[to.port];
            // Not accepted yet: what is written waits in the kernel.
            if !reader.conns.iter().any(|c| c.wire == wire) {
                return;
            }
            if !reader.is_reading() {
                return self.plan_delivery(wire, side);
            }
            let most = if self.chance.percent(15) { self.chance.within(1..=40) } else { self.chance.within(40..=8192) };
            let bytes = pipe.take(most as usize);
            let end = pipe.ended();
            self.note(9, to.node, to.port, &bytes);
            self.nodes[to.node].ports[to.port].receive(wire, &bytes, end, now);
            if end.is_some() {
                self.close_end(wire, 1 - side);
            } else if !pipe.is_empty() {
                self.plan_delivery(wire, side);
            }
            self.settle(to.node, to.port);
        }
        if from.open && self.wires[wire].ends[side].open {
            self.nodes[from.node].ports[from.port].writable(wire);
            self.settle(from.node, from.port);
        }
    }

    /// One end of a wire is gone: what it wrote still arrives, what arrives there is thrown away.
    fn close_end(&mut self, wire: usize, side: usize) {
        self.wires[wire].ends[side].open = false;
        self.wires[wire].pipes[side].finish(End::Fin);
        self.wires[wire].pipes[1 - side].drain();
        self.plan_delivery(wire, side);
    }

    fn plan_delivery(&mut self, wire: usize, side: usize) {
        if !std::mem::replace(&mut self.wires[wire].planned[side], true) {
            let delay = self.delay(self.wires[wire].link);
            self.plan(delay, Event::Deliver { wire, side });
        }
    }

    fn delay(&mut self, link: usize) -> Duration {
        let most = self.links[link].delay.as_micros() as u64;
        Duration::from_micros(self.chance.within(50..=most.max(51)))
    }

    /// Does what a port wants after something happened to it.
    pub fn settle(&mut self, node: usize, port: usize) {
        let now = self.now();
        let mut wants = Wants::default();
        let it = &mut self.nodes[node];
        it.settle_port(port, now, &mut wants);
        let busy = !it.inbox.is_empty();
        let p = &mut it.ports[port];
        let (link, dials, generation) = (p.link, p.dials, it.generation);
        if let Some(at) = p.machine.poll_timeout()
            && p.timer.is_none_or(|t| at < t)
        {
            p.timer = Some(at);
            self.plan(at.saturating_duration_since(now), Event::Timer { node, port, generation });
        }
        if busy {
            self.plan_rib(node);
        }
        if wants.dial {
            let delay = self.delay(link);
            self.plan(delay, Event::Dialed { node, port, generation, dials });
        }
        if wants.read_journal {
            self.plan_shard(node);
        }
        for wire in wants.wrote {
            let side = usize::from(self.wires[wire].ends[1].node == node);
            if !self.wires[wire].pipes[side].is_empty() {
                self.plan_delivery(wire, side);
            }
        }
        for wire in wants.closed {
            let side = usize::from(self.wires[wire].ends[1].node == node);
            self.close_end(wire, side);
        }
    }

    fn plan(&mut self, delay: Duration, event: Event) {
        self.planned += 1;
        self.events.insert((self.time + delay, self.planned), event);
    }

    /// Adds to the digest (FNV-1a).
    fn note(&mut self, what: u8, a: usize, b: usize, bytes: &[u8]) {
        let mut hash = self.trace;
        let head = [what as u64, a as u64, b as u64, self.time.as_nanos() as u64];
        for word in head.into_iter().chain(bytes.iter().map(|b| u64::from(*b))) {
            hash = (hash ^ word).wrapping_mul(0x0100_0000_01b3);
        }
        self.trace = hash;
    }

    /// Whether nothing is left to do but to keep sessions alive; otherwise, what is.
    pub fn unrest(&self) -> Option<String> {
        for node in &self.nodes {
            if let Some(why) = node.unrest() {
                return Some(format!("{}: {why}", node.setup.name));
            }
        }
        let open = |w: &&Wire| w.ends.iter().any(|e| e.open);
        if self.wires.iter().filter(open).any(|w| w.lost) {
            return Some("a connection is dead and its end does not know".to_owned());
        }
        if self.wires.iter().filter(open).any(|w| w.pipes.iter().any(|p| !p.is_empty())) {
            return Some("bytes are on their way".to_owned());
        }
        // A link that is stalled keeps the end of a connection back, too.
        let ending = |w: &Wire| (0..2).any(|side| w.ends[1 - side].open && w.pipes[side].ended().is_some());
        self.wires.iter().any(ending).then(|| "the end of a connection is on its way".to_owned())
    }

    /// Runs until the network is at rest.
    pub fn settle_down(&mut self, most: Duration) -> Result<(), String> {
        let end = self.time + most;
        let mut calm = 0;
        while calm < 3 {
            self.run_until(self.time + Duration::from_millis(700));
            let unrest = self.unrest();
            calm = if unrest.is_none() { calm + 1 } else { 0 };
            if self.time > end {
                return Err(format!("no rest after {most:?}: {}", unrest.unwrap_or_default()));
            }
        }
        Ok(())
    }

    /// Our address and the peer's.
    fn addresses(&self, link: usize, side: usize) -> (SocketAddr, SocketAddr) {
        ((address_v4(link, side), 179).into(), (address_v4(link, 1 - side), 179).into())
    }

    fn params(&self, link: usize, side: usize, restarting: bool) -> PeerParams {
        let (own, other) = (&self.links[link].ends[side], &self.links[link].ends[1 - side]);
        let (me, them) = (&self.nodes[own.node].setup, &self.nodes[other.node].setup);
        let mut params = PeerParams::new(asn(me.asn), RemoteAs::Fixed(asn(them.asn)), RouterId::new(me.id).expect("ids are not 0"));
        params.hold_time = HoldTime::new(self.links[link].hold).expect("a valid hold time");
        params.connect_retry = Duration::from_secs(2);
        params.passive = own.passive;
        params.families = own.families;
        params.add_path_rx = if other.add_path == AddPath::Off { FamilySet::NONE } else { own.families };
        params.add_path_tx = if own.add_path == AddPath::Off { FamilySet::NONE } else { own.families };
        params.graceful_restart = GrParams {
            mode: own.gr,
            time: Duration::from_secs(40),
            stale_time: Duration::from_secs(60),
            restarting,
            forwarding: if restarting { own.families } else { FamilySet::NONE },
            ..GrParams::default()
        };
        params.llgr_time = own.llgr;
        params.seed = (link * 2 + side) as u64;
        params
    }

    fn rules(&self, link: usize, side: usize) -> Rules {
        let own = &self.links[link].ends[side];
        let setup = &self.nodes[own.node].setup;
        Rules {
            client: own.client,
            router_as: asn(setup.asn),
            cluster_id: ClusterId(setup.cluster),
            allow_own_as: 0,
            role: None,
            import: Chain::accept_all(),
            export: own.deny.map_or_else(Chain::accept_all, deny),
            next_hop: own.next_hop,
            add_path_send: own.add_path,
            max_prefixes: None,
        }
    }
}

/// Addresses of the two ends of a link.
pub fn address_v4(link: usize, side: usize) -> IpAddr {
    Ipv4Addr::new(172, 16 + (link / 256) as u8, (link % 256) as u8, side as u8 + 1).into()
}

pub fn address_v6(link: usize, side: usize) -> IpAddr {
    Ipv6Addr::new(0xfd00, 0, 0, link as u16, 0, 0, 0, side as u16 + 1).into()
}

pub fn asn(number: u32) -> Asn {
    Asn::new(number).expect("AS numbers are not 0")
}

/// A chain that rejects routes with a community.
fn deny(community: u32) -> Chain {
    let pattern = format!("{}:{}", community >> 16, community & 0xFFFF);
    let any = Some(vec![StandardPattern::parse(&pattern).expect("a written community")]);
    let matches = Match { communities: Members { any, all: Vec::new() }, ..Match::default() };
    let rule = Rule { matches, action: Action::Reject, ..Rule::default() };
    let policy = Policy::new(Params { name: "deny".to_owned(), rules: vec![rule] }).expect("no expression to compile");
    Chain::new(vec![Arc::new(policy)], AtEnd::Accept)
}

#[expect(clippy::disallowed_methods, reason = "an Instant comes from the clock only; the simulation moves it")]
fn some_instant() -> Instant {
    Instant::now()
}
