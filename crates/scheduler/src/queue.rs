//! The pods that wait: those to decide on now, those to try again soon, those that need a change, those with a gate.
//!
//! Source of the rules: upstream's `SchedulingQueue`. Its pauses are 1 to 10 s to protect a shared API server; here they
//! begin at 20 ms, because the server is in the same process and someone is waiting.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube_types::ObjectKey;
use scheduling::plugin::FILTERS;
use scheduling::{ClusterChange, PodInfo};
use tokio::time::Instant;

/// The pause after the first failed attempt; doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A pod that nothing has woken for so long is tried all the same, in case an occurrence was missed. As upstream.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);

/// A pod that waits.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) pod: PodInfo,
    /// Attempts so far.
    pub(crate) attempts: u32,
    /// When it came into the queue for the first time.
    pub(crate) since: Instant,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// To be decided on, in this order.
    Active(Order),
    /// To be tried again then.
    Backoff(Instant),
    /// Waits for an occurrence that one of these plugins cares for.
    Unschedulable {
        plugins: BTreeSet<&'static str>,
        since: Instant,
        not_before: Instant,
    },
    /// Has scheduling gates.
    Gated,
}

/// Important pods first, then those that came first.
type Order = (Reverse<i32>, u64);

/// The queue. Keys are uids.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pods: BTreeMap<String, Waiting>,
    active: BTreeMap<Order, String>,
    tickets: u64,
}

/// How many pods wait in which part.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) active: usize,
    pub(crate) backoff: usize,
    pub(crate) unschedulable: usize,
    pub(crate) gated: usize,
}

impl Waiting {
    /// Where the pod waits, in words.
    pub(crate) fn place(&self, now: Instant) -> String {
        match &self.place {
            Place::Active(_) => "is decided on next".to_owned(),
            Place::Backoff(until) => {
                let left = until.saturating_duration_since(now);
                format!("is tried again in {:.1} s", left.as_secs_f64())
            }
            Place::Unschedulable { plugins, .. } => {
                let plugins: Vec<&str> = plugins.iter().copied().collect();
                format!("waits for a change that matters to {}", plugins.join(", "))
            }
            Place::Gated => {
                let gates = self
                    .pod
                    .pod
                    .spec
                    .iter()
                    .flat_map(|spec| spec.scheduling_gates.iter().flatten());
                let names: Vec<&str> = gates.map(|gate| gate.name.as_str()).collect();
                format!("is held by scheduling gates: {}", names.join(", "))
            }
        }
    }
}

impl Queue {
    /// The waiting pod with this key.
    pub(crate) fn find(&self, key: &ObjectKey) -> Option<&Waiting> {
        self.pods
            .values()
            .find(|waiting| ObjectKey::of(waiting.pod.pod.as_ref()) == *key)
    }

