//! VPC endpoints, egress-only gateways and placement groups: records for templates and private clusters.

use aws_types::time::Time;
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{dry_run, vpc};
use crate::error::ApiError;
use crate::fleet::instance::named_groups;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// Services that private clusters of eksctl ask for.
const SERVICES: &[(&str, &str)] = &[
    ("ec2", "Interface"),
    ("ecr.api", "Interface"),
    ("ecr.dkr", "Interface"),
    ("eks", "Interface"),
    ("eks-auth", "Interface"),
    ("sts", "Interface"),
    ("logs", "Interface"),
    ("elasticloadbalancing", "Interface"),
    ("autoscaling", "Interface"),
    ("cloudformation", "Interface"),
    ("ssm", "Interface"),
    ("sqs", "Interface"),
    ("kms", "Interface"),
    ("s3", "Gateway"),
];

/// `DescribeVpcEndpointServices`.
pub async fn services(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let region = &context.region.name;
    let zones = aws_types::region::find(region)
        .map(aws_types::region::Region::zones)
        .unwrap_or_default();
    let zones: Vec<String> = zones.iter().map(|(zone, _)| zone.to_string()).collect();
    let named = |service: &str| format!("com.amazonaws.{region}.{service}");
    let wanted = input.texts("ServiceNames");
    let known: Vec<String> = SERVICES.iter().map(|(service, _)| named(service)).collect();
    if let Some(unknown) = wanted.iter().find(|name| !known.iter().any(|known| known == *name)) {
        let message = format!("The Vpc Endpoint Service '{unknown}' does not exist");
        return Err(ApiError::bad_request("InvalidServiceName", message));
    }
    let chosen = SERVICES
        .iter()
        .filter(|(service, _)| wanted.is_empty() || wanted.contains(&named(service).as_str()));
    let details: Vec<(Value, _)> = chosen
        .map(|(service, kind)| {
            let view = json!({
                "ServiceName": named(service), "ServiceType": [{"ServiceType": kind}], "AvailabilityZones": zones,
                "Owner": "amazon", "BaseEndpointDnsNames": [format!("{service}.{region}.vpce.amazonaws.com")],
                "VpcEndpointPolicySupported": true, "AcceptanceRequired": false, "ManagesVpcEndpoints": false, "Tags": [],
                "PrivateDnsNameVerificationState": "verified",
            });
            (view, Default::default())
        })
        .collect();
    let filters = [
        ("service-name", "ServiceName"),
        ("service-type", "ServiceType[].ServiceType"),
        ("owner", "Owner"),
    ];
    let mut answer = document::answer(&input, "ServiceDetails", &filters, details)?;
    let names: Vec<Value> = answer
        .list("ServiceDetails")
        .iter()
        .map(|one| one["ServiceName"].clone())
        .collect();
    answer["ServiceNames"] = names.into();
    Ok(answer)
}

/// `CreateVpcEndpoint`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let vpc_id = input.required("VpcId");
    let body = json!({
        "VpcId": vpc_id, "ServiceName": input.text("ServiceName"), "State": "available",
        "VpcEndpointType": input.text("VpcEndpointType").unwrap_or("Gateway"), "RouteTableIds": input.texts("RouteTableIds"),
        "SubnetIds": input.texts("SubnetIds"), "PrivateDnsEnabled": input.flag("PrivateDnsEnabled").unwrap_or(false),
        "Groups": groups(&context, &input.texts("SecurityGroupIds")),
        "CreationTimestamp": Time(context.region.clock.now()), "OwnerId": context.caller.account, "NetworkInterfaceIds": [],
        "PolicyDocument": input.text("PolicyDocument").unwrap_or(POLICY), "RequesterManaged": false,
        "IpAddressType": input.text("IpAddressType").unwrap_or("ipv4"), "DnsEntries": [],
    });
    let made = Document::new(&context, Kind::VpcEndpoint, &input, body);
    document::create(&context, &input, made, "VpcEndpoint", |state| {
        vpc::find(state, vpc_id).map(drop)
    })
    .await
}

/// The policy of an endpoint that was given none.
const POLICY: &str =
    r#"{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#;

/// Security groups with their names.
fn groups(context: &Context, ids: &[&str]) -> Value {
    let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    context.region.ledger.read(|state| named_groups(state, &ids))
}

/// A list of ids without some and with others, none twice.
fn changed(known: &[Value], add: &[&str], remove: &[&str]) -> Vec<Value> {
    let kept = known
        .iter()
        .filter(|id| !id.as_str().is_some_and(|id| remove.contains(&id)));
    let mut ids: Vec<Value> = kept.cloned().collect();
    for id in add {
        if !ids.contains(&Value::from(*id)) {
            ids.push((*id).into());
        }
    }
    ids
}

