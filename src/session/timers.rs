//! Deadlines, their jitter, and the delays that double.

use std::time::{Duration, Instant};

/// ConnectRetryTimer and IdleHoldTimer double up to this.
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(120);
/// First IdleHoldTimer value.
pub(super) const FIRST_IDLE_HOLD: Duration = Duration::from_secs(1);
/// Hold timer of a connection of ours before the peer's OPEN (RFC 4271 8.2.2: "a large value").
pub(super) const INITIAL_HOLD: Duration = Duration::from_secs(240);
/// The same for a connection of the peer: it dialed, so it has no reason to be slow with its OPEN.
pub(super) const INITIAL_HOLD_INBOUND: Duration = Duration::from_secs(60);
/// Least send hold time unless set (RFC 9687 4).
pub(super) const LEAST_SEND_HOLD: Duration = Duration::from_secs(90);

/// A deadline that can be held still.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Timer {
    #[default]
    Off,
    At(Instant),
    /// Held still with this much to go.
    Paused(Duration),
}

impl Timer {
    /// Starts anew; a paused timer stays paused with the whole time to go.
    pub fn restart(&mut self, now: Instant, time: Duration) {
        *self = match self {
            Self::Paused(_) => Self::Paused(time),
            Self::Off | Self::At(_) => Self::At(now + time),
        };
    }

    pub fn pause(&mut self, now: Instant) {
        if let Self::At(at) = *self {
            *self = Self::Paused(at.saturating_duration_since(now));
        }
    }

    pub fn resume(&mut self, now: Instant) {
        if let Self::Paused(left) = *self {
            *self = Self::At(now + left);
        }
    }

    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::At(at) => Some(at),
            Self::Off | Self::Paused(_) => None,
        }
    }

    pub fn expired(self, now: Instant) -> bool {
        self.deadline().is_some_and(|at| at <= now)
    }
}

/// A delay that doubles with each use until it is reset.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    level: u32,
}

impl Backoff {
    /// The present delay, where the first is `first`.
    pub fn delay(self, first: Duration) -> Duration {
        first.saturating_mul(1 << self.level.min(16)).min(LONGEST_DELAY.max(first))
    }

    pub fn grow(&mut self) {
        self.level = self.level.saturating_add(1);
    }

    pub fn reset(&mut self) {
        self.level = 0;
    }

    pub fn is_first(self) -> bool {
        self.level == 0
    }
}

/// The source of jitter (SplitMix64).
#[derive(Clone, Copy, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// `time` times a factor from 0.75 to 1.0 (RFC 4271 10).
    pub fn apply(&mut self, time: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let part = ((z ^ (z >> 31)) >> 32) as u32;
        time.mul_f64(0.75 + 0.25 * f64::from(part) / f64::from(u32::MAX))
    }
}

/// The start of a test's clock; only differences matter, and the test moves it from then on.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant comes from the clock only")]
pub(super) fn some_instant() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_between_three_quarters_and_one_and_differs() {
        let mut jitter = Jitter::new(7);
        let second = Duration::from_secs(100);
        let values: Vec<_> = (0..1000).map(|_| jitter.apply(second)).collect();
        assert!(values.iter().all(|v| (Duration::from_secs(75)..=second).contains(v)));
        assert!(values.iter().any(|v| *v < Duration::from_secs(78)) && values.iter().any(|v| *v > Duration::from_secs(97)));
        assert_eq!(Jitter::new(7).apply(second), values[0]);
    }

    #[test]
    fn a_delay_doubles_up_to_two_minutes() {
        let mut backoff = Backoff::default();
        let mut seen = Vec::new();
        for _ in 0..9 {
            seen.push(backoff.delay(FIRST_IDLE_HOLD).as_secs());
            backoff.grow();
        }
        assert_eq!(seen, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        backoff.reset();
        assert_eq!(backoff.delay(Duration::from_secs(300)), Duration::from_secs(300), "a longer setting is kept");
    }

    #[test]
    fn a_paused_timer_keeps_what_was_left() {
        let start = some_instant();
        let mut timer = Timer::Off;
        timer.restart(start, Duration::from_secs(9));
        timer.pause(start + Duration::from_secs(4));
        assert_eq!(timer.deadline(), None);
        timer.resume(start + Duration::from_secs(100));
        assert_eq!(timer.deadline(), Some(start + Duration::from_secs(105)));
    }
}
