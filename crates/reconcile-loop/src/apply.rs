//! Carries plans out through the API, step by step, and says what the view must show before the next decision.

use futures::future::join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::core::Request;
use kube_types::{GroupVersionResource, ObjectKey};
use plan::{AnyObject, Change, FailedChange, Kind, MetadataPatch, Plan, Propagation, Step, Target, World};
use serde::{Deserialize, Serialize};

use crate::recorder::Recorder;

/// How many objects of a row of creations are made at once at first; doubles while all are accepted, so that a refusal
/// (a quota) is met by few requests and not by hundreds.
const FIRST_BATCH: usize = 4;

/// The field manager of everything that controllers write.
const FIELD_MANAGER: &str = "kube-controller-manager";

/// A change that was refused.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ApplyError {
    /// The step that failed and its object.
    pub what: String,
    /// The sort of change.
    pub change: FailedChange,
    /// The refusal.
    #[source]
    pub source: Box<kube::Error>,
}

impl ApplyError {
    /// Was the decision made from an outdated view?
    pub fn is_conflict(&self) -> bool {
        self.status()
            .is_some_and(|status| status.code == 409 || status.code == 404)
    }

    /// Is the namespace of the object being deleted, so that there is nothing to retry?
    pub fn is_namespace_terminating(&self) -> bool {
        let details = self.status().and_then(|status| status.details.as_ref());
        details.is_some_and(|details| {
            details
                .causes
                .iter()
                .any(|cause| cause.reason == "NamespaceTerminating")
        })
    }

    /// The refusal in the API server's words.
    pub fn message(&self) -> String {
        self.status().map_or_else(
            || supervision::error_chain(&self.source),
            |status| status.message.clone(),
        )
    }

    fn status(&self) -> Option<&kube::core::Status> {
        match self.source.as_ref() {
            kube::Error::Api(status) => Some(status),
            _ => None,
        }
    }
}

/// What the view must show before the next decision sees the present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The watch of the kind must have come to this revision.
    Revision {
        /// The kind that was written.
        kind: Kind,
        /// The revision of the write.
        revision: u64,
    },
    /// The object with this uid must be gone or on its way out.
    Gone {
        /// The kind of the object.
        kind: Kind,
        /// Its namespace and name.
        key: ObjectKey,
        /// Its uid.
        uid: String,
    },
}

impl Mark {
    /// The kind whose watch will show it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Revision { kind, .. } | Self::Gone { kind, .. } => *kind,
        }
    }

    pub(crate) fn is_shown(&self, seen: u64, world: &World) -> bool {
        match self {
            Self::Revision { revision, .. } => seen >= *revision,
            Self::Gone { kind, key, uid } => world
                .metadata(*kind, key)
                .is_none_or(|metadata| metadata.uid.as_deref() != Some(uid) || metadata.deletion_timestamp.is_some()),
        }
    }
}

/// As much of an answer as is needed.
#[derive(Debug, Default, Deserialize)]
struct Written {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: ObjectMeta,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PatchBody<'a> {
    metadata: PatchedMetadata<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PatchedMetadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<&'a str>,
    #[serde(flatten)]
    patch: &'a MetadataPatch,
}

/// Carries changes out.
#[derive(Clone)]
pub struct Applier {
    client: Client,
    recorder: Recorder,
}

impl Applier {
    /// Writes through `client` and tells through `recorder`.
    pub fn new(client: Client, recorder: Recorder) -> Self {
        Self { client, recorder }
    }

    /// Carries out the plan of `controller` in order and gives what the view must show.
    ///
    /// # Errors
    /// When a step is refused; the steps after it are not tried.
    pub async fn apply(&self, controller: &'static str, plan: Plan) -> Result<Vec<Mark>, ApplyError> {
        for event in plan.events {
            self.recorder.record(controller, event);
        }
        let mut marks = Vec::new();
        let mut rest = plan.steps.as_slice();
        let mut batch = FIRST_BATCH;
        while !rest.is_empty() {
            let alike = rest.iter().take_while(|step| may_run_together(&rest[0], step)).count();
            let (now, later) = rest.split_at(alike.clamp(1, batch));
            let results = join_all(now.iter().map(|step| self.step(controller, step))).await;
            for result in results {
                marks.extend(result?);
            }
            batch = batch.saturating_mul(2);
            rest = later;
        }
        Ok(marks)
    }

