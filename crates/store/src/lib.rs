//! Revisioned key-value store with watch, leases and compaction.
//!
//! **Invariant:** acknowledged means on disk.
//!
//! [`Store`] has etcd's semantics, so that the same API server runs on the embedded engine ([`open`]) or on etcd
//! ([`open_etcd`]): one revision counter for the whole store, transactions that compare modification revisions, reads
//! at any revision that is not compacted, watches from a revision, and leases whose end deletes their keys.
#![forbid(unsafe_code)]

mod check;
mod clear;
mod embedded;
mod etcd;
mod interface;
mod upkeep;

pub use clear::clear;
pub use embedded::{EmbeddedStore, Options, open};
pub use etcd::{EtcdLocation, EtcdStore, open_etcd};
pub use interface::{
    Event, EventKind, Expectation, KeyValue, LeaseId, Outcome, RangeRequest, RangeResponse, Revision, Store,
    StoreError, Transaction, WatchBatch, WatchRequest, WatchStream, Write, prefix_end,
};
pub use upkeep::keep_compacted;
