use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Doubling pauses, each shortened by up to half at random: a thousand nodes must not come back in one moment.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    random: RandomState,
    round: u64,
}

impl Backoff {
    pub(super) fn new((first, longest): (Duration, Duration)) -> Self {
        Self { first, longest, next: first, random: RandomState::new(), round: 0 }
    }

    pub(super) fn next(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.longest);
        self.round += 1;
        let share = self.random.hash_one(self.round) % 512;
        full - full / 1024 * u32::try_from(share).expect("less than 512")
    }

    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new((ms(400), ms(1000)));
        for full in [400, 800, 1000, 1000] {
            let pause = backoff.next();
            assert!(pause > ms(full / 2) && pause <= ms(full), "{pause:?} of {full} ms");
        }
        backoff.reset();
        assert!(backoff.next() <= ms(400));
    }
}
