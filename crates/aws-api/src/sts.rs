//! Security Token Service: who am I.

use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::operations::Context;

/// No members.
#[derive(Debug, Deserialize)]
pub struct GetCallerIdentityRequest {}

/// The caller's identity.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetCallerIdentityResponse {
    user_id: String,
    account: String,
    arn: String,
}

/// `GetCallerIdentity`.
pub async fn get_caller_identity(
    context: Context,
    _request: GetCallerIdentityRequest,
) -> Result<GetCallerIdentityResponse, ApiError> {
    let caller = context.caller;
    Ok(GetCallerIdentityResponse {
        user_id: caller.user_id,
        account: caller.account.to_string(),
        arn: caller.arn,
    })
}
