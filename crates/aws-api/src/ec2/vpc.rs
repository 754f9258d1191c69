//! VPCs. Their fabric is made with the first cluster in them, and goes with the last.

use aws_types::VpcId;
use aws_types::ec2::{
    CreateVpcRequest, CreateVpcResult, DeleteVpcRequest, DescribeVpcsRequest, DescribeVpcsResult, Vpc as Answer,
    VpcCidrBlockAssociation, VpcCidrBlockState,
};
use ipnet::Ipv4Net;
use serde_json::{Map, Value};

use super::document::{self, Document, Kind};
use super::filter::{Subject, passes};
use super::{dry_run, invalid, missing, route, security_group, tag_list, tags};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::network::Vpc;
use crate::operations::Context;

/// `CreateVpc`.
pub async fn create(context: Context, request: CreateVpcRequest) -> Result<CreateVpcResult, ApiError> {
    let text = request.cidr_block.ok_or_else(|| missing("cidrBlock"))?;
    let cidr: Ipv4Net = text.parse().map_err(|_no_block| {
        invalid(format!(
            "Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
        ))
    })?;
    if !(16..=28).contains(&cidr.prefix_len()) {
        return Err(ApiError::bad_request(
            "InvalidVpc.Range",
            format!("The CIDR '{text}' is invalid."),
        ));
    }
    dry_run(request.dry_run)?;
    let region = &context.region;
    let id = VpcId::new(region.id("vpc-")).map_err(ApiError::internal)?;
    let association_id = region.id("vpc-cidr-assoc-");
    // EC2 takes a block with host bits and keeps its network.
    let vpc = Vpc {
        id,
        cidr: cidr.trunc(),
        association_id,
        tags: tags(request.tag_specifications, "vpc"),
        dhcp_options: None,
        is_default: false,
    };
    let answer = describe_one(&vpc, context.caller.account.as_str());
    region
        .ledger
        .change(|_| {
            let (id, cidr) = (vpc.id.as_str(), vpc.cidr.to_string());
            let own = [
                Change::put(route::main_table(&context, id, &cidr)),
                Change::put(security_group::default_group(&context, id)),
            ];
            Ok::<_, ApiError>(((), own.into_iter().chain([Change::put(vpc)]).collect()))
        })
        .await?;
    Ok(CreateVpcResult { vpc: Some(answer) })
}

/// `DescribeVpcs`.
pub async fn describe(context: Context, request: DescribeVpcsRequest) -> Result<DescribeVpcsResult, ApiError> {
    dry_run(request.dry_run)?;
    context.region.ledger.read(|state| {
        let wanted = request.vpc_ids.unwrap_or_default();
        if let Some(unknown) = wanted
            .iter()
            .find(|id| !state.vpcs.keys().any(|known| known.as_str() == **id))
        {
            return Err(not_found(unknown));
        }
        let mut vpcs = Vec::new();
        for vpc in state
            .vpcs
            .values()
            .filter(|vpc| wanted.is_empty() || wanted.iter().any(|id| id == vpc.id.as_str()))
        {
            let values = [
                ("vpc-id", vpc.id.to_string()),
                ("cidr", vpc.cidr.to_string()),
                ("state", "available".to_owned()),
                ("is-default", vpc.is_default.to_string()),
                ("isDefault", vpc.is_default.to_string()),
                ("cidr-block-association.cidr-block", vpc.cidr.to_string()),
                ("cidr-block-association.state", "associated".to_owned()),
                ("owner-id", context.caller.account.to_string()),
                (
                    "dhcp-options-id",
                    vpc.dhcp_options
                        .clone()
                        .unwrap_or_else(|| super::dhcp::DEFAULT.to_owned()),
                ),
            ];
            if passes(
                request.filters.as_deref(),
                &Subject {
                    values: &values,
                    tags: &vpc.tags,
                },
            )? {
                vpcs.push(describe_one(vpc, context.caller.account.as_str()));
            }
        }
        Ok(DescribeVpcsResult {
            vpcs: Some(vpcs),
            next_token: None,
        })
    })
}

