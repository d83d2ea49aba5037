//! Whether traffic is to leave this node, and how far that is: a value with time as an argument.

use std::time::{Duration, Instant};

/// Who wants it; any of them is enough.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Causes {
    /// `bgpctl drain`.
    pub operator: bool,
    /// Our Node is cordoned, and `drain.onCordon` says that this counts.
    pub cordon: bool,
    /// The daemon ends.
    pub stop: bool,
}

impl Causes {
    pub const fn any(self) -> bool {
        self.operator || self.cordon || self.stop
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Stage {
    /// Not at all.
    #[default]
    Serving,
    /// Our prefixes carry GRACEFUL_SHUTDOWN (RFC 8326), so that others choose another way while this one still works.
    Leaving { until: Instant },
    /// Our prefixes are withdrawn.
    Left,
}

/// The state of the drain.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Drain {
    pub causes: Causes,
    pub stage: Stage,
}

impl Drain {
    /// Takes what is wanted now; one more reason does not begin anew. True if the stage is another one.
    pub(super) fn want(&mut self, causes: Causes, grace: Duration, now: Instant) -> bool {
        self.causes = causes;
        let stage = match (causes.any(), self.stage) {
            (false, _) => Stage::Serving,
            (true, Stage::Serving) if grace.is_zero() => Stage::Left,
            (true, Stage::Serving) => Stage::Leaving { until: now + grace },
            (true, under_way) => under_way,
        };
        std::mem::replace(&mut self.stage, stage) != stage
    }

    /// True if the grace period has just ended.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let over = self.deadline().is_some_and(|until| until <= now);
        if over {
            self.stage = Stage::Left;
        }
        over
    }

    /// When the grace period ends.
    pub fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Leaving { until } => Some(until),
            Stage::Serving | Stage::Left => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATOR: Causes = Causes { operator: true, cordon: false, stop: false };
    const CORDON: Causes = Causes { operator: false, cordon: true, stop: false };
    const GRACE: Duration = Duration::from_secs(20);

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do, and there is no other way to one")]
    fn a_drain_goes_on_until_nobody_wants_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut drain = Drain::default();
        assert!(!drain.want(Causes::default(), GRACE, at(0)));
        assert!(drain.want(OPERATOR, GRACE, at(0)));
        assert_eq!(drain.stage, Stage::Leaving { until: at(20) });
        assert!(!drain.want(Causes { cordon: true, ..OPERATOR }, GRACE, at(5)), "one more reason changes nothing");
        assert!(!drain.expire(at(19)) && drain.expire(at(20)) && !drain.expire(at(21)));
        assert!(!drain.want(CORDON, GRACE, at(30)), "one reason is left");
        assert_eq!((drain.stage, drain.deadline()), (Stage::Left, None));
        assert!(drain.want(Causes::default(), GRACE, at(40)));
        assert_eq!(drain.stage, Stage::Serving);
        assert!(drain.want(CORDON, Duration::ZERO, at(50)) && drain.stage == Stage::Left, "without a grace period at once");
    }
}
