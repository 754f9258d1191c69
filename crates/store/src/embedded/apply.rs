//! What a transaction does to the tables.

use std::collections::BTreeMap;

use bytes::Bytes;
use redb::{ReadableTable, Table, WriteTransaction};

use super::record::{Place, Record};
use super::tables::{
    self, CURRENT, HISTORY, LAST_LEASE, LEASE_KEYS, LEASES, META, RECORDS, failed, newest, read_record,
};
use crate::{
    Event, EventKind, Expectation, KeyValue, LeaseId, Outcome, Revision, StoreError, Transaction, WatchBatch, Write,
};

/// The tables of one write transaction of the database, which carries out many of the store's.
pub(super) struct Tables<'t> {
    pub(super) records: Table<'t, Place, &'static [u8]>,
    current: Table<'t, &'static [u8], Place>,
    pub(super) history: Table<'t, (&'static [u8], Revision), (u32, Revision)>,
    leases: Table<'t, u64, u64>,
    lease_keys: Table<'t, (u64, &'static [u8]), ()>,
    pub(super) meta: Table<'t, &'static str, u64>,
    /// The newest revision, of those written here too.
    pub(super) revision: Revision,
    /// Whether there is anything to commit.
    pub(super) dirty: bool,
}

/// What carrying out one transaction gave.
pub(super) struct Applied {
    pub(super) outcome: Outcome,
    /// The events to publish once the database has committed.
    pub(super) batch: Option<WatchBatch>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, StoreError> {
        let records = transaction.open_table(RECORDS).map_err(failed("open the records"))?;
        let revision = newest(&records)?;
        Ok(Self {
            records,
            revision,
            current: transaction.open_table(CURRENT).map_err(failed("open the index"))?,
            history: transaction.open_table(HISTORY).map_err(failed("open the history"))?,
            leases: transaction.open_table(LEASES).map_err(failed("open the leases"))?,
            lease_keys: transaction
                .open_table(LEASE_KEYS)
                .map_err(failed("open the leases' keys"))?,
            meta: transaction
                .open_table(META)
                .map_err(failed("open the store's numbers"))?,
            dirty: false,
        })
    }

    /// Carries out `transaction` if its expectations hold. The outer error is the disk's and ends the whole group;
    /// the inner one refuses this transaction alone and has changed nothing.
    pub(super) fn apply(&mut self, transaction: &Transaction) -> Result<Result<Applied, StoreError>, StoreError> {
        if !self.expectations_hold(&transaction.expect)? {
            let current = transaction.expect.iter().map(|expected| self.newest_of(&expected.key));
            let current = current.collect::<Result<Vec<_>, _>>()?;
            let outcome = Outcome::Refused {
                revision: self.revision,
                current,
            };
            return Ok(Ok(Applied { outcome, batch: None }));
        }
        for write in &transaction.writes {
            if let Write::Put { lease: Some(lease), .. } = write
                && self.leases.get(lease.0).map_err(failed("read a lease"))?.is_none()
            {
                return Ok(Err(StoreError::LeaseNotFound(*lease)));
            }
        }
        let revision = self.revision + 1;
        let mut events = Vec::with_capacity(transaction.writes.len());
        for write in &transaction.writes {
            // As many writes as an index holds are never allowed into one transaction.
            let place = (revision, u32::try_from(events.len()).unwrap_or(u32::MAX));
            match write {
                Write::Put { key, value, lease } => events.push(self.put(place, key, value, *lease)?),
                Write::Delete { key } => events.extend(self.delete(place, key)?),
            }
        }
        if events.is_empty() {
            return Ok(Ok(Applied {
                outcome: Outcome::Committed {
                    revision: self.revision,
                },
                batch: None,
            }));
        }
        self.revision = revision;
        self.dirty = true;
        let batch = Some(WatchBatch::Events { revision, events });
        Ok(Ok(Applied {
            outcome: Outcome::Committed { revision },
            batch,
        }))
    }