    async fn step(&self, controller: &'static str, step: &Step) -> Result<Option<Mark>, ApplyError> {
        match self.carry_out(&step.change).await {
            Ok((name, mark)) => {
                if let Some(mut event) = step.on_success.clone() {
                    event.message = event.message.replace("{name}", &name);
                    self.recorder.record(controller, event);
                }
                Ok(mark)
            }
            Err(error) => {
                if let Some(mut event) = step.on_failure.clone()
                    && !error.is_namespace_terminating()
                {
                    event.message = event.message.replace("{error}", &error.message());
                    self.recorder.record(controller, event);
                }
                Err(error)
            }
        }
    }

    async fn carry_out(&self, change: &Change) -> Result<(String, Option<Mark>), ApplyError> {
        match change {
            Change::Create(object) => {
                let request = typed(object).create(&writing(), encode(object));
                let written = self
                    .send("create", object_name(object), FailedChange::Create, request)
                    .await?;
                Ok(marked(object.kind(), &written))
            }
            Change::Update(object) => {
                let request = typed(object).replace(&object_name(object), &writing(), encode(object));
                let written = self
                    .send("update", object_name(object), FailedChange::Update, request)
                    .await?;
                Ok(marked(object.kind(), &written))
            }
            Change::UpdateStatus(object) => {
                let name = object_name(object);
                let request = typed(object).replace_subresource("status", &name, &writing(), encode(object));
                let written = self
                    .send("update the status of", name, FailedChange::Update, request)
                    .await?;
                Ok(marked(object.kind(), &written))
            }
            Change::UpdateApproval(request) => {
                let name = request.metadata.name.clone().unwrap_or_default();
                let kind = Kind::CertificateSigningRequest;
                let path = Request::new(path_of(&kind.resource(), None));
                let sent = path.replace_subresource("approval", &name, &writing(), to_json(request));
                let written = self.send("approve", name, FailedChange::Update, sent).await?;
                Ok(marked(kind, &written))
            }
            Change::PatchMetadata { target, patch } => self.patch(target, patch).await,
            Change::Delete {
                target,
                propagation,
                grace_seconds,
            } => self.delete(target, *propagation, *grace_seconds).await,
            Change::DeleteCollection { resource, namespace } => {
                let path = path_of(&resource.group_version_resource(), Some(namespace));
                let request = Request::new(path).delete_collection(&DeleteParams::background(), &ListParams::default());
                self.send("delete all", resource.plural.clone(), FailedChange::Delete, request)
                    .await?;
                Ok((String::new(), None))
            }
            Change::Finalize(namespace) => {
                let name = namespace.metadata.name.clone().unwrap_or_default();
                let path = path_of(&Kind::Namespace.resource(), None);
                let body = to_json(namespace);
                let request = Request::new(path).replace_subresource("finalize", &name, &PostParams::default(), body);
                self.send("finalize", name, FailedChange::Update, request).await?;
                Ok((String::new(), None))
            }
        }
    }

    async fn patch(&self, target: &Target, patch: &MetadataPatch) -> Result<(String, Option<Mark>), ApplyError> {
        let body = PatchBody {
            metadata: PatchedMetadata {
                uid: target.uid.as_deref(),
                resource_version: target.resource_version.as_deref(),
                patch,
            },
        };
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let request = at(target).patch(&target.name, &params, &Patch::Merge(body));
        let written = self
            .send("patch", describe(target), FailedChange::Update, request)
            .await?;
        let mark = kind_of(target).map(|kind| marked(kind, &written));
        Ok(mark.unwrap_or_else(|| (target.name.clone(), None)))
    }