/// `ModifyVpcEndpoint`.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("VpcEndpointId");
    document::edit(&context, &input, Kind::VpcEndpoint, id, |state, endpoint| {
        for (member, add, remove) in [
            ("RouteTableIds", "AddRouteTableIds", "RemoveRouteTableIds"),
            ("SubnetIds", "AddSubnetIds", "RemoveSubnetIds"),
        ] {
            let ids = changed(endpoint.body.list(member), &input.texts(add), &input.texts(remove));
            endpoint.body[member] = ids.into();
        }
        let groups: Vec<Value> = endpoint
            .body
            .list("Groups")
            .iter()
            .map(|group| group["GroupId"].clone())
            .collect();
        let groups = changed(
            &groups,
            &input.texts("AddSecurityGroupIds"),
            &input.texts("RemoveSecurityGroupIds"),
        );
        let groups: Vec<String> = groups.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
        endpoint.body["Groups"] = named_groups(state, &groups);
        if let Some(policy) = input.text("PolicyDocument") {
            endpoint.body["PolicyDocument"] = policy.into();
        }
        if input.flag("ResetPolicy") == Some(true) {
            endpoint.body["PolicyDocument"] = POLICY.into();
        }
        if let Some(enabled) = input.flag("PrivateDnsEnabled") {
            endpoint.body["PrivateDnsEnabled"] = enabled.into();
        }
        Ok(json!({ "Return": true }))
    })
    .await
}

/// `DescribeVpcEndpoints`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    document::describe(&context, &input, Kind::VpcEndpoint)
}

/// `DeleteVpcEndpoints`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let decide = |state: &State| {
        let (mut changes, mut failed) = (Vec::new(), Vec::new());
        for id in input.texts("VpcEndpointIds") {
            match document::find(state, Kind::VpcEndpoint, id) {
                Ok(_) => changes.push(Change::remove::<Document>(id.to_owned())),
                Err(error) => failed.push(json!({
                    "ResourceId": id, "Error": {"Code": error.code, "Message": error.message},
                })),
            }
        }
        Ok::<_, ApiError>((json!({ "Unsuccessful": failed }), changes))
    };
    context.region.ledger.change(decide).await
}

/// `CreateEgressOnlyInternetGateway`.
pub async fn create_egress(context: Context, input: Value) -> Result<Value, ApiError> {
    let vpc_id = input.required("VpcId");
    let body = json!({ "Attachments": [{"VpcId": vpc_id, "State": "attached"}] });
    let made = Document::new(&context, Kind::EgressOnlyInternetGateway, &input, body);
    let check = |state: &State| vpc::find(state, vpc_id).map(drop);
    document::create(&context, &input, made, "EgressOnlyInternetGateway", check).await
}

/// `DescribeEgressOnlyInternetGateways`.
pub async fn describe_egress(context: Context, input: Value) -> Result<Value, ApiError> {
    document::describe(&context, &input, Kind::EgressOnlyInternetGateway)
}

/// `DeleteEgressOnlyInternetGateway`.
pub async fn delete_egress(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("EgressOnlyInternetGatewayId");
    document::remove(&context, &input, Kind::EgressOnlyInternetGateway, id, |_, _| Ok(())).await?;
    Ok(json!({ "ReturnCode": true }))
}

/// `CreatePlacementGroup`.
pub async fn create_placement(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("GroupName");
    let mut body = json!({
        "GroupName": name, "Strategy": input.text("Strategy").unwrap_or("cluster"), "State": "available",
    });
    if let Some(count) = input.number("PartitionCount") {
        body["PartitionCount"] = count.into();
    }
    let made = Document::new(&context, Kind::PlacementGroup, &input, body);
    let named = |state: &State| {
        document::of_kind(state, Kind::PlacementGroup).any(|one| one.body.text("GroupName") == Some(name))
    };
    document::create(&context, &input, made, "PlacementGroup", |state| {
        if named(state) {
            let message = format!("The Placement Group '{name}' already exists.");
            return Err(ApiError::bad_request("InvalidPlacementGroup.Duplicate", message));
        }
        Ok(())
    })
    .await
}

/// `DescribePlacementGroups`.
pub async fn describe_placement(context: Context, mut input: Value) -> Result<Value, ApiError> {
    let names = input.list("GroupNames").to_vec();
    if !names.is_empty() {
        let mut filters = input.list("Filters").to_vec();
        filters.push(json!({"Name": "group-name", "Values": names}));
        input["Filters"] = filters.into();
    }
    let mut answer = document::describe(&context, &input, Kind::PlacementGroup)?;
    let found = answer.list("PlacementGroups").len();
    if let Some(name) = input.texts("GroupNames").first().filter(|_| found == 0) {
        return Err(Kind::PlacementGroup.not_found(name));
    }
    // These come without pages.
    if let Some(members) = answer.as_object_mut() {
        members.remove("NextToken");
    }
    Ok(answer)
}

/// `DeletePlacementGroup`.
pub async fn delete_placement(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let name = input.required("GroupName");
    let decide = |state: &State| {
        let mut groups = document::of_kind(state, Kind::PlacementGroup);
        let own = groups.find(|one| one.body.text("GroupName") == Some(name));
        let own = own.ok_or_else(|| Kind::PlacementGroup.not_found(name))?;
        Ok::<_, ApiError>((nothing(), vec![Change::remove::<Document>(own.id.clone())]))
    };
    context.region.ledger.change(decide).await
}
