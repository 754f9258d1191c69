//! Calling admission webhooks and reading their answers.
//!
//! Source: `apiserver/pkg/admission/plugin/webhook/{generic,mutating,validating,request,errors}`.

use bytes::Bytes;
use cel_rules::AccessCheck;
use futures::future::join_all;
use kube_types::ObjectKey;
use kube_types::dynamic::{Object, Value, json};

use super::conditions::{Access, Bound, hold};
use super::hooks::{Hook, Hooks};
use super::matching::{Matcher, Subject};
use super::{Operation, Request};
use crate::kinds::ResourceKind;
use crate::status::StatusError;

impl Request<'_> {
    /// Calls the mutating webhooks one after the other; each sees what those before it did. `wanted` says which are
    /// called at all. Answers which were called, and after which of them the object was changed.
    pub(super) async fn call_mutating(
        &self,
        hooks: &Hooks,
        object: &mut Object,
        round: u8,
        wanted: impl Fn(usize) -> bool,
    ) -> Result<Vec<(usize, bool)>, StatusError> {
        let mut called = Vec::new();
        for (index, hook) in hooks.mutating.iter().enumerate().filter(|(index, _)| wanted(*index)) {
            let given = (self.operation != Operation::Delete).then_some(&*object);
            let Some(version) = self.matched(hook, given)? else {
                continue;
            };
            let answer = match self.ask(hook, given, version).await {
                Ok(answer) => answer,
                Err(problem) => {
                    self.open_or_closed(hook, problem)?;
                    called.push((index, false));
                    continue;
                }
            };
            let changed = match &answer.patch {
                Some(patch) if self.operation != Operation::Delete => {
                    let before = object.clone();
                    self.patch(version, object, patch)?;
                    before != *object
                }
                _ => false,
            };
            self.note_mutation(hook, round, index, changed.then_some(answer.patch.as_ref()).flatten());
            called.push((index, changed));
        }
        Ok(called)
    }

    /// What a mutating webhook did, for the audit log.
    fn note_mutation(&self, hook: &Hook, round: u8, index: usize, patch: Option<&Bytes>) {
        let annotations = &self.context.annotations;
        if !annotations.are_kept() {
            return;
        }
        let names = json!({"configuration": hook.configuration, "webhook": hook.name, "mutated": patch.is_some()});
        let key = format!("webhook.admission.k8s.io/round_{round}_index_{index}");
        annotations.add(&format!("mutation.{key}"), || names.to_string());
        let patch = patch.and_then(|patch| serde_json::from_slice::<Value>(patch).ok());
        if let Some(patch) = patch {
            let noted = json!({"configuration": hook.configuration, "webhook": hook.name, "patch": patch,
                "patchType": "JSONPatch"});
            annotations.add(&format!("patch.{key}"), || noted.to_string());
        }
    }

    /// Calls the validating webhooks side by side.
    pub(super) async fn call_validating(&self, hooks: &Hooks, object: Option<&Object>) -> Result<(), StatusError> {
        let calls = hooks.validating.iter().map(|hook| async move {
            let Some(version) = self.matched(hook, object)? else {
                return Ok(());
            };
            match self.ask(hook, object, version).await {
                Ok(_) => Ok(()),
                Err(problem) => self.open_or_closed(hook, problem),
            }
        });
        join_all(calls).await.into_iter().collect()
    }

    /// The version of the resource that a webhook wants, when it is about this request.
    fn matched(&self, hook: &Hook, object: Option<&Object>) -> Result<Option<&ResourceKind>, StatusError> {
        let versions = self.versions();
        let subject = self.subject(object);
        let Some(version) = hook.matcher.version(&versions, &subject) else {
            return Ok(None);
        };
        if !self.selected(&hook.matcher, &subject, object)? {
            return Ok(None);
        }
        if hook.conditions.is_empty() {
            return Ok(Some(version));
        }
        let shown = object.map(|object| self.shown(object, version));
        let old = self.old.map(|old| self.shown(old, version));
        let request = self.review("", object, version);
        let access = self.access(object);
        let bound = Bound {
            object: shown.as_ref(),
            old: old.as_ref(),
            request: &request,
            access: &access,
        };
        match hold(&hook.conditions, &bound.session()) {
            Ok(true) => Ok(Some(version)),
            Ok(false) => Ok(None),
            Err(problem) if hook.must_answer => {
                Err(StatusError::forbidden(&self.resource.subject(), subject.name, &problem))
            }
            Err(problem) => {
                tracing::warn!(
                    webhook = hook.name,
                    problem,
                    "match conditions failed, the webhook is not called"
                );
                Ok(None)
            }
        }
    }

    /// Whether the selectors for namespaces and objects fit.
    pub(super) fn selected(
        &self,
        matcher: &Matcher,
        subject: &Subject<'_>,
        object: Option<&Object>,
    ) -> Result<bool, StatusError> {
        if !matcher.fits_objects([object, self.old]) {
            return Ok(false);
        }
        if !matcher.asks_for_namespace() || subject.namespace.is_empty() {
            return Ok(true);
        }
        let of_namespace = self.resource.kind.group.is_empty() && self.resource.kind.plural == "namespaces";
        let labels = match object.filter(|_| of_namespace) {
            Some(namespace) => namespace.labels(),
            None => {
                let key = ObjectKey::cluster(subject.namespace);
                let found = self.registry.shared("", "namespaces", &key);
                let missing =
                    || StatusError::not_found(&crate::status::Subject::new("", "namespaces"), subject.namespace);
                found.ok_or_else(missing)?.labels()
            }
        };
        Ok(matcher.fits_namespace(Some(&labels)))
    }

    /// What the `authorizer` variable answers from.
    pub(super) fn access<'s>(&'s self, object: Option<&'s Object>) -> Access<'s> {
        let subject = self.subject(object);
        Access {
            registry: self.registry,
            user: &self.context.user,
            resource: AccessCheck {
                group: subject.group.to_owned(),
                resource: subject.resource.to_owned(),
                subresource: subject.subresource.to_owned(),
                namespace: subject.namespace.to_owned(),
                name: subject.name.to_owned(),
                ..AccessCheck::default()
            },
        }
    }

    async fn ask(&self, hook: &Hook, object: Option<&Object>, version: &ResourceKind) -> Result<Answer, Problem> {
        if self.dry_run && !hook.dry_run {
            let problem = format!("admission webhook {:?} does not support dry run", hook.name);
            return Err(Problem::Refused(StatusError::bad_request(problem)));
        }
        let uid = self.registry.random.uuid();
        let mut request = self.review(&uid, object, version);
        let shown = |object: Option<&Object>| match object {
            Some(object) => Value::Object(self.shown(object, version).0),
            None => Value::Null,
        };
        request["object"] = shown(object);
        request["oldObject"] = shown(self.old);
        let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request});
        let body = Bytes::from(review.to_string());
        let endpoint = hook.endpoint.as_ref();
        let endpoint = endpoint.ok_or_else(|| Problem::Failed("webhook has no clientConfig".to_owned()))?;
        let called = self.registry.call_webhook(endpoint, body, hook.timeout).await;
        let answer = called.map_err(|error| Problem::Failed(error.to_string()))?;
        let answer = read(&answer, &uid)
            .map_err(|problem| Problem::Failed(format!("received invalid webhook response: {problem}")))?;
        for warning in &answer.warnings {
            self.context.warnings.add(warning.as_str());
        }
        for (key, value) in &answer.annotations {
            let key = format!("{}/{key}", hook.name);
            self.context.annotations.add(&key, || value.clone());
        }
        if answer.allowed {
            return Ok(answer);
        }
        Err(Problem::Refused(denial(&hook.name, &answer.status)))
    }

    /// A refusal refuses; a failure does unless the webhook may be left out.
    fn open_or_closed(&self, hook: &Hook, problem: Problem) -> Result<(), StatusError> {
        match problem {
            Problem::Refused(error) => Err(error),
            Problem::Failed(reason) if hook.must_answer => Err(StatusError::internal(format!(
                "failed calling webhook {:?}: {reason}",
                hook.name
            ))),
            Problem::Failed(reason) => {
                tracing::warn!(webhook = hook.name, reason, "failed calling webhook, failing open");
                Ok(())
            }
        }
    }
}

