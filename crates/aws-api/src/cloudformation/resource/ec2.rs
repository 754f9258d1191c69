//! Networks and what belongs to them.

mod rules;

use serde_json::{Value, json};

use super::{Updated, Wanted, unsupported};
use crate::ec2::document::{self, Kind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::Members;
use rules::{inline_rules, rule};

/// Type, operation that makes it, type in tag specifications, and where its id is in the answer.
const PLAIN: &[(&str, &str, &str, &str, &str)] = &[
    ("AWS::EC2::VPC", "CreateVpc", "vpc", "Vpc", "VpcId"),
    ("AWS::EC2::Subnet", "CreateSubnet", "subnet", "Subnet", "SubnetId"),
    (
        "AWS::EC2::InternetGateway",
        "CreateInternetGateway",
        "internet-gateway",
        "InternetGateway",
        "InternetGatewayId",
    ),
    (
        "AWS::EC2::NatGateway",
        "CreateNatGateway",
        "natgateway",
        "NatGateway",
        "NatGatewayId",
    ),
    (
        "AWS::EC2::RouteTable",
        "CreateRouteTable",
        "route-table",
        "RouteTable",
        "RouteTableId",
    ),
    (
        "AWS::EC2::VPCEndpoint",
        "CreateVpcEndpoint",
        "vpc-endpoint",
        "VpcEndpoint",
        "VpcEndpointId",
    ),
    (
        "AWS::EC2::EgressOnlyInternetGateway",
        "CreateEgressOnlyInternetGateway",
        "egress-only-internet-gateway",
        "EgressOnlyInternetGateway",
        "EgressOnlyInternetGatewayId",
    ),
    (
        "AWS::EC2::PlacementGroup",
        "CreatePlacementGroup",
        "placement-group",
        "PlacementGroup",
        "GroupName",
    ),
    (
        "AWS::EC2::LaunchTemplate",
        "CreateLaunchTemplate",
        "launch-template",
        "LaunchTemplate",
        "LaunchTemplateId",
    ),
];

/// Members of a template that go into the request that makes the resource.
const REQUEST: &[&str] = &[
    "CidrBlock",
    "InstanceTenancy",
    "VpcId",
    "AvailabilityZone",
    "SubnetId",
    "AllocationId",
    "ConnectivityType",
    "LaunchTemplateData",
    "VersionDescription",
    "ServiceName",
    "VpcEndpointType",
    "SubnetIds",
    "SecurityGroupIds",
    "RouteTableIds",
    "PrivateDnsEnabled",
    "Strategy",
];

/// Types that have names: the member that holds it, and its most letters.
const NAMED: &[(&str, &str, usize)] = &[
    ("AWS::EC2::LaunchTemplate", "LaunchTemplateName", 128),
    ("AWS::EC2::PlacementGroup", "GroupName", 255),
];

fn found(state: &State, stack_id: &str, logical: &str) -> Option<String> {
    let own = |tags: &std::collections::BTreeMap<String, String>| {
        tags.get("aws:cloudformation:stack-id").is_some_and(|id| id == stack_id)
            && tags
                .get("aws:cloudformation:logical-id")
                .is_some_and(|name| name == logical)
    };
    let vpc = state
        .vpcs
        .values()
        .find(|vpc| own(&vpc.tags))
        .map(|vpc| vpc.id.to_string());
    let subnet = || {
        state
            .subnets
            .values()
            .find(|subnet| own(&subnet.tags))
            .map(|subnet| subnet.id.to_string())
    };
    let other = || {
        state
            .documents
            .values()
            .find(|known| own(&known.tags))
            .map(|known| known.id.clone())
    };
    vpc.or_else(subnet).or_else(other)
}

/// Makes one.
///
/// # Errors
/// What EC2 answers.
pub async fn create(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let region = &wanted.context.region;
    let properties = wanted.properties;
    if let Some((_, operation, tag_type, member, id)) = PLAIN.iter().find(|(kind, ..)| *kind == wanted.kind) {
        let physical = match region
            .ledger
            .read(|state| found(state, wanted.stack_id, wanted.logical))
        {
            Some(known) => known,
            None => {
                let mut input = json!({"TagSpecifications": [{"ResourceType": tag_type, "Tags": wanted.all_tags()}]});
                for name in REQUEST {
                    input[*name] = properties.get(name).cloned().unwrap_or_default();
                }
                if let Some((_, member, most)) = NAMED.iter().find(|(kind, ..)| *kind == wanted.kind) {
                    input[*member] = wanted.name(member, *most).into();
                }
                let answer = wanted.call("ec2", operation, typed(input)).await?;
                answer[*member].required(id).to_owned()
            }
        };
        if wanted.kind == "AWS::EC2::Subnet" {
            public(wanted, &physical).await?;
        }
        return Ok(physical);
    }
    match wanted.kind {
        "AWS::EC2::EIP" => address(wanted).await,
        "AWS::EC2::SecurityGroup" => security_group(wanted).await,
        "AWS::EC2::SecurityGroupIngress" | "AWS::EC2::SecurityGroupEgress" => {
            rule(wanted, "Authorize").await?;
            Ok(wanted.generated_name(64))
        }
        "AWS::EC2::VPCGatewayAttachment" => {
            let input =
                json!({"InternetGatewayId": properties.text("InternetGatewayId"), "VpcId": properties.text("VpcId")});
            already(
                wanted.call("ec2", "AttachInternetGateway", input).await,
                "Resource.AlreadyAssociated",
            )?;
            Ok(format!("IGW|{}", properties.required("VpcId")))
        }
        "AWS::EC2::Route" => {
            already(
                wanted.call("ec2", "CreateRoute", properties.clone()).await,
                "RouteAlreadyExists",
            )?;
            let block = properties
                .text("DestinationCidrBlock")
                .or(properties.text("DestinationIpv6CidrBlock"));
            Ok(format!(
                "{}|{}",
                properties.required("RouteTableId"),
                block.unwrap_or_default()
            ))
        }
        "AWS::EC2::SubnetRouteTableAssociation" => associate(wanted).await,
        kind => Err(unsupported(kind)),
    }
}

/// Templates may write numbers as texts; the model of launch templates wants numbers.
fn typed(mut input: Value) -> Value {
    let numbers = [
        "VolumeSize",
        "Iops",
        "Throughput",
        "HttpPutResponseHopLimit",
        "DeviceIndex",
        "NetworkCardIndex",
    ];
    fn walk(value: &mut Value, numbers: &[&str]) {
        match value {
            Value::Object(members) => {
                for (name, member) in members.iter_mut() {
                    let number = member
                        .as_str()
                        .filter(|_| numbers.contains(&name.as_str()))
                        .and_then(|text| text.parse::<i64>().ok());
                    match number {
                        Some(number) => *member = number.into(),
                        None => walk(member, numbers),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| walk(item, numbers)),
            _ => {}
        }
    }
    walk(&mut input, &numbers);
    input
}

fn already(result: Result<Value, ApiError>, code: &str) -> Result<(), ApiError> {
    match result {
        Err(error) if error.code == code => Ok(()),
        other => other.map(drop),
    }
}

async fn public(wanted: &Wanted<'_>, physical: &str) -> Result<(), ApiError> {
    let flag = wanted
        .properties
        .get("MapPublicIpOnLaunch")
        .map(|value| value.as_bool().unwrap_or(value.as_str() == Some("true")));
    if let Some(flag) = flag {
        let input = json!({"SubnetId": physical, "MapPublicIpOnLaunch": {"Value": flag}});
        wanted.call("ec2", "ModifySubnetAttribute", input).await?;
    }
    Ok(())
}

async fn address(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let known = wanted.context.region.ledger.read(|state| {
        let id = found(state, wanted.stack_id, wanted.logical)?;
        let address = document::find(state, Kind::Address, &id).ok()?;
        Some(format!("{}|{id}", address.body.required("PublicIp")))
    });
    if let Some(known) = known {
        return Ok(known);
    }
    let input =
        json!({"Domain": "vpc", "TagSpecifications": [{"ResourceType": "elastic-ip", "Tags": wanted.all_tags()}]});
    let answer = wanted.call("ec2", "AllocateAddress", input).await?;
    Ok(format!(
        "{}|{}",
        answer.required("PublicIp"),
        answer.required("AllocationId")
    ))
}

async fn security_group(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let properties = wanted.properties;
    let id = match wanted
        .context
        .region
        .ledger
        .read(|state| found(state, wanted.stack_id, wanted.logical))
    {
        Some(known) => known,
        None => {
            let input = json!({
                "GroupName": wanted.name("GroupName", 255), "Description": properties.text("GroupDescription"),
                "VpcId": properties.text("VpcId"),
                "TagSpecifications": [{"ResourceType": "security-group", "Tags": wanted.all_tags()}],
            });
            wanted
                .call("ec2", "CreateSecurityGroup", input)
                .await?
                .required("GroupId")
                .to_owned()
        }
    };
    inline_rules(wanted, &id, properties, "Authorize", "InvalidPermission.Duplicate").await?;
    Ok(id)
}

fn association(state: &State, table: &str, subnet: &str) -> Option<String> {
    let table = document::find(state, Kind::RouteTable, table).ok()?;
    let own = table
        .body
        .list("Associations")
        .iter()
        .find(|known| known.text("SubnetId") == Some(subnet))?;
    own.text("RouteTableAssociationId").map(str::to_owned)
}

async fn associate(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let (table, subnet) = (
        wanted.properties.required("RouteTableId"),
        wanted.properties.required("SubnetId"),
    );
    if let Some(known) = wanted
        .context
        .region
        .ledger
        .read(|state| association(state, table, subnet))
    {
        return Ok(known);
    }
    let answer = wanted
        .call(
            "ec2",
            "AssociateRouteTable",
            json!({"RouteTableId": table, "SubnetId": subnet}),
        )
        .await?;
    Ok(answer.required("AssociationId").to_owned())
}

/// Changes one.
///
/// # Errors
/// What EC2 answers.
pub async fn update(wanted: &Wanted<'_>, physical: &str, before: &Value) -> Result<Updated, ApiError> {
    match wanted.kind {
        "AWS::EC2::Subnet" => public(wanted, physical).await?,
        "AWS::EC2::Route" => drop(wanted.call("ec2", "ReplaceRoute", wanted.properties.clone()).await?),
        "AWS::EC2::SecurityGroup" => {
            inline_rules(wanted, physical, before, "Revoke", "InvalidPermission.NotFound").await?;
            inline_rules(
                wanted,
                physical,
                wanted.properties,
                "Authorize",
                "InvalidPermission.Duplicate",
            )
            .await?;
        }
        "AWS::EC2::LaunchTemplate" => {
            // The default version stays what it is, as at CloudFormation.
            let data = typed(wanted.properties["LaunchTemplateData"].clone());
            let mut version = json!({"LaunchTemplateId": physical, "LaunchTemplateData": data});
            if let Some(description) = wanted.properties.text("VersionDescription") {
                version["VersionDescription"] = description.into();
            }
            wanted.call("ec2", "CreateLaunchTemplateVersion", version).await?;
        }
        _ => {}
    }
    let tagged = matches!(
        wanted.kind,
        "AWS::EC2::VPC"
            | "AWS::EC2::Subnet"
            | "AWS::EC2::SecurityGroup"
            | "AWS::EC2::InternetGateway"
            | "AWS::EC2::RouteTable"
            | "AWS::EC2::NatGateway"
    );
    if tagged {
        wanted
            .call(
                "ec2",
                "CreateTags",
                json!({"Resources": [physical], "Tags": wanted.all_tags()}),
            )
            .await?;
    }
    Ok(Updated::Done)
}

/// Removes one.
///
/// # Errors
/// What EC2 answers.
pub async fn delete(wanted: &Wanted<'_>, physical: &str) -> Result<(), ApiError> {
    let (first, last) = physical.split_once('|').unwrap_or((physical, physical));
    let (operation, input) = match wanted.kind {
        "AWS::EC2::VPC" => ("DeleteVpc", json!({ "VpcId": physical })),
        "AWS::EC2::Subnet" => ("DeleteSubnet", json!({ "SubnetId": physical })),
        "AWS::EC2::InternetGateway" => ("DeleteInternetGateway", json!({ "InternetGatewayId": physical })),
        "AWS::EC2::NatGateway" => ("DeleteNatGateway", json!({ "NatGatewayId": physical })),
        "AWS::EC2::RouteTable" => ("DeleteRouteTable", json!({ "RouteTableId": physical })),
        "AWS::EC2::LaunchTemplate" => ("DeleteLaunchTemplate", json!({ "LaunchTemplateId": physical })),
        "AWS::EC2::VPCEndpoint" => ("DeleteVpcEndpoints", json!({ "VpcEndpointIds": [physical] })),
        "AWS::EC2::EgressOnlyInternetGateway" => (
            "DeleteEgressOnlyInternetGateway",
            json!({ "EgressOnlyInternetGatewayId": physical }),
        ),
        "AWS::EC2::PlacementGroup" => ("DeletePlacementGroup", json!({ "GroupName": physical })),
        "AWS::EC2::EIP" => ("ReleaseAddress", json!({ "AllocationId": last })),
        "AWS::EC2::SecurityGroup" => ("DeleteSecurityGroup", json!({ "GroupId": physical })),
        "AWS::EC2::Route" => (
            "DeleteRoute",
            json!({"RouteTableId": first, "DestinationCidrBlock": last}),
        ),
        "AWS::EC2::SubnetRouteTableAssociation" => ("DisassociateRouteTable", json!({ "AssociationId": physical })),
        "AWS::EC2::VPCGatewayAttachment" => {
            let gateway = wanted.properties.text("InternetGatewayId");
            (
                "DetachInternetGateway",
                json!({"InternetGatewayId": gateway, "VpcId": last}),
            )
        }
        "AWS::EC2::SecurityGroupIngress" | "AWS::EC2::SecurityGroupEgress" => return rule(wanted, "Revoke").await,
        kind => return Err(unsupported(kind)),
    };
    wanted.call("ec2", operation, input).await.map(drop)
}

/// What `Fn::GetAtt` gives.
pub fn attribute(state: &State, kind: &str, physical: &str, name: &str) -> Option<Value> {
    match (kind, name) {
        ("AWS::EC2::VPC", "VpcId") | ("AWS::EC2::Subnet", "SubnetId") => Some(json!(physical)),
        ("AWS::EC2::VPC", "CidrBlock") => state
            .vpcs
            .values()
            .find(|vpc| vpc.id.as_str() == physical)
            .map(|vpc| json!(vpc.cidr)),
        ("AWS::EC2::VPC", "DefaultSecurityGroup") => {
            let own = |group: &&document::Document| {
                group.body.text("VpcId") == Some(physical) && group.body.text("GroupName") == Some("default")
            };
            document::of_kind(state, Kind::SecurityGroup)
                .find(own)
                .map(|group| json!(group.id))
        }
        ("AWS::EC2::VPC", "CidrBlockAssociations") => state
            .vpcs
            .values()
            .find(|vpc| vpc.id.as_str() == physical)
            .map(|vpc| json!([vpc.association_id])),
        ("AWS::EC2::VPC", "Ipv6CidrBlocks") => Some(json!([])),
        ("AWS::EC2::Subnet", name) => {
            let subnet = state.subnets.values().find(|subnet| subnet.id.as_str() == physical)?;
            match name {
                "AvailabilityZone" => Some(json!(subnet.zone)),
                "CidrBlock" => Some(json!(subnet.cidr)),
                "VpcId" => Some(json!(subnet.vpc)),
                _ => None,
            }
        }
        ("AWS::EC2::EIP", "AllocationId") => physical.split_once('|').map(|(_, id)| json!(id)),
        ("AWS::EC2::EIP", "PublicIp") => physical.split_once('|').map(|(address, _)| json!(address)),
        ("AWS::EC2::SecurityGroup", "GroupId" | "Id") | ("AWS::EC2::InternetGateway", "InternetGatewayId") => {
            Some(json!(physical))
        }
        ("AWS::EC2::NatGateway", "NatGatewayId") | ("AWS::EC2::RouteTable", "RouteTableId") => Some(json!(physical)),
        ("AWS::EC2::SecurityGroup", "VpcId") => state.documents.get(physical).map(|group| group.body["VpcId"].clone()),
        ("AWS::EC2::LaunchTemplate", name) => {
            let template = state.documents.get(physical)?;
            match name {
                "LaunchTemplateId" => Some(json!(physical)),
                "LatestVersionNumber" | "DefaultVersionNumber" => {
                    template.body.number(name).map(|number| json!(number.to_string()))
                }
                _ => None,
            }
        }
        _ => None,
    }
}
