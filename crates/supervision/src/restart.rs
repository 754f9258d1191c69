//! When a task that ended is started again, and after how long.

use std::time::Duration;

/// The rule by which a task is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// Whether a task that ended without an error starts again too.
    pub after_success: bool,
    /// The pause before the first restart; doubles with each failure in a row.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// A run that lasted this long counts as healthy: the next pause is the first one again.
    pub healthy_after: Duration,
}

impl Restart {
    /// Starts again after an error or a panic; a task that returns `Ok` is done. Pauses of 100 ms to 30 s.
    pub const fn on_failure() -> Self {
        Self {
            after_success: false,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(30),
            healthy_after: Duration::from_secs(60),
        }
    }

    /// Starts again however the task ended. Pauses of 100 ms to 30 s.
    pub const fn always() -> Self {
        Self {
            after_success: true,
            ..Self::on_failure()
        }
    }

    /// The same rule with other pauses.
    pub const fn pauses(self, first: Duration, longest: Duration) -> Self {
        Self {
            first_pause: first,
            longest_pause: longest,
            ..self
        }
    }

    /// The pause after `failures` ended runs in a row (at least one).
    pub fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first_pause.saturating_mul(1 << doublings).min(self.longest_pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let rule = Restart::on_failure().pauses(Duration::from_millis(100), Duration::from_secs(1));
        let pauses: Vec<u128> = [1, 2, 3, 4, 5, 40, u32::MAX]
            .map(|n| rule.pause(n).as_millis())
            .to_vec();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000, 1000]);
    }
}
