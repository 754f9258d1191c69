//! Event patterns: which events a rule is about.

use serde_json::Value;

/// A pattern as a document, if it is one: objects down to lists.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn read(text: &str) -> Result<Value, String> {
    let pattern: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    check(&pattern)?;
    Ok(pattern)
}

fn check(pattern: &Value) -> Result<(), String> {
    let members = pattern.as_object().ok_or("Filter is not an object")?;
    for (name, wanted) in members {
        match wanted {
            Value::Object(_) => check(wanted)?,
            Value::Array(values) if !values.is_empty() => {}
            _ => return Err(format!("\"{name}\" must be an object or an array")),
        }
    }
    Ok(())
}

/// Whether an event fits: each member that the pattern names must have one of its values.
pub fn fits(pattern: &Value, event: &Value) -> bool {
    let members = pattern.as_object().into_iter().flatten();
    members.into_iter().all(|(name, wanted)| {
        let found = event.get(name);
        match wanted {
            Value::Object(_) => found.is_some_and(|found| fits(wanted, found)),
            Value::Array(values) => values.iter().any(|value| one(value, found)),
            _ => false,
        }
    })
}

/// Whether one of a pattern's values is what was found; of lists, each element may be it.
fn one(wanted: &Value, found: Option<&Value>) -> bool {
    if let Some(rule) = wanted.as_object() {
        return rule.iter().all(|(name, argument)| match name.as_str() {
            "exists" => argument.as_bool() == Some(found.is_some()),
            _ => found.is_some_and(|found| elements(found).iter().any(|element| content(name, argument, element))),
        });
    }
    found.is_some_and(|found| elements(found).contains(&wanted))
}

fn elements(found: &Value) -> Vec<&Value> {
    match found {
        Value::Array(elements) => elements.iter().collect(),
        other => vec![other],
    }
}

fn content(name: &str, argument: &Value, element: &Value) -> bool {
    let text = element.as_str().unwrap_or_default();
    let word = argument.as_str().unwrap_or_default();
    match name {
        "prefix" => text.starts_with(word),
        "suffix" => text.ends_with(word),
        "equals-ignore-case" => text.eq_ignore_ascii_case(word),
        "anything-but" => match argument {
            Value::Array(values) => !values.contains(element),
            Value::Object(rule) => !rule.iter().any(|(name, argument)| content(name, argument, element)),
            other => other != element,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_fit_patterns_member_by_member() {
        let event = json!({"source": "aws.ec2", "detail-type": "A", "detail": {"state": "terminated", "n": 3}, "resources": ["a", "b"]});
        for (pattern, expected) in [
            (json!({"source": ["aws.ec2"], "detail-type": ["A", "B"]}), true),
            (json!({"source": ["aws.health"]}), false),
            (json!({"detail": {"state": [{"prefix": "term"}]}}), true),
            (json!({"detail": {"state": [{"anything-but": ["terminated"]}]}}), false),
            (json!({"detail": {"other": [{"exists": false}]}}), true),
            (json!({"resources": ["b"]}), true),
        ] {
            assert_eq!(fits(&pattern, &event), expected, "{pattern}");
        }
        assert!(read("{\"source\": \"x\"}").is_err() && read("[]").is_err());
    }
}
