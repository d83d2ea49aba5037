//! From the monotonic clock of sessions to the time that people read.

use std::time::{Duration, Instant, SystemTime};

use jiff::{SignedDuration, Timestamp};

/// One moment in both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub instant: Instant,
    pub wall: Timestamp,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "answers say how long ago something was")]
    pub fn now() -> Self {
        Self { instant: Instant::now(), wall: Timestamp::now() }
    }

    /// When `instant` was, in whole milliseconds.
    pub fn at(&self, instant: Instant) -> Timestamp {
        let ago = SignedDuration::try_from(self.since(instant)).unwrap_or_default();
        let at = self.wall.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH);
        Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
    }

    pub fn since(&self, instant: Instant) -> Duration {
        self.instant.saturating_duration_since(instant)
    }
}

/// A wall clock time of the standard library.
pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    let at = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// Seconds with milliseconds: more digits say nothing and make answers long.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}
