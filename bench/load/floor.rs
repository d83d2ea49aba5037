//! The floor: the least a process can do that passes these bytes on to that many sockets.
//!
//! It speaks just enough OPEN and KEEPALIVE to be taken for a BGP speaker, decodes nothing, decides nothing and stores no table.
//! Every message read is rewritten once with two copies and appended to one byte stream, of which every socket is written the
//! whole, except the client's own part, in the largest writes it takes. No correct daemon can be cheaper.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::plan::{self, CLUSTER_ID, GROUP, LOCAL_ASN};
use crate::wire;

const LISTENER: Token = Token(usize::MAX);

/// What the floor has to know about the run.
pub struct Params {
    pub listen: SocketAddr,
    /// Senders of a table, of which one has the best path of each group; 0 = everything is passed on.
    pub senders: usize,
    pub ebgp: bool,
}

struct Floor {
    params: Params,
    poll: Poll,
    listener: TcpListener,
    /// Stream 0 is for everybody; each sender of a table has one without its own routes.
    streams: Vec<Vec<u8>>,
    clients: Vec<Option<Client>>,
    live: usize,
    scratch: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    number: usize,
    partial: Vec<u8>,
    control: Vec<u8>,
    feed: usize,
    position: usize,
    skips: VecDeque<Range<usize>>,
    joined: bool,
    blocked: bool,
}

/// Serves until the process is ended.
pub fn run(params: Params) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&params.listen.into())?;
    socket.listen(16384)?;
    let mut floor = Floor {
        poll: Poll::new()?,
        listener: TcpListener::from_std(socket.into()),
        streams: vec![Vec::new(); params.senders + 1],
        clients: Vec::new(),
        live: 0,
        scratch: vec![0; 1 << 18],
        params,
    };
    floor.poll.registry().register(&mut floor.listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(8192);
    loop {
        floor.poll.poll(&mut events, None)?;
        let mut accept = false;
        for event in &events {
            if event.token() == LISTENER {
                accept = true;
                continue;
            }
            if event.is_writable()
                && let Some(Some(client)) = floor.clients.get_mut(event.token().0)
            {
                client.blocked = false;
            }
            if event.is_readable() || event.is_read_closed() {
                floor.read(event.token().0);
            }
        }
        // Whatever left is gone by now, so a storm finds empty streams.
        if accept {
            floor.accept()?;
        }
        floor.write_all();
    }
}

impl Floor {
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let (mut stream, from) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let SocketAddr::V4(from) = from else { continue };
            let number = plan::client_of(*from.ip());
            self.poll.registry().register(&mut stream, Token(self.clients.len()), Interest::READABLE | Interest::WRITABLE)?;
            let feed = if number < self.params.senders { number + 1 } else { 0 };
            let (partial, control, skips) = (Vec::new(), Vec::new(), VecDeque::new());
            self.clients.push(Some(Client { stream, number, partial, control, feed, position: 0, skips, joined: false, blocked: false }));
            self.live += 1;
        }
    }

    fn read(&mut self, token: usize) {
        loop {
            let Some(Some(client)) = self.clients.get_mut(token) else { return };
            let kept = client.partial.len();
            self.scratch[..kept].copy_from_slice(&client.partial);
            match client.stream.read(&mut self.scratch[kept..]) {
                Ok(read) if read > 0 => {
                    client.partial.clear();
                    self.take_messages(token, kept + read);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => return self.close(token),
            }
        }
    }

    fn close(&mut self, token: usize) {
        self.clients[token] = None;
        self.live -= 1;
        if self.live == 0 {
            self.clients.clear();
            self.streams.iter_mut().for_each(Vec::clear);
        }
    }

    fn take_messages(&mut self, token: usize, len: usize) {
        let scratch = std::mem::take(&mut self.scratch);
        let mut rest = &scratch[..len];
        while let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, high, low, kind, ..] = rest {
            let Some((message, tail)) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])).max(wire::HEADER)) else {
                break;
            };
            let Some(client) = &mut self.clients[token] else { break };
            match *kind {
                wire::OPEN => {
                    client.control.extend(wire::open(LOCAL_ASN, Ipv4Addr::new(10, 0, 0, 1), 90));
                    client.control.extend(wire::keepalive());
                }
                wire::KEEPALIVE => client.joined = true,
                wire::UPDATE => self.pass_on(token, message),
                _ => {}
            }
            rest = tail;
        }
        if let Some(client) = &mut self.clients[token] {
            client.partial.extend_from_slice(rest);
        }
        self.scratch = scratch;
    }

    fn pass_on(&mut self, token: usize, message: &[u8]) {
        let Some(client) = &mut self.clients[token] else { return };
        let number = client.number;
        if self.params.senders > 0 {
            let group = wire::first_prefix(message).map(|prefix| (prefix - plan::prefix(0)) as usize / GROUP);
            if group.is_none_or(|group| plan::best_sender(group, self.params.senders) != number) {
                return;
            }
        }
        let start = self.streams[0].len();
        if self.params.ebgp {
            wire::export_ebgp(message, LOCAL_ASN, u32::from(Ipv4Addr::LOCALHOST), &mut self.streams[0]);
        } else {
            wire::reflect(message, u32::from(plan::router_id(number)), CLUSTER_ID, &mut self.streams[0]);
        }
        let (everybody, others) = self.streams.split_at_mut(1);
        if others.is_empty() {
            client.skips.push_back(start..everybody[0].len());
        } else if others.len() > 1 {
            for (_, other) in others.iter_mut().enumerate().filter(|(other, _)| *other != number) {
                other.extend_from_slice(&everybody[0][start..]);
            }
        }
    }

    fn write_all(&mut self) {
        for token in 0..self.clients.len() {
            let Some(Some(client)) = self.clients.get_mut(token) else { continue };
            let feed = &self.streams[client.feed];
            if !client.blocked && client.write(feed).is_err() {
                self.close(token);
            }
        }
    }
}

impl Client {
    /// Writes until everything is out or the socket is full.
    fn write(&mut self, feed: &[u8]) -> io::Result<()> {
        loop {
            if self.skips.front().is_some_and(|skip| skip.start == self.position) {
                self.position = self.skips.pop_front().map_or(self.position, |skip| skip.end);
                continue;
            }
            let end = self.skips.front().map_or(feed.len(), |skip| skip.start);
            let is_control = !self.control.is_empty();
            let bytes = match (is_control, self.joined) {
                (true, _) => &self.control[..],
                (false, true) => &feed[self.position..end],
                (false, false) => return Ok(()),
            };
            if bytes.is_empty() {
                return Ok(());
            }
            match self.stream.write(bytes) {
                Ok(written) if is_control => drop(self.control.drain(..written)),
                Ok(written) => self.position += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }
}
