//! A speaker without sockets, tasks and clock: ports, the RIB with its groups, and the two queues between them.

use crate::network::{address_v4, address_v6, asn};
use crate::port::{Port, Wants};
use ipnet::IpNet;
use kubgp::export::{Journal, View};
use kubgp::net::{FromShard, GroupView, Joined, Leave, Rules};
use kubgp::rib::{self, PeerId, Rib};
use kubgp::session::{PeerParams, StopReason};
use kubgp::speaker::{ForShard, RibState};
use kubgp::wire::attr::AttrSet;
use kubgp::wire::{Family, RouterId};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who a node is.
#[derive(Clone, Debug)]
pub struct Setup {
    pub name: String,
    pub asn: u32,
    pub id: u32,
    pub cluster: u32,
}

/// From the RIB to the shard.
pub enum Command {
    Joined(Box<Joined>),
    Leave(Leave),
    ResetLaggards(Arc<Journal>, u64),
}

/// A port to be: link, side, addresses, settings.
pub type PortSettings = (usize, usize, (SocketAddr, SocketAddr), (PeerParams, Rules));

pub struct Node {
    pub setup: Setup,
    pub alive: bool,
    /// Counts lives: what was planned for an earlier one is void.
    pub generation: u32,
    pub ports: Vec<Port>,
    pub state: RibState,
    /// From the shard to the RIB.
    pub inbox: VecDeque<FromShard>,
    /// From the RIB to the shard.
    pub commands: VecDeque<Command>,
    /// What the node originates; it stays over a restart.
    pub origins: BTreeMap<IpNet, AttrSet>,
    pub rib_planned: bool,
    pub shard_planned: bool,
    pub rib_timer: Option<Instant>,
    views: Vec<Rc<GroupView>>,
}

impl Node {
    pub fn new(setup: Setup, _now: Instant) -> Self {
        let state = RibState::new(new_rib(&setup, 0), 1);
        Self {
            setup,
            alive: false,
            generation: 0,
            ports: Vec::new(),
            state,
            inbox: VecDeque::new(),
            commands: VecDeque::new(),
            origins: BTreeMap::new(),
            rib_planned: false,
            shard_planned: false,
            rib_timer: None,
            views: Vec::new(),
        }
    }

    pub fn boot(&mut self, ports: Vec<PortSettings>, (seed, restarting): (u64, bool), now: Instant) {
        self.generation += 1;
        self.alive = true;
        self.state = RibState::new(new_rib(&self.setup, seed), 1);
        self.inbox.clear();
        self.commands.clear();
        self.views.clear();
        (self.rib_planned, self.shard_planned, self.rib_timer) = (false, false, None);
        let ids = |i: usize| PeerId(i as u32 + 1);
        let interfaces =
            ports.iter().flat_map(|(link, side, ..)| [(*link as u32, address_v4(*link, *side)), (*link as u32, address_v6(*link, *side))]);
        let addresses: Vec<_> = interfaces.collect();
        let own: Vec<_> = addresses.iter().map(|(_, a)| *a).collect();
        self.state.rib.set_own_addresses(&own);
        self.state.groups.set_addresses(addresses);
        if restarting {
            // The remote addresses of the sessions.
            self.state.defer(ports.iter().map(|(_, _, (_, remote), _)| remote.ip()).collect(), DEFERRAL, now);
        }
        let make =
            |(i, (link, side, addresses, settings)): (usize, PortSettings)| Port::new(ids(i), (link, side), addresses, settings, now);
        self.ports = ports.into_iter().enumerate().map(make).collect();
        for (prefix, attrs) in &self.origins {
            self.state.rib.originate(*prefix, attrs);
        }
    }

    /// Originates a prefix, or takes it away.
    pub fn originate(&mut self, prefix: IpNet, attrs: Option<AttrSet>) {
        match attrs {
            Some(attrs) => {
                self.state.rib.originate(prefix, &attrs);
                self.origins.insert(prefix, attrs);
            }
            None => {
                self.state.rib.unoriginate(prefix);
                self.origins.remove(&prefix);
            }
        }
    }

    pub fn settle_port(&mut self, port: usize, now: Instant, wants: &mut Wants) {
        let port = &mut self.ports[port];
        port.settle(now, wants);
        while self.inbox.len() < INBOX
            && let Some(message) = port.outbox.pop_front()
        {
            self.inbox.push_back(message);
        }
        port.mind_reading(now);
    }

