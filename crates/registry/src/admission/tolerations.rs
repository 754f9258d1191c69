//! DefaultTolerationSeconds: pods stay five minutes on a node that is lost. And how two lists of tolerations become one.

use kube_types::dynamic::{Object, Value, json};

use super::Request;
use crate::status::StatusError;

const SECONDS: i64 = 300;
const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

pub(super) fn default_seconds(request: &Request<'_>, pod: &mut Object) -> Result<(), StatusError> {
    if !request.creates("", "pods") {
        return Ok(());
    }
    let Some(spec) = pod.0.get_mut("spec").and_then(Value::as_object_mut) else {
        return Ok(());
    };
    let Value::Array(tolerations) = spec.entry("tolerations").or_insert_with(|| json!([])) else {
        return Ok(());
    };
    for taint in TAINTS {
        let tolerated = tolerations.iter().any(|toleration| {
            let text = |field: &str| toleration.get(field).and_then(Value::as_str).unwrap_or_default();
            (text("key") == taint || text("key").is_empty()) && matches!(text("effect"), "NoExecute" | "")
        });
        if !tolerated {
            tolerations.push(json!({"key": taint, "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": SECONDS}));
        }
    }
    Ok(())
}

/// Both lists, without what another toleration covers. Source: `MergeTolerations` in `pkg/util/tolerations`.
pub(super) fn merged(first: &[Value], second: &[Value]) -> Vec<Value> {
    let all: Vec<&Value> = first.iter().chain(second).collect();
    let mut merged: Vec<Value> = Vec::new();
    for (index, one) in all.iter().enumerate() {
        let covered = merged.iter().any(|other| covers(other, one));
        let covered_later = || all[index + 1..].iter().any(|other| other != one && covers(other, one));
        if !covered && !covered_later() {
            merged.push((*one).clone());
        }
    }
    merged
}

/// Does a toleration tolerate whatever another one does?
fn covers(wide: &Value, narrow: &Value) -> bool {
    if wide == narrow {
        return true;
    }
    let text = |of: &Value, field: &str| of.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (key, operator, effect) = (text(wide, "key"), text(wide, "operator"), text(wide, "effect"));
    if key != text(narrow, "key") && !(key.is_empty() && operator == "Exists") {
        return false;
    }
    if !effect.is_empty() && effect != text(narrow, "effect") {
        return false;
    }
    let seconds = |of: &Value| of.get("tolerationSeconds").and_then(Value::as_i64);
    if let ("NoExecute", Some(most)) = (effect.as_str(), seconds(wide))
        && seconds(narrow).is_none_or(|wanted| wanted > most)
    {
        return false;
    }
    match operator.as_str() {
        "" | "Equal" => text(narrow, "operator") == "Equal" && text(narrow, "value") == text(wide, "value"),
        other => other == "Exists",
    }
}
