//! What may stop or change a write after it is decoded and before it is stored.
//!
//! Two lists, in upstream's order, one item per line with its reason. A plugin reads the caches and the request; it
//! writes nothing.

mod certificates;
mod namespace;
mod nodes;
mod pods;
mod priority;
mod service_account;
mod storage_class;
mod tolerations;

use kube_types::dynamic::Object;

use crate::pipeline::Resource;
use crate::registry::Registry;
use crate::request::Context;
use crate::status::StatusError;

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

/// A write as plugins see it, in the stored version.
pub(crate) struct Request<'a> {
    pub registry: &'a Registry,
    pub context: &'a Context,
    pub resource: &'a Resource,
    pub operation: Operation,
    pub subresource: Option<&'static str>,
    pub old: Option<&'a Object>,
}

type Mutating = fn(&Request<'_>, &mut Object) -> Result<(), StatusError>;
type Validating = fn(&Request<'_>, &Object) -> Result<(), StatusError>;

/// Plugins that may change the object.
const MUTATING: &[(&str, Mutating)] = &[
    // Nothing may come into a namespace that is going, or is not there.
    ("NamespaceLifecycle", namespace::lifecycle),
    // A pod without a service account gets `default`, and every pod the token of its account.
    ("ServiceAccount", service_account::mount_token),
    // A new node must not get pods before its conditions are known.
    ("TaintNodesByCondition", nodes::taint_not_ready),
    // The number behind a priority class is needed by the scheduler and must not be forged.
    ("Priority", priority::resolve),
    // A pod leaves a lost node after five minutes, not at once.
    ("DefaultTolerationSeconds", tolerations::default_seconds),
    // A claim without a class gets the default class.
    ("DefaultStorageClass", storage_class::default_class),
    // A certificate request carries the name of who really asks.
    ("CertificateRequester", certificates::record_requester),
    // LimitRanger, PodSecurity, RuntimeClass, PersistentVolumeClaimResize, StorageObjectInUseProtection,
    // DefaultIngressClass, NodeRestriction, MutatingAdmissionPolicy and MutatingAdmissionWebhook stand here in the
    // Kubernetes API issue, the last two after all others.
];

/// Plugins that look at the object as it will be stored.
const VALIDATING: &[(&str, Validating)] = &[
    // Namespaces that every cluster has must not be deleted.
    ("NamespaceLifecycle", namespace::keep_required),
    // A pod made for a node by itself must not claim to be one that the control plane made.
    ("MirrorPods", pods::mirror_pods_need_a_node),
    // ValidatingAdmissionPolicy, ValidatingAdmissionWebhook and ResourceQuota stand here in the Kubernetes API issue;
    // quota is last, so that nothing refused is counted.
];

impl Request<'_> {
    /// Lets the mutating plugins change the object.
    pub async fn mutate(&mut self, object: &mut Object) -> Result<(), StatusError> {
        for (name, plugin) in MUTATING {
            plugin(self, object).inspect_err(|error| tracing::debug!(plugin = name, %error, "refused"))?;
        }
        Ok(())
    }

    /// Asks the validating plugins.
    pub async fn validate(&self, object: &Object) -> Result<(), StatusError> {
        for (name, plugin) in VALIDATING {
            plugin(self, object).inspect_err(|error| tracing::debug!(plugin = name, %error, "refused"))?;
        }
        Ok(())
    }

    /// Whether the request makes an object of a kind.
    fn creates(&self, group: &str, plural: &str) -> bool {
        self.operation == Operation::Create && self.is(group, plural)
    }

    fn is(&self, group: &str, plural: &str) -> bool {
        self.subresource.is_none() && self.resource.kind.group == group && self.resource.kind.plural == plural
    }

    fn forbidden(&self, object: &Object, problem: &str) -> StatusError {
        StatusError::forbidden(&self.resource.subject(), object.name().unwrap_or_default(), problem)
    }
}
