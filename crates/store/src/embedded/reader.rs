//! Reads from a snapshot of the database: ranges at a revision, and the log for watchers that are behind.

use std::iter::Peekable;
use std::ops::Bound;

use redb::ReadOnlyTable;

use super::disk::Disk;
use super::record::{Place, Record};
use super::tables::{self, COMPACTED, CURRENT, HISTORY, META, RECORDS, failed, newest, read_record};
use crate::{Event, RangeRequest, RangeResponse, Revision, StoreError, WatchBatch};

/// The database as it was when the snapshot was taken, whatever is written meanwhile.
pub(super) struct Snapshot {
    records: ReadOnlyTable<Place, &'static [u8]>,
    current: ReadOnlyTable<&'static [u8], Place>,
    history: ReadOnlyTable<(&'static [u8], Revision), (u32, Revision)>,
    /// The newest revision.
    pub(super) revision: Revision,
    /// The oldest revision that can be read; 0 if nothing was compacted.
    pub(super) compacted: Revision,
}

/// A key and the place of its record.
type Found = Result<(Vec<u8>, Place), StoreError>;

impl Snapshot {
    pub(super) fn take(disk: &Disk) -> Result<Self, StoreError> {
        let transaction = disk.read()?;
        let records = transaction.open_table(RECORDS).map_err(failed("open the records"))?;
        let current = transaction.open_table(CURRENT).map_err(failed("open the index"))?;
        let history = transaction.open_table(HISTORY).map_err(failed("open the history"))?;
        let meta = transaction
            .open_table(META)
            .map_err(failed("open the store's numbers"))?;
        let (revision, compacted) = (newest(&records)?, tables::meta(&meta, COMPACTED)?);
        Ok(Self {
            records,
            current,
            history,
            revision,
            compacted,
        })
    }

    /// Refuses revisions that are compacted or have not happened.
    pub(super) fn check_revision(&self, requested: Revision) -> Result<(), StoreError> {
        if requested < self.compacted {
            return Err(StoreError::Compacted {
                requested,
                oldest: self.compacted,
            });
        }
        if requested > self.revision {
            return Err(StoreError::Future {
                requested,
                current: self.revision,
            });
        }
        Ok(())
    }

    /// Carries out a read, or answers `None` as soon as more than `effort` keys would have to be visited.
    pub(super) fn range(&self, request: &RangeRequest, effort: u64) -> Result<Option<RangeResponse>, StoreError> {
        let at = request.revision.unwrap_or(self.revision);
        self.check_revision(at)?;
        let (from, to) = bounds(&request.start, request.end.as_deref());
        if is_empty(&from, &to) {
            return Ok(Some(RangeResponse {
                revision: self.revision,
                items: Vec::new(),
                more: false,
                count: 0,
            }));
        }
        let current = self.current_keys(from, to, at)?;
        if at == self.revision {
            return self.collect(current, request, effort);
        }
        let history = self.superseded_keys(from, to, at)?;
        self.collect(
            Merged {
                left: current.peekable(),
                right: history.peekable(),
            },
            request,
            effort,
        )
    }

    fn collect(
        &self,
        found: impl Iterator<Item = Found>,
        request: &RangeRequest,
        effort: u64,
    ) -> Result<Option<RangeResponse>, StoreError> {
        let limit = request.limit.unwrap_or(usize::MAX);
        let mut response = RangeResponse {
            revision: self.revision,
            items: Vec::new(),
            more: false,
            count: 0,
        };
        for entry in found {
            let (_, place) = entry?;
            if response.count == effort {
                return Ok(None);
            }
            response.count += 1;
            if response.items.len() < limit {
                response
                    .items
                    .push(read_record(&self.records, place, !request.keys_only)?);
            } else {
                response.more = true;
            }
        }
        Ok(Some(response))
    }

    /// The keys whose newest record was already there at revision `at`.
    fn current_keys(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        at: Revision,
    ) -> Result<impl Iterator<Item = Found> + use<>, StoreError> {
        let entries = self
            .current
            .range::<&[u8]>((from, to))
            .map_err(failed("read the index"))?;
        Ok(entries.filter_map(move |entry| match entry {
            Ok((key, place)) => {
                let place = place.value();
                (place.0 <= at).then(|| Ok((key.value().to_vec(), place)))
            }
            Err(error) => Some(Err(failed("read the index")(error))),
        }))
    }

