//! Listener, outgoing connections, TCP MD5, GTSM, socket options, and the shard: one loop that moves the bytes of many peers.
//!
//! Invariants: a peer belongs to one shard for life; every queue is bounded; control messages go between messages, never inside
//! one; a peer that is slow or hostile delays nobody else.
//!
//! Must never know: configuration, Kubernetes, the Loc-RIB.

mod cell;
mod conn;
mod connect;
mod contain;
pub mod fault;
mod import;
mod inlet;
mod listener;
mod member;
mod message;
mod pulse;
mod runner;
mod shard;
mod sockopt;

pub use conn::{Conn, Stream};
pub use connect::{Password, SocketOptions, Ttl};
pub use contain::is_contained;
pub use import::{Origin, import};
pub use inlet::{Inlet, Outlet, inlet};
pub use listener::{Acceptor, Keys, Listener};
pub use member::{GroupView, Member, Progress, write};
pub use message::{
    Command, Faults, FromShard, Item, Joined, Leave, LimitAction, MaxPrefixes, PeerConfig, PeerIds, PeerSnapshot, RangeConfig, Rules, Up,
};
pub use pulse::Pulse;
pub use shard::{Links, PeerChange, PeerEvent, ShardHandle};
pub use sockopt::MAX_MD5_KEY;
