//! Rules about metadata that hold for every kind.

use kube_types::dynamic::Object;

use crate::field::Errors;

/// What is wrong with a new object's metadata.
pub fn validate(object: &Object, _namespaced: bool, name_rule: fn(&str, bool) -> Vec<String>, errors: &mut Errors) {
    match object.name() {
        None => errors.required("metadata.name", "name or generateName is required"),
        Some(name) => name_rule(name, false)
            .into_iter()
            .for_each(|problem| errors.invalid("metadata.name", name, problem)),
    }
}

/// What is wrong with a change of metadata.
pub fn validate_update(_new: &Object, _old: &Object, _errors: &mut Errors) {}