    /// The superseded records that were the newest of their keys at revision `at`.
    fn superseded_keys(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        at: Revision,
    ) -> Result<impl Iterator<Item = Found> + use<>, StoreError> {
        let from = match from {
            Bound::Included(key) => Bound::Included((key, 0)),
            Bound::Excluded(key) => Bound::Excluded((key, Revision::MAX)),
            Bound::Unbounded => Bound::Unbounded,
        };
        let to = match to {
            Bound::Included(key) => Bound::Included((key, Revision::MAX)),
            Bound::Excluded(key) => Bound::Excluded((key, 0)),
            Bound::Unbounded => Bound::Unbounded,
        };
        let entries = self
            .history
            .range::<(&[u8], Revision)>((from, to))
            .map_err(failed("read the history"))?;
        Ok(entries.filter_map(move |entry| match entry {
            Ok((key, value)) => {
                let ((key, written), (index, superseded)) = (key.value(), value.value());
                (written <= at && at < superseded).then(|| Ok((key.to_vec(), (written, index))))
            }
            Err(error) => Some(Err(failed("read the history")(error))),
        }))
    }

    /// The log from revision `next` on: at most `limit` records, but always whole revisions. Returns also the
    /// revision to go on with.
    pub(super) fn log(&self, next: Revision, limit: usize) -> Result<(Vec<WatchBatch>, Revision), StoreError> {
        if next < self.compacted {
            return Err(StoreError::Compacted {
                requested: next,
                oldest: self.compacted,
            });
        }
        let mut batches: Vec<WatchBatch> = Vec::new();
        let entries = self.records.range((next, 0)..).map_err(failed("read the log"))?;
        for (taken, entry) in entries.enumerate() {
            let (place, bytes) = entry.map_err(failed("read the log"))?;
            let place = place.value();
            let event = self.event(place, &Record::decode(place, bytes.value())?)?;
            match batches.last_mut() {
                Some(WatchBatch::Events { revision, events }) if *revision == place.0 => events.push(event),
                _ if taken >= limit => return Ok((batches, place.0)),
                _ => batches.push(WatchBatch::Events {
                    revision: place.0,
                    events: vec![event],
                }),
            }
        }
        Ok((batches, next.max(self.revision + 1)))
    }

    fn event(&self, place: Place, record: &Record<'_>) -> Result<Event, StoreError> {
        let previous = match record.previous {
            // What compaction has taken is unknown, as in etcd; what it left is there.
            Some(previous) => match self.records.get(previous).map_err(failed("read a record"))? {
                Some(bytes) => Some(Record::decode(previous, bytes.value())?.key_value(previous.0, true)),
                None => None,
            },
            None => None,
        };
        Ok(record.event(place.0, previous))
    }
}

/// The bounds of the keys that a request asks for.
fn bounds<'a>(start: &'a [u8], end: Option<&'a [u8]>) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    match end {
        None => (Bound::Included(start), Bound::Included(start)),
        Some([]) => (Bound::Included(start), Bound::Unbounded),
        Some(end) => (Bound::Included(start), Bound::Excluded(end)),
    }
}

/// The database's own range panics for bounds that are the wrong way round.
fn is_empty(from: &Bound<&[u8]>, to: &Bound<&[u8]>) -> bool {
    matches!((from, to), (Bound::Included(from), Bound::Excluded(to)) if from >= to)
}

/// Two sorted streams of keys as one. No key is in both: at any revision it has at most one newest record.
struct Merged<L: Iterator, R: Iterator> {
    left: Peekable<L>,
    right: Peekable<R>,
}

impl<L: Iterator<Item = Found>, R: Iterator<Item = Found>> Iterator for Merged<L, R> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let take_right = match (self.left.peek(), self.right.peek()) {
            (Some(Ok((left, _))), Some(Ok((right, _)))) => right < left,
            // Errors come out before anything else.
            (Some(Err(_)), _) => false,
            (_, Some(Err(_))) | (None, _) => true,
            (_, None) => false,
        };
        if take_right {
            self.right.next()
        } else {
            self.left.next()
        }
    }
}
