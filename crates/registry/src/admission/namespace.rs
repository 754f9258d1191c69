//! NamespaceLifecycle: the namespace must be there and must stay.

use kube_types::ObjectKey;
use kube_types::dynamic::Object;

use super::{Operation, Request};
use crate::status::{StatusError, Subject};

/// Namespaces that cannot be deleted.
const REQUIRED: &[&str] = &["default", "kube-system", "kube-public"];

pub(super) fn lifecycle(request: &Request<'_>, object: &mut Object) -> Result<(), StatusError> {
    if request.operation != Operation::Create || request.subresource.is_some() || !request.resource.kind.namespaced {
        return Ok(());
    }
    let name = object.namespace().unwrap_or_default().to_owned();
    let Some(namespace) = request
        .registry
        .shared("", "namespaces", &ObjectKey::cluster(name.as_str()))
    else {
        return Err(StatusError::not_found(&Subject::new("", "namespaces"), &name));
    };
    if !namespace.is_deleting() {
        return Ok(());
    }
    // The controller that empties a namespace asks about access while it works.
    if request.resource.kind.plural == "localsubjectaccessreviews" {
        return Ok(());
    }
    let problem = format!("unable to create new content in namespace {name} because it is being terminated");
    let cause = format!("namespace {name} is being terminated");
    Err(request
        .forbidden(object, &problem)
        .with_cause("NamespaceTerminating", cause, "metadata.namespace"))
}

pub(super) fn keep_required(request: &Request<'_>, object: &Object) -> Result<(), StatusError> {
    let name = object.name().unwrap_or_default();
    if request.operation == Operation::Delete && request.is("", "namespaces") && REQUIRED.contains(&name) {
        return Err(request.forbidden(object, "this namespace may not be deleted"));
    }
    Ok(())
}
