//! Who asks for a certificate is what the server knows, not what the request says.

use access_rules::{Attributes, ResourceAttributes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube_types::dynamic::{Object, Value, json};

use super::Request;
use crate::columns::string;
use crate::status::StatusError;

pub(super) fn record_requester(request: &Request<'_>, object: &mut Object) -> Result<(), StatusError> {
    if !request.creates("certificates.k8s.io", "certificatesigningrequests") {
        return Ok(());
    }
    let user = &request.context.user;
    let Some(spec) = object.0.get_mut("spec").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    spec.insert("username".to_owned(), user.name.as_str().into());
    spec.insert("groups".to_owned(), json!(user.groups));
    spec.remove("uid");
    spec.remove("extra");
    if let Some(uid) = &user.uid {
        spec.insert("uid".to_owned(), uid.as_str().into());
    }
    if !user.extra.is_empty() {
        spec.insert("extra".to_owned(), json!(user.extra));
    }
    Ok(())
}

/// Signer of client certificates for the API server, and the group that none of them may name.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";
const MASTERS: &[u8] = b"system:masters";
/// The attribute "organization" in DER, before the kind and length of its text.
const ORGANIZATION: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x0a];

/// CertificateApproval and CertificateSigning: whoever decides must be allowed to decide for this signer.
pub(super) fn may_decide(request: &Request<'_>, object: &Object) -> Result<(), StatusError> {
    let kind = &request.resource.kind;
    if kind.group != "certificates.k8s.io" || kind.plural != "certificatesigningrequests" {
        return Ok(());
    }
    let certificate = |object: &Object| string(&object.0, &["status", "certificate"]).to_owned();
    let signed = request.old.is_some_and(|old| certificate(old) != certificate(object));
    let verb = match request.subresource {
        Some("approval") => "approve",
        Some("status") if signed => "sign",
        _ => return Ok(()),
    };
    let signer = string(&request.old.unwrap_or(object).0, &["spec", "signerName"]);
    let all = signer.split_once('/').map(|(domain, _)| format!("{domain}/*"));
    let allowed = [Some(signer), all.as_deref()].into_iter().flatten().any(|name| {
        let attributes = Attributes {
            user: &request.context.user,
            verb,
            resource: Some(ResourceAttributes {
                group: "certificates.k8s.io",
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

/// CertificateSubjectRestriction: no certificate makes its holder an administrator for ever.
pub(super) fn no_masters(request: &Request<'_>, object: &Object) -> Result<(), StatusError> {
    if !request.creates("certificates.k8s.io", "certificatesigningrequests")
        || string(&object.0, &["spec", "signerName"]) != CLIENT_SIGNER
    {
        return Ok(());
    }
    let pem = STANDARD
        .decode(string(&object.0, &["spec", "request"]))
        .unwrap_or_default();
    let body: String = String::from_utf8_lossy(&pem)
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .map(str::trim)
        .collect();
    let der = STANDARD.decode(body).unwrap_or_default();
    let named = der
        .windows(ORGANIZATION.len() + 2 + MASTERS.len())
        .any(|window| window.starts_with(ORGANIZATION) && window.ends_with(MASTERS));
    if named {
        let problem = format!("use of {CLIENT_SIGNER} signer with system:masters group is not allowed");
        return Err(request.forbidden(object, &problem));
    }
    Ok(())
}
