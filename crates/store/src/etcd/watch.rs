//! A watch on etcd: reconnected from the last revision, without gaps, or told that history is gone.
//!
//! It follows all keys of the etcd cluster, and tells those of the store. Every revision has an event then, so that how
//! far the watch has come is known at once and exactly; etcd's own progress notices come every ten minutes, and those
//! that are asked for overtook events before 3.4.25 and 3.5.8.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use tonic::{Status, Streaming};

use super::EtcdStore;
use super::connection::{Refusal, refusal};
use super::wire::watch_request::RequestUnion;
use super::wire::{self, WatchCreateRequest, WatchResponse, event::EventType};
use crate::{Event, EventKind, Revision, StoreError, WatchBatch, WatchRequest, WatchStream};

/// How often a broken watch is begun anew before its reader hears of it, and the longest pause between two attempts.
const ATTEMPTS: u32 = 10;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// All keys, as etcd spells it.
const EVERYTHING: &[u8] = b"\0";

/// A running watch.
struct Watch {
    store: Arc<EtcdStore>,
    request: WatchRequest,
    /// The first revision that has not been delivered.
    next: Revision,
    stream: Streaming<WatchResponse>,
    /// Parts of a response that has not come whole.
    parts: Vec<wire::Event>,
    ready: VecDeque<WatchBatch>,
    ended: bool,
}

/// Begins a watch. The answer comes when etcd has begun it.
pub(super) async fn start(store: Arc<EtcdStore>, request: WatchRequest) -> Result<WatchStream, StoreError> {
    let current = store.newest_revision().await?;
    let next = request.from.unwrap_or(current + 1);
    // A deletion at the very revision of a compaction is forgotten by etcd before 3.4.36 and 3.5.18.
    if next <= current {
        store.check_history(next).await?;
    }
    let stream = open(&store, next).await.map_err(|status| broken("watch", status))?;
    let watch = Watch {
        store,
        request,
        next,
        stream,
        parts: Vec::new(),
        ready: VecDeque::new(),
        ended: false,
    };
    Ok(Box::pin(stream::unfold(watch, |mut watch| async move {
        let item = watch.batch().await?;
        watch.ended = item.is_err();
        Some((item, watch))
    })))
}

/// A stream of all events from a revision on.
pub(super) async fn open(store: &EtcdStore, from: Revision) -> Result<Streaming<WatchResponse>, Status> {
    let connection = &store.connection;
    let begin = async || {
        let create = WatchCreateRequest {
            key: Bytes::from_static(EVERYTHING),
            range_end: Bytes::from_static(EVERYTHING),
            start_revision: i64::try_from(from).unwrap_or(i64::MAX),
            prev_kv: true,
            fragment: true,
        };
        let request = wire::WatchRequest {
            request_union: Some(RequestUnion::CreateRequest(create)),
        };
        // The side of the requests stays open: its end would end the watch.
        let requests = stream::once(async move { request }).chain(stream::pending());
        let mut stream = connection
            .watch()
            .watch(connection.request(requests))
            .await?
            .into_inner();
        match stream.message().await? {
            Some(answer) if answer.created && !answer.canceled => Ok(stream),
            Some(answer) if answer.cancel_reason.contains("permission denied") => Err(Status::permission_denied(
                "the user may not read all keys of etcd, which a watch needs",
            )),
            Some(answer) => Err(Status::unavailable(answer.cancel_reason)),
            None => Err(Status::unavailable("the watch ended before it began")),
        }
    };
    connection.ask("begin a watch", begin).await
}

impl Watch {
    async fn batch(&mut self) -> Option<Result<WatchBatch, StoreError>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(batch) = self.ready.pop_front() {
                return Some(Ok(batch));
            }
            let response = match self.stream.message().await {
                Ok(Some(response)) => response,
                Ok(None) => match self.begin_again(Status::unavailable("the stream ended")).await {
                    Ok(()) => continue,
                    Err(error) => return Some(Err(error)),
                },
                Err(status) => match self.begin_again(status).await {
                    Ok(()) => continue,
                    Err(error) => return Some(Err(error)),
                },
            };
            if response.canceled {
                match self.canceled(&response).await {
                    Ok(()) => continue,
                    Err(error) => return Some(Err(error)),
                }
            }
            self.parts.extend(response.events);
            if !response.fragment {
                let events = std::mem::take(&mut self.parts);
                self.sort(events);
            }
        }
    }

    async fn canceled(&mut self, response: &WatchResponse) -> Result<(), StoreError> {
        if response.compact_revision > 0 {
            return Err(StoreError::Compacted {
                requested: self.next,
                oldest: wire::revision(response.compact_revision),
            });
        }
        self.begin_again(Status::unavailable(response.cancel_reason.clone()))
            .await
    }

    /// Puts the events of each revision together and leaves out those of others.
    fn sort(&mut self, events: Vec<wire::Event>) {
        let mut events = events.into_iter().peekable();
        let mut silent = None;
        while let Some(first) = events.next() {
            let revision = revision_of(&first);
            let mut mine: Vec<Event> = self.event(first).into_iter().collect();
            while let Some(event) = events.next_if(|event| revision_of(event) == revision) {
                mine.extend(self.event(event));
            }
            self.next = revision + 1;
            if mine.is_empty() {
                silent = Some(revision);
            } else {
                silent = None;
                self.ready.push_back(WatchBatch::Events { revision, events: mine });
            }
        }
        if let Some(revision) = silent.filter(|_| self.request.progress) {
            self.ready.push_back(WatchBatch::Progress { revision });
        }
    }

    /// The event as the store tells it, if its key is watched.
    fn event(&self, event: wire::Event) -> Option<Event> {
        let kind = match event.r#type() {
            EventType::Put => EventKind::Put,
            EventType::Delete => EventKind::Delete,
        };
        let item = self.store.item(event.kv?)?;
        let watched = match &self.request.end {
            None => item.key == self.request.start,
            Some(end) => item.key >= self.request.start && (end.is_empty() || item.key < *end),
        };
        watched.then(|| Event {
            kind,
            item,
            previous: event.prev_kv.and_then(|previous| self.store.item(previous)),
        })
    }

    /// Goes on where the broken stream was, when a member answers again.
    async fn begin_again(&mut self, mut status: Status) -> Result<(), StoreError> {
        self.parts.clear();
        for attempt in 0..ATTEMPTS {
            if matches!(refusal(&status), Refusal::Compacted | Refusal::Invalid) {
                break;
            }
            tracing::info!(error = %status, from = self.next, "a watch on etcd is begun anew");
            supervision::sleep(Duration::from_millis(50 << attempt).min(LONGEST_PAUSE)).await;
            match open(&self.store, self.next).await {
                Ok(stream) => {
                    self.stream = stream;
                    return self.store.check_history(self.next).await;
                }
                Err(again) => status = again,
            }
        }
        Err(broken("watch", status))
    }
}

fn revision_of(event: &wire::Event) -> Revision {
    event.kv.as_ref().map_or(0, |kv| wire::revision(kv.mod_revision))
}

fn broken(what: &str, status: Status) -> StoreError {
    super::connection::unavailable(what, status)
}