/// `DeleteVpc`.
pub async fn delete(context: Context, request: DeleteVpcRequest) -> Result<Value, ApiError> {
    dry_run(request.dry_run)?;
    let id = request.vpc_id.ok_or_else(|| missing("vpcId"))?;
    let change = context.region.ledger.change(|state| {
        let (known, _) = state
            .vpcs
            .iter()
            .find(|(known, _)| known.as_str() == id)
            .ok_or_else(|| not_found(&id))?;
        let (own, others): (Vec<&Document>, Vec<&Document>) = state
            .documents
            .values()
            .filter(|document| is_in(document, &id))
            .partition(|document| is_own(document));
        if state.subnets_of(known).next().is_some() || state.clusters_in(known).next().is_some() || !others.is_empty() {
            return Err(document::in_use("vpc", &id));
        }
        let own = own
            .into_iter()
            .map(|document| Change::remove::<Document>(document.id.clone()));
        Ok::<_, ApiError>(((), own.chain([Change::remove::<Vpc>(known.clone())]).collect()))
    });
    change.await?;
    Ok(Value::Object(Map::new()))
}

/// Whether something belongs to a VPC.
fn is_in(document: &Document, vpc: &str) -> bool {
    let attached = document
        .body
        .list("Attachments")
        .iter()
        .any(|attachment| attachment.text("VpcId") == Some(vpc));
    attached || document.body.text("VpcId") == Some(vpc)
}

/// Whether something came with its VPC and goes with it.
fn is_own(document: &Document) -> bool {
    let is_main = document
        .body
        .list("Associations")
        .iter()
        .any(|association| association.flag("Main") == Some(true));
    is_main
        || (document.kind == Kind::NetworkAcl && document.body.flag("IsDefault") == Some(true))
        || (document.kind == Kind::SecurityGroup && document.body.text("GroupName") == Some("default"))
}

/// The VPC of that id.
///
/// # Errors
/// When it is not there.
pub fn find<'a>(state: &'a State, id: &str) -> Result<&'a Vpc, ApiError> {
    state
        .vpcs
        .values()
        .find(|vpc| vpc.id.as_str() == id)
        .ok_or_else(|| not_found(id))
}

/// `ModifyVpcAttribute`: names are always resolved here, so that is all that can be asked for.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    context
        .region
        .ledger
        .read(|state| find(state, input.required("VpcId")).map(drop))?;
    let off = ["EnableDnsSupport", "EnableDnsHostnames"]
        .iter()
        .find(|name| input.get(name).and_then(|value| value.flag("Value")) == Some(false));
    match off {
        Some(name) => Err(invalid(format!("{name} cannot be turned off in this region"))),
        None => Ok(Value::Object(Map::new())),
    }
}

/// `DescribeVpcAttribute`.
pub async fn attribute(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("VpcId");
    context.region.ledger.read(|state| find(state, id).map(drop))?;
    let member = match input.required("Attribute") {
        "enableDnsSupport" => "EnableDnsSupport",
        "enableDnsHostnames" => "EnableDnsHostnames",
        _ => "EnableNetworkAddressUsageMetrics",
    };
    Ok(serde_json::json!({"VpcId": id, member: {"Value": member != "EnableNetworkAddressUsageMetrics"}}))
}

/// EC2's answer for a VPC that is not there.
pub fn not_found(id: &str) -> ApiError {
    ApiError::bad_request("InvalidVpcID.NotFound", format!("The vpc ID '{id}' does not exist"))
}

fn describe_one(vpc: &Vpc, owner: &str) -> Answer {
    let association = VpcCidrBlockAssociation {
        association_id: Some(vpc.association_id.clone()),
        cidr_block: Some(vpc.cidr.to_string()),
        cidr_block_state: Some(VpcCidrBlockState {
            state: Some("associated".to_owned()),
        }),
    };
    Answer {
        vpc_id: Some(vpc.id.to_string()),
        state: Some("available".to_owned()),
        cidr_block: Some(vpc.cidr.to_string()),
        is_default: Some(vpc.is_default),
        owner_id: Some(owner.to_owned()),
        instance_tenancy: Some("default".to_owned()),
        cidr_block_association_set: Some(vec![association]),
        tags: Some(tag_list(&vpc.tags)),
        dhcp_options_id: Some(
            vpc.dhcp_options
                .clone()
                .unwrap_or_else(|| super::dhcp::DEFAULT.to_owned()),
        ),
    }
}

/// A VPC as answers show it.
///
/// # Errors
/// When it is none that can be written.
pub fn view(vpc: &Vpc, owner: &str) -> Result<Value, ApiError> {
    serde_json::to_value(describe_one(vpc, owner)).map_err(ApiError::internal)
}
