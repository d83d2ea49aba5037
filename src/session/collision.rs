//! Connection collision (RFC 4271 6.8, RFC 6286 2.3, RFC 4724 5): which of two connections with one peer survives.

use std::time::{Duration, Instant};

use super::{Direction, Negotiated, State};

/// What collision detection looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contender {
    pub direction: Direction,
    pub state: State,
    /// When its TCP connection was made.
    pub connected: Instant,
    /// When it became Established.
    pub established: Option<Instant>,
    /// Graceful restart is negotiated with a family at least.
    pub graceful_restart: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// No collision yet.
    KeepBoth,
    /// The other one gets 6/7.
    KeepNew,
    /// The new one gets 6/7.
    KeepOther,
    /// The peer restarted: the other one ends without a NOTIFICATION and its routes stay (RFC 4724 5).
    ReplaceOther,
}

/// Decides between the connection `new`, whose OPEN has just been accepted, and the `other` one.
pub(super) fn resolve(new: Contender, other: Contender, we_dominate: bool) -> Verdict {
    let dominant = if we_dominate { Direction::Outbound } else { Direction::Inbound };
    match other.state {
        State::Established => match peer_came_back(new, other) {
            true => Verdict::ReplaceOther,
            false => Verdict::KeepOther,
        },
        // Two of the same direction: the peer gave up the older one and dialed again.
        State::OpenConfirm if new.direction == other.direction => Verdict::KeepNew,
        State::OpenConfirm if new.direction == dominant => Verdict::KeepNew,
        State::OpenConfirm => Verdict::KeepOther,
        // The identifier is known from `new`, so the loser of a later collision can go at once. A dominant connection
        // that has not shown its OPEN must not cost us the one that has.
        State::OpenSent if new.direction == dominant && other.direction != dominant => Verdict::KeepNew,
        State::OpenSent | State::Idle | State::Connect | State::Active => Verdict::KeepBoth,
    }
}

/// Whether our side is the one whose connection survives: the higher identifier, the higher AS number when they are equal.
pub(super) fn we_dominate(agreed: &Negotiated) -> bool {
    (agreed.local_id, agreed.local_as) > (agreed.remote_id, agreed.remote_as)
}

/// A restarted peer dials us after the session was up. A connection of our own, or one from about the time when the session came
/// up (it may have waited to be accepted), is only the tail of a simultaneous start.
fn peer_came_back(new: Contender, other: Contender) -> bool {
    let later = other.established.is_some_and(|at| new.connected >= at + SIMULTANEOUS);
    other.graceful_restart && new.direction == Direction::Inbound && later
}

/// No daemon is back from a restart sooner than this after its session came up.
const SIMULTANEOUS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::timers::some_instant;
    use Direction::{Inbound, Outbound};

    fn at(direction: Direction, state: State, connected: Instant) -> Contender {
        Contender { direction, state, connected, established: None, graceful_restart: false }
    }

    #[test]
    fn the_dominant_sides_connection_survives() {
        let t = some_instant();
        for (we_dominate, new, expected) in [
            (true, Outbound, Verdict::KeepNew),
            (true, Inbound, Verdict::KeepOther),
            (false, Outbound, Verdict::KeepOther),
            (false, Inbound, Verdict::KeepNew),
        ] {
            let other = if new == Outbound { Inbound } else { Outbound };
            let verdict = resolve(at(new, State::OpenSent, t), at(other, State::OpenConfirm, t), we_dominate);
            assert_eq!(verdict, expected, "we dominate: {we_dominate}, new: {new:?}");
        }
    }

    #[test]
    fn a_connection_without_open_never_beats_one_with() {
        let t = some_instant();
        for we_dominate in [true, false] {
            for (new, other) in [(Outbound, Inbound), (Inbound, Outbound)] {
                let verdict = resolve(at(new, State::OpenSent, t), at(other, State::OpenSent, t), we_dominate);
                let dominant = if we_dominate { Outbound } else { Inbound };
                assert_eq!(verdict, if new == dominant { Verdict::KeepNew } else { Verdict::KeepBoth });
            }
        }
    }

    #[test]
    fn only_a_later_inbound_connection_replaces_an_established_session_with_graceful_restart() {
        let t = some_instant();
        let later = t + Duration::from_secs(9);
        let up = |graceful_restart| Contender {
            established: Some(t + Duration::from_secs(1)),
            graceful_restart,
            ..at(Outbound, State::Established, t)
        };
        assert_eq!(resolve(at(Inbound, State::OpenSent, later), up(true), true), Verdict::ReplaceOther);
        assert_eq!(resolve(at(Inbound, State::OpenSent, later), up(false), false), Verdict::KeepOther);
        assert_eq!(resolve(at(Inbound, State::OpenSent, t), up(true), false), Verdict::KeepOther, "simultaneous start");
        assert_eq!(resolve(at(Outbound, State::OpenSent, later), up(true), true), Verdict::KeepOther, "our own dial");
    }
}
