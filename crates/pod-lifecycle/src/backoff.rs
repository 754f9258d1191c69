//! Exponential back-off with upstream's rules, for restarts (10 s to 5 min) and image pulls alike.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

/// Delays by key. An entry is forgotten once nothing happened for twice the longest delay.
#[derive(Clone, Debug)]
pub struct BackOff {
    first: Duration,
    longest: Duration,
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    delay: Duration,
    updated: Timestamp,
}

impl BackOff {
    /// Doubling from `first` up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            entries: BTreeMap::new(),
        }
    }

    /// Upstream's for crashed containers and failed pulls: 10 s, doubling, at most 300 s, reset after 10 min.
    pub fn of_kubelet() -> Self {
        Self::new(Duration::from_secs(10), Duration::from_secs(300))
    }

    /// Records an attempt made `now` after the failure at `event`; the next one must wait longer.
    pub fn next(&mut self, key: &str, event: Timestamp, now: Timestamp) {
        let delay = match self.entries.get(key) {
            Some(entry) if !self.expired(entry, event) => (entry.delay * 2).min(self.longest),
            _ => self.first,
        };
        self.entries.insert(key.to_owned(), Entry { delay, updated: now });
    }

    /// Until when an attempt after the failure at `event` must wait, and the delay of which that is the end.
    pub fn wait_after(&self, key: &str, event: Timestamp, now: Timestamp) -> Option<(Timestamp, Duration)> {
        let entry = self.entries.get(key).filter(|entry| !self.expired(entry, event))?;
        let until = event + entry.delay;
        (now < until).then_some((until, entry.delay))
    }

    /// As `wait_after`, counted from the last attempt: for image pulls.
    pub fn wait_after_attempt(&self, key: &str, now: Timestamp) -> Option<(Timestamp, Duration)> {
        let entry = self.entries.get(key).filter(|entry| !self.expired(entry, now))?;
        let until = entry.updated + entry.delay;
        (now < until).then_some((until, entry.delay))
    }

    /// Forgets a key.
    pub fn forget(&mut self, key: &str) {
        self.entries.remove(key);
    }

    fn expired(&self, entry: &Entry, at: Timestamp) -> bool {
        at.duration_since(entry.updated) > (self.longest * 2).try_into().unwrap_or(jiff::SignedDuration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_five_minutes_and_reset_after_ten() {
        let mut now = Timestamp::UNIX_EPOCH;
        let mut backoff = BackOff::of_kubelet();
        assert_eq!(
            backoff.wait_after("a", now, now),
            None,
            "the first failure restarts at once"
        );
        let mut delays = Vec::new();
        for _ in 0..7 {
            backoff.next("a", now, now);
            let (until, delay) = backoff.wait_after("a", now, now).unwrap();
            delays.push(delay.as_secs());
            now = until;
            assert_eq!(backoff.wait_after("a", now - Duration::from_secs(400), now), None);
        }
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
        let later = now + Duration::from_secs(1201);
        assert_eq!(backoff.wait_after("a", later, later), None);
        backoff.next("a", later, later);
        assert_eq!(backoff.wait_after("a", later, later).unwrap().1.as_secs(), 10);
    }
}
