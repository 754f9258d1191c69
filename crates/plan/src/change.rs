//! What should change, and when to look again.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::{Metadata, Resource};
use kube_types::{GroupVersionResource, ObjectKey};
use serde::Serialize;

use crate::event::EventRecord;
use crate::index::Observed;
use crate::kinds::AnyObject;

/// A decision: what to change now, in order, and when to look at the root again even if nothing is observed to change.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// What to do, in order; a refused step ends the plan.
    pub steps: Vec<Step>,
    /// Events that do not depend on how a step ends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventRecord>,
    /// When to look again although nothing was seen to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_again_in: Option<Duration>,
}

/// One change and the events that tell how it ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// What to do.
    pub change: Change,
    /// Recorded when the change was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_success: Option<EventRecord>,
    /// Recorded when the change was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<EventRecord>,
}

/// The closed set of things a controller can ask for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Change {
    /// Create the object. An object that exists already is a refusal.
    Create(AnyObject),
    /// Replace the object; its resource version is the precondition.
    Update(AnyObject),
    /// Replace the object's status; its resource version is the precondition.
    UpdateStatus(AnyObject),
    /// Change owner references, finalizers, labels or annotations.
    PatchMetadata {
        /// The object to change.
        target: Target,
        /// The new values.
        patch: MetadataPatch,
    },
    /// Delete the object. That it is gone already is a success.
    Delete {
        /// The object to delete.
        target: Target,
        /// What becomes of its dependents; the kind's default when absent.
        propagation: Option<Propagation>,
        /// Seconds of grace; the object's default when absent.
        grace_seconds: Option<i64>,
    },
    /// Delete every object of a resource in a namespace.
    DeleteCollection {
        /// The resource.
        resource: ResourceName,
        /// The namespace.
        namespace: String,
    },
    /// Replace the decision about a certificate request, through its `approval` subresource; its resource version is the
    /// precondition.
    UpdateApproval(Box<CertificateSigningRequest>),
    /// Replace a namespace's `spec.finalizers` through its `finalize` subresource.
    Finalize(Box<Namespace>),
}

/// What becomes of the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Propagation {
    /// They lose the reference and stay.
    Orphan,
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
}

/// A resource, as much of it as a request needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ResourceName {
    /// API group, empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural name in the URL.
    pub plural: String,
    /// Kind of one object.
    pub kind: String,
}

impl ResourceName {
    /// The resource of a typed object.
    pub fn of<K: Resource>() -> Self {
        Self {
            group: K::GROUP.to_owned(),
            version: K::VERSION.to_owned(),
            plural: K::URL_PATH_SEGMENT.to_owned(),
            kind: K::KIND.to_owned(),
        }
    }

    /// The resource without its kind.
    pub fn group_version_resource(&self) -> GroupVersionResource {
        GroupVersionResource::new(&self.group, &self.version, &self.plural)
    }
}

/// An object that exists, with what must still hold for the change to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The resource of the object.
    pub resource: ResourceName,
    /// Namespace of the object, absent when it is cluster scoped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the object.
    pub name: String,
    /// The object must still be this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The object must not have changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

impl Target {
    /// This very object (same uid), whatever its present state.
    pub fn of<K: Resource + Metadata<Ty = ObjectMeta>>(object: &K) -> Self {
        let metadata = object.metadata();
        Self {
            resource: ResourceName::of::<K>(),
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone(),
            resource_version: None,
        }
    }

    /// This very object in this very state.
    pub fn unchanged<K: Resource + Metadata<Ty = ObjectMeta>>(object: &K) -> Self {
        Self {
            resource_version: object.metadata().resource_version.clone(),
            ..Self::of(object)
        }
    }

    /// Namespace and name.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}

/// New values for parts of an object's metadata; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataPatch {
    /// The whole new list of owner references.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_references: Option<Vec<OwnerReference>>,
    /// The whole new list of finalizers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finalizers: Option<Vec<String>>,
    /// Labels to set, or to remove when the value is absent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Option<String>>,
    /// Annotations to set, or to remove when the value is absent.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, Option<String>>,
}

impl From<Change> for Step {
    fn from(change: Change) -> Self {
        Self {
            change,
            on_success: None,
            on_failure: None,
        }
    }
}

impl Step {
    /// Records `event` when the change was made.
    pub fn succeeding_with(mut self, event: EventRecord) -> Self {
        self.on_success = Some(event);
        self
    }

    /// Records `event` when the change was refused.
    pub fn failing_with(mut self, event: EventRecord) -> Self {
        self.on_failure = Some(event);
        self
    }
}

impl Change {
    /// Creates `object`.
    pub fn create<K: Observed>(object: K) -> Self {
        Self::Create(object.into_any())
    }

    /// Replaces `object`, read at the resource version it carries.
    pub fn update<K: Observed>(object: K) -> Self {
        Self::Update(object.into_any())
    }

    /// Replaces the status of `object`, read at the resource version it carries.
    pub fn update_status<K: Observed>(object: K) -> Self {
        Self::UpdateStatus(object.into_any())
    }

    /// Deletes this very object, in the way that is its kind's default.
    pub fn delete<K: Observed>(object: &K) -> Self {
        Self::Delete {
            target: Target::of(object),
            propagation: None,
            grace_seconds: None,
        }
    }
}

impl Plan {
    /// A plan that changes nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Does the plan change nothing and tell nothing?
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.events.is_empty()
    }

    /// Appends a step.
    pub fn then(&mut self, step: impl Into<Step>) {
        self.steps.push(step.into());
    }

    /// Looks again after `delay`, or sooner when that was asked for already.
    pub fn look_again(&mut self, delay: Duration) {
        self.look_again_in = Some(self.look_again_in.map_or(delay, |earlier| earlier.min(delay)));
    }
}

impl From<Change> for Plan {
    fn from(change: Change) -> Self {
        Self {
            steps: vec![change.into()],
            ..Self::default()
        }
    }
}
