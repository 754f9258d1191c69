//! Kinds that keep a number of pods: deployments, replica sets, stateful sets, daemon sets, replication controllers.

use kube_types::dynamic::{Object, Value, json};
use kube_types::selector::LabelSelector;
use serde::Deserialize;

use crate::field::Errors;
use crate::pod::{defaults, validate};
use crate::rules::Rules;
use crate::tree::{Node, at, at_mut, child, child_mut, copy, default, ensure, int, text};

mod strategy;
#[cfg(test)]
mod tests;

const WORKLOAD: Rules = Rules {
    generation: true,
    status: true,
    ..Rules::NAMED
};

pub(crate) static DEPLOYMENT: Rules = Rules {
    defaults: |object| {
        let spec = workload_defaults(object);
        default(spec, "replicas", 1);
        strategy::default_rolling(
            spec,
            "strategy",
            &[("maxUnavailable", "25%".into()), ("maxSurge", "25%".into())],
        );
        default(spec, "revisionHistoryLimit", 10);
        default(spec, "progressDeadlineSeconds", 600);
    },
    prepare_status: |new, old| keep_labels(new, old),
    validate: |object, errors| {
        workload(object, "deployment", errors);
        let spec = spec(object);
        strategy::deployment(spec, errors);
        not_negative(
            spec,
            &[
                "replicas",
                "minReadySeconds",
                "revisionHistoryLimit",
                "progressDeadlineSeconds",
            ],
            errors,
        );
        let (deadline, ready) = (
            int(spec, "progressDeadlineSeconds"),
            int(spec, "minReadySeconds").unwrap_or(0),
        );
        if let Some(deadline) = deadline.filter(|deadline| *deadline <= ready) {
            errors.invalid(
                "spec.progressDeadlineSeconds",
                deadline,
                "must be greater than minReadySeconds",
            );
        }
    },
    validate_update: |new, old, errors| immutable(new, old, &["selector"], errors),
    ..WORKLOAD
};

pub(crate) static REPLICA_SET: Rules = Rules {
    defaults: |object| {
        let labels = template_labels(object);
        default(workload_defaults(object), "replicas", 1);
        default_labels(object, labels);
    },
    validate: |object, errors| {
        workload(object, "replica set", errors);
        not_negative(spec(object), &["replicas", "minReadySeconds"], errors);
    },
    validate_update: |new, old, errors| immutable(new, old, &["selector"], errors),
    ..WORKLOAD
};

pub(crate) static DAEMON_SET: Rules = Rules {
    defaults: |object| {
        let spec = workload_defaults(object);
        strategy::default_rolling(
            spec,
            "updateStrategy",
            &[("maxUnavailable", 1.into()), ("maxSurge", 0.into())],
        );
        default(spec, "revisionHistoryLimit", 10);
    },
    validate: |object, errors| {
        workload(object, "daemonset", errors);
        strategy::daemon_set(spec(object), errors);
        not_negative(spec(object), &["minReadySeconds", "revisionHistoryLimit"], errors);
    },
    validate_update: |new, old, errors| immutable(new, old, &["selector"], errors),
    ..WORKLOAD
};

pub(crate) static STATEFUL_SET: Rules = Rules {
    defaults: |object| {
        let spec = workload_defaults(object);
        default(spec, "podManagementPolicy", "OrderedReady");
        strategy::default_rolling(spec, "updateStrategy", &[("partition", 0.into())]);
        default(spec, "replicas", 1);
        default(spec, "revisionHistoryLimit", 10);
        let retention = ensure(spec, "persistentVolumeClaimRetentionPolicy");
        default(retention, "whenDeleted", "Retain");
        default(retention, "whenScaled", "Retain");
        for claim in crate::tree::items_mut(spec, "volumeClaimTemplates") {
            default(claim, "kind", "PersistentVolumeClaim");
            default(claim, "apiVersion", "v1");
            default(ensure(claim, "spec"), "volumeMode", "Filesystem");
            default(ensure(claim, "status"), "phase", "Pending");
        }
    },
    validate: |object, errors| {
        workload(object, "statefulset", errors);
        strategy::stateful_set(spec(object), errors);
        not_negative(
            spec(object),
            &["replicas", "minReadySeconds", "revisionHistoryLimit"],
            errors,
        );
    },
    validate_update: stateful_set_update,
    ..WORKLOAD
};

