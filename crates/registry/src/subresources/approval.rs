//! `approval`: the decision about a certificate signing request.

use kube_types::dynamic::{Map, Object, Value};

use crate::pipeline::keep;

/// Everything but the conditions stays.
pub(crate) fn keep_but_conditions(new: &mut Object, old: &Object) {
    let conditions = new.0.get("status").and_then(|status| status.get("conditions")).cloned();
    keep(new, old, |_| true);
    let status = new.0.entry("status").or_insert_with(|| Value::Object(Map::new()));
    if let Some(status) = status.as_object_mut() {
        match conditions {
            Some(conditions) => status.insert("conditions".to_owned(), conditions),
            None => status.shift_remove("conditions"),
        };
    }
}
