//! Subnets.

use aws_types::ec2::{
    CreateSubnetRequest, CreateSubnetResult, DeleteSubnetRequest, DescribeSubnetsRequest, DescribeSubnetsResult,
    Subnet as Answer,
};
use aws_types::{SubnetId, ZoneName, region};
use ipnet::Ipv4Net;
use serde_json::{Map, Value};

use super::document::{self, Kind};
use super::filter::{Subject, passes};
use super::{dry_run, invalid, missing, tag_list, tags, vpc};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::network::Subnet;
use crate::operations::Context;

/// `CreateSubnet`.
pub async fn create(context: Context, request: CreateSubnetRequest) -> Result<CreateSubnetResult, ApiError> {
    let text = request.cidr_block.ok_or_else(|| missing("cidrBlock"))?;
    let cidr: Ipv4Net = text.parse().map_err(|_no_block| {
        invalid(format!(
            "Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
        ))
    })?;
    let vpc_id = request.vpc_id.ok_or_else(|| missing("vpcId"))?;
    let region = &context.region;
    let zone = zone(
        &context,
        request.availability_zone.as_deref(),
        request.availability_zone_id.as_deref(),
    )?;
    dry_run(request.dry_run)?;
    let id = SubnetId::new(region.id("subnet-")).map_err(ApiError::internal)?;
    let tags = tags(request.tag_specifications, "subnet");
    let owner = context.caller.account.as_str();
    let answer = region.ledger.change(|state| {
        let owning = state
            .vpcs
            .values()
            .find(|known| known.id.as_str() == vpc_id)
            .ok_or_else(|| vpc::not_found(&vpc_id))?;
        if !owning.cidr.contains(&cidr) || !(16..=28).contains(&cidr.prefix_len()) {
            return Err(ApiError::bad_request(
                "InvalidSubnet.Range",
                format!("The CIDR '{text}' is invalid."),
            ));
        }
        let overlaps = |other: &Subnet| other.cidr.contains(&cidr) || cidr.contains(&other.cidr);
        if state.subnets_of(&owning.id).any(overlaps) {
            let message = format!("The CIDR '{text}' conflicts with another subnet");
            return Err(ApiError::bad_request("InvalidSubnet.Conflict", message));
        }
        let subnet = Subnet {
            id,
            vpc: owning.id.clone(),
            cidr: cidr.trunc(),
            zone,
            tags,
            map_public_ip: None,
            is_default: false,
            next_address: None,
        };
        Ok((
            describe_one(state, &subnet, &region.name, owner),
            vec![Change::put(subnet)],
        ))
    });
    Ok(CreateSubnetResult {
        subnet: Some(answer.await?),
    })
}

/// The named zone, or the region's first.
fn zone(context: &Context, name: Option<&str>, id: Option<&str>) -> Result<ZoneName, ApiError> {
    let own = &context.region.name;
    let zones = region::find(own).map(region::Region::zones).unwrap_or_default();
    let fits = |(zone, zone_id): &&(ZoneName, String)| {
        name.is_none_or(|name| name == zone.as_str()) && id.is_none_or(|id| id == *zone_id)
    };
    zones.iter().find(fits).map(|(zone, _)| zone.clone()).ok_or_else(|| {
        let asked = name.or(id).unwrap_or_default();
        invalid(format!("Value ({asked}) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: {}.", zones.iter().map(|(zone, _)| zone.as_str()).collect::<Vec<_>>().join(", ")))
    })
}

/// `DescribeSubnets`.
pub async fn describe(context: Context, request: DescribeSubnetsRequest) -> Result<DescribeSubnetsResult, ApiError> {
    dry_run(request.dry_run)?;
    let owner = context.caller.account.as_str();
    context.region.ledger.read(|state| {
        let wanted = request.subnet_ids.unwrap_or_default();
        if let Some(unknown) = wanted
            .iter()
            .find(|id| !state.subnets.keys().any(|known| known.as_str() == **id))
        {
            return Err(not_found(unknown));
        }
        let mut subnets = Vec::new();
        for subnet in state
            .subnets
            .values()
            .filter(|subnet| wanted.is_empty() || wanted.iter().any(|id| id == subnet.id.as_str()))
        {
            let answer = describe_one(state, subnet, &context.region.name, owner);
            let values = [
                ("subnet-id", subnet.id.to_string()),
                ("vpc-id", subnet.vpc.to_string()),
                ("cidr-block", subnet.cidr.to_string()),
                ("availability-zone", subnet.zone.to_string()),
                ("availabilityZone", subnet.zone.to_string()),
                (
                    "availability-zone-id",
                    answer.availability_zone_id.clone().unwrap_or_default(),
                ),
                ("state", "available".to_owned()),
                ("default-for-az", subnet.is_default.to_string()),
                ("defaultForAz", subnet.is_default.to_string()),
                ("cidrBlock", subnet.cidr.to_string()),
                ("cidr", subnet.cidr.to_string()),
                ("owner-id", owner.to_owned()),
            ];
            if passes(
                request.filters.as_deref(),
                &Subject {
                    values: &values,
                    tags: &subnet.tags,
                },
            )? {
                subnets.push(answer);
            }
        }
        Ok(DescribeSubnetsResult {
            subnets: Some(subnets),
            next_token: None,
        })
    })
}

