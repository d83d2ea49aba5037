//! What an operator may ask about a peer; plain values, kept up to date by the machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::{Cause, Change, DownReason, History, Negotiated, State};
use crate::wire::{Capability, MessageType, Notification};

/// The present state of a peer and what led to it.
#[derive(Clone, Debug)]
pub struct PeerStatus {
    pub state: State,
    /// When `state` was entered.
    pub since: Instant,
    /// When Established was left, or when the peer was made.
    pub down_since: Instant,
    /// The operator wants the session; false also after a stop that lasts until `handle_start`.
    pub admin_up: bool,
    pub received: Counters,
    pub sent: Counters,
    /// Times that Established was reached.
    pub established: u64,
    /// Times that Established was left.
    pub dropped: u64,
    /// RFC 4271 8, mandatory session attribute 2.
    pub connect_retry_counter: u64,
    /// Inbound connections refused during back-off or while the peer is down.
    pub refused: u64,
    /// Established was left, by why.
    pub downs: BTreeMap<DownClass, u64>,
    /// NOTIFICATIONs by way, code and subcode.
    pub notifications: BTreeMap<NotificationKey, u64>,
    pub last_sent_error: Option<ErrorRecord>,
    pub last_received_error: Option<ErrorRecord>,
    pub last_tcp_error: Option<TcpError>,
    /// Facts of the established session, or of the last one in OpenConfirm.
    pub negotiated: Option<Arc<Negotiated>>,
    /// Capabilities of the last OPEN that the peer sent.
    pub remote_capabilities: Vec<Capability>,
    pub history: History,
}

impl PeerStatus {
    pub(super) fn new(now: Instant, admin_up: bool) -> Self {
        Self {
            state: State::Idle,
            since: now,
            down_since: now,
            admin_up,
            received: Counters::default(),
            sent: Counters::default(),
            established: 0,
            dropped: 0,
            connect_retry_counter: 0,
            refused: 0,
            downs: BTreeMap::new(),
            notifications: BTreeMap::new(),
            last_sent_error: None,
            last_received_error: None,
            last_tcp_error: None,
            negotiated: None,
            remote_capabilities: Vec::new(),
            history: History::default(),
        }
    }
}

impl PeerStatus {
    /// Keeps a change for the operator, and what was said without changing anything.
    pub(super) fn note(&mut self, from: State, to: State, cause: Cause, now: Instant) {
        let text = self.text(cause, now);
        let is_message = matches!(cause, Cause::NotificationSent { .. } | Cause::NotificationReceived { .. });
        if from != to || is_message || text.is_some() {
            self.history.push(Change { at: now, from, to, cause, text });
        }
    }

    /// What was said at `now` about what made the change.
    fn text(&self, cause: Cause, now: Instant) -> Option<Arc<str>> {
        let record = match cause {
            Cause::NotificationSent { .. } => &self.last_sent_error,
            Cause::NotificationReceived { .. } => &self.last_received_error,
            Cause::ConnectFailed | Cause::ConnectionLost | Cause::ConnectRetry => {
                return self.last_tcp_error.as_ref().filter(|error| error.at == now).map(|error| Arc::from(error.text.as_str()));
            }
            _ => return None,
        };
        let text = record.as_ref().filter(|record| record.at == now)?.notification.shutdown_text()?;
        Some(Arc::from(text.as_str()))
    }
}

/// Messages by type. UPDATEs that the shell sends itself are counted by the shell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    pub open: u64,
    pub update: u64,
    pub notification: u64,
    pub keepalive: u64,
    pub route_refresh: u64,
}

impl Counters {
    pub fn add(&mut self, kind: MessageType) {
        *match kind {
            MessageType::Open => &mut self.open,
            MessageType::Update => &mut self.update,
            MessageType::Notification => &mut self.notification,
            MessageType::Keepalive => &mut self.keepalive,
            MessageType::RouteRefresh => &mut self.route_refresh,
        } += 1;
    }

    pub fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.route_refresh
    }
}

/// Which NOTIFICATIONs a count is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct NotificationKey {
    /// By us; otherwise by the peer.
    pub sent: bool,
    pub code: u8,
    pub subcode: u8,
}

/// Why sessions end, as operators count it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum DownClass {
    HoldTimer,
    NotificationSent,
    NotificationReceived,
    Tcp,
    Bfd,
    Admin,
    Limit,
    Collision,
    Config,
}

impl DownClass {
    pub(super) fn of(reason: &DownReason) -> Self {
        let sent = match reason {
            DownReason::ConnectionLost(_) | DownReason::Replaced => return Self::Tcp,
            DownReason::NotificationReceived(_) => return Self::NotificationReceived,
            DownReason::GracefulClose => return Self::Admin,
            DownReason::NotificationSent(sent) => sent,
        };
        // A Hard Reset carries what it is about (RFC 8538 3.1).
        let (code, subcode) = match (sent.code, sent.subcode, sent.data.as_ref()) {
            (6, 9, [code, subcode, ..]) => (*code, *subcode),
            (code, subcode, _) => (code, subcode),
        };
        match (code, subcode) {
            (4, _) => Self::HoldTimer,
            (6, 1) => Self::Limit,
            (6, 2 | 4 | 9) => Self::Admin,
            (6, 3 | 6) => Self::Config,
            (6, 7) => Self::Collision,
            (6, 10) => Self::Bfd,
            _ => Self::NotificationSent,
        }
    }
}

/// A NOTIFICATION and when it passed.
#[derive(Clone, Debug)]
pub struct ErrorRecord {
    pub at: Instant,
    pub notification: Notification,
}

/// What the kernel said when a connection failed or ended.
#[derive(Clone, Debug)]
pub struct TcpError {
    pub at: Instant,
    pub text: String,
}

impl TcpError {
    /// The text when a dial is given up because ConnectRetryTimer expired.
    pub const NO_ANSWER: &str = "no answer before the connect retry time";
}
