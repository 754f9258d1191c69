//! When each lease ends. Only the time to live is on disk: after a restart every lease has its full time again, as in
//! etcd, because nobody could keep it alive meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::LeaseId;

/// The leases that have not ended.
#[derive(Debug, Default)]
pub(super) struct Leases {
    alive: BTreeMap<LeaseId, (u64, Timestamp)>,
    by_end: BTreeSet<(Timestamp, LeaseId)>,
}

impl Leases {
    /// Starts the time of a lease of `seconds`, for the first time or again.
    pub(super) fn start(&mut self, lease: LeaseId, seconds: u64, now: Timestamp) {
        self.remove(lease);
        let length = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        let end = now.checked_add(length).unwrap_or(Timestamp::MAX);
        self.alive.insert(lease, (seconds, end));
        self.by_end.insert((end, lease));
    }

    /// Starts the time of a living lease again and returns it.
    pub(super) fn keep_alive(&mut self, lease: LeaseId, now: Timestamp) -> Option<Duration> {
        let (seconds, end) = *self.alive.get(&lease)?;
        if end <= now {
            // It is over, even if its keys are not deleted yet: whoever kept it is too late.
            return None;
        }
        self.start(lease, seconds, now);
        Some(Duration::from_secs(seconds))
    }

    pub(super) fn remove(&mut self, lease: LeaseId) {
        if let Some((_, end)) = self.alive.remove(&lease) {
            self.by_end.remove(&(end, lease));
        }
    }

    /// The leases that are over at `now`, the longest over first.
    pub(super) fn over(&self, now: Timestamp) -> Vec<LeaseId> {
        self.by_end
            .iter()
            .take_while(|(end, _)| *end <= now)
            .map(|(_, lease)| *lease)
            .collect()
    }

    /// How long until the next one is over; `None` if there are none.
    pub(super) fn next_end(&self, now: Timestamp) -> Option<Duration> {
        let (end, _) = self.by_end.first()?;
        Some(Duration::try_from(end.duration_since(now)).unwrap_or(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::new(1_000_000 + second, 0).unwrap()
    }

    #[test]
    fn a_lease_is_over_when_its_time_has_passed_since_it_was_last_kept_alive() {
        let mut leases = Leases::default();
        let (first, second) = (LeaseId(1), LeaseId(2));
        leases.start(first, 10, at(0));
        leases.start(second, 5, at(0));
        assert_eq!(leases.next_end(at(1)), Some(Duration::from_secs(4)));
        assert_eq!(leases.over(at(4)), []);
        assert_eq!(leases.over(at(5)), [second]);
        assert_eq!(leases.keep_alive(second, at(4)), Some(Duration::from_secs(5)));
        assert_eq!(leases.over(at(8)), []);
        assert_eq!(leases.over(at(20)), [second, first]);
        assert_eq!(leases.keep_alive(first, at(10)), None);
        leases.remove(first);
        leases.remove(second);
        assert_eq!(leases.next_end(at(20)), None);
        assert_eq!(leases.keep_alive(first, at(0)), None);
    }

    #[test]
    fn an_endless_lease_is_never_over() {
        let mut leases = Leases::default();
        leases.start(LeaseId(1), u64::MAX, at(0));
        assert_eq!(leases.over(at(i64::from(i32::MAX))), []);
    }
}
