//! From one version into another: by name only, or as a webhook answered.
//! Source: `apiserver/conversion/{nop_converter,webhook_converter}.go`.

use kube_types::dynamic::{Map, Object, Value, json};
use object_rules::tree::{child, text};

/// Renames the version.
pub fn rename(object: &mut Object, api_version: &str) {
    object.0.insert("apiVersion".to_owned(), api_version.into());
}

/// The review to send; `None` when the webhook reads no version of it that is known here.
pub fn review(versions: &[String], uid: &str, objects: &[Object], api_version: &str) -> Option<Value> {
    let version = versions
        .iter()
        .find(|version| matches!(version.as_str(), "v1" | "v1beta1"))?;
    let objects: Vec<Value> = objects.iter().map(|object| Value::Object(object.0.clone())).collect();
    Some(json!({
        "kind": "ConversionReview",
        "apiVersion": format!("apiextensions.k8s.io/{version}"),
        "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": objects},
    }))
}

/// The objects in a webhook's answer, checked against those that were sent.
///
/// # Errors
/// What is wrong with the answer.
pub fn answered(answer: &Value, uid: &str, sent: &[Object], api_version: &str) -> Result<Vec<Object>, String> {
    let empty = Map::new();
    let answer = answer.as_object().unwrap_or(&empty);
    let reviewed = text(answer, "apiVersion");
    let response = child(answer, "response").ok_or("no response provided")?;
    if reviewed == "apiextensions.k8s.io/v1" && text(response, "uid") != uid {
        return Err(format!(
            "expected response.uid=\"{uid}\", got \"{}\"",
            text(response, "uid")
        ));
    }
    let result = child(response, "result").unwrap_or(&empty);
    if text(result, "status") != "Success" {
        return Err(match text(result, "message") {
            "" => format!("response.result.status was '{}', not 'Success'", text(result, "status")),
            message => message.to_owned(),
        });
    }
    let objects: Vec<&Value> = response
        .get("convertedObjects")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .collect();
    if objects.len() != sent.len() {
        return Err(format!("returned {} objects, expected {}", objects.len(), sent.len()));
    }
    let pairs = objects.into_iter().zip(sent).enumerate();
    pairs
        .map(|(index, (converted, original))| {
            accept(converted, original, api_version)
                .map_err(|problem| format!("returned invalid converted object at index {index}: {problem}"))
        })
        .collect()
}

fn accept(converted: &Value, original: &Object, api_version: &str) -> Result<Object, String> {
    let mut object = Object::from_value(converted.clone()).map_err(|error| error.to_string())?;
    let found = text(&object.0, "apiVersion").to_owned();
    if found != api_version {
        return Err(format!(
            "invalid groupVersion (expected {api_version}, received {found})"
        ));
    }
    let kind = |object: &Object| text(&object.0, "kind").to_owned();
    if kind(&object) != kind(original) {
        let (expected, received) = (kind(original), kind(&object));
        return Err(format!("invalid kind (expected {expected}, received {received})"));
    }
    for (what, field) in [("name", "name"), ("namespace", "namespace"), ("UID", "uid")] {
        let (before, after) = (original.metadata_text(field), object.metadata_text(field));
        if before != after {
            let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
            return Err(format!("must have the same {what}: {before} != {after}"));
        }
    }
    let given = object
        .metadata()
        .cloned()
        .ok_or("missing metadata in converted object")?;
    let mut kept = original.metadata().cloned().unwrap_or_default();
    for field in ["labels", "annotations"] {
        match given.get(field) {
            Some(Value::Object(texts)) => {
                if let Some((key, _)) = texts.iter().find(|(_, value)| !value.is_string()) {
                    return Err(format!("metadata.{field}[{key}] must be a string in converted object"));
                }
                kept.insert(field.to_owned(), Value::Object(texts.clone()));
            }
            None | Some(Value::Null) => {
                kept.remove(field);
            }
            Some(_) => return Err(format!("invalid metadata.{field} in converted object")),
        }
    }
    object.0.insert("metadata".to_owned(), Value::Object(kept));
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        Object::from_value(value).unwrap()
    }

    #[test]
    fn an_answer_must_be_about_what_was_sent() {
        let metadata = json!({"name": "a", "namespace": "n", "uid": "u", "labels": {"x": "y"}, "generation": 3});
        let sent = [object(
            json!({"kind": "Host", "apiVersion": "e.com/v1", "metadata": metadata, "hostPort": "a:1"}),
        )];
        let answer = |converted: Value| {
            let review = json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response":
                {"uid": "1", "result": {"status": "Success"}, "convertedObjects": [converted]}});
            answered(&review, "1", &sent, "e.com/v2")
        };
        let good = json!({"kind": "Host", "apiVersion": "e.com/v2",
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "labels": {"z": "1"}}, "host": "a"});
        let converted = answer(good.clone()).unwrap();
        assert_eq!(
            converted[0].metadata().unwrap()["generation"],
            3,
            "metadata are those of the original"
        );
        assert_eq!(converted[0].labels()["z"], "1", "but labels may change");
        let mut other = good.clone();
        other["metadata"]["name"] = "b".into();
        assert!(answer(other).unwrap_err().contains("must have the same name: a != b"));
        let mut other = good;
        other["apiVersion"] = "e.com/v3".into();
        assert!(answer(other).unwrap_err().contains("invalid groupVersion"));
        let failed = json!({"apiVersion": "apiextensions.k8s.io/v1",
            "response": {"uid": "1", "result": {"status": "Failed", "message": "no"}}});
        assert_eq!(answered(&failed, "1", &sent, "e.com/v2").unwrap_err(), "no");
    }
}