    fn expectations_hold(&self, expect: &[Expectation]) -> Result<bool, StoreError> {
        for expected in expect {
            let place = self
                .current
                .get(expected.key.as_ref())
                .map_err(failed("read the index"))?;
            if place.map_or(0, |place| place.value().0) != expected.mod_revision {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn newest_of(&self, key: &[u8]) -> Result<Option<KeyValue>, StoreError> {
        match self.place_of(key)? {
            Some(place) => read_record(&self.records, place, true).map(Some),
            None => Ok(None),
        }
    }

    fn place_of(&self, key: &[u8]) -> Result<Option<Place>, StoreError> {
        Ok(self
            .current
            .get(key)
            .map_err(failed("read the index"))?
            .map(|place| place.value()))
    }

    fn put(&mut self, place: Place, key: &Bytes, value: &Bytes, lease: Option<LeaseId>) -> Result<Event, StoreError> {
        let superseded = self.supersede(key, place.0)?;
        let record = Record {
            kind: EventKind::Put,
            lease,
            create_revision: superseded
                .as_ref()
                .map_or(place.0, |(_, previous)| previous.create_revision),
            version: superseded.as_ref().map_or(1, |(_, previous)| previous.version + 1),
            previous: superseded.as_ref().map(|(place, _)| *place),
            key,
            value,
        };
        self.write_record(place, &record)?;
        self.current
            .insert(key.as_ref(), place)
            .map_err(failed("write the index"))?;
        if let Some(lease) = lease {
            self.lease_keys
                .insert((lease.0, key.as_ref()), ())
                .map_err(failed("bind a key to a lease"))?;
        }
        let item = KeyValue {
            key: key.clone(),
            value: value.clone(),
            create_revision: record.create_revision,
            mod_revision: place.0,
            version: record.version,
            lease,
        };
        Ok(Event {
            kind: EventKind::Put,
            item,
            previous: superseded.map(|(_, previous)| previous),
        })
    }

    fn delete(&mut self, place: Place, key: &Bytes) -> Result<Option<Event>, StoreError> {
        let Some((previous_place, previous)) = self.supersede(key, place.0)? else {
            return Ok(None);
        };
        let record = Record {
            kind: EventKind::Delete,
            lease: None,
            create_revision: 0,
            version: 0,
            previous: Some(previous_place),
            key,
            value: &[],
        };
        self.write_record(place, &record)?;
        self.current.remove(key.as_ref()).map_err(failed("write the index"))?;
        Ok(Some(record.event(place.0, Some(previous))))
    }

    /// Moves what the key is now, if anything, into the history, and takes it off its lease.
    fn supersede(&mut self, key: &[u8], revision: Revision) -> Result<Option<(Place, KeyValue)>, StoreError> {
        let Some(place) = self.place_of(key)? else {
            return Ok(None);
        };
        let previous = read_record(&self.records, place, true)?;
        self.history
            .insert((key, place.0), (place.1, revision))
            .map_err(failed("write the history"))?;
        if let Some(lease) = previous.lease {
            self.lease_keys
                .remove((lease.0, key))
                .map_err(failed("take a key off its lease"))?;
        }
        Ok(Some((place, previous)))
    }

    fn write_record(&mut self, place: Place, record: &Record<'_>) -> Result<(), StoreError> {
        self.records
            .insert(place, record.encode().as_slice())
            .map_err(failed("write a record"))?;
        Ok(())
    }

    /// Makes a lease.
    pub(super) fn grant(&mut self, seconds: u64) -> Result<LeaseId, StoreError> {
        let lease = LeaseId(tables::meta(&self.meta, LAST_LEASE)? + 1);
        self.meta.insert(LAST_LEASE, lease.0).map_err(failed("count a lease"))?;
        self.leases.insert(lease.0, seconds).map_err(failed("write a lease"))?;
        self.dirty = true;
        Ok(lease)
    }

    /// Ends a lease and deletes its keys, in one revision. `None` if there is no such lease.
    pub(super) fn revoke(&mut self, lease: LeaseId) -> Result<Option<Applied>, StoreError> {
        if self.leases.remove(lease.0).map_err(failed("remove a lease"))?.is_none() {
            return Ok(None);
        }
        self.dirty = true;
        let mut writes = Vec::new();
        let from: (u64, &[u8]) = (lease.0, &[]);
        for entry in self
            .lease_keys
            .range::<(u64, &[u8])>(from..)
            .map_err(failed("read a lease's keys"))?
        {
            let (bound, ()) = entry.map(|(key, _)| (key, ())).map_err(failed("read a lease's keys"))?;
            let (owner, key) = bound.value();
            if owner != lease.0 {
                break;
            }
            writes.push(Write::Delete {
                key: Bytes::copy_from_slice(key),
            });
        }
        self.apply(&Transaction {
            expect: Vec::new(),
            writes,
        })?
        .map(Some)
    }

    /// Every lease with its time to live in seconds.
    pub(super) fn all_leases(&self) -> Result<BTreeMap<LeaseId, u64>, StoreError> {
        let entries = self.leases.iter().map_err(failed("read the leases"))?;
        entries
            .map(|entry| {
                let (lease, seconds) = entry.map_err(failed("read the leases"))?;
                Ok((LeaseId(lease.value()), seconds.value()))
            })
            .collect()
    }
}
