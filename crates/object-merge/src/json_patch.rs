//! RFC 6902 with the behaviour and the messages of the library that upstream uses (negative indices included).

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::{MAXIMUM_JSON_PATCH_OPERATIONS, PatchError};

/// `document` after every operation of `patch`, which must be an array of operations.
pub(crate) fn apply(document: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Array(operations) = patch else {
        let message = format!(
            "json: cannot unmarshal {} into Go value of type jsonpatch.Patch",
            go_kind(patch)
        );
        return Err(PatchError::BadRequest(message));
    };
    if operations.len() > MAXIMUM_JSON_PATCH_OPERATIONS {
        let message = format!(
            "The allowed maximum operations in a JSON patch is {MAXIMUM_JSON_PATCH_OPERATIONS}, got {}",
            operations.len()
        );
        return Err(PatchError::TooLarge(message));
    }
    let mut document = document.clone();
    for operation in operations {
        if !operation.is_object() {
            let message = format!(
                "json: cannot unmarshal {} into Go value of type jsonpatch.Operation",
                go_kind(operation)
            );
            return Err(PatchError::BadRequest(message));
        }
        apply_operation(&mut document, operation).map_err(PatchError::Unprocessable)?;
    }
    Ok(document)
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn apply_operation(document: &mut Value, operation: &Value) -> Result<(), String> {
    let text = |member: &str| operation.get(member).and_then(Value::as_str);
    let kind = text("op").unwrap_or("unknown");
    let path = || text("path").ok_or_else(|| format!("{kind} operation failed to decode path: missing value"));
    let from = || text("from").ok_or_else(|| format!("{kind} operation failed to decode from: missing value"));
    match kind {
        "add" => add(document, path()?, value(operation)),
        "remove" => remove(document, path()?).map(|_| ()),
        "replace" => replace(document, path()?, value(operation)),
        "move" => {
            let moved = take(document, from()?, "move", true)?;
            place(document, path()?, moved, "move")
        }
        "copy" => {
            let copied = take(document, from()?, "copy", false)?;
            place(document, path()?, copied, "copy")
        }
        "test" => test(document, path()?, &value(operation)),
        _ => Err(format!("Unexpected kind: {kind}")),
    }
}

fn value(operation: &Value) -> Value {
    operation.get("value").cloned().unwrap_or(Value::Null)
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    let (container, key) = container(document, path)
        .ok_or_else(|| format!("add operation does not apply: doc is missing path: {path:?}: missing value"))?;
    insert(container, &key, value).map_err(|error| format!("error in add for path: '{path}': {error}"))
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let (container, key) = container(document, path)
        .ok_or_else(|| format!("remove operation does not apply: doc is missing path: {path:?}: missing value"))?;
    delete(container, &key).map_err(|error| format!("error in remove for path: '{path}': {error}"))
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *document = value;
        return Ok(());
    }
    let (container, key) = container(document, path)
        .ok_or_else(|| format!("replace operation does not apply: doc is missing path: {path}: missing value"))?;
    let place = member(container, &key)
        .ok_or_else(|| format!("replace operation does not apply: doc is missing key: {path}: missing value"))?;
    *place = value;
    Ok(())
}

fn take(document: &mut Value, from: &str, kind: &str, away: bool) -> Result<Value, String> {
    let missing = |what: &str| format!("{kind} operation does not apply: doc is missing {what}: {from}: missing value");
    let (container, key) = container(document, from).ok_or_else(|| missing("from path"))?;
    let value = member(container, &key).ok_or_else(|| missing("key"))?.clone();
    if away {
        delete(container, &key).map_err(|error| format!("error in remove for path: '{from}': {error}"))?;
    }
    Ok(value)
}

fn place(document: &mut Value, path: &str, value: Value, kind: &str) -> Result<(), String> {
    let (container, key) = container(document, path).ok_or_else(|| {
        format!("{kind} operation does not apply: doc is missing destination path: {path}: missing value")
    })?;
    insert(container, &key, value).map_err(|error| format!("error in {kind} for path: '{path}': {error}"))
}

fn test(document: &mut Value, path: &str, wanted: &Value) -> Result<(), String> {
    let failed = || format!("testing value {path} failed: test failed");
    if path.is_empty() {
        return if document == wanted { Ok(()) } else { Err(failed()) };
    }
    let (container, key) = container(document, path)
        .ok_or_else(|| format!("test operation does not apply: is missing path: {path}: missing value"))?;
    let absent_is_null = wanted.is_null() && container.is_object();
    match member(container, &key) {
        Some(found) if equal(found, wanted) => Ok(()),
        None if absent_is_null => Ok(()),
        _ => Err(failed()),
    }
}

/// Numbers are equal by value, members in any order.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left == right || left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, value)| right.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => left == right,
    }
}

/// The array or object that holds the last part of `path`, and that part. A path without a slash has no container.
fn container<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let (parents, last) = path.rsplit_once('/')?;
    let mut place = document;
    for part in parents.split('/').skip(1) {
        place = member(place, &decode(part))?;
    }
    (place.is_array() || place.is_object()).then(|| (place, decode(last)))
}

fn decode(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

fn member<'a>(container: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    match container {
        Value::Object(object) => object.get_mut(key),
        Value::Array(list) => {
            let index = position(key, list.len()).ok()?;
            list.get_mut(index)
        }
        _ => None,
    }
}

fn insert(container: &mut Value, key: &str, value: Value) -> Result<(), String> {
    match container {
        Value::Object(object) => {
            object.insert(key.to_owned(), value);
            Ok(())
        }
        Value::Array(list) if key == "-" => {
            list.push(value);
            Ok(())
        }
        Value::Array(list) => {
            let index = position(key, list.len() + 1)?;
            list.insert(index, value);
            Ok(())
        }
        _ => Err("unknown object type".to_owned()),
    }
}

fn delete(container: &mut Value, key: &str) -> Result<Value, String> {
    match container {
        Value::Object(object) => object
            .shift_remove(key)
            .ok_or_else(|| format!("Unable to remove nonexistent key: {key}: missing value")),
        Value::Array(list) => {
            let index = position(key, list.len())?;
            Ok(list.remove(index))
        }
        _ => Err("unknown object type".to_owned()),
    }
}

/// An index below `length`; a negative one counts from the end.
fn position(key: &str, length: usize) -> Result<usize, String> {
    let index: i64 = key
        .parse()
        .map_err(|error| format!("value was not a proper array index: {key:?}: {error}"))?;
    let refused = || format!("Unable to access invalid index: {index}: invalid index referenced");
    let signed = i64::try_from(length).map_err(|error| error.to_string())?;
    let absolute = if index < 0 { index + signed } else { index };
    if absolute < 0 || absolute >= signed {
        return Err(refused());
    }
    usize::try_from(absolute).map_err(|error| error.to_string())
}
