//! Writing an object at the revision that was read.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kube_types::dynamic::Object;
use store::{Expectation, LeaseId, Outcome, Revision, Transaction, Write};

use super::Resource;
use crate::cache::{Extract, Item, Known, encode};
use crate::custom::assemble;
use crate::registry::Registry;
use crate::status::StatusError;

/// Leases of objects that go by themselves are shared by all written within this time.
const LEASE_SLICE_SECONDS: i64 = 60;

/// What must be written together with an object: addresses and ports of services.
#[derive(Debug, Default)]
pub(crate) struct Allocation {
    pub expect: Vec<Expectation>,
    pub writes: Vec<Write>,
}

/// What became of a write.
pub(crate) enum Commit {
    /// Written; the object as it is now.
    Done(Arc<Item>),
    /// The object was not at the expected revision; nothing was written.
    Moved,
    /// Something of the allocation was taken meanwhile; nothing was written.
    Taken,
}

impl Registry {
    /// Writes an object if it is at the expected revision (0 = absent).
    pub(crate) async fn put(
        &self,
        resource: &Resource,
        object: &Object,
        expected: Revision,
        allocation: Allocation,
    ) -> Result<Commit, StatusError> {
        let kind = resource.stored();
        let stored = self.converter.to_stored(resource, object).await?;
        let value = encode(&kind.kind, &kind.api_version(), &stored.0).map_err(StatusError::internal)?;
        let name = object.name().unwrap_or_default();
        let key = Bytes::from(resource.store_key(object.namespace(), name));
        let extract = Arc::new(Extract::of(kind, &stored.0));
        let lease = self.lease_for(resource).await?;
        let chain = self.encryption.chain(&kind.group, &kind.plural);
        let sealed = chain.seal(self.random.as_ref(), &key, &value);
        let sealed = sealed.map_err(StatusError::internal)?;
        let known = Known {
            stored: sealed.clone(),
            value: value.clone(),
            extract: extract.clone(),
            chain: chain.id,
        };
        self.caches.expect(&key, known);
        let write = Write::Put {
            key: key.clone(),
            value: sealed,
            lease,
        };
        let committed = self
            .commit(&resource.kind.plural, key.clone(), expected, write, allocation)
            .await;
        match committed {
            Ok(Ok(revision)) => {
                self.show(revision).await;
                self.caches.forget(&key);
                let written = match &stored {
                    Cow::Borrowed(_) => Item::assemble(extract, &value, revision),
                    Cow::Owned(_) => assemble(&resource.kind, object, revision)?,
                };
                let written = written.sealed_by(Some(chain.id));
                Ok(Commit::Done(Arc::new(written)))
            }
            Ok(Err(lost)) => {
                self.caches.forget(&key);
                Ok(lost)
            }
            Err(error) => {
                self.caches.forget(&key);
                Err(error)
            }
        }
    }

    /// Removes an object if it is at the expected revision; answers its last state.
    pub(crate) async fn remove(
        &self,
        resource: &Resource,
        item: &Arc<Item>,
        allocation: Allocation,
    ) -> Result<Commit, StatusError> {
        let key = Bytes::from(resource.store_key(item.extract.namespace.as_deref(), &item.extract.name));
        let write = Write::Delete { key: key.clone() };
        let plural = &resource.kind.plural;
        match self.commit(plural, key, item.revision, write, allocation).await? {
            Ok(revision) => {
                self.show(revision).await;
                Ok(Commit::Done(Arc::new(item.at_revision(revision))))
            }
            Err(lost) => Ok(lost),
        }
    }

    /// Waits until reads show a write. It is done whether they do in time or not: who is told that it failed would do it again.
    async fn show(&self, revision: Revision) {
        if let Err(error) = self.reach(revision).await {
            tracing::warn!(revision, error = error.message(), "a write is not shown yet");
        }
    }

    async fn commit(
        &self,
        plural: &str,
        key: Bytes,
        expected: Revision,
        write: Write,
        allocation: Allocation,
    ) -> Result<Result<Revision, Commit>, StatusError> {
        let mut expect = vec![Expectation {
            key,
            mod_revision: expected,
        }];
        expect.extend(allocation.expect);
        let operation = match &write {
            Write::Delete { .. } => "delete",
            Write::Put { .. } if expected == 0 => "create",
            Write::Put { .. } => "update",
        };
        let mut writes = vec![write];
        writes.extend(allocation.writes);
        let started = Instant::now();
        let outcome = self.store.commit(Transaction { expect, writes }).await;
        if let Some(observer) = self.store_observer.get() {
            observer(operation, plural, started.elapsed());
        }
        match outcome {
            Ok(Outcome::Committed { revision }) => Ok(Ok(revision)),
            Ok(Outcome::Refused { current, .. }) => {
                let found = current
                    .first()
                    .and_then(Option::as_ref)
                    .map_or(0, |found| found.mod_revision);
                Ok(Err(if found == expected {
                    Commit::Taken
                } else {
                    Commit::Moved
                }))
            }
            Err(error) => Err(self.store_error(&error)),
        }
    }

    /// The lease of kinds whose objects go by themselves.
    async fn lease_for(&self, resource: &Resource) -> Result<Option<LeaseId>, StatusError> {
        let Some(seconds) = resource.kind.storage.as_ref().and_then(|storage| storage.time_to_live) else {
            return Ok(None);
        };
        let slice = self.clock.now().as_second() / LEASE_SLICE_SECONDS;
        let mut shared = self.lease.lock().await;
        if let Some((of, lease)) = *shared
            && of == slice
        {
            return Ok(Some(lease));
        }
        let life = Duration::from_secs(seconds + LEASE_SLICE_SECONDS.unsigned_abs());
        let lease = self.store.grant(life).await.map_err(|error| self.store_error(&error))?;
        *shared = Some((slice, lease));
        Ok(Some(lease))
    }
}
