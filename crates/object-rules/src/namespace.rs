//! Namespaces and nodes.

use kube_types::dynamic::{Object, Value, json};

use crate::field::Errors;
use crate::names;
use crate::rules::Rules;
use crate::tree::{Node, child, child_mut, copy, count, ensure, items, text, texts};

/// Label that carries the namespace's own name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub(crate) static NAMESPACE: Rules = Rules {
    name: |name, prefix| names::with_prefix(names::dns_label, name, prefix),
    defaults: |namespace| {
        if let Some(name) = namespace.name().map(str::to_owned) {
            ensure(namespace.metadata_mut(), "labels").insert(NAME_LABEL.to_owned(), name.into());
        }
    },
    prepare_create: |namespace| {
        namespace.0.insert("status".to_owned(), json!({"phase": "Active"}));
        let spec = ensure(&mut namespace.0, "spec");
        if !texts(spec, "finalizers").any(|finalizer| finalizer == "kubernetes") {
            let mut finalizers: Vec<Value> = texts(spec, "finalizers").map(Value::from).collect();
            finalizers.push("kubernetes".into());
            spec.insert("finalizers".to_owned(), finalizers.into());
        }
        if let Some(name) = namespace.name().map(str::to_owned) {
            ensure(namespace.metadata_mut(), "labels").insert(NAME_LABEL.to_owned(), name.into());
        }
    },
    // The finalizers of the spec have their own subresource.
    prepare_update: |new, old| {
        let empty = Node::new();
        let before = child(&old.0, "spec").unwrap_or(&empty);
        copy(ensure(&mut new.0, "spec"), before, "finalizers");
    },
    validate_status: |new, _, errors| {
        let phase = child(&new.0, "status").map_or("", |status| text(status, "phase"));
        match (new.is_deleting(), phase) {
            (true, "Terminating") | (false, "Active" | "") => {}
            (true, other) => {
                errors.invalid(
                    "status.Phase",
                    other,
                    "may only be 'Terminating' if `deletionTimestamp` is not empty",
                );
            }
            (false, other) => {
                errors.invalid(
                    "status.Phase",
                    other,
                    "may only be 'Active' if `deletionTimestamp` is empty",
                );
            }
        }
    },
    held: |namespace| child(&namespace.0, "spec").is_some_and(|spec| count(spec, "finalizers") > 0),
    mark_deleting: |namespace, _| {
        ensure(&mut namespace.0, "status").insert("phase".to_owned(), "Terminating".into());
    },
    status: true,
    ..Rules::NAMED
};

pub(crate) static NODE: Rules = Rules {
    defaults: |node| {
        if let Some(status) = child_mut(&mut node.0, "status")
            && let (None, Some(capacity)) = (child(status, "allocatable"), child(status, "capacity").cloned())
        {
            status.insert("allocatable".to_owned(), Value::Object(capacity));
        }
    },
    validate: |node, errors| {
        let empty = Node::new();
        let spec = child(&node.0, "spec").unwrap_or(&empty);
        taints(spec, errors);
    },
    validate_update: node_update,
    status: true,
    status_on_create: true,
    ..Rules::NAMED
};

fn taints(spec: &Node, errors: &mut Errors) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (index, taint) in items(spec, "taints").enumerate() {
        let path = format!("spec.taints[{index}]");
        for problem in names::qualified_name(text(taint, "key")) {
            errors.invalid(format!("{path}.key"), text(taint, "key"), problem);
        }
        for problem in names::label_value(text(taint, "value")) {
            errors.invalid(format!("{path}.value"), text(taint, "value"), problem);
        }
        match text(taint, "effect") {
            "" => errors.required(format!("{path}.effect"), ""),
            "NoSchedule" | "PreferNoSchedule" | "NoExecute" => {}
            other => {
                let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
                errors.not_supported(format!("{path}.effect"), other, &effects);
            }
        }
        let pair = (text(taint, "key"), text(taint, "effect"));
        if seen.contains(&pair) {
            errors.duplicate(path, Value::Object(taint.clone()));
        }
        seen.push(pair);
    }
}

/// What was once known of a machine stays: provider, pod ranges.
fn node_update(new: &Object, old: &Object, errors: &mut Errors) {
    let empty = Node::new();
    let (after, before) = (
        child(&new.0, "spec").unwrap_or(&empty),
        child(&old.0, "spec").unwrap_or(&empty),
    );
    let given = text(before, "providerID");
    if !given.is_empty() && text(after, "providerID") != given {
        errors.forbidden(
            "spec.providerID",
            "node updates may not change providerID except from \"\" to valid",
        );
    }
    let ranges: Vec<&str> = texts(before, "podCIDRs").collect();
    if !ranges.is_empty() && texts(after, "podCIDRs").ne(ranges) {
        errors.forbidden(
            "spec.podCIDRs",
            "node updates may not change podCIDR except from \"\" to valid",
        );
    }
}