    /// One turn of the RIB with at most `most` messages; true when the shard must look.
    pub fn rib_turn(&mut self, most: usize, now: Instant) -> bool {
        self.rib_planned = false;
        let state = &mut self.state;
        let mut wake = false;
        for message in self.inbox.drain(..most.min(self.inbox.len())) {
            wake |= state.hear(message, now).refreshed;
        }
        if state.expire(now).selection_begins {
            self.ports.iter_mut().for_each(|p| p.machine.end_restart());
        }
        for family in Family::ALL {
            let changed = state.rib.decide(family);
            if !changed.is_empty() {
                wake |= state.groups.sync(&mut state.rib, &changed);
            }
        }
        state.published();
        wake |= state.groups.build(&mut state.rib);
        for out in state.groups.take_joins(&state.rib, now) {
            self.commands.push_back(match out {
                ForShard::Leave { leave, .. } => Command::Leave(leave),
                ForShard::Join { joined, .. } => Command::Joined(joined),
            });
        }
        for (_, journal, need) in state.groups.maintain(&mut state.rib, now).laggards {
            self.commands.push_back(Command::ResetLaggards(journal, need));
        }
        wake || !self.commands.is_empty()
    }

    pub fn rib_is_busy(&self) -> bool {
        !self.inbox.is_empty() || self.state.groups.is_building()
    }

    pub fn obey_all(&mut self, now: Instant) {
        while let Some(command) = self.commands.pop_front() {
            match command {
                Command::Joined(joined) => {
                    let view = self.view(&joined.journal);
                    if let Some(port) = self.ports.iter_mut().find(|p| p.peer == joined.peer) {
                        port.join(*joined, view);
                    }
                }
                Command::Leave(leave) => {
                    if let Some(port) = self.ports.iter_mut().find(|p| p.peer == leave.peer) {
                        port.leave(leave);
                    }
                }
                Command::ResetLaggards(journal, need) => {
                    let lags = |p: &&mut Port| p.members.iter().flatten().any(|m| m.lags(&journal, need));
                    for port in self.ports.iter_mut().filter(lags) {
                        port.machine.handle_stop(StopReason::OutOfResources, now);
                    }
                }
            }
        }
    }

    fn view(&mut self, journal: &Arc<Journal>) -> Rc<GroupView> {
        if let Some(known) = self.views.iter().find(|g| Arc::ptr_eq(g.view.borrow().journal(), journal)) {
            return Rc::clone(known);
        }
        let new = Rc::new(GroupView::new(View::new(Arc::clone(journal), 0)));
        self.views.push(Rc::clone(&new));
        new
    }

    /// Tells every group how far its members have read.
    pub fn publish(&mut self) {
        self.views.iter().for_each(|g| g.begin_count());
        self.ports.iter().flat_map(|p| &p.members).flatten().for_each(|m| m.count_need());
        self.views.iter().for_each(|g| g.publish());
        self.views.retain(|g| Rc::strong_count(g) > 1);
    }

    /// What is left to do, if anything.
    pub fn unrest(&self) -> Option<String> {
        if !self.alive {
            return None;
        }
        for port in &self.ports {
            let Some((_, agreed)) = port.machine.established() else {
                return Some(format!("session with {} is {:?}", port.remote, port.machine.status().state));
            };
            if !port.outbox.is_empty() || port.conns.iter().any(|c| c.conn.blocked) {
                return Some(format!("the port to {} is busy", port.remote));
            }
            for family in agreed.families.iter() {
                if !port.members[family.index()].as_ref().is_some_and(|m| m.eor_sent()) {
                    return Some(format!("no End-of-RIB sent to {}", port.remote));
                }
                if self.state.rib.counters(port.peer, family).stale > 0 {
                    return Some(format!("stale routes of {}", port.remote));
                }
            }
        }
        if self.state.deferral.is_active() {
            return Some("route selection is deferred".to_owned());
        }
        (self.rib_is_busy() || !self.commands.is_empty()).then(|| "the RIB is busy".to_owned())
    }
}

fn new_rib(setup: &Setup, seed: u64) -> Rib {
    Rib::new(rib::Params {
        local_as: asn(setup.asn),
        router_id: RouterId::new(setup.id).expect("ids are not 0"),
        rules: rib::Rules::default(),
        multipath: 1,
        multipath_relax: false,
        next_hop_tracking: false,
        seed,
    })
}

/// Messages that may wait for the RIB.
const INBOX: usize = 16;
/// How long selection waits for peers after a restart.
const DEFERRAL: Duration = Duration::from_secs(30);