    async fn delete(
        &self,
        target: &Target,
        propagation: Option<Propagation>,
        grace_seconds: Option<i64>,
    ) -> Result<(String, Option<Mark>), ApplyError> {
        let params = DeleteParams {
            grace_period_seconds: grace_seconds.and_then(|seconds| u32::try_from(seconds).ok()),
            propagation_policy: propagation.map(|propagation| match propagation {
                Propagation::Orphan => PropagationPolicy::Orphan,
                Propagation::Background => PropagationPolicy::Background,
                Propagation::Foreground => PropagationPolicy::Foreground,
            }),
            preconditions: Some(Preconditions {
                uid: target.uid.clone(),
                resource_version: target.resource_version.clone(),
            }),
            ..DeleteParams::default()
        };
        let request = at(target).delete(&target.name, &params);
        match self
            .send("delete", describe(target), FailedChange::Delete, request)
            .await
        {
            Ok(_) => {}
            Err(error) if error.status().is_some_and(|status| status.code == 404) => {}
            Err(error) => return Err(error),
        }
        let mark = kind_of(target).zip(target.uid.clone());
        let mark = mark.map(|(kind, uid)| Mark::Gone {
            kind,
            key: target.key(),
            uid,
        });
        Ok((target.name.clone(), mark))
    }

    async fn send<R>(
        &self,
        verb: &str,
        name: String,
        change: FailedChange,
        request: Result<R, kube::core::request::Error>,
    ) -> Result<Written, ApplyError>
    where
        R: Into<http::Request<Vec<u8>>>,
    {
        let failed = |source| ApplyError {
            what: format!("{verb} {name}"),
            change,
            source: Box::new(source),
        };
        let request = request.map_err(|error| failed(kube::Error::BuildRequest(error)))?;
        self.client.request::<Written>(request.into()).await.map_err(failed)
    }
}

/// May `next` run at the same time as `first`? Creations and deletions of one kind may: neither depends on the other.
fn may_run_together(first: &Step, next: &Step) -> bool {
    match (&first.change, &next.change) {
        (Change::Create(first), Change::Create(next)) => first.kind() == next.kind(),
        (Change::Delete { target: first, .. }, Change::Delete { target: next, .. }) => first.resource == next.resource,
        _ => std::ptr::eq(first, next),
    }
}

fn marked(kind: Kind, written: &Written) -> (String, Option<Mark>) {
    let revision = written
        .metadata
        .resource_version
        .as_deref()
        .and_then(|revision| revision.parse().ok());
    let mark = revision
        .filter(|_| written.kind != "Status")
        .map(|revision| Mark::Revision { kind, revision });
    (written.metadata.name.clone().unwrap_or_default(), mark)
}

fn kind_of(target: &Target) -> Option<Kind> {
    let resource = target.resource.group_version_resource();
    Kind::ALL.iter().copied().find(|kind| kind.resource() == resource)
}

fn writing() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn typed(object: &AnyObject) -> Request {
    Request::new(path_of(
        &object.kind().resource(),
        object.metadata().namespace.as_deref(),
    ))
}

fn at(target: &Target) -> Request {
    Request::new(path_of(
        &target.resource.group_version_resource(),
        target.namespace.as_deref(),
    ))
}

/// The URL path of a resource, in a namespace or in the cluster.
pub(crate) fn path_of(resource: &GroupVersionResource, namespace: Option<&str>) -> String {
    let root = if resource.group.is_empty() { "/api" } else { "/apis" };
    let api_version = resource.api_version();
    match namespace {
        Some(namespace) => format!("{root}/{api_version}/namespaces/{namespace}/{}", resource.resource),
        None => format!("{root}/{api_version}/{}", resource.resource),
    }
}

fn encode(object: &AnyObject) -> Vec<u8> {
    to_json(object)
}

/// API objects are plain data: their serialisation has no failing case.
fn to_json<T: Serialize>(object: &T) -> Vec<u8> {
    serde_json::to_vec(object).unwrap_or_default()
}

fn object_name(object: &AnyObject) -> String {
    let metadata = object.metadata();
    metadata
        .name
        .clone()
        .or_else(|| metadata.generate_name.clone())
        .unwrap_or_default()
}

fn describe(target: &Target) -> String {
    format!("{} {}", target.resource.kind, target.key())
}
