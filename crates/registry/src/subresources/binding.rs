//! `binding`: the scheduler says which node a pod runs on.

use std::sync::Arc;

use kube_types::GroupVersionKind;
use kube_types::dynamic::{Object, Value, json};

use super::created;
use crate::columns::string;
use crate::kinds::ResourceKind;
use crate::options::WriteOptions;
use crate::pipeline::{Part, Source, check_namespace, stamp};
use crate::registry::Registry;
use crate::request::{Context, Reply, RequestBody, Target};
use crate::status::{StatusError, Subject};

impl Registry {
    /// Binds a pod to the node that a Binding names.
    pub(crate) async fn bind(
        &self,
        context: &Context,
        target: &Target,
        body: RequestBody,
        options: WriteOptions,
    ) -> Result<Reply, StatusError> {
        let gvk = GroupVersionKind::new("", "v1", "Binding");
        let mut binding = self.decode(context, &gvk, &body, options.field_validation)?;
        let pods = self.built_in("", "pods")?;
        check_namespace(&pods.kind, target, &mut binding)?;
        let name = match (&target.name, binding.name()) {
            (Some(name), None) => name.clone(),
            (Some(name), Some(given)) if name == given => name.clone(),
            (Some(name), Some(given)) => {
                let message = format!("name in URL does not match name in Binding object: {name} != {given}");
                return Err(StatusError::bad_request(message));
            }
            (None, given) => given.unwrap_or_default().to_owned(),
        };
        check_target(&binding, &name)?;
        self.admit_posted(context, &pods, target, &mut binding, options.dry_run)
            .await?;
        let pod = Target {
            name: Some(name.clone()),
            subresource: None,
            gvr: pods.kind.gvr(),
            ..target.clone()
        };
        let now = stamp(self.clock.now());
        let edit = move |pod: &mut Object| assign(pod, &binding, &now);
        let source = Source::Edit(Arc::new(edit));
        self.change(context, &pods, &pod, Part::Binding, source, &options)
            .await?;
        created()
    }

    /// Posts to the older `bindings` resource, which is the same thing by another path.
    pub(crate) async fn bind_by_resource(
        &self,
        context: &Context,
        target: &Target,
        _kind: &ResourceKind,
        body: RequestBody,
        options: WriteOptions,
    ) -> Result<Reply, StatusError> {
        self.bind(context, target, body, options).await
    }
}

fn check_target(binding: &Object, name: &str) -> Result<(), StatusError> {
    let mut errors = object_rules::field::Errors::new();
    let kind = string(&binding.0, &["target", "kind"]);
    if !matches!(kind, "" | "Node") {
        errors.not_supported("target.kind", kind, &["Node", "<empty>"]);
    }
    if string(&binding.0, &["target", "name"]).is_empty() {
        errors.required("target.name", "");
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(StatusError::invalid(&Subject::new("", "Binding"), name, &errors))
}

/// Source: `pkg/registry/core/pod/storage`, `setPodHostAndAnnotations`.
fn assign(pod: &mut Object, binding: &Object, now: &str) -> Result<(), StatusError> {
    let name = pod.name().unwrap_or_default().to_owned();
    let conflict = |problem: &str| Err(StatusError::conflict(&Subject::new("", "pods/binding"), &name, problem));
    if let Some(uid) = binding.uid().filter(|uid| Some(*uid) != pod.uid()) {
        let found = pod.uid().unwrap_or_default();
        let key = format!("/registry/pods/{}/{name}", pod.namespace().unwrap_or_default());
        let subject = Subject::new("", "pods");
        return Err(StatusError::precondition_failed(&subject, &name, &key, uid, found));
    }
    if pod.is_deleting() {
        return conflict(&format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let node = string(&pod.0, &["spec", "nodeName"]).to_owned();
    if !node.is_empty() {
        return conflict(&format!("pod {name} is already assigned to node \"{node}\""));
    }
    if !crate::columns::list(&pod.0, &["spec", "schedulingGates"]).is_empty() {
        return conflict(&format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    let wanted = string(&binding.0, &["target", "name"]);
    for field in ["annotations", "labels"] {
        let given = binding
            .metadata()
            .and_then(|m| m.get(field))
            .and_then(Value::as_object)
            .cloned();
        if let Some(given) = given {
            let kept = pod.metadata_mut().entry(field).or_insert_with(|| json!({}));
            if let Value::Object(kept) = kept {
                kept.extend(given);
            }
        }
    }
    if let Some(spec) = pod.0.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("nodeName".to_owned(), wanted.into());
    }
    scheduled(pod, now);
    Ok(())
}

/// Sets the condition PodScheduled.
fn scheduled(pod: &mut Object, now: &str) {
    let status = pod.0.entry("status").or_insert_with(|| json!({}));
    let Some(conditions) = status
        .as_object_mut()
        .map(|s| s.entry("conditions").or_insert_with(|| json!([])))
    else {
        return;
    };
    if let Value::Array(conditions) = conditions {
        conditions.retain(|condition| condition["type"] != "PodScheduled");
        conditions.push(json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null,
            "lastTransitionTime": now}));
    }
}
