//! What may stop or change a write after it is decoded and before it is stored.
//!
//! Two lists, in upstream's order, one item per line with its reason. A plugin reads the caches and the request; it
//! writes nothing.

mod certificates;
mod conditions;
mod connect;
mod default_class;
pub(crate) mod expressions;
pub(crate) mod fargate;
pub(crate) mod hooks;
mod limit_ranger;
mod matching;
mod namespace;
mod node_restriction;
mod nodes;
mod object_types;
pub(crate) mod pod_identity;
mod pod_security;
mod pods;
pub(crate) mod policies;
mod priority;
mod quota;
mod request_types;
mod review;
mod runtime_class;
mod service_account;
mod storage;
mod tolerations;
pub(crate) mod type_checking;
mod webhooks;

use std::sync::Arc;

use kube_types::GroupVersionKind;
use kube_types::dynamic::{Object, Value};
use object_merge::PatchKind;

use self::hooks::{CONFIGURATIONS, GROUP, Hooks};
use crate::kinds::{KindTable, ResourceKind, ScalePaths};
use crate::options::FieldValidation;
use crate::pipeline::{Resource, conform, patch_error};
use crate::registry::Registry;
use crate::request::Context;
use crate::status::StatusError;
use crate::subresources::scale;

/// What is done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

/// What webhooks and expressions see of an object.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    /// The object itself.
    Itself,
    /// Its scale.
    Scale(ScalePaths),
    /// Something else of this kind, which is not stored: a binding, an eviction, the options of a connection.
    Other(GroupVersionKind),
}

/// A write as plugins see it, in the stored version.
pub(crate) struct Request<'a> {
    pub registry: &'a Registry,
    pub kinds: Arc<KindTable>,
    pub context: &'a Context,
    pub resource: &'a Resource,
    pub operation: Operation,
    pub subresource: Option<&'a str>,
    pub old: Option<&'a Object>,
    pub dry_run: bool,
    pub shows: Shown,
    /// Namespace and name of the path, where the object itself does not say them.
    pub named: Option<(&'a str, &'a str)>,
    /// Made by the registry, for a request that webhooks and policies have seen as something else.
    pub internal: bool,
}

