//! In which order the elements of a merged list stand: the patch's own order, with the server's elements in between.

use serde_json::{Map, Value};

use super::{SET_ORDER, bad, go_format, merge_list, no_merge_key, without_directives};
use crate::PatchError;
use crate::merge_keys::MergeRules;

/// Merges every list for which the patch has a `$setElementOrder/<list>`, in that order, and takes both out of the patch.
pub(super) fn merge_ordered(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    rules: MergeRules,
) -> Result<(), PatchError> {
    let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(SET_ORDER)).cloned().collect();
    for directive in directives {
        let order = match patch.shift_remove(&directive) {
            Some(Value::Array(order)) => order,
            Some(other) => {
                let message = format!("expected a []interface {{}}, but received a {}", go_type(&other));
                return Err(PatchError::Internal(message));
            }
            None => continue,
        };
        let list = directive
            .strip_prefix(SET_ORDER)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| bad("invalid patch format of setElementOrder list"))?;
        let key = rules.field(list).and_then(|rule| rule.patch_key);
        let (server, patched) = (array(original.get(list))?, array(patch.get(list))?);
        if let Some(patched) = &patched {
            check_order(patched, &order, key)?;
        }
        let merged = match (&server, patched) {
            (None, None) => continue,
            (Some(server), None) => server.clone(),
            (None, Some(patched)) => match without_directives(Value::Array(patched)) {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            },
            (Some(server), Some(patched)) => merge_list(server.clone(), patched, rules.field(list), rules.below(list))?,
        };
        if let Some(key) = key
            && let Some(element) = merged.iter().chain(&order).find(|item| item.get(key).is_none())
        {
            return Err(no_merge_key(element, key));
        }
        let ordered = in_order(merged, &order, server.as_deref().unwrap_or_default(), key);
        original.insert(list.to_owned(), Value::Array(ordered));
        patch.shift_remove(list);
    }
    Ok(())
}

fn array(value: Option<&Value>) -> Result<Option<Vec<Value>>, PatchError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.clone())),
        Some(other) => Err(PatchError::Internal(format!(
            "expected a []interface {{}}, but received a {}",
            go_type(other)
        ))),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// The patch's elements must come in the order that the patch itself asks for.
fn check_order(patched: &[Value], order: &[Value], key: Option<&str>) -> Result<(), PatchError> {
    let mut wanted = order.iter();
    let kept = patched.iter().filter(|item| item.get("$patch").is_none());
    for element in kept {
        if !wanted.any(|one| same(one, element, key)) {
            let (patched, order) = (Value::Array(patched.to_vec()), Value::Array(order.to_vec()));
            return Err(PatchError::Internal(format!(
                "The order in patch list:\n{}\n doesn't match {SET_ORDER} list:\n{}\n",
                go_format(&patched),
                go_format(&order)
            )));
        }
    }
    Ok(())
}

fn same(left: &Value, right: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => left.get(key).is_some() && left.get(key) == right.get(key),
        None => left == right,
    }
}

fn position(list: &[Value], item: &Value, key: Option<&str>) -> Option<usize> {
    list.iter().position(|one| same(one, item, key))
}

/// The elements that `patch_order` names in its order, and the server's others among them where the server had them.
pub(super) fn in_order(
    merged: Vec<Value>,
    patch_order: &[Value],
    server_order: &[Value],
    key: Option<&str>,
) -> Vec<Value> {
    let (mut patched, mut others): (Vec<Value>, Vec<Value>) = merged
        .into_iter()
        .partition(|item| position(patch_order, item, key).is_some());
    patched.sort_by_key(|item| position(patch_order, item, key));
    others.sort_by_key(|item| position(server_order, item, key).unwrap_or(usize::MAX));
    interleave(others, patched, server_order, key)
}

/// Each of `others` goes before the first of `patched` that came after it on the server.
fn interleave(others: Vec<Value>, patched: Vec<Value>, server_order: &[Value], key: Option<&str>) -> Vec<Value> {
    let mut result = Vec::with_capacity(others.len() + patched.len());
    let mut others = others.into_iter().peekable();
    for item in patched {
        let here = position(server_order, &item, key);
        while let Some(other) = others.peek() {
            let earlier = position(server_order, other, key)
                .zip(here)
                .is_some_and(|(other, here)| other < here);
            if !earlier {
                break;
            }
            result.extend(others.next());
        }
        result.push(item);
    }
    result.extend(others);
    result
}
