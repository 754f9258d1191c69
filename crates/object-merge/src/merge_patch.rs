//! RFC 7386: objects merge member by member, `null` removes, everything else replaces.

use serde_json::{Map, Value};

use crate::PatchError;

/// `current` merged with `patch`.
pub(crate) fn apply(current: &Value, patch: Value) -> Result<Value, PatchError> {
    if !patch.is_object() && !patch.is_array() {
        return Err(PatchError::BadRequest("Invalid JSON Patch".to_owned()));
    }
    let mut result = current.clone();
    merge(&mut result, patch);
    Ok(result)
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(members) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(object) = target else { return };
    for (key, value) in members {
        if value.is_null() {
            object.shift_remove(&key);
        } else {
            merge(object.entry(key).or_insert(Value::Null), value);
        }
    }
}
