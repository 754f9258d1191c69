//! The one pipeline: every request for every kind takes these steps.
//!
//! Reading: find the kind, choose the data by revision, select, render. Writing: decode, default, admit, prepare,
//! validate, admit again, commit at the revision that was read, render. A change is first a [`wish`]: what the client
//! wants of the newest object and who owns its fields then ([`ownership`]); applying is one more way to wish.

mod apply;
mod change;
mod commit;
mod create;
mod decode;
mod delete;
mod list;
mod metadata;
mod ownership;
mod read;
mod sealed;
mod token;
mod watch;
mod wish;

use std::sync::Arc;

use kube_types::ObjectKey;
use kube_types::dynamic::Object;
use object_rules::field::Errors;

pub(crate) use change::{Changed, Part, keep};
pub(crate) use commit::{Allocation, Commit};
pub(crate) use create::Created;
pub(crate) use decode::{check_name, check_namespace, conform};
pub(crate) use list::Selection;
pub(crate) use metadata::stamp;
pub(crate) use ownership::{LONGEST_MANAGER, object_type};
pub(crate) use wish::{Source, patch_error};

use crate::cache::{Item, ResourceCache};
use crate::kinds::{ResourceKind, Subresource, Verb};
use crate::registry::Registry;
use crate::request::Target;
use crate::status::{StatusError, Subject};

/// A stored resource as a request names it.
#[derive(Clone)]
pub(crate) struct Resource {
    /// The kind in the version asked for.
    pub kind: Arc<ResourceKind>,
    /// The objects, in the stored version.
    pub cache: Arc<ResourceCache>,
}

impl Resource {
    /// What errors about objects name.
    pub fn subject(&self) -> Subject {
        Subject::resource(&self.kind)
    }

    /// The kind in the version that is stored.
    pub fn stored(&self) -> &Arc<ResourceKind> {
        &self.cache.kind
    }

    /// The kind in the version that rules and admission are about: the stored one, but of custom resources, whose
    /// versions have rules of their own, the one asked for.
    pub fn ruling(&self) -> &Arc<ResourceKind> {
        if self.kind.custom.is_some() {
            &self.kind
        } else {
            self.stored()
        }
    }

    /// Key of an object within the cache.
    pub fn cache_key(&self, namespace: Option<&str>, name: &str) -> String {
        match namespace {
            Some(namespace) if self.kind.namespaced => format!("{namespace}/{name}"),
            _ => name.to_owned(),
        }
    }

    /// Key of an object in the store.
    pub fn store_key(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}{}", self.prefix(), self.cache_key(namespace, name))
    }

    /// Start of the keys in the store.
    pub fn prefix(&self) -> &str {
        self.kind.storage.as_ref().map_or("", |storage| &storage.prefix)
    }

    /// 404 for one object.
    pub fn not_found(&self, name: &str) -> StatusError {
        StatusError::not_found(&self.subject(), name)
    }

    /// 422 when there are errors.
    pub fn check(&self, name: &str, errors: &Errors) -> Result<(), StatusError> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(StatusError::invalid(&Subject::kind(&self.kind), name, errors))
        }
    }
}

impl Registry {
    /// The kind that a target names.
    pub(crate) fn kind(&self, target: &Target) -> Result<Arc<ResourceKind>, StatusError> {
        self.kinds()
            .find(&target.gvr)
            .cloned()
            .ok_or_else(StatusError::path_not_found)
    }

    /// The stored resource that a target names, if it has the verb.
    pub(crate) fn resource(&self, target: &Target, verb: Verb) -> Result<Resource, StatusError> {
        let kind = self.kind(target)?;
        if !kind.has(verb) {
            return Err(StatusError::method_not_allowed(
                &Subject::resource(&kind),
                verb.as_str(),
            ));
        }
        self.resource_of(kind)
    }

    /// The stored resource of a kind.
    pub(crate) fn resource_of(&self, kind: Arc<ResourceKind>) -> Result<Resource, StatusError> {
        let prefix = kind.storage.as_ref().map_or("", |storage| &storage.prefix);
        let cache = self.caches.served().by_prefix(prefix).cloned();
        let cache = cache.ok_or_else(|| StatusError::internal(format!("{} are not stored", kind.plural)))?;
        Ok(Resource { kind, cache })
    }

    /// A built-in resource by group and plural name, in its stored version.
    pub(crate) fn built_in(&self, group: &str, plural: &str) -> Result<Resource, StatusError> {
        let kinds = self.kinds();
        let kind = kinds.stored_kind(group, plural).cloned();
        self.resource_of(kind.ok_or_else(|| StatusError::internal(format!("{plural} are not served")))?)
    }

    /// The subresource that a target names, if it has the verb.
    pub(crate) fn subresource<'k>(
        &self,
        kind: &'k ResourceKind,
        name: &str,
        verb: Verb,
    ) -> Result<&'k Subresource, StatusError> {
        let found = kind.subresource(name).ok_or_else(StatusError::path_not_found)?;
        if !found.verbs.contains(&verb) {
            return Err(StatusError::method_not_allowed(&Subject::resource(kind), verb.as_str()));
        }
        Ok(found)
    }

    /// Waits until the caches have seen everything that the store has acknowledged.
    pub(crate) async fn catch_up(&self) -> Result<(), StatusError> {
        let newest = self.store.revision().await.map_err(|error| self.store_error(&error))?;
        self.reach(newest).await
    }

    /// Waits until the caches have seen a revision.
    pub(crate) async fn reach(&self, revision: u64) -> Result<(), StatusError> {
        let reached = self.caches.reach(revision).await;
        reached.map_err(|missed| StatusError::revision_too_large(missed.wanted, missed.current))
    }

    /// The newest state of an object, in the version that rules are about.
    pub(crate) async fn newest(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Arc<Item>>, StatusError> {
        self.catch_up().await?;
        let key = resource.cache_key(namespace, name);
        self.check_readable(resource, &key).await?;
        match resource.cache.get(&key) {
            Some(item) => Ok(Some(self.converter.view(resource, item).await?)),
            None => Ok(None),
        }
    }

    /// A cached object of a built-in resource, or `None`.
    pub(crate) fn cached(&self, group: &str, plural: &str, key: &ObjectKey) -> Option<Object> {
        let resource = self.built_in(group, plural).ok()?;
        let item = resource
            .cache
            .get(&resource.cache_key(key.namespace.as_deref(), &key.name))?;
        Some(item.object())
    }

    /// As [`Registry::cached`], of resources that there are few of: the object that was read is kept for the next who
    /// looks.
    pub(crate) fn shared(&self, group: &str, plural: &str, key: &ObjectKey) -> Option<Arc<Object>> {
        let resource = self.built_in(group, plural).ok()?;
        let item = resource
            .cache
            .get(&resource.cache_key(key.namespace.as_deref(), &key.name))?;
        Some(item.shared())
    }

    /// A failure of the store as clients see it.
    pub(crate) fn store_error(&self, error: &store::StoreError) -> StatusError {
        match error {
            store::StoreError::TooLarge { size, limit } => StatusError::new(
                413,
                "RequestEntityTooLarge",
                format!("Request entity is too large: the object takes {size} bytes, the limit is {limit}"),
            ),
            store::StoreError::Future { requested, current } => StatusError::revision_too_large(*requested, *current),
            store::StoreError::Compacted { .. } => {
                StatusError::expired("The resourceVersion for the provided list is too old.")
            }
            other => {
                tracing::error!(error = %supervision::error_chain(other), "the store does not answer");
                StatusError::internal(supervision::error_chain(other))
            }
        }
    }
}
