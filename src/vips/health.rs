//! Healthy or not, from single results: a value.

/// The opinion about one service. The first result decides at once: after a restart of ours an address that works is announced
/// again without waiting for a second success.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    rise: u32,
    fall: u32,
    /// `None` before the first result.
    healthy: Option<bool>,
    /// Results in a row that speak against `healthy`.
    against: u32,
}

impl Health {
    pub const fn new(rise: u32, fall: u32) -> Self {
        Self { rise, fall, healthy: None, against: 0 }
    }

    /// The same opinion, to be changed by other numbers from now on.
    #[must_use]
    pub const fn with(self, rise: u32, fall: u32) -> Self {
        Self { rise, fall, healthy: self.healthy, against: 0 }
    }

    pub fn is_healthy(&self) -> bool {
        self.healthy == Some(true)
    }

    /// There was a first result.
    pub const fn is_settled(&self) -> bool {
        self.healthy.is_some()
    }

    /// Takes one result; true if the opinion is another one now.
    pub fn handle(&mut self, success: bool) -> bool {
        let Some(healthy) = self.healthy else {
            self.healthy = Some(success);
            return true;
        };
        if success == healthy {
            self.against = 0;
            return false;
        }
        self.against += 1;
        let enough = if success { self.rise } else { self.fall };
        let turns = self.against >= enough;
        if turns {
            (self.healthy, self.against) = (Some(success), 0);
        }
        turns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the opinion turns in a series of results, `+` or `-`.
    fn turns(rise: u32, fall: u32, results: &str) -> String {
        let mut health = Health::new(rise, fall);
        results.chars().map(|c| if health.handle(c == '+') { '!' } else { '.' }).collect()
    }

    #[test]
    fn it_takes_some_results_in_a_row_to_turn() {
        assert_eq!(turns(2, 3, "+--+---++"), "!.....!.!");
        assert_eq!(turns(2, 3, "-+-++---"), "!...!..!", "the first failure decides too");
        assert_eq!(turns(1, 1, "+-+"), "!!!");
    }

    #[test]
    fn other_numbers_leave_the_opinion() {
        let mut health = Health::new(1, 3);
        assert!(!health.is_settled() && health.handle(true));
        assert!(!health.handle(false) && !health.handle(false));
        let mut health = health.with(1, 2);
        assert!(health.is_settled() && health.is_healthy());
        assert!(!health.handle(false) && health.handle(false), "the failures before count no more");
    }
}
