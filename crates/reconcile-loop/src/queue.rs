//! Keys that wait to be looked at: each once, never two workers on one, failed ones later and later.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Delay after the first failure; doubles with each further one (client-go's `DefaultControllerRateLimiter`).
const FIRST_DELAY: Duration = Duration::from_millis(5);

/// Longest delay. Upstream goes up to 1,000 s to protect a shared API server; here the server is in the same process, and
/// someone is waiting.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// A queue of keys for several workers.
#[derive(Debug)]
pub struct WorkQueue<K> {
    state: Mutex<State<K>>,
    woken: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    /// Keys in `ready` or to be put there when their worker is done.
    dirty: HashMap<K, Instant>,
    running: HashSet<K>,
    later: BTreeSet<(Instant, u64)>,
    delayed: BTreeMap<u64, K>,
    ticket: u64,
    failures: HashMap<K, u32>,
}

impl<K> Default for WorkQueue<K> {
    fn default() -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: HashMap::new(),
            running: HashSet::new(),
            later: BTreeSet::new(),
            delayed: BTreeMap::new(),
            ticket: 0,
            failures: HashMap::new(),
        };
        Self {
            state: Mutex::new(state),
            woken: Notify::new(),
        }
    }
}

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    /// Adds a key unless it waits already. True when it was added.
    pub fn add(&self, key: K) -> bool {
        let added = self.lock().add(key, Instant::now());
        if added {
            self.woken.notify_one();
        }
        added
    }

    /// Adds a key after a delay.
    pub fn add_after(&self, key: K, delay: Duration) {
        let mut state = self.lock();
        let ticket = state.ticket;
        state.ticket += 1;
        state.later.insert((Instant::now() + delay, ticket));
        state.delayed.insert(ticket, key);
        drop(state);
        // A waiting worker may have to wake earlier than it thinks.
        self.woken.notify_one();
    }

    /// Adds a key after a delay that grows with its failures in a row. Gives the delay.
    pub fn retry(&self, key: K) -> Duration {
        let failures = {
            let mut state = self.lock();
            let failures = state.failures.entry(key.clone()).or_insert(0);
            *failures += 1;
            *failures
        };
        let doublings = (failures - 1).min(20);
        let delay = FIRST_DELAY.saturating_mul(1 << doublings).min(LONGEST_DELAY);
        self.add_after(key, delay);
        delay
    }

    /// Forgets the failures of a key.
    pub fn forget(&self, key: &K) {
        self.lock().failures.remove(key);
    }

    /// The next key, and how long it waited. [`WorkQueue::done`] must follow.
    pub async fn next(&self) -> (K, Duration) {
        loop {
            let woken = self.woken.notified();
            let earliest = {
                let mut state = self.lock();
                let now = Instant::now();
                state.promote(now);
                if let Some(key) = state.ready.pop_front() {
                    let since = state.dirty.remove(&key);
                    state.running.insert(key.clone());
                    if !state.ready.is_empty() {
                        self.woken.notify_one();
                    }
                    return (key, since.map_or(Duration::ZERO, |since| now - since));
                }
                state.later.first().map(|(at, _)| *at)
            };
            match earliest {
                // Either is a reason to look again.
                Some(at) => drop(tokio::time::timeout_at(at, woken).await),
                None => woken.await,
            }
        }
    }

    /// The worker is done with the key; it is ready again if it was added meanwhile.
    pub fn done(&self, key: &K) {
        let mut state = self.lock();
        state.running.remove(key);
        if state.dirty.contains_key(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.woken.notify_one();
        }
    }

    /// How many keys wait for a worker.
    pub fn len(&self) -> usize {
        self.lock().dirty.len()
    }

    /// Does no key wait?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K, now: Instant) -> bool {
        if self.dirty.contains_key(&key) {
            return false;
        }
        self.dirty.insert(key.clone(), now);
        if !self.running.contains(&key) {
            self.ready.push_back(key);
        }
        true
    }

    fn promote(&mut self, now: Instant) {
        while let Some((at, ticket)) = self.later.first().copied().filter(|(at, _)| *at <= now) {
            self.later.remove(&(at, ticket));
            if let Some(key) = self.delayed.remove(&ticket) {
                self.add(key, now);
            }
        }
    }
}

#[cfg(test)]
mod tests;
