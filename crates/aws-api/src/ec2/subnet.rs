//! Subnets.

use aws_types::{SubnetId, VpcId, ZoneName, region};
use ipnet::Ipv4Net;
use serde_json::{Map, Value, json};

use super::document::{self, Kind};
use super::{dry_run, invalid, vpc};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, tag_list};
use crate::network::Subnet;
use crate::operations::Context;

/// `CreateSubnet`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    if input.text("Ipv6CidrBlock").is_some() || input.flag("Ipv6Native") == Some(true) {
        return Err(vpc::no_ipv6());
    }
    let Some(text) = input.text("CidrBlock") else {
        let message = "Either 'cidrBlock' or 'ipv6CidrBlock' should be provided.";
        return Err(ApiError::bad_request("MissingParameter", message));
    };
    let cidr: Ipv4Net = text.parse().map_err(|_no_block| {
        invalid(format!(
            "Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
        ))
    })?;
    let vpc_id = input.required("VpcId");
    let region = &context.region;
    let zone = zone(&context, &input)?;
    dry_run(input.flag("DryRun"))?;
    let id = SubnetId::new(region.id("subnet-")).map_err(ApiError::internal)?;
    let given = input.list("TagSpecifications").iter();
    let own = given.filter(|given| given.text("ResourceType") == Some("subnet"));
    let tags = own.flat_map(|given| given.tags("Tags")).collect();
    let decide = |state: &State| {
        let owning = vpc::find(state, vpc_id)?;
        if !owning.contains(&cidr) || !(16..=28).contains(&cidr.prefix_len()) {
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
            resource_names: false,
            is_default: false,
            next_address: None,
        };
        Ok((view(state, &subnet, &context), vec![Change::put(subnet)]))
    };
    let made = region.ledger.change(decide).await?;
    Ok(json!({ "Subnet": made }))
}

/// `CreateDefaultSubnet`: in a zone in which the default VPC has none.
pub async fn create_default(context: Context, input: Value) -> Result<Value, ApiError> {
    let zone = zone(&context, &input)?;
    dry_run(input.flag("DryRun"))?;
    let id = SubnetId::new(context.region.id("subnet-")).map_err(ApiError::internal)?;
    let decide = |state: &State| {
        let Some(owning) = state.vpcs.values().find(|vpc| vpc.is_default) else {
            let message = "No default VPC for this account in this region";
            return Err(ApiError::bad_request("DefaultVpcDoesNotExist", message));
        };
        let mut known = state.subnets_of(&owning.id).filter(|subnet| subnet.is_default);
        if let Some(other) = known.find(|subnet| subnet.zone == zone) {
            let message = format!("'{}' is already the default subnet in {zone}.", other.id);
            return Err(ApiError::bad_request(
                "DefaultSubnetAlreadyExistsInAvailabilityZone",
                message,
            ));
        }
        let is_free = |cidr: &Ipv4Net| {
            let overlaps = |other: &Subnet| other.cidr.contains(cidr) || cidr.contains(&other.cidr);
            !state.subnets_of(&owning.id).any(overlaps)
        };
        let mut blocks = owning.cidr.subnets(20).map_err(ApiError::internal)?;
        let cidr = blocks.find(is_free).ok_or_else(|| {
            let message = format!("There is no room for another subnet in {}", owning.id);
            ApiError::bad_request("InsufficientFreeAddressesInSubnet", message)
        })?;
        let subnet = default_subnet(id, owning.id.clone(), cidr, zone);
        Ok((view(state, &subnet, &context), vec![Change::put(subnet)]))
    };
    let made = context.region.ledger.change(decide).await?;
    Ok(json!({ "Subnet": made }))
}

/// A subnet of a default VPC, as AWS makes them.
pub(super) fn default_subnet(id: SubnetId, vpc: VpcId, cidr: Ipv4Net, zone: ZoneName) -> Subnet {
    Subnet {
        id,
        vpc,
        cidr,
        zone,
        tags: Default::default(),
        map_public_ip: Some(true),
        resource_names: false,
        is_default: true,
        next_address: None,
    }
}

