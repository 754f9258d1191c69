//! The bytes of one change of one key, and where it lies.

use bytes::Bytes;

use crate::{Event, EventKind, KeyValue, LeaseId, Revision, StoreError};

/// Where a record lies: its revision and its place among that revision's writes.
pub(super) type Place = (Revision, u32);

/// Bytes before the key: kind, lease, creation revision, version, previous place, length of the key.
const HEADER: usize = 1 + 8 + 8 + 8 + 8 + 4 + 4;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// One change of one key, borrowed from the page that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) kind: EventKind,
    pub(super) lease: Option<LeaseId>,
    pub(super) create_revision: Revision,
    pub(super) version: u64,
    /// The change of the same key that this one supersedes; `None` for a creation.
    pub(super) previous: Option<Place>,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
}

impl<'a> Record<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (previous, previous_index) = self.previous.unwrap_or_default();
        // Keys are limited to far less than 4 GiB before they come here.
        let key_length = u32::try_from(self.key.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(HEADER + self.key.len() + self.value.len());
        bytes.push(if self.kind == EventKind::Put { PUT } else { DELETE });
        bytes.extend(self.lease.map_or(0, |lease| lease.0).to_le_bytes());
        bytes.extend(self.create_revision.to_le_bytes());
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(previous.to_le_bytes());
        bytes.extend(previous_index.to_le_bytes());
        bytes.extend(key_length.to_le_bytes());
        bytes.extend(self.key);
        bytes.extend(self.value);
        bytes
    }

    pub(super) fn decode(place: Place, bytes: &'a [u8]) -> Result<Self, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt(format!("record {}.{} {what}", place.0, place.1));
        let mut header = Fields(bytes);
        let fields = (|| {
            let kind = header.take::<1>()?[0];
            let numbers: [u64; 4] = [header.number()?, header.number()?, header.number()?, header.number()?];
            let index = u32::from_le_bytes(header.take()?);
            let key_length = u32::from_le_bytes(header.take()?);
            Some((kind, numbers, index, usize::try_from(key_length).ok()?))
        })();
        let (kind, [lease, create_revision, version, previous], index, key_length) =
            fields.ok_or_else(|| corrupt("is cut short"))?;
        let kind = match kind {
            PUT => EventKind::Put,
            DELETE => EventKind::Delete,
            _ => return Err(corrupt("is of an unknown kind")),
        };
        let (key, value) = header
            .0
            .split_at_checked(key_length)
            .ok_or_else(|| corrupt("is shorter than its key"))?;
        let lease = (lease != 0).then_some(LeaseId(lease));
        let previous = (previous != 0).then_some((previous, index));
        Ok(Self {
            kind,
            lease,
            create_revision,
            version,
            previous,
            key,
            value,
        })
    }

    /// The key as this change left it.
    pub(super) fn key_value(&self, revision: Revision, with_value: bool) -> KeyValue {
        KeyValue {
            key: Bytes::copy_from_slice(self.key),
            value: if with_value {
                Bytes::copy_from_slice(self.value)
            } else {
                Bytes::new()
            },
            create_revision: self.create_revision,
            mod_revision: revision,
            version: self.version,
            lease: self.lease,
        }
    }

    pub(super) fn event(&self, revision: Revision, previous: Option<KeyValue>) -> Event {
        Event {
            kind: self.kind,
            item: self.key_value(revision, true),
            previous,
        }
    }
}

/// Takes fixed-size fields off the front of a record.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_as_written() {
        let put = Record {
            kind: EventKind::Put,
            lease: Some(LeaseId(7)),
            create_revision: 3,
            version: 2,
            previous: Some((3, 1)),
            key: b"/registry/pods/default/web",
            value: b"{}",
        };
        let delete = Record {
            kind: EventKind::Delete,
            lease: None,
            previous: None,
            value: b"",
            ..put
        };
        for record in [put, delete] {
            assert_eq!(Record::decode((4, 0), &record.encode()).unwrap(), record);
        }
    }

    #[test]
    fn broken_records_are_corrupt() {
        let whole = Record {
            kind: EventKind::Put,
            lease: None,
            create_revision: 3,
            version: 1,
            previous: None,
            key: b"key",
            value: b"",
        }
        .encode();
        let cases: [(&[u8], &str); 3] = [
            (&whole[..20], "store corrupt: record 4.0 is cut short"),
            (
                &whole[..whole.len() - 1],
                "store corrupt: record 4.0 is shorter than its key",
            ),
            (
                &[&[9], &whole[1..]].concat(),
                "store corrupt: record 4.0 is of an unknown kind",
            ),
        ];
        for (bytes, message) in cases {
            assert_eq!(Record::decode((4, 0), bytes).unwrap_err().to_string(), message);
        }
    }
}
