//! One priority level at work: its queues behind a lock, and the requests that wait for their turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flow_control::levels::{Demand, Level, Limits};
use flow_control::queues::{Arrival, Id, QueueSet};
use tokio::sync::oneshot;

/// A priority level. Clones of its `Arc` are held by the requests in it.
pub(super) struct Entry {
    pub level: Level,
    pub limits: Limits,
    state: Mutex<State>,
}

pub(super) struct State {
    pub queues: QueueSet,
    /// Who waits, and what tells him that he may run.
    waiting: HashMap<Id, Waiting>,
    next: Id,
    demand: Meter,
    /// Demand that counts, from period to period.
    pub smooth: f64,
}

/// A request that waits.
struct Waiting {
    tell: oneshot::Sender<()>,
    schema: String,
    user: String,
    since: Instant,
}

/// A request that is shown.
pub(super) struct Shown {
    pub schema: String,
    pub user: String,
    pub waits: Duration,
}

/// Why a request is refused, as metrics name it.
#[derive(Debug)]
pub(super) struct Refused(pub &'static str);

/// Seats of a level, free again when this is dropped; a request that is given up while it waits gives up its place.
pub(super) struct Seat {
    entry: Arc<Entry>,
    began: Instant,
    id: Id,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let now = self.began.elapsed().as_secs_f64();
        let mut state = self.entry.lock();
        state.waiting.remove(&self.id);
        if !state.queues.cancel(self.id, now) {
            state.queues.finish(self.id, now);
        }
        state.go_on(now);
    }
}

impl Entry {
    pub fn new(level: Level, limits: Limits, now: f64) -> Self {
        let state = State {
            queues: QueueSet::new(level.response, limits.nominal.max(1), now),
            waiting: HashMap::new(),
            next: 0,
            demand: Meter::new(now),
            smooth: 0.0,
        };
        Self {
            level,
            limits,
            state: Mutex::new(state),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for seats, no longer than `limit`.
    pub async fn enter(
        self: Arc<Self>,
        began: Instant,
        flow: u64,
        width: u32,
        schema: &str,
        user: &str,
        limit: Duration,
    ) -> Result<Seat, Refused> {
        let (id, told) = {
            let now = began.elapsed().as_secs_f64();
            let mut state = self.lock();
            let id = state.next;
            state.next += 1;
            let arrival = state.queues.arrive(id, flow, width, now);
            state.measure(now);
            match arrival {
                Arrival::Reject(reason) => return Err(Refused(reason)),
                Arrival::Run => (id, None),
                Arrival::Wait => {
                    let (tell, told) = oneshot::channel();
                    let waiting = Waiting {
                        tell,
                        schema: schema.to_owned(),
                        user: user.to_owned(),
                        since: Instant::now(),
                    };
                    state.waiting.insert(id, waiting);
                    (id, Some(told))
                }
            }
        };
        let seat = Seat { entry: self, began, id };
        match told {
            None => Ok(seat),
            Some(told) => match tokio::time::timeout(limit, told).await {
                Ok(Ok(())) => Ok(seat),
                Ok(Err(_dropped)) => Err(Refused("cancelled")),
                Err(_elapsed) => Err(Refused("time-out")),
            },
        }
    }
}

impl State {
    /// Lets those run that may now.
    pub fn go_on(&mut self, now: f64) {
        for id in self.queues.dispatch(now) {
            let told = self
                .waiting
                .remove(&id)
                .is_some_and(|waiting| waiting.tell.send(()).is_ok());
            if !told {
                tracing::trace!(id, "a request was given up while it waited");
            }
        }
        self.measure(now);
    }

    fn measure(&mut self, now: f64) {
        let demand = f64::from(self.queues.demand());
        self.demand.set(demand, now);
    }

    /// What was wanted since this was asked last.
    pub fn take_demand(&mut self, now: f64) -> Demand {
        self.demand.take(now)
    }

    /// What is known of a request that waits.
    pub fn shown(&self, id: Id) -> Option<Shown> {
        let waiting = self.waiting.get(&id)?;
        Some(Shown {
            schema: waiting.schema.clone(),
            user: waiting.user.clone(),
            waits: waiting.since.elapsed(),
        })
    }
}

/// A number over time: its maximum, mean and deviation.
struct Meter {
    value: f64,
    at: f64,
    began: f64,
    high: f64,
    sum: f64,
    squares: f64,
}

impl Meter {
    fn new(now: f64) -> Self {
        Self {
            value: 0.0,
            at: now,
            began: now,
            high: 0.0,
            sum: 0.0,
            squares: 0.0,
        }
    }

    fn set(&mut self, value: f64, now: f64) {
        let passed = (now - self.at).max(0.0);
        self.sum += self.value * passed;
        self.squares += self.value * self.value * passed;
        self.at = self.at.max(now);
        self.value = value;
        self.high = self.high.max(value);
    }

    fn take(&mut self, now: f64) -> Demand {
        self.set(self.value, now);
        let length = self.at - self.began;
        let mean = if length > 0.0 { self.sum / length } else { self.value };
        let variance = if length > 0.0 {
            self.squares / length - mean * mean
        } else {
            0.0
        };
        let demand = Demand {
            high: self.high,
            mean,
            deviation: variance.max(0.0).sqrt(),
        };
        *self = Self {
            value: self.value,
            high: self.value,
            ..Self::new(self.at)
        };
        demand
    }
}
