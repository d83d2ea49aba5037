//! One configured peer of a node: the real session machine, import, and the members that write its UPDATEs. It does what the
//! shard's peer task does, with pipes for sockets.

use crate::pipe::{End, Pipe, Writer};
use kubgp::net::{Conn, FromShard, GroupView, Item, Joined, Leave, Member, Origin, Progress, Rules, Up, import, write};
use kubgp::policy::Import;
use kubgp::rib::PeerId;
use kubgp::session::{CloseMode, ConnId, Direction, Event, Negotiated, Output, Peer, PeerParams};
use kubgp::wire::{Family, RefreshKind, RouteRefresh};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// A peer of a node.
pub struct Port {
    pub peer: PeerId,
    /// Which link leads to it, and which end of that we are.
    pub link: usize,
    pub side: usize,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub rules: Arc<Rules>,
    pub machine: Peer,
    pub conns: Vec<Open>,
    pub established: Option<ConnId>,
    pub members: [Option<Member>; 2],
    /// For the RIB, in order; while it is not empty the peer is not read.
    pub outbox: VecDeque<FromShard>,
    pub dialing: bool,
    /// Counts dials, to know the answer to a dial that was given up.
    pub dials: u32,
    /// The wake-up that is planned.
    pub timer: Option<Instant>,
    last_conn: u32,
    session: u32,
    import: Option<(Import, Origin)>,
    holding: bool,
}

/// One TCP connection.
pub struct Open {
    pub wire: usize,
    pub conn: Conn<Writer>,
    pub out: Rc<Pipe>,
}

/// What a port wants of the network.
#[derive(Default)]
pub struct Wants {
    pub dial: bool,
    /// Wires on which something was written.
    pub wrote: Vec<usize>,
    /// Wires that this end has closed.
    pub closed: Vec<usize>,
    /// The group must learn how far this member is.
    pub read_journal: bool,
}

impl Port {
    pub fn new(
        peer: PeerId,
        (link, side): (usize, usize),
        addresses: (SocketAddr, SocketAddr),
        settings: (PeerParams, Rules),
        now: Instant,
    ) -> Self {
        let (params, rules) = settings;
        Self {
            peer,
            link,
            side,
            local: addresses.0,
            remote: addresses.1,
            machine: Peer::new(params, now),
            rules: Arc::new(rules),
            conns: Vec::new(),
            established: None,
            members: [None, None],
            outbox: VecDeque::new(),
            dialing: false,
            dials: 0,
            timer: None,
            last_conn: 0,
            session: 0,
            import: None,
            holding: false,
        }
    }

    pub fn connected(&mut self, wire: usize, out: Rc<Pipe>, direction: Direction, now: Instant) {
        self.last_conn += 1;
        let id = ConnId(self.last_conn);
        self.conns.push(Open { wire, conn: Conn::new(id, Writer(Rc::clone(&out))), out });
        self.machine.handle_connected(id, direction, self.local, self.remote, now);
    }

    pub fn is_reading(&self) -> bool {
        self.outbox.is_empty()
    }

    pub fn receive(&mut self, wire: usize, bytes: &[u8], end: Option<End>, now: Instant) {
        let Some(id) = self.conns.iter().find(|c| c.wire == wire).map(|c| c.conn.id) else { return };
        if !bytes.is_empty() {
            self.machine.handle_bytes(id, bytes, now);
        }
        if let Some(end) = end {
            self.conns.retain(|c| c.wire != wire);
            let error = (end == End::Reset).then(|| "connection reset by peer".to_owned());
            self.machine.handle_closed(id, error, now);
        }
    }

    /// There is room in the buffers of the wire again.
    pub fn writable(&mut self, wire: usize) {
        if let Some(open) = self.conns.iter_mut().find(|c| c.wire == wire) {
            open.conn.blocked = false;
        }
    }

    /// Carries out what the machine wants and writes what is due.
    pub fn settle(&mut self, now: Instant, wants: &mut Wants) {
        while let Some(output) = self.machine.poll() {
            self.obey(output, wants);
        }
        self.mind_reading(now);
        self.pump(now, wants);
    }

    /// Starts or stops to read, as the outbox says.
    pub fn mind_reading(&mut self, now: Instant) {
        if self.outbox.is_empty() == self.holding {
            self.holding = !self.holding;
            if self.holding { self.machine.pause_hold(now) } else { self.machine.resume_hold(now) }
        }
    }

    fn obey(&mut self, output: Output, wants: &mut Wants) {
        match output {
            Output::Connect => {
                self.dialing = true;
                self.dials += 1;
                wants.dial = true;
            }
            Output::CancelConnect => self.dialing = false,
            Output::Send(id, message) => {
                if let Some(open) = self.conns.iter_mut().find(|c| c.conn.id == id) {
                    open.conn.push(message);
                }
            }
            Output::Close(id, mode) => self.close(id, mode, wants),
            Output::Event(event) => self.hear(event),
        }
    }