pub(crate) static REPLICATION_CONTROLLER: Rules = Rules {
    defaults: |object| {
        let labels = template_labels(object);
        let spec = workload_defaults(object);
        default(spec, "replicas", 1);
        if let (None, Some(labels)) = (child(spec, "selector"), labels.clone()) {
            spec.insert("selector".to_owned(), Value::Object(labels));
        }
        default_labels(object, labels);
    },
    validate: replication_controller,
    orphan_by_default: true,
    ..WORKLOAD
};

pub(crate) static CONTROLLER_REVISION: Rules = Rules {
    validate: |object, errors| {
        if let Some(revision) = int(&object.0, "revision").filter(|revision| *revision < 0) {
            errors.invalid("revision", revision, "must be greater than or equal to 0");
        }
    },
    validate_update: |new, old, errors| {
        if new.0.get("data") != old.0.get("data") {
            let data = new.0.get("data").cloned().unwrap_or(Value::Null);
            errors.invalid("data", data, "field is immutable");
        }
    },
    ..Rules::NAMED
};

/// The spec of an object; an empty one when it has none.
fn spec(object: &Object) -> &Node {
    static EMPTY: std::sync::LazyLock<Node> = std::sync::LazyLock::new(Node::new);
    child(&object.0, "spec").unwrap_or(&EMPTY)
}

fn workload_defaults(object: &mut Object) -> &mut Node {
    if let Some(pod) = at_mut(&mut object.0, &["spec", "template", "spec"]) {
        defaults::spec(pod);
    }
    ensure(&mut object.0, "spec")
}

fn template_labels(object: &Object) -> Option<Node> {
    at(&object.0, &["spec", "template", "metadata", "labels"])
        .filter(|labels| !labels.is_empty())
        .cloned()
}

fn default_labels(object: &mut Object, labels: Option<Node>) {
    let metadata = object.metadata_mut();
    if let (None, Some(labels)) = (child(metadata, "labels"), labels) {
        metadata.insert("labels".to_owned(), Value::Object(labels));
    }
}

fn keep_labels(new: &mut Object, old: &Object) {
    let empty = Node::new();
    copy(new.metadata_mut(), old.metadata().unwrap_or(&empty), "labels");
}

/// Numbers that may not be below zero.
pub(crate) fn not_negative(spec: &Node, fields: &[&str], errors: &mut Errors) {
    for field in fields {
        if let Some(number) = int(spec, field).filter(|number| *number < 0) {
            errors.invalid(format!("spec.{field}"), number, "must be greater than or equal to 0");
        }
    }
}

/// Fields of the spec that never change.
pub(crate) fn immutable(new: &Object, old: &Object, fields: &[&str], errors: &mut Errors) {
    for field in fields {
        let (after, before) = (spec(new).get(*field), spec(old).get(*field));
        if after != before {
            let shown = after.cloned().unwrap_or(Value::Null);
            errors.invalid(format!("spec.{field}"), shown, "field is immutable");
        }
    }
}

