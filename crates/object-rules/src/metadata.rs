//! Rules about metadata that hold for every kind. Source: `apimachinery/pkg/api/validation/objectmeta.go`.

use kube_types::dynamic::{Object, Value};

use crate::field::Errors;
use crate::names;
use crate::tree::{Node, child, items, text, texts};

#[cfg(test)]
mod tests;

/// Bytes of all annotations together.
const ANNOTATION_LIMIT: usize = 256 * 1024;

/// What is wrong with a new object's metadata.
pub fn validate(object: &Object, namespaced: bool, name_rule: fn(&str, bool) -> names::Problems, errors: &mut Errors) {
    let empty = Node::new();
    let metadata = object.metadata().unwrap_or(&empty);
    let prefix = text(metadata, "generateName");
    if !prefix.is_empty() {
        for problem in name_rule(prefix, true) {
            errors.invalid("metadata.generateName", prefix, problem);
        }
    }
    match text(metadata, "name") {
        "" => errors.required("metadata.name", "name or generateName is required"),
        name => {
            for problem in name_rule(name, false) {
                errors.invalid("metadata.name", name, problem);
            }
        }
    }
    match text(metadata, "namespace") {
        "" if namespaced => errors.required("metadata.namespace", ""),
        "" => {}
        namespace if namespaced => {
            for problem in names::dns_label(namespace) {
                errors.invalid("metadata.namespace", namespace, problem);
            }
        }
        _ => errors.forbidden("metadata.namespace", "not allowed on this type"),
    }
    common(metadata, errors);
}

/// What is wrong with a change of metadata (new, old).
pub fn validate_update(new: &Object, old: &Object, errors: &mut Errors) {
    let empty = Node::new();
    let (metadata, before) = (new.metadata().unwrap_or(&empty), old.metadata().unwrap_or(&empty));
    common(metadata, errors);
    if old.is_deleting() {
        let known: Vec<&str> = texts(before, "finalizers").collect();
        let added: Vec<Value> = texts(metadata, "finalizers")
            .filter(|f| !known.contains(f))
            .map(Value::from)
            .collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers {}",
                go_list(&added)
            );
            errors.forbidden("metadata.finalizers", detail);
        }
    }
}

/// Finalizers of built-in kinds have standard names or name who sets them.
pub fn known_finalizers(object: &Object, errors: &mut Errors) {
    for finalizer in object.finalizers() {
        if !finalizer.contains('/') && !matches!(finalizer.as_str(), "orphan" | "foregroundDeletion" | "kubernetes") {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.invalid("metadata.finalizers", finalizer, detail);
        }
    }
}

/// Upstream prints the list with Go's `%#v` of a string slice.
fn go_list(texts: &[Value]) -> String {
    let quoted: Vec<String> = texts.iter().map(Value::to_string).collect();
    format!("[]string{{{}}}", quoted.join(", "))
}

fn common(metadata: &Node, errors: &mut Errors) {
    labels(metadata, "labels", "metadata.labels", errors);
    annotations(metadata, "metadata.annotations", errors);
    let mut orphan = false;
    let mut foreground = false;
    for finalizer in texts(metadata, "finalizers") {
        for problem in names::qualified_name(finalizer) {
            errors.invalid("metadata.finalizers", finalizer, problem);
        }
        orphan |= finalizer == "orphan";
        foreground |= finalizer == "foregroundDeletion";
    }
    if orphan && foreground {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.invalid("metadata.finalizers", metadata["finalizers"].clone(), detail);
    }
    owners(metadata, errors);
}

fn owners(metadata: &Node, errors: &mut Errors) {
    let mut controller: Option<&Node> = None;
    for (index, owner) in items(metadata, "ownerReferences").enumerate() {
        let path = format!("metadata.ownerReferences[{index}]");
        for (field, detail) in [
            ("apiVersion", "version must not be empty"),
            ("kind", ""),
            ("name", ""),
            ("uid", ""),
        ] {
            if text(owner, field).is_empty() {
                let what = if detail.is_empty() { "must not be empty" } else { detail };
                errors.invalid(format!("{path}.{field}"), text(owner, field), what);
            }
        }
        if text(owner, "apiVersion") == "v1" && text(owner, "kind") == "Event" {
            errors.invalid(
                path.clone(),
                Value::Object(owner.clone()),
                "/v1, Kind=Event is disallowed from being an owner",
            );
        }
        if crate::tree::flag(owner, "controller") {
            if let Some(first) = controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
                    text(first, "name"),
                    text(owner, "name")
                );
                errors.invalid("metadata.ownerReferences", metadata["ownerReferences"].clone(), detail);
            }
            controller = controller.or(Some(owner));
        }
    }
}

/// What is wrong with a map of labels in a field of `node`.
pub fn labels(node: &Node, field: &str, path: &str, errors: &mut Errors) {
    for (key, value) in child(node, field).into_iter().flatten() {
        for problem in names::qualified_name(key) {
            errors.invalid(path, key.as_str(), problem);
        }
        let value = value.as_str().unwrap_or_default();
        for problem in names::label_value(value) {
            errors.invalid(path, value, problem);
        }
    }
}

/// What is wrong with a map of annotations.
pub fn annotations(node: &Node, path: &str, errors: &mut Errors) {
    let mut size = 0;
    for (key, value) in child(node, "annotations").into_iter().flatten() {
        // Keys may have upper case where names may not.
        for problem in names::qualified_name(&key.to_lowercase()) {
            errors.invalid(path, key.as_str(), problem);
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATION_LIMIT {
        errors.too_long(path, ANNOTATION_LIMIT);
    }
}