/// The named zone, or the region's first.
fn zone(context: &Context, input: &Value) -> Result<ZoneName, ApiError> {
    let (name, id) = (input.text("AvailabilityZone"), input.text("AvailabilityZoneId"));
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

const FILTERS: &[(&str, &str)] = &[
    ("subnet-id", "SubnetId"),
    ("subnet-arn", "SubnetArn"),
    ("vpc-id", "VpcId"),
    ("cidr-block", "CidrBlock"),
    ("cidrBlock", "CidrBlock"),
    ("cidr", "CidrBlock"),
    ("availability-zone", "AvailabilityZone"),
    ("availabilityZone", "AvailabilityZone"),
    ("availability-zone-id", "AvailabilityZoneId"),
    ("available-ip-address-count", "AvailableIpAddressCount"),
    ("state", "State"),
    ("default-for-az", "DefaultForAz"),
    ("defaultForAz", "DefaultForAz"),
    ("map-public-ip-on-launch", "MapPublicIpOnLaunch"),
    ("map-customer-owned-ip-on-launch", "MapCustomerOwnedIpOnLaunch"),
    ("enable-dns64", "EnableDns64"),
    ("ipv6-native", "Ipv6Native"),
    (
        "ipv6-cidr-block-association.ipv6-cidr-block",
        "Ipv6CidrBlockAssociationSet[].Ipv6CidrBlock",
    ),
    (
        "ipv6-cidr-block-association.association-id",
        "Ipv6CidrBlockAssociationSet[].AssociationId",
    ),
    (
        "ipv6-cidr-block-association.state",
        "Ipv6CidrBlockAssociationSet[].Ipv6CidrBlockState.State",
    ),
    (
        "private-dns-name-options-on-launch.hostname-type",
        "PrivateDnsNameOptionsOnLaunch.HostnameType",
    ),
    (
        "private-dns-name-options-on-launch.enable-resource-name-dns-a-record",
        "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsARecord",
    ),
    (
        "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record",
        "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsAAAARecord",
    ),
    ("owner-id", "OwnerId"),
    ("outpost-arn", "OutpostArn"),
];

/// `DescribeSubnets`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let wanted = input.texts("SubnetIds");
    context.region.ledger.read(|state| {
        for id in &wanted {
            find(state, id)?;
        }
        let chosen = state
            .subnets
            .values()
            .filter(|subnet| wanted.is_empty() || wanted.contains(&subnet.id.as_str()));
        let views = chosen.map(|subnet| (|| view(state, subnet, &context), subnet.tags.clone()));
        document::answer_of(&input, "Subnets", FILTERS, views)
    })
}

/// `DeleteSubnet`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let id = input.required("SubnetId");
    let change = context.region.ledger.change(|state| {
        let known = state
            .subnets
            .keys()
            .find(|known| known.as_str() == id)
            .ok_or_else(|| not_found(id))?;
        let by_cluster = state
            .clusters
            .values()
            .any(|cluster| cluster.network.subnet_ids.contains(known));
        let routed = document::of_kind(state, Kind::RouteTable)
            .flat_map(|table| table.body.list("Associations"))
            .any(|association| association.text("SubnetId") == Some(id));
        let translated =
            document::of_kind(state, Kind::NatGateway).any(|gateway| gateway.body.text("SubnetId") == Some(id));
        let by_group = state
            .nodegroups
            .values()
            .any(|group| group.subnets.iter().any(|subnet| subnet.id == *known));
        let by_instance = state
            .instances
            .values()
            .any(|one| one.subnet == *known && one.has_addresses());
        let by_interface =
            document::of_kind(state, Kind::NetworkInterface).any(|one| one.body.text("SubnetId") == Some(id));
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
    let given = |name: &str| input.get(name).and_then(|value| value.flag("Value"));
    if given("AssignIpv6AddressOnCreation") == Some(true) {
        return Err(vpc::no_ipv6());
    }
    let decide = |state: &State| {
        let mut subnet = find(state, id)?.clone();
        subnet.map_public_ip = given("MapPublicIpOnLaunch").or(subnet.map_public_ip);
        subnet.resource_names = given("EnableResourceNameDnsARecordOnLaunch").unwrap_or(subnet.resource_names);
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

/// A subnet as answers show it.
fn view(state: &State, subnet: &Subnet, context: &Context) -> Value {
    let (region, owner) = (&context.region.name, &context.caller.account);
    json!({
        "SubnetId": subnet.id, "SubnetArn": format!("arn:aws:ec2:{region}:{owner}:subnet/{}", subnet.id), "VpcId": subnet.vpc,
        "State": "available", "CidrBlock": subnet.cidr, "AvailabilityZone": subnet.zone,
        "AvailabilityZoneId": region::zone_id(&subnet.zone), "AvailableIpAddressCount": state.addresses(subnet).free(),
        "DefaultForAz": subnet.is_default, "MapPublicIpOnLaunch": subnet.spec().public, "OwnerId": owner,
        "MapCustomerOwnedIpOnLaunch": false, "AssignIpv6AddressOnCreation": false, "Ipv6CidrBlockAssociationSet": [],
        "EnableDns64": false, "Ipv6Native": false, "Tags": tag_list(&subnet.tags),
        "PrivateDnsNameOptionsOnLaunch": {
            "HostnameType": "ip-name", "EnableResourceNameDnsARecord": subnet.resource_names,
            "EnableResourceNameDnsAAAARecord": false,
        },
    })
}
