//! What encryption in the store means to requests: what cannot be decrypted is refused, what is stored otherwise than it
//! would be written now is written again.

use std::sync::Arc;

use super::{Allocation, Commit, Resource};
use crate::cache::Item;
use crate::registry::Registry;
use crate::status::StatusError;

/// How often an object that others write at the same time is written again before it is left to them.
const ATTEMPTS: usize = 8;

impl Registry {
    /// Refuses what cannot be decrypted now: the object, or any of those below `key` when that
    /// is nothing or ends with a slash; or all, when
    /// the key service does not let its key be used.
    pub(crate) async fn check_readable(&self, resource: &Resource, key: &str) -> Result<(), StatusError> {
        let kind = resource.stored();
        let chain = self.encryption.chain(&kind.group, &kind.plural);
        if let Some(problem) = resource.cache.unreadable(key) {
            // A key that could not be used before may be now.
            if chain.has_service() && chain.ready().is_ok() {
                let reopened = self.caches.reopen(&resource.cache).await;
                reopened.map_err(|error| StatusError::internal(supervision::error_chain(&error)))?;
            }
            if resource.cache.unreadable(key).is_some() {
                return Err(StatusError::internal(problem));
            }
        }
        chain.ready().map_err(|problem| {
            let key = format!("{}{key}", resource.prefix());
            StatusError::internal(format!("unable to transform key {key:?}: {problem}"))
        })
    }

    /// Whether an object is stored otherwise than it would be written now.
    pub(crate) fn is_stale(&self, resource: &Resource, item: &Item) -> bool {
        let kind = resource.stored();
        let chain = self.encryption.chain(&kind.group, &kind.plural);
        // The item may be a view of what is stored.
        let key = resource.cache_key(item.extract.namespace.as_deref(), &item.extract.name);
        let stored = resource.cache.get(&key);
        stored.is_some_and(|stored| stored.revision == item.revision && !stored.is_sealed_by(chain.id))
    }

    /// Writes every object of a built-in resource again that is stored otherwise than it would be written now; answers
    /// how many.
    ///
    /// # Errors
    /// The refusal of the first that could not be written.
    pub async fn rewrite_stale(&self, group: &str, plural: &str) -> Result<usize, StatusError> {
        let resource = self.built_in(group, plural)?;
        self.catch_up().await?;
        let (items, _) = resource.cache.select("", None, |_| true, usize::MAX);
        let mut written = 0;
        for item in items {
            if self.rewrite(&resource, item).await? {
                written += 1;
            }
        }
        Ok(written)
    }

    async fn rewrite(&self, resource: &Resource, first: Arc<Item>) -> Result<bool, StatusError> {
        let mut item = first;
        for _ in 0..ATTEMPTS {
            if !self.is_stale(resource, &item) {
                return Ok(false);
            }
            let object = item.object();
            let outcome = self.put(resource, &object, item.revision, Allocation::default());
            if let Commit::Done(_) = outcome.await? {
                return Ok(true);
            }
            let newer = self.newest(resource, object.namespace(), object.name().unwrap_or_default());
            match newer.await? {
                Some(newer) => item = newer,
                None => return Ok(false),
            }
        }
        Ok(false)
    }
}
