//! The BGP finite state machine (RFC 4271 8) of one peer as a pure machine: framing, negotiation, every deadline, collision
//! detection, back-off, and what graceful restart keeps. A [`Peer`] holds up to two `Connection`s while a collision is resolved.
//!
//! Inputs are `handle_*` methods with `now`; outputs come from [`Peer::poll`] until `None`, the next deadline from
//! [`Peer::poll_timeout`]. UPDATEs come out as events in the order of state changes.
//!
//! Invariants: at most one connection is Established; a peer that should be up always has a timer armed or a connection;
//! no input makes the machine panic; a message is parsed only in a state that allows it; back-off is forgotten only after
//! a session that lasted.
//!
//! Must never know: sockets, the RIB, policy, configuration, the clock, logs.

mod collision;
mod connection;
mod framing;
mod fsm;
mod history;
mod negotiate;
mod output;
mod params;
mod peer;
mod status;
mod timers;

pub use fsm::State;
pub use history::{Cause, Change, History};
pub use negotiate::{Negotiated, PeerGr};
pub use output::{CloseMode, Down, DownReason, Event, Output};
pub use params::{ConnId, Direction, GrMode, GrParams, HoldTime, InvalidHoldTime, PeerParams, RemoteAs, RoleParams, StopReason};
pub use peer::Peer;
pub use status::{Counters, DownClass, ErrorRecord, NotificationKey, PeerStatus, TcpError};
