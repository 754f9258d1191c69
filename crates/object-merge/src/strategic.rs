//! Strategic merge patch: lists merge by the keys that their kind declares, and directives say what a merge cannot.
//!
//! Source of the rules: `apimachinery/pkg/util/strategicpatch/patch.go`, as the API server calls it.

mod order;
#[cfg(test)]
mod tests;

use kube_types::GroupVersionKind;
use serde_json::{Map, Value};

use crate::PatchError;
use crate::merge_keys::{FieldRule, MergeRules, merge_keys};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// `current` merged with `patch` by the rules of the kind.
pub(crate) fn apply(gvk: &GroupVersionKind, current: &Value, patch: Value) -> Result<Value, PatchError> {
    let (Value::Object(current), Value::Object(patch)) = (current.clone(), patch) else {
        return Err(bad("invalid JSON document"));
    };
    merge_map(current, patch, merge_keys(gvk)).map(Value::Object)
}

fn bad(message: &str) -> PatchError {
    PatchError::BadRequest(message.to_owned())
}

fn merge_map(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    rules: MergeRules,
) -> Result<Map<String, Value>, PatchError> {
    if let Some(directive) = patch.get(PATCH) {
        return match directive.as_str() {
            Some("replace") => {
                patch.shift_remove(PATCH);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(unknown_directive(directive, &Value::Object(patch.clone()))),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    order::merge_ordered(&mut original, &mut patch, rules)?;
    for (key, value) in patch {
        match deleted_list(&key)? {
            Some(list) => delete_from(&mut original, list, value)?,
            None => merge_field(&mut original, key, value, rules)?,
        }
    }
    Ok(original)
}

fn merge_field(
    original: &mut Map<String, Value>,
    key: String,
    value: Value,
    rules: MergeRules,
) -> Result<(), PatchError> {
    if value.is_null() {
        original.shift_remove(&key);
        return Ok(());
    }
    let merged = match (original.get_mut(&key).map(Value::take), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            let replaced = rules.field(&key).is_some_and(|rule| rule.replace);
            if replaced {
                Value::Object(new)
            } else {
                Value::Object(merge_map(old, new, rules.below(&key))?)
            }
        }
        (Some(Value::Array(old)), Value::Array(new)) => {
            Value::Array(merge_list(old, new, rules.field(&key), rules.below(&key))?)
        }
        (Some(old), new) if same_kind(&old, &new) => new,
        (_, new) => match without_directives(new) {
            Some(new) => new,
            None => {
                original.shift_remove(&key);
                return Ok(());
            }
        },
    };
    original.insert(key, merged);
    Ok(())
}

fn same_kind(left: &Value, right: &Value) -> bool {
    std::mem::discriminant(left) == std::mem::discriminant(right)
}

/// `$retainKeys` empties the original of everything that the list does not name.
fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), PatchError> {
    let Some(listed) = patch.shift_remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let Value::Array(listed) = listed else {
        return Err(bad("invalid patch format of retainKeys"));
    };
    let keeps = |key: &str| listed.iter().any(|one| one.as_str() == Some(key));
    let stray = patch.iter().any(|(key, value)| {
        !value.is_null() && !key.starts_with(DELETE_FROM) && !key.starts_with(SET_ORDER) && !keeps(key)
    });
    if stray {
        return Err(bad("invalid patch format of retainKeys"));
    }
    original.retain(|key, _| keeps(key));
    Ok(())
}

/// The list that a `$deleteFromPrimitiveList/<list>` key names.
fn deleted_list(key: &str) -> Result<Option<&str>, PatchError> {
    match key.strip_prefix(DELETE_FROM) {
        None => Ok(None),
        Some(rest) => match rest.strip_prefix('/') {
            Some(list) => Ok(Some(list)),
            None => Err(bad("invalid patch format of primitive list")),
        },
    }
}

fn delete_from(original: &mut Map<String, Value>, list: &str, gone: Value) -> Result<(), PatchError> {
    let Value::Array(gone) = gone else {
        return Err(bad("invalid patch format of primitive list"));
    };
    if let Some(Value::Array(items)) = original.get_mut(list) {
        items.retain(|item| !gone.contains(item));
    }
    Ok(())
}

/// The elements of both lists by the field's rule; without one the patch replaces the list.
fn merge_list(
    original: Vec<Value>,
    patch: Vec<Value>,
    rule: Option<&FieldRule>,
    below: MergeRules,
) -> Result<Vec<Value>, PatchError> {
    let Some(rule) = rule.filter(|rule| rule.merge) else {
        return Ok(patch);
    };
    if original.iter().chain(&patch).any(Value::is_array) {
        return Err(PatchError::Unprocessable("lists of lists are not supported".to_owned()));
    }
    let objects = original.iter().chain(&patch).filter(|item| item.is_object()).count();
    if objects == 0 {
        let mut merged: Vec<Value> = Vec::new();
        for item in original.iter().chain(&patch) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return Ok(order::in_order(merged, &patch, &original, None));
    }
    if objects != original.len() + patch.len() {
        return Err(PatchError::Internal("list element types are not identical".to_owned()));
    }
    let Some(key) = rule.patch_key else {
        return Err(PatchError::Internal("cannot merge lists without merge key".to_owned()));
    };
    let server_order = original.clone();
    let (original, patch) = take_directives(original, patch, key)?;
    let patch_order = patch.clone();
    let merged = merge_elements(original, patch, key, below)?;
    Ok(order::in_order(merged, &patch_order, &server_order, Some(key)))
}

/// Elements that carry `$patch` delete an element or replace the list; they never get into it.
fn take_directives(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let mut ordinary = Vec::new();
    let mut replace = false;
    for element in patch {
        match element.get(PATCH).map(|directive| (directive.as_str(), directive)) {
            None => ordinary.push(element),
            Some((Some("delete"), _)) => {
                let value = element.get(key).ok_or_else(|| no_merge_key(&element, key))?;
                original.retain(|item| item.get(key) != Some(value));
            }
            Some((Some("replace"), _)) => replace = true,
            Some((Some("merge"), _)) => {
                return Err(PatchError::Internal(
                    "merging lists cannot yet be specified in the patch".to_owned(),
                ));
            }
            Some((_, directive)) => return Err(unknown_directive(directive, &element)),
        }
    }
    if replace {
        Ok((ordinary, Vec::new()))
    } else {
        Ok((original, ordinary))
    }
}

fn merge_elements(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
    below: MergeRules,
) -> Result<Vec<Value>, PatchError> {
    for element in patch {
        let value = element.get(key).cloned().ok_or_else(|| no_merge_key(&element, key))?;
        let place = original.iter_mut().find(|item| item.get(key) == Some(&value));
        match (place, element) {
            (Some(place), Value::Object(new)) => {
                if let Value::Object(old) = place.take() {
                    *place = Value::Object(merge_map(old, new, below)?);
                }
            }
            (_, element) => original.extend(without_directives(element)),
        }
    }
    Ok(original)
}

/// A value that has nothing to merge with: directives and nulls in it mean nothing, and `$patch: delete` means absence.
pub(crate) fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(members) => {
            if members.get(PATCH).and_then(Value::as_str) == Some("delete") {
                return None;
            }
            let kept = members
                .into_iter()
                .filter(|(key, value)| !key.starts_with('$') && !value.is_null());
            let cleaned = kept.filter_map(|(key, value)| Some((key, without_directives(value)?)));
            Some(Value::Object(cleaned.collect()))
        }
        Value::Array(items) => {
            let directive =
                |item: &Value| item.get(PATCH).is_some() && item.as_object().is_some_and(|map| map.len() == 1);
            let kept = items.into_iter().filter(|item| !directive(item));
            Some(Value::Array(kept.filter_map(without_directives).collect()))
        }
        other => Some(other),
    }
}

fn no_merge_key(element: &Value, key: &str) -> PatchError {
    PatchError::Internal(format!(
        "map: {} does not contain declared merge key: {key}",
        go_format(element)
    ))
}

fn unknown_directive(directive: &Value, owner: &Value) -> PatchError {
    PatchError::Internal(format!(
        "unknown patch type: {} in map: {}",
        go_format(directive),
        go_format(owner)
    ))
}

/// A value as Go's `%v` prints it, since upstream's messages hold such.
pub(crate) fn go_format(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_format).collect::<Vec<_>>().join(" ")),
        Value::Object(members) => {
            let mut pairs: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{key}:{}", go_format(value)))
                .collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}
