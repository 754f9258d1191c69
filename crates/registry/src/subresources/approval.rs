//! `approval`: the approving and denying conditions of a certificate signing request.

use kube_types::dynamic::{Object, Value};

use crate::pipeline::keep;

/// Conditions that this subresource sets; the others belong to `status`.
const DECISIONS: [&str; 2] = ["Approved", "Denied"];

/// Everything but the decisions stays.
pub(crate) fn keep_but_conditions(new: &mut Object, old: &Object) {
    let conditions = |object: &Object| -> Vec<Value> {
        object
            .0
            .get("status")
            .and_then(|s| s.get("conditions"))
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let decides = |condition: &Value| condition["type"].as_str().is_some_and(|kind| DECISIONS.contains(&kind));
    let mut merged: Vec<Value> = conditions(old).into_iter().filter(|c| !decides(c)).collect();
    merged.extend(conditions(new).into_iter().filter(decides));
    keep(new, old, |_| true);
    let status = new
        .0
        .entry("status")
        .or_insert_with(|| Value::Object(kube_types::dynamic::Map::new()));
    if let Some(status) = status.as_object_mut() {
        if merged.is_empty() {
            status.remove("conditions");
        } else {
            status.insert("conditions".to_owned(), merged.into());
        }
    }
}