type Mutating = fn(&Request<'_>, &mut Object) -> Result<(), StatusError>;
type Validating = fn(&Request<'_>, &Object) -> Result<(), StatusError>;

/// Plugins that may change the object.
const MUTATING: &[(&str, Mutating)] = &[
    // Nothing may come into a namespace that is going, or is not there.
    ("NamespaceLifecycle", namespace::lifecycle),
    // A container that does not say what it needs gets what its namespace gives.
    ("LimitRanger", limit_ranger::fill_defaults),
    // A pod without a service account gets `default`, and every pod the token of its account.
    ("ServiceAccount", service_account::mount_token),
    // A new node must not get pods before its conditions are known.
    ("TaintNodesByCondition", nodes::taint_not_ready),
    // The number behind a priority class is needed by the scheduler and must not be forged.
    ("Priority", priority::resolve),
    // A pod of a Fargate profile is Fargate's, with the priority that goes with it.
    ("FargateProfile", fargate::assign),
    // A pod leaves a lost node after five minutes, not at once.
    ("DefaultTolerationSeconds", tolerations::default_seconds),
    // A claim without a class gets the default class.
    ("DefaultStorageClass", default_class::of_claim),
    // A volume or claim in use does not go before its user: the controllers take the finalizer away.
    ("StorageObjectInUseProtection", storage::protect),
    // A pod is charged what its runtime needs, and goes where that runtime is.
    ("RuntimeClass", runtime_class::apply),
    // An ingress without a class gets the default class.
    ("DefaultIngressClass", default_class::of_ingress),
    // A certificate request carries the name of who really asks, and its conditions a time.
    ("CertificateRequester", certificates::settle),
    // A pod of an account with an AWS role gets its token; last, for at EKS a webhook does this.
    ("PodIdentityWebhook", pod_identity::inject),
];

/// Plugins that look at the object as it will be stored.
const VALIDATING: &[(&str, Validating)] = &[
    // Namespaces that every cluster has must not be deleted.
    ("NamespaceLifecycle", namespace::keep_required),
    // A pod made for a node by itself must not claim to be one that the control plane made.
    ("MirrorPods", pods::mirror_pods_need_a_node),
    // What a namespace limits is kept, whoever asks.
    ("LimitRanger", limit_ranger::keep_limits),
    // A pod asks for no more than its namespace's standard lets it.
    ("PodSecurity", pod_security::keep_to_standard),
    // What a pod's runtime needs beside it is charged to the pod, and nothing else is.
    ("RuntimeClass", runtime_class::keep_overhead),
    // A node changes itself and its pods only.
    ("NodeRestriction", node_restriction::restrict),
    // A claim grows only where its class lets it.
    ("PersistentVolumeClaimResize", storage::resize),
    // Who approves must be allowed to for this signer.
    ("CertificateApproval", certificates::may_approve),
    // Who signs must be allowed to for this signer.
    ("CertificateSigning", certificates::may_sign),
    // No certificate makes its holder an administrator.
    ("CertificateSubjectRestriction", certificates::no_masters),
];

impl<'a> Request<'a> {
    /// A write of an object, or of a part of one.
    pub fn new(
        registry: &'a Registry,
        context: &'a Context,
        resource: &'a Resource,
        operation: Operation,
        dry_run: bool,
    ) -> Self {
        Self {
            registry,
            kinds: registry.kinds(),
            context,
            resource,
            operation,
            subresource: None,
            old: None,
            dry_run,
            shows: Shown::Itself,
            named: None,
            internal: false,
        }
    }
}

impl Request<'_> {
    /// Lets the mutating plugins change the object: those of the server, then policies, then webhooks; once more those
    /// that want to see what others did after them.
    pub async fn mutate(&self, object: &mut Object) -> Result<(), StatusError> {
        self.built_in(object)?;
        let Some(hooks) = self.hooks() else {
            return Ok(());
        };
        let policies = self.apply_policies(&hooks, object, |_| true)?;
        let called = self.call_mutating(&hooks, object, 0, |_| true).await?;
        if !policies.iter().chain(&called).any(|(_, changed)| *changed) {
            return Ok(());
        }
        let before = object.clone();
        self.built_in(object)?;
        let also = before != *object;
        let webhook_changed = called.iter().any(|(_, changed)| *changed);
        let again = |asked: &[(usize, bool)], later: bool| -> Vec<usize> {
            let places = asked.iter().enumerate();
            let seen_less = places.filter(|(place, _)| later || asked[place + 1..].iter().any(|(_, changed)| *changed));
            seen_less.map(|(_, (index, _))| *index).collect()
        };
        let policies_again = again(&policies, also || webhook_changed);
        let applied = self.apply_policies(&hooks, object, |index| {
            hooks.mutating_policies[index].reinvoked && policies_again.contains(&index)
        })?;
        let also = also || applied.iter().any(|(_, changed)| *changed);
        let called_again = again(&called, also);
        self.call_mutating(&hooks, object, 1, |index| {
            hooks.mutating[index].reinvoked && called_again.contains(&index)
        })
        .await?;
        Ok(())
    }

    fn built_in(&self, object: &mut Object) -> Result<(), StatusError> {
        for (name, plugin) in MUTATING {
            plugin(self, object).inspect_err(|error| tracing::debug!(plugin = name, %error, "refused"))?;
        }
        Ok(())
    }

    /// Asks the validating plugins: those of the server, then policies, then webhooks.
    pub async fn validate(&self, object: &Object) -> Result<(), StatusError> {
        for (name, plugin) in VALIDATING {
            plugin(self, object).inspect_err(|error| tracing::debug!(plugin = name, %error, "refused"))?;
        }
        if let Some(hooks) = self.hooks() {
            let object = (self.operation != Operation::Delete).then_some(object);
            self.ask_policies(&hooks, object)?;
            self.call_validating(&hooks, object).await?;
        }
        Ok(())
    }

    /// Lets mutating webhooks know of a deletion, which they may refuse.
    pub async fn announce_deletion(&self, object: &Object) -> Result<(), StatusError> {
        if let Some(hooks) = self.hooks() {
            self.call_mutating(&hooks, &mut object.clone(), 0, |_| true).await?;
        }
        Ok(())
    }

    /// What is configured, unless the request is about the configuration itself.
    fn hooks(&self) -> Option<Arc<Hooks>> {
        let kind = &self.resource.kind;
        if self.internal || kind.group == GROUP && CONFIGURATIONS.contains(&&*kind.plural) {
            return None;
        }
        Some(self.registry.hooks()).filter(|hooks| !hooks.is_empty())
    }

    /// Changes the object by a JSON patch of what is shown of it in a version.
    fn patch(&self, version: &ResourceKind, object: &mut Object, patch: &[u8]) -> Result<(), StatusError> {
        let gvk = self.shown_kind(version);
        self.change(version, object, |shown| {
            let patched = object_merge::apply_patch(PatchKind::Json, &gvk, &Value::Object(shown.0), patch)
                .map_err(|error| patch_error(&error))?;
            Object::from_value(patched).map_err(StatusError::internal)
        })
    }

    /// Changes what is shown of the object in a version.
    fn change(
        &self,
        version: &ResourceKind,
        object: &mut Object,
        change: impl FnOnce(Object) -> Result<Object, StatusError>,
    ) -> Result<(), StatusError> {
        let gvk = self.shown_kind(version);
        let mut patched = change(self.shown(object, version))?;
        conform(
            self.registry,
            self.context,
            &gvk,
            &mut patched,
            Vec::new(),
            FieldValidation::Ignore,
        )?;
        match &self.shows {
            Shown::Itself => {
                let stored = self.resource.ruling();
                if stored.gvr() != version.gvr() {
                    patched = crate::convert::convert(patched, version, stored);
                }
                if stored.custom.is_none() {
                    (stored.rules.defaults)(&mut patched);
                }
                self.resource.settle(&mut patched)?;
                *object = patched;
            }
            Shown::Scale(paths) => scale::apply(paths, &patched, object)?,
            Shown::Other(_) => *object = patched,
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
