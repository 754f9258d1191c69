//! What changes of a node group's configuration become: one `UpdateNodegroupConfig`.

use serde_json::{Value, json};

use super::{Wanted, request, small};
use crate::error::ApiError;
use crate::members::Members;

/// Sizes, labels, taints and the update configuration as the template has them now.
///
/// # Errors
/// What EKS answers.
pub async fn configure(wanted: &Wanted<'_>, cluster: &str, name: &str, before: &Value) -> Result<(), ApiError> {
    let properties = wanted.properties;
    let differs = |name: &str| properties.get(name) != before.get(name);
    let input = request(wanted, &[]);
    let labels =
        json!({"addOrUpdateLabels": properties.get("Labels"), "removeLabels": dropped_labels(before, properties)});
    let taints = json!({"addOrUpdateTaints": input.list("taints"), "removeTaints": dropped_taints(before, properties)});
    let if_differs = |name: &str, value: Value| if differs(name) { value } else { Value::Null };
    let change = json!({
        "clusterName": cluster, "nodegroupName": name,
        "scalingConfig": if_differs("ScalingConfig", input.get("scalingConfig").cloned().unwrap_or_default()),
        "labels": if_differs("Labels", labels), "taints": if_differs("Taints", taints),
        "updateConfig": if_differs("UpdateConfig", input.get("updateConfig").cloned().unwrap_or_default()),
    });
    wanted.call("eks", "UpdateNodegroupConfig", change).await.map(drop)
}

fn dropped_labels(before: &Value, after: &Value) -> Vec<String> {
    let keys = |value: &Value| -> Vec<String> {
        value
            .get("Labels")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(key, _)| key.clone())
            .collect()
    };
    let now = keys(after);
    keys(before).into_iter().filter(|key| !now.contains(key)).collect()
}

/// Taints that a group had and is no longer to have.
fn dropped_taints(before: &Value, after: &Value) -> Vec<Value> {
    let stays = |taint: &Value| {
        let same = |other: &Value| other["Key"] == taint["Key"] && other["Effect"] == taint["Effect"];
        after.list("Taints").iter().any(same)
    };
    let gone = before.list("Taints").iter().filter(|taint| !stays(taint));
    gone.map(small).collect()
}
