//! Many BGP clients in one thread: sockets, handshakes, and what each receiver holds.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::latency::Latency;
use crate::plan::{self, Shape};
use crate::verify::{Holdings, Verifier};
use crate::wire;

/// Pause before a refused or closed connection is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// Pause before a connection that nobody took is tried again: another one for each client, as with real nodes, because
/// retries in step would meet a short listen backlog in step.
const STAGGER: Duration = Duration::from_millis(1009);
/// How long a connection may take, and how long the handshake on it.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// What a slow receiver reads per second.
const SLOW_BYTES: usize = 1000;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    Idle,
    Connecting,
    OpenSent,
    Established,
}

/// Sessions, receivers and their verdicts.
pub struct Engine {
    pub shape: Shape,
    pub verifier: Verifier,
    pub latency: Option<Latency>,
    /// Sessions that went down after they were established, without our doing.
    pub lost: u64,
    /// Connections that failed or were closed before they were established.
    pub retries: u64,
    /// A client's own routes sent back to it: allowed (RFC 4456 lets the receiver drop them), but of no use.
    pub echoes: u64,
    pub updates: u64,
    pub bytes: u64,
    /// The longest time in which an established session was silent, and how often that was longer than half the hold time: a
    /// keepalive is due at a third of it (RFC 4271 4.4).
    pub longest_silence: Duration,
    pub late_keepalives: u64,
    /// When the last UPDATE came.
    pub last_update: Instant,
    /// Hold time in our OPENs, in seconds; keepalives go out at a third of it.
    hold: u16,
    target: SocketAddr,
    poll: Poll,
    events: Events,
    scratch: Vec<u8>,
    clients: Vec<Client>,
    /// When which client dials, or gives up what it has dialled.
    timers: BTreeSet<(Instant, usize)>,
    wanted: Holdings,
    next_keepalive: Instant,
    next_trickle: Instant,
}

struct Client {
    stream: Option<TcpStream>,
    state: State,
    partial: Vec<u8>,
    out: VecDeque<(Arc<[u8]>, usize)>,
    held: Holdings,
    own: Holdings,
    done: bool,
    slow: bool,
    is_waiting: bool,
    dialled: Instant,
    heard: Instant,
    /// What to send as soon as the session is up.
    greeting: Option<Arc<[u8]>>,
}

impl Engine {
    pub fn new(shape: Shape, target: SocketAddr, hold: u16) -> io::Result<Self> {
        let now = Instant::now();
        let clients = (0..shape.clients())
            .map(|client| Client {
                stream: None,
                state: State::Idle,
                partial: Vec::new(),
                out: VecDeque::new(),
                held: Holdings::new(shape.prefixes()),
                own: if shape.is_receiver(client) { Holdings::of_owners(&shape, |owner| owner == client) } else { Holdings::default() },
                done: false,
                slow: false,
                is_waiting: false,
                dialled: now,
                heard: now,
                greeting: None,
            })
            .collect();
        Ok(Self {
            verifier: Verifier::new(shape.clone()),
            wanted: Holdings::of_owners(&shape, |_| true),
            shape,
            hold,
            longest_silence: Duration::ZERO,
            late_keepalives: 0,
            last_update: now,
            latency: None,
            lost: 0,
            retries: 0,
            echoes: 0,
            updates: 0,
            bytes: 0,
            target,
            poll: Poll::new()?,
            events: Events::with_capacity(8192),
            scratch: vec![0; 1 << 18],
            clients,
            timers: BTreeSet::new(),
            next_keepalive: now + Duration::from_secs(u64::from(hold / 3)),
            next_trickle: now,
        })
    }

    /// Starts a session; the connection is retried until it is up. `greeting` follows the handshake at once.
    pub fn connect(&mut self, client: usize, greeting: Option<Arc<[u8]>>) {
        self.clients[client].greeting = greeting;
        self.clients[client].is_waiting = true;
        self.timers.insert((Instant::now(), client));
    }

    /// This client reads next to nothing from now on.
    pub fn make_slow(&mut self, client: usize) {
        self.clients[client].slow = true;
    }

    /// Closes a session without a word, as a node does that loses power and comes back.
    pub fn drop_session(&mut self, client: usize) {
        self.forget(client);
        let own = &mut self.clients[client];
        own.held = Holdings::new(self.shape.prefixes());
        own.done = false;
    }

    /// From now on, receivers are done when they hold what these clients announced.
    pub fn expect_from(&mut self, is_wanted: impl Fn(usize) -> bool) {
        self.wanted = Holdings::of_owners(&self.shape, is_wanted);
        for client in &mut self.clients {
            client.held.dirty = true;
            client.done = false;
        }
    }

