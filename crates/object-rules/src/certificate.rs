//! Certificate signing requests: what is asked for never changes, and a decision is never taken back.
//!
//! Source: `pkg/apis/certificates/validation` and `pkg/registry/certificates/certificates/strategy.go`.

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::{Request, RequestError, Usage};
use kube_types::dynamic::{Object, Value};

use crate::field::Errors;
use crate::names;
use crate::rules::Rules;
use crate::tree::{Node, at, child, count, int, items, text, texts};

/// The shortest life that may be asked for, in seconds.
const SHORTEST: i64 = 600;
/// The signer of the API's first version, which signed whatever was approved.
const LEGACY_SIGNER: &str = "kubernetes.io/legacy-unknown";
/// Longest name of a signer's domain, and of a signer.
const LONGEST_DOMAIN: usize = 253;
const LONGEST_SIGNER: usize = LONGEST_DOMAIN + 253 + 63 + 2;
/// Conditions that stay once they are there.
const LASTING: [&str; 3] = ["Approved", "Denied", "Failed"];
/// Conditions that only the subresource `approval` gives.
const DECISIONS: [&str; 2] = ["Approved", "Denied"];
const CONDITIONS: &str = "status.conditions";

pub(crate) static CERTIFICATE_SIGNING_REQUEST: Rules = Rules {
    name: names::path_segment,
    validate: |request, errors| {
        specification(request, errors);
        conditions(request, errors);
        issued(request, errors);
    },
    // What was asked for and by whom never changes.
    prepare_update: keep_spec,
    prepare_status: |new, old| {
        keep_spec(new, old);
        DECISIONS.iter().for_each(|kind| keep_conditions(new, old, kind));
    },
    validate_status: |new, old, errors| {
        conditions(new, errors);
        issued(new, errors);
        lasting(new, old, errors);
        for kind in DECISIONS {
            let (before, after) = (conditions_of(old, kind), conditions_of(new, kind));
            if after.len() > before.len() {
                errors.forbidden(CONDITIONS, format!("updates may not add a condition of type {kind:?}"));
            } else if after != before && after.len() == before.len() {
                errors.forbidden(
                    CONDITIONS,
                    format!("updates may not modify a condition of type {kind:?}"),
                );
            }
        }
        let (before, after) = (certificate(old), certificate(new));
        if before != after && !before.is_empty() {
            errors.forbidden(
                "status.certificate",
                "updates may not modify existing certificate content",
            );
        }
    },
    status: true,
    ..Rules::NAMED
};

/// What is wrong with a change through the subresource `approval`, which gives decisions and no certificate.
pub fn check_approval(new: &Object, old: &Object, errors: &mut Errors) {
    conditions(new, errors);
    lasting(new, old, errors);
}

fn keep_spec(new: &mut Object, old: &Object) {
    if let Some(spec) = old.0.get("spec") {
        new.0.insert("spec".to_owned(), spec.clone());
    }
}

fn specification(request: &Object, errors: &mut Errors) {
    let empty = Node::new();
    let spec = child(&request.0, "spec").unwrap_or(&empty);
    let sent = text(spec, "request");
    if let Err(error) = parse(sent) {
        errors.invalid("spec.request", sent, error.to_string());
    }
    if count(spec, "usages") == 0 {
        errors.required("spec.usages", "usages must be provided");
    }
    let usages: Vec<&str> = texts(spec, "usages").collect();
    for (index, usage) in usages.iter().enumerate() {
        if Usage::parse(usage).is_none() {
            errors.not_supported(format!("spec.usages[{index}]"), *usage, &Usage::names());
        }
    }
    for (index, usage) in usages.iter().enumerate() {
        if usages[..index].contains(usage) {
            errors.duplicate(format!("spec.usages[{index}]"), *usage);
        }
    }
    match text(spec, "signerName") {
        LEGACY_SIGNER => {
            let detail = "the legacy signerName is not allowed via this API version";
            errors.invalid("spec.signerName", LEGACY_SIGNER, detail);
        }
        signer => signer_name(signer, errors),
    }
    if let Some(seconds) = int(spec, "expirationSeconds").filter(|seconds| *seconds < SHORTEST) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.invalid("spec.expirationSeconds", seconds, detail);
    }
}

fn parse(encoded: &str) -> Result<Request, RequestError> {
    // What is not base64 was refused by the schema; an empty text is no request.
    Request::parse(&STANDARD.decode(encoded).unwrap_or_default())
}

