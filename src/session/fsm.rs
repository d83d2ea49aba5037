//! The state table of RFC 4271 8.2.2 as pure functions: state and event in, action and next state out. DelayOpen is not used,
//! so events 12 and 20 cannot occur; events 14 and 15 are the accept filter of the shell.

use std::fmt;

use crate::wire::FsmState;

/// The state of a peer (RFC 4271 8.2.2), in the order of progress.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum State {
    Idle,
    Connect,
    Active,
    OpenSent,
    OpenConfirm,
    Established,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        })
    }
}

/// The events of RFC 4271 8.1 and RFC 9687, numbered as there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Input {
    /// 1; 4 when passive.
    ManualStart { passive: bool },
    /// 2.
    ManualStop,
    /// 3; 5 when passive; 6 and 7 are the same here, because every start is damped by the IdleHoldTimer.
    AutomaticStart { passive: bool },
    /// 8.
    AutomaticStop,
    /// 9.
    ConnectRetryExpires,
    /// 10.
    HoldExpires,
    /// 11.
    KeepaliveExpires,
    /// 13.
    IdleHoldExpires { passive: bool },
    /// 16 and 17.
    Connected,
    /// 18.
    TcpFails,
    /// 19, where an OPEN is expected; elsewhere any OPEN, its body unread.
    Open,
    /// 21.
    HeaderError,
    /// 22.
    OpenError,
    /// 23.
    CollisionDump,
    /// 24.
    VersionNotification,
    /// 25.
    Notification,
    /// 26.
    Keepalive,
    /// 27, where an UPDATE is expected; elsewhere any UPDATE, its body unread.
    Update,
    /// 28, and a malformed ROUTE-REFRESH (RFC 7313 5).
    UpdateError,
    /// ROUTE-REFRESH (RFC 2918), treated like 27.
    Refresh,
    /// 29 (RFC 9687).
    SendHoldExpires,
}

/// What the table says: do this, then be there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Step {
    pub action: Action,
    pub next: State,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Ignore,
    /// Start the ConnectRetryTimer and dial.
    Dial,
    /// Wait for the peer to connect.
    Listen,
    /// Give up the dial under way, then `Dial`.
    Redial,
    /// Restart the ConnectRetryTimer and wait for it or for the peer.
    AwaitRetry,
    /// Close the new connection before it gets a session.
    Refuse,
    /// Send OPEN on the new connection and start its initial hold timer.
    SendOpen,
    /// The same for a second connection, which has a state of its own until the collision is resolved.
    Track,
    /// Send KEEPALIVE, start the timers as negotiated.
    Confirm,
    /// Restart the hold timer; the session is up.
    Establish,
    SendKeepalive,
    RestartHold,
    /// Restart the hold timer and hand the UPDATE on.
    Process,
    /// Hand the ROUTE-REFRESH on.
    Refresh,
    /// Stop the timers, release the session, close.
    Drop {
        notify: Notify,
        count: Count,
    },
}

/// The NOTIFICATION that goes with a drop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Notify {
    Nothing,
    /// The one that the event brings along: the error found, or the Cease of the stop.
    Event,
    /// 5/x.
    Fsm(FsmState),
    /// 4/0.
    HoldExpired,
    /// 8/0.
    SendHoldExpired,
    /// 6/7.
    Collision,
}

/// What becomes of ConnectRetryCounter and back-off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Count {
    /// Zero, back-off forgotten.
    Reset,
    Keep,
    /// One more, back-off doubles.
    Damp,
}

pub(super) fn step(state: State, input: Input) -> Step {
    match state {
        State::Idle => idle(input),
        State::Connect => connect(input),
        State::Active => active(input),
        State::OpenSent => open_sent(input),
        State::OpenConfirm => open_confirm(input),
        State::Established => established(input),
    }
}

fn idle(input: Input) -> Step {
    match input {
        Input::ManualStart { passive } | Input::AutomaticStart { passive } | Input::IdleHoldExpires { passive } => match passive {
            false => go(Action::Dial, State::Connect),
            true => go(Action::Listen, State::Active),
        },
        Input::Connected => go(Action::Refuse, State::Idle),
        _ => go(Action::Ignore, State::Idle),
    }
}

fn connect(input: Input) -> Step {
    match input {
        Input::ManualStart { .. } | Input::AutomaticStart { .. } => go(Action::Ignore, State::Connect),
        Input::ManualStop => to_idle(Notify::Nothing, Count::Reset),
        Input::ConnectRetryExpires => go(Action::Redial, State::Connect),
        Input::Connected => go(Action::SendOpen, State::OpenSent),
        // RFC 4271 goes to Idle here; everybody waits in Active, so that the peer can reach us meanwhile.
        Input::TcpFails => go(Action::AwaitRetry, State::Active),
        // 8, 10, 11, 13, 19, 21-28: nothing was sent on a connection yet, so there is nothing to notify.
        _ => to_idle(Notify::Nothing, Count::Damp),
    }
}

