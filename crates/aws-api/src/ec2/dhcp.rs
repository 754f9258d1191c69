//! DHCP options: kept, shown and given to VPCs. What instances resolve by is the region's resolver, whatever a set says.

use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{dry_run, invalid, vpc};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// The set that a VPC has when it has no other.
pub const DEFAULT: &str = "default";
const KEYS: &[&str] = &[
    "domain-name",
    "domain-name-servers",
    "ntp-servers",
    "netbios-name-servers",
    "netbios-node-type",
    "ipv6-address-preferred-lease-time",
];

/// `CreateDhcpOptions`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let mut shown = Vec::new();
    for given in input.list("DhcpConfigurations") {
        let (key, values) = (given.required("Key"), given.texts("Values"));
        if !KEYS.contains(&key) {
            return Err(invalid(format!(
                "Value ({key}) for parameter dhcpConfiguration.key is invalid. Unknown DHCP option"
            )));
        }
        if key == "netbios-node-type" && !values.iter().all(|value| ["1", "2", "4", "8"].contains(value)) {
            return Err(invalid(format!(
                "Value ({}) for parameter value is invalid. Invalid DHCP option value.",
                values.join(", ")
            )));
        }
        if key.ends_with("-servers") && values.len() > 4 {
            let message = format!(
                "Value ({}) for parameter value is invalid. Too many values",
                values.join(", ")
            );
            return Err(invalid(message));
        }
        let values: Vec<Value> = values.into_iter().map(|value| json!({ "Value": value })).collect();
        shown.push(json!({"Key": key, "Values": values}));
    }
    let body = json!({"DhcpConfigurations": shown, "OwnerId": context.caller.account});
    let made = Document::new(&context, Kind::DhcpOptions, &input, body);
    document::create(&context, &input, made, "DhcpOptions", |_| Ok(())).await
}

/// `DescribeDhcpOptions`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    document::describe(&context, &input, Kind::DhcpOptions)
}

/// `DeleteDhcpOptions`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("DhcpOptionsId");
    if !id.starts_with("dopt-") {
        let message = format!("Invalid id: \"{id}\" (expecting \"dopt-...\")");
        return Err(ApiError::bad_request("InvalidDhcpOptionsId.Malformed", message));
    }
    document::remove(&context, &input, Kind::DhcpOptions, id, |state, _| {
        if state.vpcs.values().any(|vpc| vpc.dhcp_options.as_deref() == Some(id)) {
            return Err(document::in_use("dhcpOptions", id));
        }
        Ok(())
    })
    .await?;
    Ok(nothing())
}

/// `AssociateDhcpOptions`.
pub async fn associate(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let id = input.required("DhcpOptionsId");
    let decide = |state: &State| {
        let chosen = match id {
            DEFAULT => None,
            id => Some(document::find(state, Kind::DhcpOptions, id)?.id.clone()),
        };
        let mut vpc = vpc::find(state, input.required("VpcId"))?.clone();
        vpc.dhcp_options = chosen;
        Ok::<_, ApiError>((nothing(), vec![Change::put(vpc)]))
    };
    context.region.ledger.change(decide).await
}
