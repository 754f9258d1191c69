//! Which events are new, which are repetitions to count, and which are too many. Source of the rules: client-go's `EventCorrelator`.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use plan::{EventRecord, since};

/// Events one source may record about one object at once.
const BURST: f64 = 25.0;
/// How long until the source may record one more.
const REFILL: Duration = Duration::from_secs(300);
/// How long a repetition is counted on the event it repeats.
const MEMORY: Duration = Duration::from_secs(600);
/// Most events that are remembered; the oldest are forgotten first.
const REMEMBERED: usize = 1024;

/// What to do with an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Create it under this name.
    Create {
        /// Name of the event object.
        name: String,
    },
    /// Raise the count of an earlier one.
    Count {
        /// Name of the event object.
        name: String,
        /// How often it has been seen.
        count: i32,
        /// When it was first seen.
        first: Time,
    },
    /// Record nothing.
    Drop,
}

#[derive(Clone, Debug)]
struct Remembered {
    name: String,
    count: i32,
    first: Time,
    last: Time,
}

#[derive(Clone, Debug)]
struct Bucket {
    tokens: f64,
    at: Timestamp,
}

/// Remembers the events of the last minutes.
#[derive(Debug, Default)]
pub(crate) struct Correlator {
    seen: BTreeMap<String, Remembered>,
    buckets: BTreeMap<String, Bucket>,
    serial: u64,
}

impl Correlator {
    /// Judges an event of `source` at `now`.
    pub(crate) fn judge(&mut self, source: &str, event: &EventRecord, now: Timestamp) -> Verdict {
        let object = format!(
            "{source}/{}/{}/{}/{}",
            event.regarding.kind.as_deref().unwrap_or_default(),
            event.regarding.namespace.as_deref().unwrap_or_default(),
            event.regarding.name.as_deref().unwrap_or_default(),
            event.regarding.uid.as_deref().unwrap_or_default(),
        );
        if !self.may_record(&object, now) {
            return Verdict::Drop;
        }
        let key = format!("{object}/{}/{}/{}", event.kind, event.reason, event.message);
        let time = plan::whole_seconds(now);
        if let Some(known) = self.seen.get_mut(&key).filter(|known| since(&known.last, now) < MEMORY) {
            known.count += 1;
            known.last = time;
            return Verdict::Count {
                name: known.name.clone(),
                count: known.count,
                first: known.first.clone(),
            };
        }
        self.forget(now);
        self.serial += 1;
        let unique = u64::try_from(now.as_nanosecond())
            .unwrap_or(0)
            .wrapping_add(self.serial);
        let name = format!("{}.{unique:x}", event.regarding.name.as_deref().unwrap_or_default());
        self.seen.insert(
            key,
            Remembered {
                name: name.clone(),
                count: 1,
                first: time.clone(),
                last: time,
            },
        );
        Verdict::Create { name }
    }

    fn may_record(&mut self, object: &str, now: Timestamp) -> bool {
        let bucket = self
            .buckets
            .entry(object.to_owned())
            .or_insert(Bucket { tokens: BURST, at: now });
        let passed = since(&Time(bucket.at), now);
        bucket.tokens = (bucket.tokens + passed.as_secs_f64() / REFILL.as_secs_f64()).min(BURST);
        bucket.at = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    fn forget(&mut self, now: Timestamp) {
        if self.seen.len() >= REMEMBERED {
            self.seen.retain(|_, known| since(&known.last, now) < MEMORY);
        }
        if self.seen.len() >= REMEMBERED {
            self.seen.clear();
        }
        if self.buckets.len() >= REMEMBERED {
            self.buckets.clear();
        }
    }
}

#[cfg(test)]
mod tests;
