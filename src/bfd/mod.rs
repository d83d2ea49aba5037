//! Bidirectional Forwarding Detection (RFC 5880) over UDP: single hop (RFC 5881) and multihop (RFC 5883), IPv4 and IPv6.
//!
//! Owns: control packets, the state machine of a session, which packet belongs to which session, and a thread of its own, so that
//! detection times hold however busy the rest of the process is. Packets and machines are pure; [`Handle`] is the shell around them.
//!
//! Asynchronous mode only: we never ask a peer for Demand mode, and obey one that asks us (RFC 5880 6.6). We neither send echo packets
//! nor send them back, and say so (Required Min Echo RX Interval 0, RFC 5880 6.8.1). No authentication: packets with it are dropped.
//!
//! Invariants: whatever arrives costs a bounded number of packets; what lay in a socket counts before a detection time runs out.
//!
//! Must never know: BGP. It reports what happens to the path to an address.

mod packet;
mod session;
mod sessions;
mod socket;
mod task;

pub use packet::{Diagnostic, Fault, Packet, State};
pub use session::{Change, Session, Timing};
pub use sessions::{Arrival, Counters, Discard, Failure, Hop, Sessions, Settings, View};
pub use task::{Event, Handle, Report};