fn active(input: Input) -> Step {
    match input {
        Input::ManualStart { .. } | Input::AutomaticStart { .. } => go(Action::Ignore, State::Active),
        Input::ManualStop => to_idle(Notify::Nothing, Count::Reset),
        Input::ConnectRetryExpires => go(Action::Dial, State::Connect),
        Input::Connected => go(Action::SendOpen, State::OpenSent),
        // As in Connect.
        Input::TcpFails => go(Action::AwaitRetry, State::Active),
        _ => to_idle(Notify::Nothing, Count::Damp),
    }
}

fn open_sent(input: Input) -> Step {
    match input {
        Input::ManualStart { .. } | Input::AutomaticStart { .. } => go(Action::Ignore, State::OpenSent),
        Input::ManualStop => to_idle(Notify::Event, Count::Reset),
        Input::AutomaticStop => to_idle(Notify::Event, Count::Damp),
        Input::HoldExpires => to_idle(Notify::HoldExpired, Count::Damp),
        Input::Connected => go(Action::Track, State::OpenSent),
        Input::TcpFails => go(Action::Drop { notify: Notify::Nothing, count: Count::Keep }, State::Active),
        Input::Open => go(Action::Confirm, State::OpenConfirm),
        Input::HeaderError | Input::OpenError => to_idle(Notify::Event, Count::Damp),
        Input::CollisionDump => to_idle(Notify::Collision, Count::Damp),
        Input::VersionNotification => to_idle(Notify::Nothing, Count::Keep),
        // RFC 4271 8.2.2 lists 5/1 here, 6.4 forbids to answer a NOTIFICATION; 6.4 wins.
        Input::Notification => to_idle(Notify::Nothing, Count::Damp),
        // 9, 11, 13, 26, 27, 28, ROUTE-REFRESH, 29 (not armed before OpenConfirm).
        _ => to_idle(Notify::Fsm(FsmState::OpenSent), Count::Damp),
    }
}

fn open_confirm(input: Input) -> Step {
    match input {
        Input::ManualStart { .. } | Input::AutomaticStart { .. } => go(Action::Ignore, State::OpenConfirm),
        Input::ManualStop => to_idle(Notify::Event, Count::Reset),
        Input::AutomaticStop => to_idle(Notify::Event, Count::Damp),
        Input::HoldExpires => to_idle(Notify::HoldExpired, Count::Damp),
        Input::KeepaliveExpires => go(Action::SendKeepalive, State::OpenConfirm),
        Input::Connected => go(Action::Track, State::OpenConfirm),
        Input::TcpFails | Input::Notification => to_idle(Notify::Nothing, Count::Damp),
        Input::VersionNotification => to_idle(Notify::Nothing, Count::Keep),
        Input::HeaderError => to_idle(Notify::Event, Count::Damp),
        Input::CollisionDump => to_idle(Notify::Collision, Count::Damp),
        Input::Keepalive => go(Action::Establish, State::Established),
        Input::SendHoldExpires => to_idle(Notify::SendHoldExpired, Count::Damp),
        // 9, 13, 19 and 22 (a second OPEN, its body unread), 27, 28, ROUTE-REFRESH.
        _ => to_idle(Notify::Fsm(FsmState::OpenConfirm), Count::Damp),
    }
}

fn established(input: Input) -> Step {
    match input {
        Input::ManualStart { .. } | Input::AutomaticStart { .. } => go(Action::Ignore, State::Established),
        Input::ManualStop => to_idle(Notify::Event, Count::Reset),
        Input::AutomaticStop => to_idle(Notify::Event, Count::Damp),
        Input::HoldExpires => to_idle(Notify::HoldExpired, Count::Damp),
        Input::KeepaliveExpires => go(Action::SendKeepalive, State::Established),
        Input::Connected => go(Action::Track, State::Established),
        Input::TcpFails | Input::Notification | Input::VersionNotification => to_idle(Notify::Nothing, Count::Damp),
        // The FSM text of RFC 4271 says 5/3, 6.1 says 1/x; 6.1 wins.
        Input::HeaderError => to_idle(Notify::Event, Count::Damp),
        Input::CollisionDump => to_idle(Notify::Collision, Count::Damp),
        Input::Keepalive => go(Action::RestartHold, State::Established),
        Input::Update => go(Action::Process, State::Established),
        Input::UpdateError => to_idle(Notify::Event, Count::Damp),
        Input::Refresh => go(Action::Refresh, State::Established),
        Input::SendHoldExpires => to_idle(Notify::SendHoldExpired, Count::Damp),
        // 9, 13, 19 and 22 (an OPEN, its body unread).
        _ => to_idle(Notify::Fsm(FsmState::Established), Count::Damp),
    }
}

const fn go(action: Action, next: State) -> Step {
    Step { action, next }
}

const fn to_idle(notify: Notify, count: Count) -> Step {
    Step { action: Action::Drop { notify, count }, next: State::Idle }
}

#[cfg(test)]
mod tests;
