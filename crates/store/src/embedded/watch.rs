//! The stream of a watcher: from disk while it is behind, then from memory.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;

use super::disk::Disk;
use super::feed::{Feed, Interest, Next};
use super::reader::Snapshot;
use crate::{Revision, StoreError, WatchBatch, WatchRequest};

/// Records read from disk at once by a watcher that is behind.
const CHUNK: usize = 128;

/// A running watch.
pub(super) struct Watch {
    disk: Arc<Disk>,
    feed: Arc<Feed>,
    interest: Interest,
    id: u64,
    /// Batches read from disk and not yet delivered.
    from_disk: VecDeque<WatchBatch>,
    ended: bool,
}

impl Watch {
    pub(super) fn start(disk: Arc<Disk>, feed: Arc<Feed>, request: WatchRequest) -> Result<Self, StoreError> {
        let interest = Interest {
            start: request.start,
            end: request.end,
        };
        // Joined before the check: whatever is compacted afterwards is noticed when it is read.
        let id = feed.join(interest.clone(), request.from, request.progress);
        let watch = Self {
            disk,
            feed,
            interest,
            id,
            from_disk: VecDeque::new(),
            ended: false,
        };
        if let Some(from) = request.from {
            let compacted = Snapshot::take(&watch.disk)?.compacted;
            if from < compacted {
                return Err(StoreError::Compacted {
                    requested: from,
                    oldest: compacted,
                });
            }
        }
        Ok(watch)
    }

    /// Reads the next chunk of the log.
    fn read_on(&mut self, next: Revision) -> Result<(), StoreError> {
        let (batches, next) = Snapshot::take(&self.disk)?.log(next, CHUNK)?;
        let mut told = None;
        for batch in batches {
            if let WatchBatch::Events { revision, events } = batch {
                let events = self.interest.pick(&events);
                if !events.is_empty() {
                    told = Some(revision);
                    self.from_disk.push_back(WatchBatch::Events { revision, events });
                }
            }
        }
        self.feed.caught_up(self.id, next, told);
        Ok(())
    }

    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Result<WatchBatch, StoreError>> {
        if let Some(batch) = self.from_disk.pop_front() {
            return Poll::Ready(Ok(batch));
        }
        match ready!(self.feed.poll_next(self.id, context))? {
            Next::Batch(batch) => Poll::Ready(Ok(batch)),
            Next::Behind(next) => {
                self.read_on(next)?;
                // One chunk at a time, so that catching up with a long history does not hold up other tasks.
                match self.from_disk.pop_front() {
                    Some(batch) => Poll::Ready(Ok(batch)),
                    None => {
                        context.waker().wake_by_ref();
                        Poll::Pending
                    }
                }
            }
        }
    }
}

impl Stream for Watch {
    type Item = Result<WatchBatch, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = ready!(self.poll_batch(context));
        self.ended = item.is_err();
        Poll::Ready(Some(item))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.feed.leave(self.id);
    }
}