enum Problem {
    Refused(StatusError),
    Failed(String),
}

/// What a webhook says.
struct Answer {
    allowed: bool,
    status: Value,
    warnings: Vec<String>,
    /// For the audit log, by key.
    annotations: Vec<(String, String)>,
    patch: Option<Bytes>,
}

/// Reads an `AdmissionReview`. Source: `VerifyAdmissionResponse`.
fn read(body: &[u8], uid: &str) -> Result<Answer, String> {
    use base64::Engine;
    let review: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    if review["kind"] != "AdmissionReview" || review["apiVersion"] != "admission.k8s.io/v1" {
        return Err(format!(
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {}, Kind={}",
            review["apiVersion"].as_str().unwrap_or_default(),
            review["kind"].as_str().unwrap_or_default()
        ));
    }
    let response = &review["response"];
    if response.is_null() {
        return Err("webhook response was absent".to_owned());
    }
    let text = |field: &str| response[field].as_str().unwrap_or_default();
    if text("uid") != uid {
        return Err(format!("expected response.uid=\"{uid}\", got \"{}\"", text("uid")));
    }
    let patch = match (text("patch"), text("patchType")) {
        ("", "") => None,
        ("", _) => return Err("webhook returned response.patchType but not response.patch".to_owned()),
        (_, "") => return Err("webhook returned response.patch but not response.patchType".to_owned()),
        (patch, "JSONPatch") => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(patch);
            Some(Bytes::from(
                decoded.map_err(|error| format!("response.patch: {error}"))?,
            ))
        }
        (_, other) => {
            return Err(format!(
                "webhook returned invalid response.patchType of \"{other}\", expected \"JSONPatch\""
            ));
        }
    };
    let warnings = response["warnings"].as_array().into_iter().flatten();
    let annotations = response["auditAnnotations"].as_object().into_iter().flatten();
    let annotations = annotations.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    Ok(Answer {
        allowed: response["allowed"] == true,
        status: response["status"].clone(),
        warnings: warnings.filter_map(Value::as_str).map(str::to_owned).collect(),
        annotations: annotations.collect(),
        patch,
    })
}

/// Source: `webhookerrors.ToStatusErr`.
fn denial(name: &str, status: &Value) -> StatusError {
    let code = status["code"]
        .as_i64()
        .and_then(|code| i32::try_from(code).ok())
        .unwrap_or(0);
    let (message, reason) = (
        status["message"].as_str().unwrap_or_default(),
        status["reason"].as_str().unwrap_or_default(),
    );
    let denied = format!("admission webhook {name:?} denied the request");
    let message = match (message, reason) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    StatusError::new(code.max(400), reason, message)
}
