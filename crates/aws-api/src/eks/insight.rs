//! Insights: what stands in the way of an upgrade, computed when it is asked for.

use aws_types::eks_version;
use aws_types::time::Time;
use cluster_lifecycle::Refusal;
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::refusal::RefusalKind;
use serde_json::{Value, json};

use super::find_cluster;
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::Members;
use crate::operations::Context;

/// Ids are the same for every cluster, so that they can be kept.
const KUBELET_SKEW: &str = "3f1c7a52-5b0e-4b06-9c5e-6d6a0e0a1f01";

fn kubelet_skew(context: &Context, state: &State, cluster: &Cluster) -> Value {
    let minor = |version: &str| eks_version::find(version).map_or(0, eks_version::EksVersion::minor_number);
    let behind = |version: &str| minor(&cluster.version).saturating_sub(minor(version));
    let old: Vec<_> = state
        .nodegroups_of(&cluster.name)
        .filter(|group| behind(&group.version) >= 2)
        .collect();
    let worst = old.iter().map(|group| behind(&group.version)).max().unwrap_or(0);
    let (status, reason) = match worst {
        0 | 1 => (
            "PASSING",
            "Node kubelet versions match the cluster control plane version or are one behind.",
        ),
        2 => (
            "WARNING",
            "Node kubelet versions are two minor versions behind the control plane.",
        ),
        _ => (
            "ERROR",
            "Node kubelet versions are as far behind the control plane as is supported.",
        ),
    };
    let resources: Vec<Value> = old
        .iter()
        .map(|group| json!({"insightStatus": {"status": status, "reason": format!("node group version {}", group.version)}, "arn": group.arn}))
        .collect();
    let now = Time(context.region.clock.now());
    json!({
        "id": KUBELET_SKEW, "name": "Kubelet version skew", "category": "UPGRADE_READINESS", "kubernetesVersion": cluster.version,
        "lastRefreshTime": now, "lastTransitionTime": Time(cluster.created_at),
        "description": "Checks for kubelet versions of worker nodes in the cluster to see if upgrade would cause noncompliance with supported Kubernetes kubelet version skew policy.",
        "insightStatus": {"status": status, "reason": reason},
        "recommendation": "Upgrade node groups before the control plane.", "additionalInfo": {}, "resources": resources,
        "categorySpecificSummary": {},
    })
}

fn all(context: &Context, cluster: Option<&str>) -> Result<Vec<Value>, Refusal> {
    context
        .region
        .ledger
        .read(|state| Ok(vec![kubelet_skew(context, state, find_cluster(state, cluster)?)]))
}

/// `ListInsights`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let filter = input.get("filter").cloned().unwrap_or_default();
    let fits = |member: &str, value: &str| {
        let wanted = filter.texts(member);
        wanted.is_empty() || wanted.contains(&value)
    };
    let mut found = all(&context, input.text("clusterName"))?;
    found.retain(|insight| {
        fits("categories", insight.required("category"))
            && fits("kubernetesVersions", insight.required("kubernetesVersion"))
            && fits("statuses", insight["insightStatus"].required("status"))
    });
    for insight in &mut found {
        if let Some(members) = insight.as_object_mut() {
            for detail in [
                "recommendation",
                "additionalInfo",
                "resources",
                "categorySpecificSummary",
            ] {
                members.remove(detail);
            }
        }
    }
    Ok(json!({ "insights": found }))
}

/// `DescribeInsight`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("id");
    let found = all(&context, input.text("clusterName"))?
        .into_iter()
        .find(|insight| insight.required("id") == id);
    let found =
        found.ok_or_else(|| Refusal::new(RefusalKind::ResourceNotFound, format!("No insight found with id: {id}")))?;
    Ok(json!({ "insight": found }))
}

/// `StartInsightsRefresh`: insights are always fresh.
pub async fn refresh(context: Context, input: Value) -> Result<Value, ApiError> {
    all(&context, input.text("clusterName"))?;
    Ok(json!({"message": "Insights refresh is complete", "status": "COMPLETED"}))
}

/// `DescribeInsightsRefresh`.
pub async fn refreshed(context: Context, input: Value) -> Result<Value, ApiError> {
    all(&context, input.text("clusterName"))?;
    let now = Time(context.region.clock.now());
    Ok(json!({"message": "Insights refresh is complete", "status": "COMPLETED", "startedAt": now, "endedAt": now}))
}
