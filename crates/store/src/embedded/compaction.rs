//! Forgetting history: first the mark that refuses old reads, then, piece by piece, what nobody can read any more.
//!
//! A record that was superseded at or before the compacted revision is reachable from the one that superseded it, so
//! the work is in proportion to what was written since the last compaction, not to what the store holds.

use redb::ReadableTable;

use super::apply::Tables;
use super::record::{Place, Record};
use super::tables::{self, COMPACTED, SCRUBBED, failed};
use crate::{EventKind, Revision, StoreError};

/// Records looked at in one write transaction, so that writers never wait long for compaction.
const PIECE: usize = 512;

impl Tables<'_> {
    /// Marks the history before `revision` as gone. Reads refuse it from now on; the scrub follows.
    pub(super) fn compact(&mut self, revision: Revision) -> Result<Result<(), StoreError>, StoreError> {
        let compacted = tables::meta(&self.meta, COMPACTED)?;
        if revision <= compacted {
            return Ok(Err(StoreError::Compacted {
                requested: revision,
                oldest: compacted,
            }));
        }
        if revision > self.revision {
            return Ok(Err(StoreError::Future {
                requested: revision,
                current: self.revision,
            }));
        }
        self.meta
            .insert(COMPACTED, revision)
            .map_err(failed("mark a compaction"))?;
        self.dirty = true;
        Ok(Ok(()))
    }

    /// Whether there is compacted history left on disk.
    pub(super) fn needs_scrub(&self) -> Result<bool, StoreError> {
        Ok(tables::meta(&self.meta, SCRUBBED)? < tables::meta(&self.meta, COMPACTED)?)
    }

    /// Removes a piece of the compacted history. `from` is where the last piece ended, or `None` to begin; returns
    /// where to go on, or `None` when all is done.
    pub(super) fn scrub(&mut self, from: Option<Place>) -> Result<Option<Place>, StoreError> {
        let compacted = tables::meta(&self.meta, COMPACTED)?;
        let from = match from {
            Some(place) => place,
            None => (tables::meta(&self.meta, SCRUBBED)?, 0),
        };
        let mut garbage = Vec::new();
        let mut resume = None;
        let entries = self
            .records
            .range(from..=(compacted, u32::MAX))
            .map_err(failed("read the log"))?;
        for (looked_at, entry) in entries.enumerate() {
            let (place, bytes) = entry.map_err(failed("read the log"))?;
            let place = place.value();
            if looked_at == PIECE {
                resume = Some(place);
                break;
            }
            let record = Record::decode(place, bytes.value())?;
            if let Some(previous) = record.previous {
                garbage.push((previous, Some(record.key.to_vec())));
            }
            // A deletion at the compacted revision itself can still be watched; the next compaction takes it.
            if record.kind == EventKind::Delete && place.0 < compacted {
                garbage.push((place, None));
            }
        }
        for (place, key) in garbage {
            self.records
                .remove(place)
                .map_err(failed("remove a compacted record"))?;
            if let Some(key) = key {
                self.history
                    .remove((key.as_slice(), place.0))
                    .map_err(failed("remove compacted history"))?;
            }
        }
        if resume.is_none() {
            self.meta
                .insert(SCRUBBED, compacted)
                .map_err(failed("mark a finished compaction"))?;
        }
        self.dirty = true;
        Ok(resume)
    }
}
