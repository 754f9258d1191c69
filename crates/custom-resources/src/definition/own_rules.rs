//! The rules of the kind CustomResourceDefinition. Source: `registry/customresourcedefinition/strategy.go`.

use kube_types::dynamic::{Object, Value, json};
use object_rules::Rules;
use object_rules::field::Errors;
use object_rules::tree::{Node, at, child, child_mut, default, ensure, flag, items, text, texts};

use super::conditions::{CLEANUP_FINALIZER, Condition, condition_is, set_condition};
use super::spec;

/// The annotation by which definitions in groups of the Kubernetes project say who approved them.
const APPROVED: &str = "api-approved.kubernetes.io";

/// What holds for definitions.
pub static RULES: Rules = Rules {
    name: |_, _| Vec::new(),
    defaults: |definition| {
        let Some(spec) = child_mut(&mut definition.0, "spec") else {
            return;
        };
        default(ensure(spec, "conversion"), "strategy", "None");
        if let Some(service) = child_mut(spec, "conversion")
            .and_then(|conversion| child_mut(conversion, "webhook"))
            .and_then(|webhook| child_mut(webhook, "clientConfig"))
            .and_then(|client| child_mut(client, "service"))
        {
            default(service, "port", 443);
        }
        let names = ensure(spec, "names");
        let kind = text(names, "kind").to_owned();
        if !kind.is_empty() {
            default(names, "singular", kind.to_lowercase());
            default(names, "listKind", format!("{kind}List"));
        }
    },
    prepare_create: |definition| {
        let stored: Vec<Value> = storage_version(definition).map(Value::from).into_iter().collect();
        let status = json!({"acceptedNames": {"kind": "", "plural": ""}, "conditions": [], "storedVersions": stored});
        definition.0.insert("status".to_owned(), status);
    },
    prepare_update: |new, _| {
        let Some(storage) = storage_version(new) else { return };
        let status = ensure(&mut new.0, "status");
        if !texts(status, "storedVersions").any(|version| version == storage) {
            let mut stored: Vec<Value> = texts(status, "storedVersions").map(Value::from).collect();
            stored.push(storage.into());
            status.insert("storedVersions".to_owned(), stored.into());
        }
    },
    validate: |definition, errors| {
        name(definition, errors);
        spec::validate(definition, errors);
        approval(definition, errors);
    },
    validate_update: |new, old, errors| {
        let established = condition_is(old, "Established", "True");
        spec::immutable(new, old, established, errors);
    },
    mark_deleting: |definition, now| {
        if definition.is_deleting() {
            return;
        }
        let mut finalizers = definition.finalizers();
        if !finalizers.iter().any(|name| name == CLEANUP_FINALIZER) {
            finalizers.push(CLEANUP_FINALIZER.to_owned());
        }
        definition
            .metadata_mut()
            .insert("finalizers".to_owned(), finalizers.into());
        let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will be initiated soon";
        set_condition(
            definition,
            &Condition::new("Terminating", "True", "InstanceDeletionPending", message),
            now,
        );
    },
    unconditional_update: false,
    generation: true,
    status: true,
    ..Rules::NAMED
};

fn storage_version(definition: &Object) -> Option<String> {
    let spec = child(&definition.0, "spec")?;
    let version = items(spec, "versions").find(|version| flag(version, "storage"))?;
    Some(text(version, "name").to_owned())
}

fn name(definition: &Object, errors: &mut Errors) {
    let name = definition.name().unwrap_or_default();
    let empty = Node::new();
    let spec = child(&definition.0, "spec").unwrap_or(&empty);
    let plural = child(spec, "names").map_or("", |names| text(names, "plural"));
    for problem in object_rules::names::dns_subdomain(name) {
        errors.invalid("metadata.name", name, problem);
    }
    if name != format!("{plural}.{}", text(spec, "group")) {
        errors.invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group");
    }
}

/// Whether a group belongs to the Kubernetes project.
fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"].iter().any(|domain| {
        group
            .strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Approval {
    Missing,
    Bypassed,
    Approved,
    Invalid,
}

fn approval_of(definition: &Object) -> (Approval, String, String) {
    let annotation = definition.annotations().remove(APPROVED).unwrap_or_default();
    let see = "see https://github.com/kubernetes/enhancements/pull/1111";
    let url = annotation
        .split_once("://")
        .is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty() && !rest.starts_with('/'));
    let (state, reason) = if annotation.is_empty() {
        let reason = format!("protected groups must have approval annotation \"{APPROVED}\", {see}");
        (Approval::Missing, reason)
    } else if annotation.starts_with("unapproved") {
        (Approval::Bypassed, format!("not approved: \"{annotation}\""))
    } else if url {
        (Approval::Approved, format!("approved in {annotation}"))
    } else {
        let reason = format!(
            "protected groups must have approval annotation \"{APPROVED}\" with either a URL or a reason starting with \
             \"unapproved\", {see}"
        );
        (Approval::Invalid, reason)
    };
    (state, reason, annotation)
}

fn approval(definition: &Object, errors: &mut Errors) {
    if !child(&definition.0, "spec").is_some_and(|spec| is_protected(text(spec, "group"))) {
        return;
    }
    let (state, reason, annotation) = approval_of(definition);
    let field = format!("metadata.annotations[{APPROVED}]");
    match state {
        Approval::Missing => errors.required(field, reason),
        Approval::Invalid => errors.invalid(field, annotation, reason),
        Approval::Bypassed | Approval::Approved => {}
    }
}

/// What is told of the approval of a definition in a protected group.
pub(super) fn approval_condition(definition: &Object) -> Option<Condition> {
    let group = at(&definition.0, &["spec"]).map(|spec| text(spec, "group"))?;
    if !is_protected(group) {
        return None;
    }
    let (state, message, _) = approval_of(definition);
    let (status, reason) = match state {
        Approval::Missing => ("False", "MissingAnnotation"),
        Approval::Invalid => ("False", "InvalidAnnotation"),
        Approval::Bypassed => ("False", "UnapprovedAnnotation"),
        Approval::Approved => ("True", "ApprovedAnnotation"),
    };
    let of = "KubernetesAPIApprovalPolicyConformant";
    Some(Condition::new(of, status, reason, message))
}