    pub fn send(&mut self, client: usize, message: Arc<[u8]>) {
        self.clients[client].out.push_back((message, 0));
        self.flush(client);
    }

    pub fn established(&self) -> usize {
        self.clients.iter().filter(|client| client.state == State::Established).count()
    }

    /// Sessions that are being set up.
    pub fn pending(&self) -> usize {
        let dialling = |client: &&Client| matches!(client.state, State::Connecting | State::OpenSent) || client.is_waiting;
        self.clients.iter().filter(dialling).count()
    }

    pub fn is_done(&self, client: usize) -> bool {
        self.clients[client].done
    }

    /// Prefixes that this client holds with the right route.
    pub fn held(&self, client: usize) -> usize {
        self.clients[client].held.count()
    }

    /// Handles what the sockets have, waiting for it at most until `deadline`.
    pub fn turn(&mut self, deadline: Instant) -> io::Result<()> {
        let now = Instant::now();
        let mut wake = deadline.min(self.next_keepalive).min(self.next_trickle);
        if let Some((at, _)) = self.timers.first() {
            wake = wake.min(*at);
        }
        match self.poll.poll(&mut self.events, Some(wake.saturating_duration_since(now))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        let ready: Vec<(usize, bool, bool)> =
            self.events.iter().map(|event| (event.token().0, event.is_readable() || event.is_read_closed(), event.is_writable())).collect();
        for (client, readable, writable) in ready {
            if writable {
                self.writable(client);
            }
            if readable && !(self.clients[client].slow && self.clients[client].state == State::Established) {
                self.readable(client, usize::MAX);
            }
        }
        self.run_timers(Instant::now())
    }

    fn run_timers(&mut self, now: Instant) -> io::Result<()> {
        while let Some(&(at, client)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            let dialled = self.clients[client].dialled;
            match self.clients[client].state {
                State::Idle if self.clients[client].is_waiting => self.dial(client)?,
                State::Connecting if now >= dialled + CONNECT_LIMIT => self.failed(client),
                State::OpenSent if now >= dialled + OPEN_LIMIT => self.failed(client),
                State::OpenSent => drop(self.timers.insert((dialled + OPEN_LIMIT, client))),
                _ => {}
            }
        }
        if now >= self.next_keepalive {
            self.next_keepalive = now + Duration::from_secs(u64::from(self.hold / 3));
            let keepalive: Arc<[u8]> = wire::keepalive().into();
            for client in 0..self.clients.len() {
                if self.clients[client].state == State::Established {
                    self.send(client, keepalive.clone());
                }
            }
        }
        if now >= self.next_trickle {
            self.next_trickle = now + Duration::from_secs(1);
            for client in 0..self.clients.len() {
                if self.clients[client].slow && self.clients[client].state == State::Established {
                    self.readable(client, SLOW_BYTES);
                }
                self.listen_to_silence(client, now);
            }
        }
        Ok(())
    }

    /// A session that is silent for too long is counted once for every time that it is.
    fn listen_to_silence(&mut self, client: usize, now: Instant) {
        let own = &mut self.clients[client];
        if own.slow || own.state != State::Established {
            return;
        }
        let silence = now.saturating_duration_since(own.heard);
        self.longest_silence = self.longest_silence.max(silence);
        if silence > Duration::from_secs(self.hold.into()) / 2 {
            self.late_keepalives += 1;
            own.heard = now;
        }
    }

    fn dial(&mut self, client: usize) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&SocketAddr::from((plan::address(client), 0)).into())?;
        if self.clients[client].slow {
            socket.set_recv_buffer_size(4096)?;
        }
        // The outcome arrives as an event.
        let _ = socket.connect(&self.target.into());
        let mut stream = TcpStream::from_std(socket.into());
        self.poll.registry().register(&mut stream, Token(client), Interest::READABLE | Interest::WRITABLE)?;
        let own = &mut self.clients[client];
        own.stream = Some(stream);
        own.state = State::Connecting;
        own.is_waiting = false;
        own.dialled = Instant::now();
        self.timers.insert((own.dialled + CONNECT_LIMIT, client));
        Ok(())
    }

    fn writable(&mut self, client: usize) {
        let own = &mut self.clients[client];
        let Some(stream) = &own.stream else { return };
        if own.state == State::Connecting {
            if !matches!(stream.take_error(), Ok(None)) || stream.peer_addr().is_err() {
                self.failed(client);
                return;
            }
            let open = wire::open(self.shape.asn(client), plan::router_id(client), self.hold);
            own.out.push_back((open.into(), 0));
            own.state = State::OpenSent;
        }
        self.flush(client);
    }

    fn flush(&mut self, client: usize) {
        let own = &mut self.clients[client];
        let Some(stream) = &mut own.stream else { return };
        while let Some((bytes, done)) = own.out.front_mut() {
            match stream.write(&bytes[*done..]) {
                Ok(written) => *done += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.failed(client),
            }
            if *done == bytes.len() {
                own.out.pop_front();
            }
        }
    }

    /// Reads until the socket is empty, or up to `limit` octets.
    fn readable(&mut self, client: usize, limit: usize) {
        let mut left = limit;
        while left > 0 {
            let own = &mut self.clients[client];
            let Some(stream) = &mut own.stream else { return };
            let kept = own.partial.len();
            self.scratch[..kept].copy_from_slice(&own.partial);
            let end = self.scratch.len().min(kept.saturating_add(left));
            match stream.read(&mut self.scratch[kept..end]) {
                Ok(0) => return self.failed(client),
                Ok(read) => {
                    left -= read;
                    self.bytes += read as u64;
                    self.clients[client].partial.clear();
                    self.take_messages(client, kept + read);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.failed(client),
            }
        }
    }

    /// Handles the whole messages among the first `len` octets of the scratch buffer and keeps the rest.
    fn take_messages(&mut self, client: usize, len: usize) {
        let scratch = std::mem::take(&mut self.scratch);
        let now = Instant::now();
        self.listen_to_silence(client, now);
        self.clients[client].heard = now;
        let mut rest = &scratch[..len];
        while let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, high, low, kind, ..] = rest {
            let Some((message, tail)) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])).max(wire::HEADER)) else {
                break;
            };
            self.take_message(client, *kind, &message[wire::HEADER..], now);
            rest = tail;
        }
        let own = &mut self.clients[client];
        if own.state != State::Idle {
            own.partial.extend_from_slice(rest);
            if own.held.dirty && self.shape.is_receiver(client) {
                own.held.dirty = false;
                own.done = own.held.matches(&self.wanted, &own.own);
            }
        }
        self.scratch = scratch;
    }

    fn take_message(&mut self, client: usize, kind: u8, body: &[u8], now: Instant) {
        match kind {
            wire::UPDATE if body.len() > 4 => self.take_update(client, body, now),
            wire::OPEN => self.send(client, wire::keepalive().into()),
            wire::KEEPALIVE if self.clients[client].state == State::OpenSent => {
                self.clients[client].state = State::Established;
                if let Some(greeting) = self.clients[client].greeting.clone() {
                    self.send(client, greeting);
                }
            }
            wire::NOTIFICATION => {
                self.verifier.complaints.push(format!("client {client} received NOTIFICATION {body:?}"));
                self.failed(client);
            }
            _ => {}
        }
    }

    fn take_update(&mut self, client: usize, body: &[u8], now: Instant) {
        self.updates += 1;
        self.last_update = now;
        if !self.shape.is_receiver(client) {
            return;
        }
        let effect = self.verifier.judge(body);
        if effect.source == Some(client) {
            self.echoes += 1;
            return;
        }
        self.clients[client].held.apply(effect);
        if let (Some(latency), Some(flap)) = (&mut self.latency, effect.flap) {
            latency.received(client, flap, now);
        }
    }

    /// The connection is gone, not by our decision.
    fn failed(&mut self, client: usize) {
        match self.clients[client].state {
            State::Idle => return,
            State::Established => self.lost += 1,
            State::Connecting | State::OpenSent => {
                self.retries += 1;
                let stagger = STAGGER / 1009 * (client as u32 * 571 % 1009);
                self.clients[client].is_waiting = true;
                self.timers.insert((Instant::now() + RETRY + stagger, client));
            }
        }
        self.forget(client);
    }

    fn forget(&mut self, client: usize) {
        let own = &mut self.clients[client];
        own.stream = None;
        own.state = State::Idle;
        own.partial.clear();
        own.out.clear();
    }
}

/// Parses `ADDRESS:PORT`, IPv4 only: the clients live in 127.0.0.0/8.
pub fn target(text: &str) -> Result<SocketAddr, String> {
    let target: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
    if target.ip() == Ipv4Addr::UNSPECIFIED || !target.is_ipv4() {
        return Err("expected an IPv4 address and a port".into());
    }
    Ok(target)
}