/// Source: `ValidateSignerName` of `pkg/apis/core/validation`.
fn signer_name(signer: &str, errors: &mut Errors) {
    const FIELD: &str = "spec.signerName";
    if signer.is_empty() {
        return errors.required(FIELD, "");
    }
    let (domain, path) = match signer.split_once('/') {
        Some((domain, path)) if !path.contains('/') => (domain, path),
        _ => {
            let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
            return errors.invalid(FIELD, signer, detail);
        }
    };
    if domain.len() > LONGEST_DOMAIN {
        errors.too_long(FIELD, LONGEST_DOMAIN);
    }
    labels(FIELD, domain, names::dns_label, errors);
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.invalid(FIELD, domain, detail);
    }
    labels(FIELD, path, names::dns_subdomain, errors);
    if signer.len() > LONGEST_SIGNER {
        errors.too_long(FIELD, LONGEST_SIGNER);
    }
}

/// The first label that breaks the rule is told of, and no other.
fn labels(field: &str, dotted: &str, rule: fn(&str) -> Vec<String>, errors: &mut Errors) {
    let mut broken = dotted.split('.').map(|label| (label, rule(label)));
    if let Some((label, problems)) = broken.find(|(_, problems)| !problems.is_empty()) {
        for problem in problems {
            errors.invalid(field, dotted, format!("validating label {label:?}: {problem}"));
        }
    }
}

fn conditions(request: &Object, errors: &mut Errors) {
    let Some(status) = child(&request.0, "status") else {
        return;
    };
    let mut seen: Vec<&str> = Vec::new();
    for (index, condition) in items(status, "conditions").enumerate() {
        let path = format!("{CONDITIONS}[{index}]");
        let kind = text(condition, "type");
        if kind.is_empty() {
            errors.required(format!("{path}.type"), "");
        }
        if seen.contains(&kind) {
            errors.duplicate(format!("{path}.type"), kind);
        }
        let opposite = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if seen.contains(&opposite) && !opposite.is_empty() {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.invalid(format!("{path}.type"), kind, detail);
        }
        seen.push(kind);
        let allowed: &[&str] = if LASTING.contains(&kind) {
            &["True"]
        } else {
            &["False", "True", "Unknown"]
        };
        match text(condition, "status") {
            "" => errors.required(format!("{path}.status"), ""),
            status if !allowed.contains(&status) => errors.not_supported(format!("{path}.status"), status, allowed),
            _ => {}
        }
    }
}

/// A certificate is one or more PEM blocks of certificates, and nothing else.
fn issued(request: &Object, errors: &mut Errors) {
    let bytes = STANDARD.decode(certificate(request)).unwrap_or_default();
    if bytes.is_empty() {
        return;
    }
    if let Err(detail) = certificates::check_chain(&bytes) {
        errors.invalid("status.certificate", "<certificate data>", detail);
    }
}

fn lasting(new: &Object, old: &Object, errors: &mut Errors) {
    for kind in LASTING {
        if conditions_of(new, kind).len() < conditions_of(old, kind).len() {
            errors.forbidden(
                CONDITIONS,
                format!("updates may not remove a condition of type {kind:?}"),
            );
        }
    }
}

/// Conditions of a type that were neither added nor removed are as they were.
fn keep_conditions(new: &mut Object, old: &Object, kind: &str) {
    let kept: Vec<Value> = conditions_of(old, kind)
        .into_iter()
        .cloned()
        .map(Value::Object)
        .collect();
    let list = new
        .0
        .get_mut("status")
        .and_then(|status| status.get_mut("conditions"))
        .and_then(Value::as_array_mut);
    let places = list.into_iter().flatten().filter(|condition| condition["type"] == kind);
    let places: Vec<&mut Value> = places.collect();
    if places.len() == kept.len() {
        places.into_iter().zip(kept).for_each(|(place, kept)| *place = kept);
    }
}

fn conditions_of<'a>(request: &'a Object, kind: &str) -> Vec<&'a Node> {
    let status = child(&request.0, "status");
    let all = status.into_iter().flat_map(|status| items(status, "conditions"));
    all.filter(|condition| text(condition, "type") == kind).collect()
}

fn certificate(request: &Object) -> &str {
    at(&request.0, &["status"]).map_or("", |status| text(status, "certificate"))
}