/// `DeleteSubnet`.
pub async fn delete(context: Context, request: DeleteSubnetRequest) -> Result<Value, ApiError> {
    dry_run(request.dry_run)?;
    let id = request.subnet_id.ok_or_else(|| missing("subnetId"))?;
    let change = context.region.ledger.change(|state| {
        let known = state
            .subnets
            .keys()
            .find(|known| known.as_str() == id)
            .ok_or_else(|| not_found(&id))?;
        let by_cluster = state
            .clusters
            .values()
            .any(|cluster| cluster.network.subnet_ids.contains(known));
        let routed = document::of_kind(state, Kind::RouteTable)
            .flat_map(|table| table.body.list("Associations"))
            .any(|association| association.text("SubnetId") == Some(&id));
        let translated =
            document::of_kind(state, Kind::NatGateway).any(|gateway| gateway.body.text("SubnetId") == Some(&id));
        let by_group = state
            .nodegroups
            .values()
            .any(|group| group.subnets.iter().any(|subnet| subnet.id == *known));
        let by_instance = state
            .instances
            .values()
            .any(|one| one.subnet == *known && one.has_addresses());
        let by_interface =
            document::of_kind(state, Kind::NetworkInterface).any(|one| one.body.text("SubnetId") == Some(&id));
        if by_cluster || by_group || routed || translated || by_instance || by_interface {
            let message = format!("The subnet '{id}' has dependencies and cannot be deleted.");
            return Err(ApiError::bad_request("DependencyViolation", message));
        }
        Ok(((), vec![Change::remove::<Subnet>(known.clone())]))
    });
    change.await?;
    Ok(Value::Object(Map::new()))
}

/// The subnet of that id.
///
/// # Errors
/// When it is not there.
pub fn find<'a>(state: &'a State, id: &str) -> Result<&'a Subnet, ApiError> {
    state
        .subnets
        .values()
        .find(|subnet| subnet.id.as_str() == id)
        .ok_or_else(|| not_found(id))
}

/// `ModifySubnetAttribute`.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("SubnetId");
    let wanted = input.get("MapPublicIpOnLaunch").and_then(|value| value.flag("Value"));
    let decide = |state: &State| {
        let mut subnet = find(state, id)?.clone();
        subnet.map_public_ip = wanted.or(subnet.map_public_ip);
        Ok::<_, ApiError>(((), vec![Change::put(subnet)]))
    };
    context.region.ledger.change(decide).await?;
    Ok(Value::Object(Map::new()))
}

fn not_found(id: &str) -> ApiError {
    ApiError::bad_request(
        "InvalidSubnetID.NotFound",
        format!("The subnet ID '{id}' does not exist"),
    )
}

fn describe_one(state: &State, subnet: &Subnet, region_name: &aws_types::RegionName, owner: &str) -> Answer {
    Answer {
        subnet_id: Some(subnet.id.to_string()),
        subnet_arn: Some(format!("arn:aws:ec2:{region_name}:{owner}:subnet/{}", subnet.id)),
        vpc_id: Some(subnet.vpc.to_string()),
        state: Some("available".to_owned()),
        cidr_block: Some(subnet.cidr.to_string()),
        availability_zone: Some(subnet.zone.to_string()),
        availability_zone_id: region::zone_id(&subnet.zone),
        available_ip_address_count: i64::try_from(state.addresses(subnet).free()).ok(),
        default_for_az: Some(subnet.is_default),
        map_public_ip_on_launch: Some(subnet.map_public_ip.unwrap_or(subnet.spec().public)),
        owner_id: Some(owner.to_owned()),
        tags: Some(tag_list(&subnet.tags)),
    }
}
