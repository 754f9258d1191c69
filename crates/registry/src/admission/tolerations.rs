//! DefaultTolerationSeconds: pods stay five minutes on a node that is lost.

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
