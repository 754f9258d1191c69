//! Capabilities: ACK, kro and Argo CD as AWS runs them beside a cluster. That software is AWS's own and is not here, so no cluster
//! has one, and who asks for one is told so.

use cluster_lifecycle::Refusal;
use cluster_lifecycle::refusal::RefusalKind;
use serde_json::{Value, json};

use super::cluster::check_role;
use super::{check_tags, find_cluster, tag_map};
use crate::error::ApiError;
use crate::members::Members;
use crate::operations::Context;

fn check_cluster(context: &Context, input: &Value) -> Result<(), Refusal> {
    let name = input.text("clusterName");
    context
        .region
        .ledger
        .read(|state| find_cluster(state, name).map(|_| ()))
}

fn none(context: &Context, input: &Value) -> Result<Value, ApiError> {
    check_cluster(context, input)?;
    let message = format!("No capability found for name: {}.", input.required("capabilityName"));
    let refusal = Refusal::new(RefusalKind::ResourceNotFound, message);
    Err(refusal.of_cluster(input.required("clusterName")).into())
}

/// `CreateCapability`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    check_cluster(&context, &input)?;
    check_role("roleArn", input.text("roleArn"))?;
    check_tags(&tag_map(&input))?;
    let (kind, region) = (input.required("type"), &context.region.name);
    if kind == "ARGOCD" && input["configuration"]["argoCd"].is_null() {
        let message = "configuration.argoCd is required for capabilities of type ARGOCD";
        return Err(Refusal::invalid_parameter(message).into());
    }
    let message = format!("Capabilities of type {kind} are not available in {region}");
    let refusal = Refusal::invalid_request(message);
    Err(refusal.of_cluster(input.required("clusterName")).into())
}

/// `DescribeCapability`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    none(&context, &input)
}

/// `UpdateCapability`.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    none(&context, &input)
}

/// `DeleteCapability`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    none(&context, &input)
}

/// `ListCapabilities`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    check_cluster(&context, &input)?;
    Ok(json!({ "capabilities": [] }))
}
