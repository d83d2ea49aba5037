//! What a [`Peer`](super::Peer) tells the shell.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Cause, ConnId, Negotiated, State};
use crate::wire::{FamilySet, Notification, RouteRefresh, Update};

/// What the shell shall do, in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Dial the peer; answer with `handle_connected` or `handle_connect_failed`.
    Connect,
    /// Give up the dial that is under way; no answer is expected.
    CancelConnect,
    /// One whole message.
    Send(ConnId, Bytes),
    /// The connection is forgotten here; whatever comes from it later is ignored. Every connection gets this exactly once,
    /// also one that was refused and one whose end the shell reported itself.
    Close(ConnId, CloseMode),
    Event(Event),
}

/// How to end a TCP connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseMode {
    /// A NOTIFICATION was sent just before: shut down the write side, discard input, close when the peer does or after a
    /// second, so that a reset does not overtake the NOTIFICATION.
    AfterNotification,
    /// Close as usual.
    Silent,
    /// What is queued gets one write attempt that does not block, then the connection is reset (`SO_LINGER` 0).
    Reset,
}

/// What the rest of the speaker must know.
#[derive(Clone, Debug)]
pub enum Event {
    StateChanged {
        from: State,
        to: State,
        cause: Cause,
    },
    Established(Arc<Negotiated>, ConnId),
    Update(Update),
    /// For a negotiated family only; kinds that we do not know are dropped (RFC 7313 5).
    Refresh(RouteRefresh),
    /// Established was left.
    Down(Down),
}

/// The end of an established session.
#[derive(Clone, Debug)]
pub struct Down {
    pub reason: DownReason,
    /// Families whose routes stay as stale (RFC 4724 4.2, RFC 8538 4).
    pub retain: FamilySet,
    /// How long `retain` may stay without a new session.
    pub restart_time: Duration,
    /// How long they may stay after the new session without End-of-RIB.
    pub stale_time: Duration,
    /// Long-lived stale time after `restart_time`, by [`crate::wire::Family::index`]; zero is none (RFC 9494).
    pub llgr_time: [Duration; 2],
}

#[derive(Clone, Debug)]
pub enum DownReason {
    /// The TCP connection ended, with the kernel's word.
    ConnectionLost(Option<String>),
    NotificationSent(Notification),
    NotificationReceived(Notification),
    /// The restarted peer opened a new connection (RFC 4724 5).
    Replaced,
    /// We closed without a NOTIFICATION.
    GracefulClose,
}
