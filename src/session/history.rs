//! The last state changes of a peer, for the operator.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::State;

/// What made the state change. Small, because every peer keeps a history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// Started by the operator or the configuration.
    Started,
    /// Started again after the back-off.
    BackoffOver,
    /// Stopped by the operator or the configuration, without a NOTIFICATION on the wire.
    Stopped,
    ConnectRetry,
    Connected,
    ConnectFailed,
    /// The TCP connection ended.
    ConnectionLost,
    OpenReceived,
    KeepaliveReceived,
    /// The peer opened a new connection after it restarted (RFC 4724 5).
    Replaced,
    NotificationSent {
        code: u8,
        subcode: u8,
    },
    NotificationReceived {
        code: u8,
        subcode: u8,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "started",
            Self::BackoffOver => "back-off over",
            Self::Stopped => "stopped",
            Self::ConnectRetry => "connect retry",
            Self::Connected => "connected",
            Self::ConnectFailed => "connect failed",
            Self::ConnectionLost => "connection lost",
            Self::OpenReceived => "OPEN received",
            Self::KeepaliveReceived => "KEEPALIVE received",
            Self::Replaced => "replaced by a new connection of the restarted peer",
            Self::NotificationSent { code, subcode } => return write!(f, "NOTIFICATION {code}/{subcode} sent"),
            Self::NotificationReceived { code, subcode } => return write!(f, "NOTIFICATION {code}/{subcode} received"),
        })
    }
}

/// One state change, or a NOTIFICATION or TCP error that changed nothing: then `from` is `to`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    pub at: Instant,
    pub from: State,
    pub to: State,
    pub cause: Cause,
    /// The text that came with a NOTIFICATION (RFC 9003), or what the kernel said.
    pub text: Option<Arc<str>>,
}

impl Change {
    /// What somebody will ask for later, as the steps of one more attempt to connect are not.
    const fn is_notable(&self) -> bool {
        let established = matches!(self.from, State::Established) || matches!(self.to, State::Established);
        established
            || matches!(self.cause, Cause::NotificationSent { .. } | Cause::NotificationReceived { .. } | Cause::Stopped | Cause::Started)
    }
}

/// The last [`History::LIMIT`] changes, oldest first. A neighbor that is away is dialled again and again: such attempts push out
/// one another, down to the last [`History::ATTEMPTS`], and not what ended the session.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<Change>);

impl History {
    pub const LIMIT: usize = 32;
    pub const ATTEMPTS: usize = 8;

    pub(super) fn push(&mut self, change: Change) {
        if self.0.len() == Self::LIMIT {
            let attempts = self.0.iter().filter(|change| !change.is_notable()).count();
            let oldest = self.0.iter().position(|change| !change.is_notable()).filter(|_| attempts >= Self::ATTEMPTS);
            self.0.remove(oldest.unwrap_or_default());
        }
        self.0.push_back(change);
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Change> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::timers::some_instant;

    #[test]
    fn the_history_keeps_the_newest_changes_only() {
        let start = some_instant();
        let mut history = History::default();
        for code in 0..40 {
            let cause = Cause::NotificationSent { code, subcode: 0 };
            history.push(Change { at: start, from: State::Idle, to: State::Connect, cause, text: None });
        }
        assert_eq!(history.iter().count(), History::LIMIT);
        assert_eq!(history.iter().next_back().map(|c| c.cause), Some(Cause::NotificationSent { code: 39, subcode: 0 }));
        assert_eq!(history.iter().next().map(|c| c.cause), Some(Cause::NotificationSent { code: 8, subcode: 0 }));
    }

    #[test]
    fn attempts_to_connect_do_not_push_out_why_the_session_ended() {
        let at = some_instant();
        let mut history = History::default();
        let text = Some(Arc::from("maintenance"));
        let cause = Cause::NotificationReceived { code: 6, subcode: 2 };
        history.push(Change { at, from: State::Established, to: State::Idle, cause, text: text.clone() });
        for _ in 0..1000 {
            history.push(Change { at, from: State::Connect, to: State::Active, cause: Cause::ConnectFailed, text: None });
            history.push(Change { at, from: State::Active, to: State::Connect, cause: Cause::ConnectRetry, text: None });
        }
        assert_eq!(history.iter().count(), History::LIMIT);
        assert_eq!(history.iter().next().map(|c| (c.cause, c.text.clone())), Some((cause, text)));
    }
}