    /// A pod came, or changed in a way that may matter: it is decided on next, unless a gate holds it or it has just
    /// failed.
    pub(crate) fn put(&mut self, pod: PodInfo, now: Instant) {
        let uid = pod.uid().to_owned();
        let known = self.take(&uid);
        let (attempts, since) = known.as_ref().map_or((0, now), |known| (known.attempts, known.since));
        let gates = pod
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.scheduling_gates.as_deref())
            .unwrap_or_default();
        let place = match known.map(|known| known.place) {
            _ if !gates.is_empty() => Place::Gated,
            Some(Place::Backoff(until)) => Place::Backoff(until),
            Some(Place::Unschedulable { not_before, .. }) if not_before > now => Place::Backoff(not_before),
            _ => Place::Active(self.order(&pod)),
        };
        self.insert(
            uid,
            Waiting {
                pod,
                attempts,
                since,
                place,
            },
        );
    }

    /// The pod's status changed and nothing that matters for its placement: it stays where it is.
    pub(crate) fn refresh(&mut self, pod: PodInfo) -> bool {
        let known = self.pods.get_mut(pod.uid());
        known.map(|known| known.pod = pod).is_some()
    }

    /// The pod is gone, or has a node.
    pub(crate) fn remove(&mut self, uid: &str) {
        self.take(uid);
    }

    /// Takes the next pod to decide on.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Waiting> {
        self.promote(now);
        let uid = self.active.first_key_value()?.1.clone();
        let mut waiting = self.take(&uid)?;
        waiting.attempts += 1;
        Some(waiting)
    }

    /// When to look again if nothing happens until then.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = |waiting: &Waiting| match &waiting.place {
            Place::Active(_) | Place::Gated => None,
            Place::Backoff(until) => Some(*until),
            Place::Unschedulable { since, .. } => Some(*since + FORGOTTEN_AFTER),
        };
        self.pods.values().filter_map(due).min()
    }

    /// No node takes the pod: it waits until something happens that one of the plugins that rejected it cares for.
    pub(crate) fn unschedulable(&mut self, waiting: Waiting, plugins: BTreeSet<&'static str>, now: Instant) {
        let not_before = now + pause(waiting.attempts);
        let place = Place::Unschedulable {
            plugins,
            since: now,
            not_before,
        };
        self.insert(waiting.pod.uid().to_owned(), Waiting { place, ..waiting });
    }

    /// The attempt failed for another reason than the pod: it is tried again.
    pub(crate) fn retry(&mut self, waiting: Waiting, now: Instant) {
        let place = Place::Backoff(now + pause(waiting.attempts));
        self.insert(waiting.pod.uid().to_owned(), Waiting { place, ..waiting });
    }

    /// Something happened: pods that it may help are tried again.
    pub(crate) fn wake(&mut self, change: ClusterChange, now: Instant) {
        let cares = |plugin: &&'static str| {
            FILTERS
                .iter()
                .any(|filter| filter.name() == *plugin && filter.wakes_on().contains(&change))
        };
        let woken = |waiting: &Waiting| match &waiting.place {
            // Without nodes there were no plugins to ask: only a node helps.
            Place::Unschedulable { plugins, .. } if plugins.is_empty() => change == ClusterChange::NodeAdded,
            Place::Unschedulable { plugins, .. } => plugins.iter().any(cares),
            _ => false,
        };
        let uids: Vec<String> = self
            .pods
            .iter()
            .filter(|(_, waiting)| woken(waiting))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in uids {
            if let Some(waiting) = self.take(&uid) {
                let place = match waiting.place {
                    Place::Unschedulable { not_before, .. } if not_before > now => Place::Backoff(not_before),
                    _ => Place::Active(self.order(&waiting.pod)),
                };
                self.insert(uid, Waiting { place, ..waiting });
            }
        }
    }

    /// How many pods wait where.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for waiting in self.pods.values() {
            match waiting.place {
                Place::Active(_) => counts.active += 1,
                Place::Backoff(_) => counts.backoff += 1,
                Place::Unschedulable { .. } => counts.unschedulable += 1,
                Place::Gated => counts.gated += 1,
            }
        }
        counts
    }

    /// Pods whose pause is over, or that were forgotten, become active.
    fn promote(&mut self, now: Instant) {
        let due = |waiting: &Waiting| match &waiting.place {
            Place::Active(_) | Place::Gated => false,
            Place::Backoff(until) => *until <= now,
            Place::Unschedulable { since, .. } => *since + FORGOTTEN_AFTER <= now,
        };
        let uids: Vec<String> = self
            .pods
            .iter()
            .filter(|(_, waiting)| due(waiting))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in uids {
            if let Some(waiting) = self.take(&uid) {
                let place = Place::Active(self.order(&waiting.pod));
                self.insert(uid, Waiting { place, ..waiting });
            }
        }
    }

    fn order(&mut self, pod: &PodInfo) -> Order {
        self.tickets += 1;
        (Reverse(pod.priority()), self.tickets)
    }

    fn insert(&mut self, uid: String, waiting: Waiting) {
        if let Place::Active(order) = &waiting.place {
            self.active.insert(*order, uid.clone());
        }
        self.pods.insert(uid, waiting);
    }

    fn take(&mut self, uid: &str) -> Option<Waiting> {
        let waiting = self.pods.remove(uid)?;
        if let Place::Active(order) = &waiting.place {
            self.active.remove(order);
        }
        Some(waiting)
    }
}

/// The pause after this many attempts.
fn pause(attempts: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << attempts.saturating_sub(1).min(16))
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
