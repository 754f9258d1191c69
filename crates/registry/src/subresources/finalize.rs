//! `finalize`: the only way to change a namespace's `spec.finalizers`.

use kube_types::dynamic::{Object, Value};

use crate::pipeline::keep;

/// Everything but `spec.finalizers` stays.
pub(crate) fn keep_but_finalizers(new: &mut Object, old: &Object) {
    let finalizers = new.0.get("spec").and_then(|spec| spec.get("finalizers")).cloned();
    keep(new, old, |_| true);
    if let Some(spec) = new.0.get_mut("spec").and_then(Value::as_object_mut) {
        match finalizers {
            Some(finalizers) => spec.insert("finalizers".to_owned(), finalizers),
            None => spec.remove("finalizers"),
        };
    }
}
