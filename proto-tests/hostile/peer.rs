//! A BGP speaker that sends whatever it is told to, from any loopback address.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use kubgp::wire::{HEADER_LEN, Notification};
use socket2::{Domain, Socket, Type};

use crate::notation::Session;

/// One message that came, or the end.
#[derive(Debug)]
pub enum Came {
    Message { kind: u8, body: Vec<u8> },
    Closed,
    Nothing,
}

/// A connection to the daemon.
pub struct Peer {
    stream: TcpStream,
    buffer: Vec<u8>,
}

pub const OPEN: u8 = 1;
pub const UPDATE: u8 = 2;
pub const NOTIFICATION: u8 = 3;
pub const KEEPALIVE: u8 = 4;
/// What must come comes within this; the bound only ends a test that fails.
pub const BOUND: Duration = Duration::from_secs(30);

impl Peer {
    pub fn connect(source: Ipv4Addr, to: SocketAddr) -> Self {
        Self::try_connect(source, to).expect("the daemon listens")
    }

    pub fn try_connect(source: Ipv4Addr, to: SocketAddr) -> std::io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect_timeout(&to.into(), BOUND)?;
        socket.set_tcp_nodelay(true)?;
        Ok(Self { stream: socket.into(), buffer: Vec::new() })
    }

    /// A connection on which `open` was accepted, and both sides have said KEEPALIVE.
    pub fn established(source: Ipv4Addr, to: SocketAddr, open: &[u8]) -> Self {
        let mut peer = Self::connect(source, to);
        peer.send(open);
        peer.expect(OPEN);
        peer.expect(KEEPALIVE);
        peer.send(&keepalive());
        peer
    }

    /// Makes the receive buffer as small as the kernel allows, and says KEEPALIVE until the connection ends; the caller reads no more.
    pub fn only_says_keepalive(&self) {
        socket2::SockRef::from(&self.stream).set_recv_buffer_size(1).expect("a socket");
        let mut stream = self.stream.try_clone().expect("a socket");
        std::thread::spawn(move || {
            while stream.write_all(&keepalive()).is_ok() {
                std::thread::park_timeout(Duration::from_millis(500));
            }
        });
    }

    /// The daemon may have ended the connection already: that shows when one reads.
    pub fn send(&mut self, octets: &[u8]) {
        let _ = self.stream.write_all(octets);
    }

    pub fn send_octet_by_octet(&mut self, octets: &[u8]) {
        for octet in octets {
            if self.stream.write_all(&[*octet]).is_err() {
                break;
            }
        }
    }

    /// The next message, if one comes within `wait`; zero only looks.
    pub fn poll(&mut self, wait: Duration) -> Came {
        let end = now() + wait;
        loop {
            if let Some(message) = self.take() {
                return message;
            }
            let left = end.saturating_duration_since(now());
            self.stream.set_nonblocking(wait.is_zero()).expect("a socket");
            if !wait.is_zero() {
                self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1)))).expect("a socket");
            }
            let mut octets = [0; 65536];
            let got = self.stream.read(&mut octets);
            self.stream.set_nonblocking(false).expect("a socket");
            match got {
                Ok(0) => return Came::Closed,
                Ok(n) => self.buffer.extend_from_slice(&octets[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if left.is_zero() {
                        return Came::Nothing;
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Came::Closed,
            }
        }
    }

    fn take(&mut self) -> Option<Came> {
        let len = usize::from(u16::from_be_bytes([*self.buffer.get(16)?, *self.buffer.get(17)?]));
        assert!(len >= HEADER_LEN && self.buffer[..16] == [0xFF; 16], "the daemon sends what is no message");
        if self.buffer.len() < len {
            return None;
        }
        let message: Vec<u8> = self.buffer.drain(..len).collect();
        Some(Came::Message { kind: message[18], body: message[HEADER_LEN..].to_vec() })
    }

    /// Waits for a message of this kind; others before it, KEEPALIVEs and UPDATEs, are passed over.
    pub fn expect(&mut self, wanted: u8) -> Vec<u8> {
        loop {
            match self.poll(BOUND) {
                Came::Message { kind, body } if kind == wanted => return body,
                Came::Message { kind: UPDATE | KEEPALIVE, .. } => {}
                other => panic!("waiting for a message of type {wanted}: {other:?}"),
            }
        }
    }

    /// How the daemon ended the connection: with its NOTIFICATION, or without.
    pub fn end(&mut self) -> Option<Notification> {
        let mut last = None;
        loop {
            match self.poll(BOUND) {
                Came::Message { kind: NOTIFICATION, body } => last = Some(Notification::decode(&body).expect("a good NOTIFICATION")),
                Came::Message { .. } => assert!(last.is_none(), "a message after the NOTIFICATION"),
                Came::Closed => return last,
                Came::Nothing => panic!("the connection stays open"),
            }
        }
    }
}

pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = (HEADER_LEN + body.len()) as u16;
    [&[0xFF; 16][..], &len.to_be_bytes(), &[kind], body].concat()
}

pub fn keepalive() -> Vec<u8> {
    message(KEEPALIVE, &[])
}

/// An OPEN of AS `asn` with these capabilities.
pub fn open(asn: u16, hold_time: u16, id: u8, capabilities: &[u8]) -> Vec<u8> {
    let len = capabilities.len() as u8;
    let fixed = [&[4][..], &asn.to_be_bytes(), &hold_time.to_be_bytes(), &[10, 0, 0, id], &[len + 2, 2, len]].concat();
    message(OPEN, &[&fixed[..], capabilities].concat())
}

pub const V4: [u8; 6] = [1, 4, 0, 1, 0, 1];
pub const V6: [u8; 6] = [1, 4, 0, 2, 0, 1];

/// The OPEN of a session in which a vector is tried.
pub fn open_of(session: &Session) -> Vec<u8> {
    let asn: u16 = if session.ebgp { 65001 } else { 65000 };
    let mut capabilities = [&V4[..], &[2, 0]].concat();
    if session.families == kubgp::wire::FamilySet::ALL {
        capabilities.extend(V6);
    }
    if session.four_octet_as {
        capabilities.extend([&[65, 4, 0, 0][..], &asn.to_be_bytes()].concat());
    }
    if session.extended_next_hop {
        capabilities.extend([5, 6, 0, 1, 0, 1, 0, 2]);
    }
    if session.add_path {
        capabilities.extend([69, 8, 0, 1, 1, 2, 0, 2, 1, 2]);
    }
    if session.extended {
        capabilities.extend([6, 0, 70, 0]);
    }
    open(asn, 0, 2, &capabilities)
}

#[expect(clippy::disallowed_methods, reason = "daemons run in real time")]
pub fn now() -> Instant {
    Instant::now()
}
