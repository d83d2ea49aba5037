//! Listener, outgoing connections, TCP MD5, GTSM, socket options, and the shard: one loop that moves the bytes of many peers.
//!
//! Invariants: a peer belongs to one shard for life; every queue is bounded; control messages go between messages, never inside
//! one; a peer that is slow or hostile delays nobody else.
//!
//! Must never know: configuration, Kubernetes, the Loc-RIB.

pub mod connect;
pub mod listener;
pub mod sockopt;
