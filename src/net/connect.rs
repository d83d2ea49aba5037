//! Options of one BGP connection, and the outgoing connect.

use super::sockopt;
use crate::session::Direction;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use tokio::net::{TcpSocket, TcpStream};

/// What a peer's connections have in common, whoever opens them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SocketOptions {
    pub source: Option<IpAddr>,
    pub bind_device: Option<String>,
    pub password: Option<Password>,
    pub ttl: Ttl,
}

/// How far away the peer may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ttl {
    /// Send with this TTL: 1 for a directly connected eBGP peer, more for iBGP and multihop.
    Send(u8),
    /// GTSM over at most this many hops (RFC 5082).
    Security(u8),
}

/// A TCP MD5 key (RFC 2385); never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Password(Vec<u8>);

impl Password {
    /// `None` for an empty key or one longer than [`sockopt::MAX_MD5_KEY`] bytes.
    pub fn new(key: impl Into<Vec<u8>>) -> Option<Self> {
        let key = key.into();
        (!key.is_empty() && key.len() <= sockopt::MAX_MD5_KEY).then_some(Self(key))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Opens a connection to `remote`.
///
/// # Errors
/// Whatever the kernel says, from binding to the source address to the refusal or timeout of the connection.
pub async fn connect(remote: SocketAddr, options: &SocketOptions) -> io::Result<TcpStream> {
    let socket = new_socket(remote.is_ipv4())?;
    if let Some(device) = &options.bind_device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    if let Some(key) = &options.password {
        let full = if remote.is_ipv4() { 32 } else { 128 };
        sockopt::set_md5(socket.as_fd(), remote.ip(), full, key.bytes())?;
    }
    apply_ttl(&SockRef::from(&socket), remote.is_ipv4(), options.ttl)?;
    if let Some(source) = options.source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    let socket = TcpSocket::from_std_stream(socket.into());
    socket.connect(remote).await
}

/// Sets on an accepted connection what depends on the peer; the rest came from the listener. A connection of ours has all already.
///
/// # Errors
/// What the kernel says; for GTSM also that the peer is farther away than it may be (RFC 5082 3).
pub fn prepare(stream: &TcpStream, direction: Direction, options: &SocketOptions) -> io::Result<()> {
    match direction {
        Direction::Outbound => Ok(()),
        Direction::Inbound => {
            stream.set_nodelay(true)?;
            refuse_far_away(stream, options.ttl)?;
            apply_ttl(&SockRef::from(stream), stream.peer_addr()?.is_ipv4(), options.ttl)
        }
    }
}

/// Puts another MD5 key on an open connection. Segments do not pass until the other end has it too; TCP sends them again meanwhile.
///
/// # Errors
/// What the kernel says.
pub fn rekey(stream: &TcpStream, key: &Password) -> io::Result<()> {
    let peer = stream.peer_addr()?.ip();
    sockopt::set_md5(stream.as_fd(), peer, if peer.is_ipv4() { 32 } else { 128 }, key.bytes())
}

/// A TCP socket with what every BGP socket of ours has: TOS CS6 (RFC 4271 appendix), no Nagle, keepalive off, non-blocking.
pub(super) fn new_socket(ipv4: bool) -> io::Result<Socket> {
    let socket = Socket::new(if ipv4 { Domain::IPV4 } else { Domain::IPV6 }, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if ipv4 {
        socket.set_tos_v4(TOS_CS6)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_tclass_v6(TOS_CS6)?;
    }
    Ok(socket)
}

fn apply_ttl(socket: &SockRef<'_>, ipv4: bool, ttl: Ttl) -> io::Result<()> {
    let (send, minimum) = match ttl {
        Ttl::Send(ttl) => (ttl, None),
        Ttl::Security(hops) => (255, Some(minimum_ttl(hops))),
    };
    if ipv4 {
        socket.set_ttl_v4(send.into())?;
    } else {
        socket.set_unicast_hops_v6(send.into())?;
    }
    match minimum {
        Some(minimum) => sockopt::set_min_ttl(socket.as_fd(), ipv4, minimum),
        None => Ok(()),
    }
}

/// The kernel drops what is below the minimum only from when that is set, and an OPEN may be in the queue by then.
fn refuse_far_away(stream: &TcpStream, ttl: Ttl) -> io::Result<()> {
    let Ttl::Security(hops) = ttl else { return Ok(()) };
    match sockopt::syn_ttl(stream.as_fd()) {
        Some(ttl) if ttl < minimum_ttl(hops) => {
            let why = format!("its SYN came with TTL {ttl}, at least {} is expected (RFC 5082)", minimum_ttl(hops));
            Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
        }
        _ => Ok(()),
    }
}

const fn minimum_ttl(hops: u8) -> u8 {
    255 - hops.saturating_sub(1)
}

/// Network control traffic (RFC 4594 3.1).
const TOS_CS6: u32 = 0xC0;