/// Compiles a typed selector; what is wrong with it goes to `errors`.
pub(crate) fn selector(node: Option<&Value>, path: &str, errors: &mut Errors) -> Option<LabelSelector> {
    let node = node?;
    let typed = match kube_types::meta::LabelSelector::deserialize(node) {
        Ok(typed) => typed,
        Err(error) => {
            errors.invalid(path, node.clone(), error.to_string());
            return None;
        }
    };
    if let Some(labels) = node.as_object() {
        crate::metadata::labels(labels, "matchLabels", &format!("{path}.matchLabels"), errors);
    }
    for (index, expression) in typed.match_expressions.iter().flatten().enumerate() {
        let at = format!("{path}.matchExpressions[{index}]");
        let values = expression.values.as_ref().map_or(0, Vec::len);
        match expression.operator.as_str() {
            "In" | "NotIn" if values == 0 => {
                errors.required(
                    format!("{at}.values"),
                    "must be specified when `operator` is 'In' or 'NotIn'",
                );
            }
            "Exists" | "DoesNotExist" if values > 0 => {
                errors.forbidden(
                    format!("{at}.values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                );
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid(format!("{at}.operator"), other, "not a valid selector operator"),
        }
    }
    LabelSelector::from_typed(&typed).ok()
}

/// Selector, template, and that they belong together.
fn workload(object: &Object, what: &str, errors: &mut Errors) {
    let spec = spec(object);
    let compiled = match spec.get("selector") {
        None => {
            errors.required("spec.selector", "");
            None
        }
        Some(node) => {
            let compiled = selector(Some(node), "spec.selector", errors);
            if compiled.as_ref().is_some_and(LabelSelector::is_everything) {
                errors.invalid(
                    "spec.selector",
                    node.clone(),
                    format!("empty selector is invalid for {what}"),
                );
            }
            compiled
        }
    };
    template(object, compiled.as_ref(), errors);
}

fn template(object: &Object, selector: Option<&LabelSelector>, errors: &mut Errors) {
    let empty = Node::new();
    let template = child(spec(object), "template").unwrap_or(&empty);
    let labels = at(template, &["metadata", "labels"]).unwrap_or(&empty);
    let matches = selector.is_some_and(|selector| selector.matches_with(|key| labels.get(key).and_then(Value::as_str)));
    if !matches {
        let shown = if labels.is_empty() {
            Value::Null
        } else {
            Value::Object(labels.clone())
        };
        errors.invalid(
            "spec.template.metadata.labels",
            shown,
            "`selector` does not match template `labels`",
        );
    }
    validate::template(template, "spec.template", errors);
    let pod = child(template, "spec").unwrap_or(&empty);
    let restart = text(pod, "restartPolicy");
    if !matches!(restart, "Always" | "") {
        errors.not_supported("spec.template.spec.restartPolicy", restart, &["Always"]);
    }
    if pod.contains_key("activeDeadlineSeconds") {
        let detail = "activeDeadlineSeconds in ReplicaSet is not Supported";
        errors.forbidden("spec.template.spec.activeDeadlineSeconds", detail);
    }
}

fn replication_controller(object: &Object, errors: &mut Errors) {
    let spec = spec(object);
    let labels = child(spec, "selector").filter(|labels| !labels.is_empty());
    if labels.is_none() {
        errors.required("spec.selector", "");
    }
    let wanted = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
    let compiled = LabelSelector::from_labels(&wanted.collect());
    if !spec.contains_key("template") {
        errors.required("spec.template", "");
    } else {
        template(object, Some(&compiled), errors);
    }
    not_negative(spec, &["replicas", "minReadySeconds"], errors);
}

const STATEFUL_SET_ALLOWED: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

fn stateful_set_update(new: &Object, old: &Object, errors: &mut Errors) {
    let mut after = spec(new).clone();
    for field in [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ] {
        copy(&mut after, spec(old), field);
    }
    if after != *spec(old) {
        errors.forbidden("spec", STATEFUL_SET_ALLOWED);
    }
}

/// For kinds that write their own template rules: the labels that a template has, as a mutable map.
pub(crate) fn ensure_template_labels(object: &mut Object) -> Option<&mut Node> {
    let template = child_mut(child_mut(&mut object.0, "spec")?, "template")?;
    Some(ensure(ensure(template, "metadata"), "labels"))
}

/// An empty selector, to be filled.
pub(crate) fn empty_selector() -> Value {
    json!({"matchLabels": {}})
}
