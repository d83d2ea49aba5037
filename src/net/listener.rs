//! Listening sockets: one per configured address, IPv4 and IPv6 apart, with the MD5 keys of all peers that may connect.

use super::connect::{Password, new_socket};
use super::sockopt;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

/// Peers by address and length (a full-length prefix for a static peer), with their keys.
pub type Keys = BTreeMap<ipnet::IpNet, Password>;

/// One listening socket and the keys that are set on it.
pub struct Listener {
    socket: Arc<TcpListener>,
    keys: Keys,
}

impl Listener {
    /// Listens on `address`, which need not be assigned yet (it may move to this node later).
    ///
    /// # Errors
    /// `EADDRINUSE` where another daemon has the port, `EACCES` without `CAP_NET_BIND_SERVICE` below port 1024, and the kernel's others.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = new_socket(address.is_ipv4())?;
        socket.set_reuse_address(true)?;
        // The SYN-ACK to a GTSM peer must leave with TTL 255 already (RFC 5082 3); accepted connections get their own.
        if address.is_ipv4() {
            socket.set_freebind_v4(true)?;
            socket.set_ttl_v4(255)?;
        } else {
            socket.set_freebind_v6(true)?;
            socket.set_unicast_hops_v6(255)?;
        }
        // The minimum TTL of a peer is set once its connection is accepted; what came before is judged by the SYN.
        sockopt::save_syn(socket.as_fd())?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket: Arc::new(TcpListener::from_std(socket.into())?), keys: Keys::new() })
    }

    /// # Errors
    /// What the kernel says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Makes the kernel's keys equal to `desired` as far as they are of this socket's family; only differences are touched.
    /// Returns the peers whose key the kernel refused.
    pub fn set_keys(&mut self, desired: &Keys) -> Vec<(ipnet::IpNet, io::Error)> {
        let ipv4 = self.local_addr().is_ok_and(|a| a.is_ipv4());
        let mine = |net: &ipnet::IpNet| matches!(net, ipnet::IpNet::V4(_)) == ipv4;
        let mut failed = Vec::new();
        let gone: Vec<_> = self.keys.keys().filter(|net| !desired.contains_key(*net)).copied().collect();
        for net in gone {
            self.keys.remove(&net);
            if let Err(e) = sockopt::set_md5(self.socket.as_fd(), net.network(), net.prefix_len(), b"") {
                failed.push((net, e));
            }
        }
        for (net, key) in desired.iter().filter(|(net, _)| mine(net)) {
            if self.keys.get(net) == Some(key) {
                continue;
            }
            match sockopt::set_md5(self.socket.as_fd(), net.network(), net.prefix_len(), key.bytes()) {
                Ok(()) => drop(self.keys.insert(*net, key.clone())),
                Err(e) => failed.push((*net, e)),
            }
        }
        failed
    }

    /// A handle for the accept loop; the socket closes when this and all handles are gone.
    pub fn acceptor(&self) -> Acceptor {
        Acceptor { socket: Arc::clone(&self.socket) }
    }
}

/// The accepting side of a [`Listener`].
pub struct Acceptor {
    socket: Arc<TcpListener>,
}

impl Acceptor {
    /// Accepts for ever and hands each connection to `deliver` with the remote address (IPv4-mapped ones as IPv4). Out of file
    /// descriptors or memory, it waits and says so once.
    pub async fn run(self, mut deliver: impl FnMut(TcpStream, IpAddr)) {
        let mut short_of_resources = false;
        loop {
            match self.socket.accept().await {
                Ok((stream, remote)) => {
                    short_of_resources = false;
                    deliver(stream, remote.ip().to_canonical());
                }
                Err(e) if is_connection_error(&e) => debug!(error = %e, "connection was gone before it was accepted"),
                Err(e) => {
                    if !short_of_resources {
                        warn!(error = %e, "cannot accept connections, trying on");
                    }
                    short_of_resources = true;
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

fn is_connection_error(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted)
}

/// Takes a whole cluster's reconnect at once; the kernel caps it at net.core.somaxconn.
const BACKLOG: i32 = 8192;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