    fn close(&mut self, id: ConnId, mode: CloseMode, wants: &mut Wants) {
        let Some(at) = self.conns.iter().position(|c| c.conn.id == id) else { return };
        let mut open = self.conns.swap_remove(at);
        match mode {
            CloseMode::AfterNotification => {
                if self.established == Some(id)
                    && let Some(rest) = self.members.iter().flatten().find_map(Member::unfinished)
                {
                    open.conn.push_first(rest);
                }
                open.conn.rest().for_each(|bytes| open.out.append(bytes));
                open.out.finish(End::Fin);
            }
            CloseMode::Silent => open.out.finish(End::Fin),
            CloseMode::Reset => open.out.finish(End::Reset),
        }
        wants.closed.push(open.wire);
    }

    fn hear(&mut self, event: Event) {
        let peer = self.peer;
        match event {
            Event::StateChanged { .. } => {}
            Event::Established(negotiated, conn) => {
                self.session += 1;
                self.established = Some(conn);
                self.import = Some(self.importer(&negotiated));
                let up = Up { peer, shard: 0, session: self.session, negotiated, rules: Arc::clone(&self.rules) };
                self.outbox.push_back(FromShard::Up(Box::new(up)));
            }
            Event::Update(update) => {
                assert!(update.faults.is_empty(), "{peer:?} sent a malformed attribute: {:?}", update.faults);
                if let Some((rules, origin)) = self.import.take() {
                    import(update, &rules, origin, self.items());
                    self.import = Some((rules, origin));
                }
            }
            Event::Refresh(refresh) => self.refresh(refresh),
            Event::Down(down) => {
                self.established = None;
                self.import = None;
                self.members = [None, None];
                self.outbox.push_back(FromShard::Down { peer, down: Box::new(down) });
            }
        }
    }

    fn refresh(&mut self, refresh: RouteRefresh) {
        let Some(family) = Family::from_afi_safi(refresh.family) else { return };
        match refresh.kind {
            RefreshKind::Request => self.resend(family),
            RefreshKind::Begin => self.items().push(Item::BeginRefresh(family)),
            RefreshKind::End => self.items().push(Item::EndRefresh(family)),
            RefreshKind::Other(_) => {}
        }
    }

    /// Sends all routes of a family again.
    pub fn resend(&mut self, family: Family) {
        if let Some(member) = &mut self.members[family.index()] {
            member.refresh();
        }
    }

    fn items(&mut self) -> &mut Vec<Item> {
        if !matches!(self.outbox.back(), Some(FromShard::Routes { .. })) {
            self.outbox.push_back(FromShard::Routes { peer: self.peer, items: Vec::new(), read_at: None });
        }
        match self.outbox.back_mut() {
            Some(FromShard::Routes { items, .. }) => items,
            _ => unreachable!("a batch was just put there"),
        }
    }

    fn importer(&self, negotiated: &Negotiated) -> (Import, Origin) {
        (self.rules.import(negotiated), Origin { neighbor: self.remote.ip(), kind: self.rules.kind(negotiated) })
    }

    /// New rules while the session stays.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = Arc::new(rules);
        if let Some((_, negotiated)) = self.machine.established() {
            let negotiated = Arc::clone(negotiated);
            self.import = Some(self.importer(&negotiated));
            self.outbox.push_back(FromShard::Rules { peer: self.peer, rules: Arc::clone(&self.rules) });
        }
    }

    /// Starts to read an update group's journal, unless the session that asked for it is over.
    pub fn join(&mut self, joined: Joined, group: Rc<GroupView>) {
        let Some(id) = self.established.filter(|_| self.session == joined.session) else { return };
        let enhanced = self.machine.status().negotiated.as_ref().is_some_and(|n| n.enhanced_refresh);
        let mut new = Member::new(joined.family, group, joined.cursor, enhanced);
        let old = self.members[joined.family.index()].take();
        let Some(open) = self.conns.iter_mut().find(|c| c.conn.id == id) else { return };
        new.succeed(old.as_ref(), joined.farewell, &mut open.conn);
        self.members[joined.family.index()] = Some(new);
    }

    /// Stops to read an update group's journal.
    pub fn leave(&mut self, leave: Leave) {
        if self.established.is_some() && self.session == leave.session {
            if let Some(member) = &mut self.members[leave.family.index()] {
                member.retire();
            }
            self.outbox.push_back(FromShard::Left(leave));
        }
    }

    /// Control messages first, between UPDATEs; then journals, family by family.
    fn pump(&mut self, now: Instant, wants: &mut Wants) {
        for open in &mut self.conns {
            if open.conn.blocked {
                continue;
            }
            let mut progress = Progress::default();
            let established = self.established == Some(open.conn.id);
            let members: &mut [Option<Member>] = if established { &mut self.members } else { &mut [] };
            write(&mut open.conn, members, usize::MAX, &mut progress).expect("a pipe never breaks while it is open");
            if progress.messages > 0 {
                self.machine.handle_written(open.conn.id, now);
                wants.read_journal |= progress.updates > 0;
            }
            wants.wrote.push(open.wire);
            for family in Family::ALL.into_iter().filter(|f| progress.ask_clean[f.index()]) {
                self.outbox.push_back(FromShard::AskClean { peer: self.peer, family });
            }
        }
    }
}
