//! Why a connection ends, and how that looks to the peer, to the shell and to the operator.

use crate::session::fsm::Count;
use crate::session::{Cause, CloseMode, DownReason, State, StopReason};
use crate::wire::Notification;

/// What comes along with an event of a connection.
#[derive(Clone, Debug)]
pub(super) enum Trigger {
    Plain,
    /// An error that we found.
    Error(Notification),
    /// The NOTIFICATION of the peer.
    Received(Notification),
    Stop(StopReason),
    TcpLost(Option<String>),
    Replaced,
}

/// How a connection ends.
pub(super) struct Ending {
    pub sent: Option<Notification>,
    pub mode: CloseMode,
    pub reason: DownReason,
    pub cause: Cause,
    pub count: Count,
    pub next: State,
}

impl Trigger {
    /// The NOTIFICATION of the event; `hard_reset` says that both sides know Hard Reset (RFC 8538).
    pub fn notification(&self, hard_reset: bool) -> Option<Notification> {
        match self {
            Self::Error(error) => Some(error.clone()),
            Self::Stop(reason) => {
                let cease = reason.notification()?;
                Some(if hard_reset && reason.is_hard() { cease.hard_reset() } else { cease })
            }
            Self::Plain | Self::Received(_) | Self::TcpLost(_) | Self::Replaced => None,
        }
    }
}

impl Ending {
    pub fn new(sent: Option<Notification>, stuck: bool, trigger: Trigger, count: Count, next: State) -> Self {
        let mode = match (&sent, stuck) {
            (_, true) => CloseMode::Reset,
            (Some(_), false) => CloseMode::AfterNotification,
            (None, false) => CloseMode::Silent,
        };
        let (reason, cause) = match (&sent, trigger) {
            (Some(n), _) => (DownReason::NotificationSent(n.clone()), Cause::NotificationSent { code: n.code, subcode: n.subcode }),
            (None, Trigger::Received(n)) => {
                let cause = Cause::NotificationReceived { code: n.code, subcode: n.subcode };
                (DownReason::NotificationReceived(n), cause)
            }
            (None, Trigger::TcpLost(error)) => (DownReason::ConnectionLost(error), Cause::ConnectionLost),
            (None, Trigger::Replaced) => (DownReason::Replaced, Cause::Replaced),
            (None, Trigger::Plain | Trigger::Error(_) | Trigger::Stop(_)) => (DownReason::GracefulClose, Cause::Stopped),
        };
        Self { sent, mode, reason, cause, count, next }
    }
}
