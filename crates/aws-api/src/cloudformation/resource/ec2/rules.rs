//! Rules of security groups, as templates write them.

use serde_json::{Value, json};

use super::already;
use crate::cloudformation::resource::Wanted;
use crate::error::ApiError;
use crate::members::Members;

/// The rules that are written within a group.
pub async fn inline_rules(
    wanted: &Wanted<'_>,
    id: &str,
    properties: &Value,
    verb: &str,
    fine: &str,
) -> Result<(), ApiError> {
    for (member, direction) in [("SecurityGroupIngress", "Ingress"), ("SecurityGroupEgress", "Egress")] {
        for given in properties.list(member) {
            let input = json!({"GroupId": id, "IpPermissions": [permission(given, direction)]});
            already(
                wanted
                    .call("ec2", &format!("{verb}SecurityGroup{direction}"), input)
                    .await,
                fine,
            )?;
        }
    }
    Ok(())
}

/// A rule of a template as EC2's permission.
fn permission(given: &Value, direction: &str) -> Value {
    let port = |member: &str| {
        given
            .get(member)
            .and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()))
    };
    let protocol = given
        .get("IpProtocol")
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let mut permission = json!({"IpProtocol": protocol.unwrap_or_else(|| "-1".to_owned())});
    for member in ["FromPort", "ToPort"] {
        if let Some(port) = port(member) {
            permission[member] = port.into();
        }
    }
    let peer = if direction == "Ingress" {
        "SourceSecurityGroupId"
    } else {
        "DestinationSecurityGroupId"
    };
    let mut entry = json!({});
    if let Some(description) = given.text("Description") {
        entry["Description"] = description.into();
    }
    let sources = [
        ("CidrIp", "IpRanges", "CidrIp"),
        ("CidrIpv6", "Ipv6Ranges", "CidrIpv6"),
        (peer, "UserIdGroupPairs", "GroupId"),
    ];
    for (member, list, name) in sources {
        if let Some(value) = given.text(member) {
            let mut entry = entry.clone();
            entry[name] = value.into();
            permission[list] = json!([entry]);
        }
    }
    permission
}

/// A rule that is a resource of its own.
pub async fn rule(wanted: &Wanted<'_>, verb: &str) -> Result<(), ApiError> {
    let direction = wanted.kind.trim_start_matches("AWS::EC2::SecurityGroup");
    let input = json!({"GroupId": wanted.properties.text("GroupId"), "IpPermissions": [permission(wanted.properties, direction)]});
    let fine = if verb == "Authorize" {
        "InvalidPermission.Duplicate"
    } else {
        "InvalidPermission.NotFound"
    };
    already(
        wanted
            .call("ec2", &format!("{verb}SecurityGroup{direction}"), input)
            .await,
        fine,
    )
}
