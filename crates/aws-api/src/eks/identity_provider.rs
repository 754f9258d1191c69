//! Identity provider configurations: clusters of this region take no foreign tokens, so there are none and none can be made.

use cluster_lifecycle::Refusal;
use cluster_lifecycle::refusal::RefusalKind;
use serde_json::{Value, json};

use super::find_cluster;
use crate::error::ApiError;
use crate::members::Members;
use crate::operations::Context;

/// `AssociateIdentityProviderConfig`.
pub async fn associate(context: Context, input: Value) -> Result<Value, ApiError> {
    context
        .region
        .ledger
        .read(|state| find_cluster(state, input.text("clusterName")).map(drop))?;
    Err(Refusal::invalid_parameter("OIDC identity provider configurations are not available in this region").into())
}

/// `ListIdentityProviderConfigs`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    context
        .region
        .ledger
        .read(|state| find_cluster(state, input.text("clusterName")).map(drop))?;
    Ok(json!({ "identityProviderConfigs": [] }))
}

/// `DescribeIdentityProviderConfig`, `DisassociateIdentityProviderConfig`.
pub async fn find(context: Context, input: Value) -> Result<Value, ApiError> {
    context
        .region
        .ledger
        .read(|state| find_cluster(state, input.text("clusterName")).map(drop))?;
    let name = input
        .get("identityProviderConfig")
        .and_then(|config| config.text("name"))
        .unwrap_or_default();
    let message = format!("Identity provider config is not associated with cluster: {name}");
    Err(Refusal::new(RefusalKind::ResourceNotFound, message).into())
}
