//! The default VPC: a network that is there without asking, for launches that name no subnet.

use aws_types::{SubnetId, VpcId, region};
use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::document::{Document, Kind};
use super::subnet::default_subnet;
use super::{dry_run, route, security_group};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::network::Vpc;
use crate::operations::Context;

/// The block of every default VPC.
const BLOCK: &str = "172.31.0.0/16";

/// `CreateDefaultVpc`: a subnet in each zone, an internet gateway, and the way to it.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let region = &context.region;
    let zones = region::find(&region.name)
        .map(region::Region::zones)
        .unwrap_or_default();
    let cidr: Ipv4Net = BLOCK.parse().map_err(ApiError::internal)?;
    let id = VpcId::new(region.id("vpc-")).map_err(ApiError::internal)?;
    let vpc = Vpc {
        id: id.clone(),
        cidr,
        association_id: region.id("vpc-cidr-assoc-"),
        tags: Default::default(),
        dhcp_options: None,
        is_default: true,
        further: Vec::new(),
        is_dedicated: false,
        dns_hostnames: None,
        usage_metrics: false,
    };
    let mut changes = Vec::new();
    for ((zone, _), cidr) in zones.into_iter().zip(cidr.subnets(20).map_err(ApiError::internal)?) {
        let subnet = SubnetId::new(region.id("subnet-")).map_err(ApiError::internal)?;
        changes.push(Change::put(default_subnet(subnet, id.clone(), cidr, zone)));
    }
    let gateway = json!({
        "OwnerId": context.caller.account, "Attachments": [{"VpcId": id, "State": "available"}],
    });
    let gateway = Document::new(&context, Kind::InternetGateway, &json!({}), gateway);
    let mut main = route::main_table(&context, id.as_str(), BLOCK);
    if let Some(routes) = main.body["Routes"].as_array_mut() {
        routes.push(json!({
            "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway.id, "Origin": "CreateRoute", "State": "active",
        }));
    }
    changes.extend([Change::put(gateway), Change::put(main)]);
    changes.push(Change::put(security_group::default_group(&context, id.as_str())));
    let view = super::vpc::view(&vpc, context.caller.account.as_str());
    changes.push(Change::put(vpc));
    let decide = |state: &State| {
        if let Some(known) = state.vpcs.values().find(|vpc| vpc.is_default) {
            let message = format!(
                "A Default VPC already exists for this account in this region: {}",
                known.id
            );
            return Err(ApiError::bad_request("DefaultVpcAlreadyExists", message));
        }
        dry_run(input.flag("DryRun"))?;
        Ok((json!({ "Vpc": view }), changes))
    };
    context.region.ledger.change(decide).await
}
