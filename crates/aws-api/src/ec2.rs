//! The part of EC2 that clusters need: networks, and facts about regions and instance types.

pub mod address;
pub mod credits;
pub mod default_vpc;
pub mod dhcp;
pub mod document;
pub mod endpoint;
pub mod fact;
pub mod filter;
pub mod fleet;
pub mod flow_log;
pub mod gateway;
pub mod group_rule;
pub mod image;
pub mod instance;
pub mod instance_state;
pub mod instance_type;
pub mod interface;
pub mod key_material;
pub mod key_pair;
mod kinds;
pub mod launch;
pub mod launch_template;
pub mod network_acl;
pub mod offering;
pub mod own_image;
pub mod peering;
pub mod prefix_list;
pub mod profile_association;
pub mod route;
pub mod security_group;
pub mod snapshot;
pub mod spot;
pub mod standing_fleet;
pub mod subnet;
pub mod tag;
pub mod volume;
pub mod vpc;

use http::StatusCode;
use serde_json::Value;

use crate::error::ApiError;
use crate::members::Members;

/// EC2's answer to a permitted call with `DryRun`.
fn dry_run(asked: Option<bool>) -> Result<(), ApiError> {
    if asked == Some(true) {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(ApiError::new(
            "DryRunOperation",
            StatusCode::PRECONDITION_FAILED,
            message,
        ));
    }
    Ok(())
}

/// Refuses tags of new resources that name no kind of resource, or no tag.
///
/// # Errors
/// EC2's own.
pub fn check_tag_specifications(input: &Value) -> Result<(), ApiError> {
    for given in input.list("TagSpecifications") {
        if given.text("ResourceType").is_none() {
            let message = "Tag specification resource type must have a value";
            return Err(ApiError::bad_request("InvalidParameter", message));
        }
        if given.list("Tags").is_empty() {
            return Err(invalid("Tag specification must have at least one tag"));
        }
    }
    Ok(())
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("InvalidParameterValue", message)
}

fn missing(name: &str) -> ApiError {
    ApiError::bad_request(
        "MissingParameter",
        format!("The request must contain the parameter {name}"),
    )
}
