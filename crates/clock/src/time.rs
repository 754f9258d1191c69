//! What time it is: read from the system, or set by a test.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Tells the time. Handed to whatever has to stamp an object or notice that something is overdue.
pub trait Clock: Send + Sync {
    /// The wall-clock time now, in UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still until it is told otherwise, for tests and simulations.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<Timestamp>,
}

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self { now: Mutex::new(start) }
    }

    /// Shows `time` from now on; it may lie in the past.
    pub fn set(&self, time: Timestamp) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    /// Moves the clock by `step` (backwards if negative) and returns the new time. Stops at the ends of what a
    /// `Timestamp` can hold.
    pub fn advance(&self, step: impl Into<SignedDuration>) -> Timestamp {
        let step = step.into();
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = if step.is_negative() {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        *now = now.checked_add(step).unwrap_or(limit);
        *now
    }
}

impl Default for ManualClock {
    /// Starts at 2026-01-01T00:00:00Z, so that tests that do not care need not choose.
    fn default() -> Self {
        Self::new(Timestamp::constant(1_767_225_600, 0))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::default();
        assert_eq!(clock.now().to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(clock.now(), clock.now());
        let later = clock.advance(SignedDuration::from_secs(90));
        assert_eq!(later.to_string(), "2026-01-01T00:01:30Z");
        assert_eq!(clock.now(), later);
        assert_eq!(
            clock.advance(SignedDuration::from_secs(-90)).to_string(),
            "2026-01-01T00:00:00Z"
        );
        clock.set(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn a_manual_clock_stops_at_the_end_of_time() {
        let clock = ManualClock::new(Timestamp::MAX);
        assert_eq!(clock.advance(SignedDuration::from_secs(1)), Timestamp::MAX);
    }

    #[test]
    fn the_system_clock_is_past_the_year_this_was_written() {
        let clock: &dyn Clock = &SystemClock;
        assert!(clock.now() > Timestamp::constant(1_735_689_600, 0));
    }
}
