//! Certificate requests: who asks is what the server knows, who decides must be allowed to, and nobody becomes an
//! administrator by a certificate.

use access_rules::identity::MASTERS;
use access_rules::{Attributes, ResourceAttributes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube_types::dynamic::{Object, Value, json};

use super::{Operation, Request};
use crate::columns::string;
use crate::pipeline::stamp;
use crate::status::StatusError;

const GROUP: &str = "certificates.k8s.io";
const PLURAL: &str = "certificatesigningrequests";
/// Signer of client certificates for the API server, which must not name the group of administrators.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// What a new request says of its requester, and when conditions that come without a time were set.
pub(super) fn settle(request: &Request<'_>, object: &mut Object) -> Result<(), StatusError> {
    if request.creates(GROUP, PLURAL) {
        record_requester(request, object);
    }
    if is_update(request, &["approval", "status"]) {
        stamp_conditions(request, object);
    }
    Ok(())
}

fn record_requester(request: &Request<'_>, object: &mut Object) {
    let user = &request.context.user;
    let Some(spec) = object.0.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    spec.insert("username".to_owned(), user.name.as_str().into());
    spec.insert("groups".to_owned(), json!(user.groups));
    spec.shift_remove("uid");
    spec.shift_remove("extra");
    if let Some(uid) = &user.uid {
        spec.insert("uid".to_owned(), uid.as_str().into());
    }
    if !user.extra.is_empty() {
        spec.insert("extra".to_owned(), json!(user.extra));
    }
}

/// Source: `populateConditionTimestamps` of the kind's strategy.
fn stamp_conditions(request: &Request<'_>, object: &mut Object) {
    let now = stamp(request.registry.clock.now());
    let before = request.old.map(conditions).unwrap_or_default();
    let list = object
        .0
        .get_mut("status")
        .and_then(|status| status.get_mut("conditions"))
        .and_then(Value::as_array_mut);
    for condition in list.into_iter().flatten() {
        let lacks = |field: &str| condition.get(field).is_none_or(Value::is_null);
        let (updated, transition) = (lacks("lastUpdateTime"), lacks("lastTransitionTime"));
        if updated {
            condition["lastUpdateTime"] = now.as_str().into();
        }
        if transition {
            let same = before
                .iter()
                .find(|old| old["type"] == condition["type"] && old["status"] == condition["status"]);
            let kept = same.and_then(|old| old.get("lastTransitionTime")).cloned();
            condition["lastTransitionTime"] = kept.unwrap_or_else(|| now.as_str().into());
        }
    }
}

/// CertificateApproval: whoever approves or denies must be allowed to for this signer.
pub(super) fn may_approve(request: &Request<'_>, object: &Object) -> Result<(), StatusError> {
    if is_update(request, &["approval"]) {
        may(request, object, "approve")
    } else {
        Ok(())
    }
}

/// CertificateSigning: whoever gives a certificate, or says that there will be none, must be allowed to sign.
pub(super) fn may_sign(request: &Request<'_>, object: &Object) -> Result<(), StatusError> {
    let Some(old) = request.old.filter(|_| is_update(request, &["status"])) else {
        return Ok(());
    };
    let certificate = |object: &Object| string(&object.0, &["status", "certificate"]).to_owned();
    if certificate(old) == certificate(object) && conditions(old) == conditions(object) {
        return Ok(());
    }
    may(request, object, "sign")
}

/// CertificateSubjectRestriction: no certificate makes its holder an administrator for ever.
pub(super) fn no_masters(request: &Request<'_>, object: &Object) -> Result<(), StatusError> {
    if !request.creates(GROUP, PLURAL) || string(&object.0, &["spec", "signerName"]) != CLIENT_SIGNER {
        return Ok(());
    }
    let pem = STANDARD.decode(string(&object.0, &["spec", "request"]));
    let asked = certificates::Request::parse(&pem.unwrap_or_default());
    let asked = asked.map_err(|error| request.forbidden(object, &format!("failed to parse CSR: {error}")))?;
    if asked.organizations.iter().any(|organization| organization == MASTERS) {
        let problem = format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed");
        return Err(request.forbidden(object, &problem));
    }
    Ok(())
}

/// Signers are allowed by name, or all of a domain at once. Source: `certificates/authorization`.
fn may(request: &Request<'_>, object: &Object, verb: &str) -> Result<(), StatusError> {
    let signer = string(&request.old.unwrap_or(object).0, &["spec", "signerName"]);
    let all = signer.split_once('/').map(|(domain, _)| format!("{domain}/*"));
    let allowed = [Some(signer), all.as_deref()].into_iter().flatten().any(|name| {
        let attributes = Attributes {
            user: &request.context.user,
            verb,
            resource: Some(ResourceAttributes {
                group: GROUP,
                version: "*",
                resource: "signers",
                name,
                ..ResourceAttributes::default()
            }),
            path: "",
        };
        request.registry.decide(&attributes).is_allowed()
    });
    if allowed {
        return Ok(());
    }
    let problem = format!("user not permitted to {verb} requests with signerName {signer:?}");
    Err(request.forbidden(object, &problem))
}

fn is_update(request: &Request<'_>, subresources: &[&str]) -> bool {
    let kind = &request.resource.kind;
    let below = request.subresource.is_some_and(|name| subresources.contains(&name));
    request.operation == Operation::Update && kind.group == GROUP && kind.plural == PLURAL && below
}

fn conditions(object: &Object) -> Vec<Value> {
    let status = object.0.get("status");
    let conditions = status
        .and_then(|status| status.get("conditions"))
        .and_then(Value::as_array);
    conditions.cloned().unwrap_or_default()
}
