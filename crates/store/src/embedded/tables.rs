//! The tables on disk, and how the database's errors become the store's.
//!
//! `records` is the log: every change in the order of revisions. `current` finds the newest change of each key that
//! exists. `history` finds the superseded ones until they are compacted. Leases and their keys have a table each.

use std::sync::Arc;

use redb::{ReadableTable, TableDefinition};

use super::record::{Place, Record};
use crate::{KeyValue, Revision, StoreError};

/// Place to encoded record.
pub(super) const RECORDS: TableDefinition<'static, Place, &'static [u8]> = TableDefinition::new("records");
/// Key to the place of its newest record, for keys that exist.
pub(super) const CURRENT: TableDefinition<'static, &'static [u8], Place> = TableDefinition::new("current");
/// Key and revision of a superseded record to its index in that revision and the revision that superseded it.
pub(super) const HISTORY: TableDefinition<'static, (&'static [u8], Revision), (u32, Revision)> =
    TableDefinition::new("history");
/// Lease to its time to live in seconds.
pub(super) const LEASES: TableDefinition<'static, u64, u64> = TableDefinition::new("leases");
/// The keys bound to a lease.
pub(super) const LEASE_KEYS: TableDefinition<'static, (u64, &'static [u8]), ()> = TableDefinition::new("lease_keys");
/// Numbers about the store as a whole, by the names below.
pub(super) const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");

/// The oldest revision that can be read; absent if nothing was compacted.
pub(super) const COMPACTED: &str = "compacted";
/// Up to which compaction the records are really gone; behind `COMPACTED` while that work is under way.
pub(super) const SCRUBBED: &str = "scrubbed";
/// The last lease given out.
pub(super) const LAST_LEASE: &str = "last_lease";
/// The layout of these tables.
pub(super) const FORMAT: &str = "format";
/// The layout that this code reads and writes.
pub(super) const FORMAT_NOW: u64 = 1;

/// The revision of a store that was never written.
pub(super) const FIRST_REVISION: Revision = 1;

/// Turns an error of the database into one of the store that says which step failed.
pub(super) fn failed<E: Into<redb::Error>>(step: &'static str) -> impl Fn(E) -> StoreError {
    move |error| match error.into() {
        redb::Error::Corrupted(what) => StoreError::Corrupt(format!("cannot {step}: {what}")),
        error => StoreError::Unavailable(format!("cannot {step}"), Some(Arc::new(error))),
    }
}

/// The newest revision in the log.
pub(super) fn newest(records: &impl ReadableTable<Place, &'static [u8]>) -> Result<Revision, StoreError> {
    let last = records.last().map_err(failed("read the newest revision"))?;
    Ok(last.map_or(FIRST_REVISION, |(place, _)| place.value().0))
}

/// A number about the store as a whole; 0 if it was never set.
pub(super) fn meta(table: &impl ReadableTable<&'static str, u64>, name: &'static str) -> Result<u64, StoreError> {
    Ok(table
        .get(name)
        .map_err(failed("read the store's numbers"))?
        .map_or(0, |value| value.value()))
}

/// The record at `place`, which an index says is there.
pub(super) fn read_record(
    records: &impl ReadableTable<Place, &'static [u8]>,
    place: Place,
    with_value: bool,
) -> Result<KeyValue, StoreError> {
    let bytes = records.get(place).map_err(failed("read a record"))?;
    let bytes = bytes.ok_or_else(|| StoreError::Corrupt(format!("record {}.{} is missing", place.0, place.1)))?;
    Ok(Record::decode(place, bytes.value())?.key_value(place.0, with_value))
}
