//! The listening sockets of the running configuration.

use super::shard_of;
use crate::net::{Command, Keys, Listener, ShardHandle};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

/// Sockets by address, and why an address has none.
#[derive(Default)]
pub struct Listening {
    sockets: BTreeMap<SocketAddr, (Listener, JoinHandle<()>)>,
    keys: Keys,
}

impl Listening {
    /// Opens the sockets. One that fails is reported and left out: a speaker that only dials works without.
    pub fn open(&mut self, addresses: &BTreeSet<SocketAddr>, shards: &[ShardHandle]) {
        for address in addresses {
            match self.listen(*address, shards.to_vec()) {
                Ok(socket) => {
                    info!(%address, "listening");
                    self.sockets.insert(*address, socket);
                }
                Err(e) => error!(%address, error = %e, "cannot listen: peers that dial will not reach us"),
            }
        }
    }

    fn listen(&self, address: SocketAddr, shards: Vec<ShardHandle>) -> io::Result<(Listener, JoinHandle<()>)> {
        let mut listener = Listener::bind(address)?;
        complain(listener.set_keys(&self.keys));
        let task = tokio::spawn(listener.acceptor().run(move |stream, remote| {
            let Some(shard) = shards.get(shard_of(remote, shards.len())) else { return };
            // A shard that cannot keep up with connections closes them: the peer dials again.
            if let Ok(stream) = stream.into_std() {
                shard.try_send(Command::Accepted { stream, remote });
            }
        }));
        Ok((listener, task))
    }

    /// MD5 keys must be on a listener before a peer dials (RFC 2385).
    pub fn set_keys(&mut self, keys: &Keys) {
        self.keys.clone_from(keys);
        for (listener, _) in self.sockets.values_mut() {
            complain(listener.set_keys(keys));
        }
    }

    pub fn close(&mut self, addresses: &BTreeSet<SocketAddr>) {
        for address in addresses {
            if let Some((_, task)) = self.sockets.remove(address) {
                task.abort();
            }
        }
    }

    pub fn close_all(&mut self) {
        self.close(&self.addresses());
    }

    pub fn addresses(&self) -> BTreeSet<SocketAddr> {
        self.sockets.keys().copied().collect()
    }
}

fn complain(failed: Vec<(ipnet::IpNet, io::Error)>) {
    for (peer, e) in failed {
        warn!(%peer, error = %e, "the kernel refuses the MD5 key: this peer cannot connect to us");
    }
}
