//! UDP sockets: one to receive for each family and kind of session, and one to send for each session (RFC 5881 4, RFC 5883 5).

use super::sessions::{Arrival, Settings};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Destination port of sessions over one hop, or of those over more.
fn port(single_hop: bool) -> u16 {
    if single_hop { SINGLE_HOP } else { MULTIHOP }
}

/// Receives the packets of all sessions of one family and kind.
pub struct Receiver {
    socket: UdpSocket,
    single_hop: bool,
    /// For control messages: only the TTL.
    control: Vec<u8>,
}

/// Which sockets there can be: kind and family.
pub const KINDS: [(bool, bool); 4] = [(true, true), (true, false), (false, true), (false, false)];

impl Receiver {
    /// Needs a runtime.
    ///
    /// # Errors
    /// Another daemon has the port.
    pub fn open(single_hop: bool, is_v4: bool) -> io::Result<Self> {
        let socket = socket(is_v4)?;
        if is_v4 {
            setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
        } else {
            socket.set_recv_hoplimit_v6(true)?;
        }
        socket.bind(&SocketAddr::new(any(is_v4), port(single_hop)).into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        Ok(Self { socket, single_hop, control: nix::cmsg_space!(libc::c_int) })
    }

    /// Waits until something has come.
    pub async fn readable(&self) {
        // An error shows again when it is read.
        let _ = self.socket.readable().await;
    }

    /// Takes one datagram, if there is one.
    pub fn receive(&mut self, take: impl FnOnce(&Arrival<'_>)) -> bool {
        let mut buffer = [0; LONGEST];
        let (fd, control) = (self.socket.as_raw_fd(), &mut self.control);
        let received = self.socket.try_io(Interest::READABLE, || {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(control), MsgFlags::MSG_DONTWAIT)?;
            let ttl = message.cmsgs()?.find_map(|c| match c {
                ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => u8::try_from(ttl).ok(),
                _ => None,
            });
            Ok((message.bytes, message.address.and_then(|a| address(&a)), ttl.unwrap_or(0)))
        });
        match received {
            Ok((length, from, ttl)) => {
                if let Some(from) = from {
                    let payload = buffer.get(..length).unwrap_or_default();
                    take(&Arrival { from, ttl, single_hop: self.single_hop, payload });
                }
                true
            }
            Err(e) => e.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

/// Sends the packets of one session, from a port of its own.
pub struct Sender {
    socket: Socket,
    to: SocketAddr,
}

impl Sender {
    /// `choice` decides which source port is tried first.
    ///
    /// # Errors
    /// Our address is not there (yet), or the device is not.
    pub fn open(remote: IpAddr, settings: &Settings, choice: u64) -> io::Result<Self> {
        let socket = socket(remote.is_ipv4())?;
        if remote.is_ipv4() {
            socket.set_ttl_v4(TTL)?;
            socket.set_tos_v4(INTERNETWORK_CONTROL)?;
        } else {
            socket.set_unicast_hops_v6(TTL)?;
            socket.set_tclass_v6(INTERNETWORK_CONTROL)?;
        }
        if let Some(device) = &settings.device {
            socket.bind_device(Some(device.as_bytes()))?;
        }
        let local = settings.local.unwrap_or(any(remote.is_ipv4()));
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for attempt in 0..ATTEMPTS {
            let port = FIRST_SOURCE + (choice.wrapping_add(attempt * 4099) % u64::from(u16::MAX - FIRST_SOURCE)) as u16;
            match socket.bind(&SocketAddr::new(local, port).into()) {
                Ok(()) => return Ok(Self { socket, to: SocketAddr::new(remote, self::port(settings.hop.is_single())) }),
                Err(e) if e.kind() == io::ErrorKind::AddrInUse => last = e,
                Err(e) => return Err(e),
            }
        }
        Err(last)
    }

    /// # Errors
    /// There is no way to the peer now. What the kernel cannot take is lost, as on the wire.
    pub fn send(&self, octets: &[u8]) -> io::Result<()> {
        match self.socket.send_to(octets, &self.to.into()) {
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            _ => Ok(()),
        }
    }
}

fn socket(is_v4: bool) -> io::Result<Socket> {
    let domain = if is_v4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    if !is_v4 {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn any(is_v4: bool) -> IpAddr {
    if is_v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

fn address(of: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = of.as_sockaddr_in().map(|a| a.ip().into());
    v4.or_else(|| of.as_sockaddr_in6().map(|a| a.ip().into()))
}

const SINGLE_HOP: u16 = 3784;
const MULTIHOP: u16 = 4784;
/// Source ports are 49152 and above (RFC 5881 4).
const FIRST_SOURCE: u16 = 49152;
const ATTEMPTS: u64 = 64;
const TTL: u32 = 255;
/// DSCP CS6, as routing protocols have it.
const INTERNETWORK_CONTROL: u32 = 0xc0;
/// Longer datagrams are cut; what is cut was no packet of ours.
const LONGEST: usize = 256;
