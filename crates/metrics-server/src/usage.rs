//! From two scrapes of a node to what it and its pods use, by metrics-server's rules (`pkg/storage`).

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;

use crate::exposition::{Counters, Scrape};

/// What something used within a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// Billionths of a core.
    pub cpu_nanocores: u64,
    /// Working set in bytes.
    pub memory_bytes: u64,
}

/// A measurement: what was used up to a time, over how long.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured<T> {
    pub until: Timestamp,
    pub window: Duration,
    pub usage: T,
}

/// A scrape and when it was made.
type Stamped = (Timestamp, Scrape);

/// The last two scrapes of each node.
#[derive(Default)]
pub(crate) struct Store(RwLock<BTreeMap<String, [Option<Stamped>; 2]>>);

impl Store {
    /// Takes a scrape in. One in which the node's own counter went back is that of a node that started anew, and
    /// the first one of it.
    pub fn add(&self, node: &str, at: Timestamp, scrape: Scrape) {
        let mut nodes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let kept = nodes.entry(node.to_owned()).or_default();
        let last = kept[1].take().filter(|(before, _)| *before < at);
        *kept = [last, Some((at, scrape))];
    }

    /// Forgets nodes that are gone.
    pub fn retain(&self, wanted: impl Fn(&str) -> bool) {
        let mut nodes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|node, _| wanted(node));
    }

    /// Whether anything can be said of any node.
    pub fn is_ready(&self) -> bool {
        let nodes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        nodes
            .values()
            .any(|[earlier, later]| earlier.is_some() && later.is_some())
    }

    /// What a node uses.
    pub fn node(&self, name: &str) -> Option<Measured<Usage>> {
        let nodes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let [Some((from, earlier)), Some((until, later))] = nodes.get(name)? else {
            return None;
        };
        let window = seconds_between(*from, *until)?;
        Some(Measured {
            until: *until,
            window,
            usage: between(&earlier.node, &later.node, window)?,
        })
    }

    /// What the containers of a pod use, by name; `None` until each of them has been seen twice.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<Measured<BTreeMap<String, Usage>>> {
        let key = (namespace.to_owned(), name.to_owned());
        let nodes = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // A pod is on one node; what an earlier node still says of one of the same name is older.
        let latest = nodes
            .values()
            .filter_map(|[earlier, later]| later.as_ref().map(|later| (earlier, later)))
            .filter(|(_, (_, scrape))| scrape.pods.contains_key(&key))
            .max_by_key(|(_, (at, _))| *at)?;
        let (earlier, (until, later)) = latest;
        let before = earlier
            .as_ref()
            .and_then(|(from, scrape)| Some((*from, scrape.pods.get(&key)?)));
        let mut usage = BTreeMap::new();
        let mut window = Duration::ZERO;
        for (container, counters) in &later.pods[&key] {
            let known = before.and_then(|(from, containers)| Some((from, containers.get(container)?)));
            let (from, first) = match known {
                Some((from, known)) if !restarted(known, counters) => (from, *known),
                _ => since_start(counters)?,
            };
            let measured = seconds_between(from, *until)?;
            usage.insert(container.clone(), between(&first, counters, measured)?);
            window = window.max(measured);
        }
        Some(Measured {
            until: *until,
            window,
            usage,
        })
    }
}

fn restarted(earlier: &Counters, later: &Counters) -> bool {
    earlier.started != later.started || earlier.cpu_seconds > later.cpu_seconds
}

/// A container that has just started used nothing before.
fn since_start(counters: &Counters) -> Option<(Timestamp, Counters)> {
    let started = Timestamp::from_millisecond((counters.started? * 1000.0) as i64).ok()?;
    let nothing = Counters {
        cpu_seconds: Some(0.0),
        ..Counters::default()
    };
    Some((started, nothing))
}

fn seconds_between(from: Timestamp, until: Timestamp) -> Option<Duration> {
    let length = Duration::try_from(until.duration_since(from)).ok()?;
    (!length.is_zero()).then_some(length)
}

fn between(earlier: &Counters, later: &Counters, window: Duration) -> Option<Usage> {
    let used = later.cpu_seconds? - earlier.cpu_seconds?;
    if used < 0.0 {
        return None;
    }
    Some(Usage {
        cpu_nanocores: (used / window.as_secs_f64() * 1e9) as u64,
        memory_bytes: later.memory_bytes?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000 + second).unwrap()
    }

    fn counters(cpu: f64, memory: u64, started: Option<f64>) -> Counters {
        Counters {
            cpu_seconds: Some(cpu),
            memory_bytes: Some(memory),
            started,
        }
    }

    fn scrape(cpu: f64, started: Option<f64>) -> Scrape {
        let mut scrape = Scrape {
            node: counters(cpu * 2.0, 4096, None),
            ..Scrape::default()
        };
        let containers = BTreeMap::from([("c".to_owned(), counters(cpu, 1024, started))]);
        scrape.pods.insert(("n".to_owned(), "p".to_owned()), containers);
        scrape
    }

    #[test]
    fn a_rate_needs_two_scrapes() {
        let store = Store::default();
        store.add("a", at(0), scrape(1.0, None));
        assert!(!store.is_ready());
        assert_eq!((store.node("a"), store.pod("n", "p")), (None, None));
        store.add("a", at(10), scrape(2.0, None));
        let node = store.node("a").unwrap();
        let usage = Usage {
            cpu_nanocores: 200_000_000,
            memory_bytes: 4096,
        };
        assert_eq!((node.usage, node.window), (usage, Duration::from_secs(10)));
        let pod = store.pod("n", "p").unwrap();
        assert_eq!(pod.usage["c"].cpu_nanocores, 100_000_000);
        assert_eq!(store.pod("n", "other"), None);
        store.retain(|_| false);
        assert_eq!(store.node("a"), None);
    }

    #[test]
    fn a_container_that_started_anew_counts_from_its_start() {
        let store = Store::default();
        store.add("a", at(0), scrape(50.0, Some(900.0)));
        store.add("a", at(10), scrape(1.0, Some(1_005.0)));
        let pod = store.pod("n", "p").unwrap();
        assert_eq!(
            (pod.usage["c"].cpu_nanocores, pod.window),
            (200_000_000, Duration::from_secs(5))
        );
        let unknown = Store::default();
        unknown.add("a", at(0), scrape(50.0, None));
        unknown.add("a", at(10), scrape(1.0, None));
        assert_eq!(unknown.pod("n", "p"), None);
    }
}
