//! The newest events in memory, and who waits for them.
//!
//! Watchers pull: each has the revision that it wants next. One that is up to date and whose range a transaction does
//! not touch is moved on by the publisher without being woken; one that has fallen behind the events kept here reads
//! on from disk. So a slow watcher costs no memory and misses nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::{Event, Revision, StoreError, WatchBatch};

/// The keys that a watcher wants to hear of.
#[derive(Debug, Clone)]
pub(super) struct Interest {
    pub(super) start: Bytes,
    pub(super) end: Option<Bytes>,
}

impl Interest {
    pub(super) fn covers(&self, key: &[u8]) -> bool {
        match &self.end {
            None => key == self.start,
            Some(end) => key >= self.start.as_ref() && (end.is_empty() || key < end.as_ref()),
        }
    }

    /// The events of `events` that it covers.
    pub(super) fn pick(&self, events: &[Event]) -> Vec<Event> {
        events
            .iter()
            .filter(|event| self.covers(&event.item.key))
            .cloned()
            .collect()
    }
}

/// One transaction's events.
#[derive(Debug)]
struct Published {
    revision: Revision,
    events: Arc<[Event]>,
    bytes: usize,
}

#[derive(Debug)]
struct Watcher {
    interest: Interest,
    /// The first revision that it has not seen.
    next: Revision,
    /// The last revision that it was told of, by events or by progress.
    told: Revision,
    progress: bool,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct State {
    recent: VecDeque<Published>,
    bytes: usize,
    /// The newest revision published.
    revision: Revision,
    watchers: BTreeMap<u64, Watcher>,
    next_watcher: u64,
    /// Why nothing will ever be published again.
    closed: Option<StoreError>,
}

/// The meeting point of the writer and the watchers.
#[derive(Debug)]
pub(super) struct Feed {
    state: Mutex<State>,
    /// Bytes of events to keep.
    capacity: usize,
}

/// What a watcher that asks for more is told.
pub(super) enum Next {
    Batch(WatchBatch),
    /// It wants revisions that are only on disk, from this one on.
    Behind(Revision),
}

impl Feed {
    pub(super) fn new(revision: Revision, capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                revision,
                ..State::default()
            }),
            capacity,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it, so a poisoned state is still sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest revision published.
    pub(super) fn revision(&self) -> Revision {
        self.state().revision
    }

    /// Makes one committed transaction's events visible.
    pub(super) fn publish(&self, revision: Revision, events: Vec<Event>) {
        let mut state = self.state();
        let state = &mut *state;
        state.revision = revision;
        for watcher in state.watchers.values_mut() {
            let touched =
                watcher.next <= revision && events.iter().any(|event| watcher.interest.covers(&event.item.key));
            if !touched && watcher.next == revision {
                watcher.next = revision + 1;
            }
            if touched || watcher.progress {
                watcher.waker.take().into_iter().for_each(Waker::wake);
            }
        }
        let bytes = events.iter().map(size).sum();
        state.recent.push_back(Published {
            revision,
            events: events.into(),
            bytes,
        });
        state.bytes += bytes;
        while state.bytes > self.capacity
            && let Some(oldest) = state.recent.pop_front()
        {
            state.bytes -= oldest.bytes;
        }
    }

    /// Tells every watcher, now and later, that there will be nothing more.
    pub(super) fn close(&self, reason: &StoreError) {
        let mut state = self.state();
        state.closed.get_or_insert_with(|| reason.clone());
        for watcher in state.watchers.values_mut() {
            watcher.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Adds a watcher that wants what comes from `from` on, or from now on. Returns its number.
    pub(super) fn join(&self, interest: Interest, from: Option<Revision>, progress: bool) -> u64 {
        let mut state = self.state();
        let id = state.next_watcher;
        state.next_watcher += 1;
        let next = from.unwrap_or(state.revision + 1);
        state.watchers.insert(
            id,
            Watcher {
                interest,
                next,
                told: next.saturating_sub(1),
                progress,
                waker: None,
            },
        );
        id
    }

    pub(super) fn leave(&self, id: u64) {
        self.state().watchers.remove(&id);
    }

    /// Moves a watcher on after it has read from disk up to before `next`, the last of it events of `told`.
    pub(super) fn caught_up(&self, id: u64, next: Revision, told: Option<Revision>) {
        if let Some(watcher) = self.state().watchers.get_mut(&id) {
            watcher.next = watcher.next.max(next);
            watcher.told = watcher.told.max(told.unwrap_or(0));
        }
    }

    /// The next piece for watcher `id`.
    pub(super) fn poll_next(&self, id: u64, context: &Context<'_>) -> Poll<Result<Next, StoreError>> {
        let mut state = self.state();
        let State {
            recent,
            revision: newest,
            watchers,
            closed,
            ..
        } = &mut *state;
        let Some(watcher) = watchers.get_mut(&id) else {
            return Poll::Ready(Err(StoreError::Invalid("the watch has ended".to_owned())));
        };
        if watcher.next <= *newest {
            // Revisions follow each other without gaps, so the place of one is known.
            let oldest = recent.front().map_or(*newest + 1, |oldest| oldest.revision);
            let Some(skip) = watcher.next.checked_sub(oldest) else {
                return Poll::Ready(Ok(Next::Behind(watcher.next)));
            };
            for published in recent.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)) {
                watcher.next = published.revision + 1;
                let events = watcher.interest.pick(&published.events);
                if !events.is_empty() {
                    watcher.told = published.revision;
                    return Poll::Ready(Ok(Next::Batch(WatchBatch::Events {
                        revision: published.revision,
                        events,
                    })));
                }
            }
        }
        if watcher.progress && watcher.told + 1 < watcher.next {
            watcher.told = watcher.next - 1;
            return Poll::Ready(Ok(Next::Batch(WatchBatch::Progress { revision: watcher.told })));
        }
        if let Some(reason) = closed {
            return Poll::Ready(Err(reason.clone()));
        }
        watcher.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

/// What an event costs to keep, in bytes.
fn size(event: &Event) -> usize {
    let previous = event
        .previous
        .as_ref()
        .map_or(0, |previous| previous.key.len() + previous.value.len());
    size_of::<Event>() + event.item.key.len() + event.item.value.len() + previous
}
