//! VPCs. Their fabric is made with the first cluster in them, and goes with the last.

use aws_types::VpcId;
use ipnet::Ipv4Net;
use serde_json::{Map, Value, json};

use super::document::{self, Document, Kind};
use super::{dry_run, invalid, missing, route, security_group};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing, tag_list};
use crate::network::Vpc;
use crate::operations::Context;

/// A block of a VPC, as a request names it.
///
/// # Errors
/// When it is none, or too large or small.
fn block(text: &str) -> Result<Ipv4Net, ApiError> {
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
    // EC2 takes a block with host bits and keeps its network.
    Ok(cidr.trunc())
}

/// `CreateVpc`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let cidr = block(input.text("CidrBlock").ok_or_else(|| missing("cidrBlock"))?)?;
    if input.flag("AmazonProvidedIpv6CidrBlock") == Some(true) || input.text("Ipv6CidrBlock").is_some() {
        return Err(no_ipv6());
    }
    dry_run(input.flag("DryRun"))?;
    let region = &context.region;
    let id = VpcId::new(region.id("vpc-")).map_err(ApiError::internal)?;
    let given = input.list("TagSpecifications").iter();
    let own = given.filter(|given| given.text("ResourceType") == Some("vpc"));
    let vpc = Vpc {
        id,
        cidr,
        association_id: region.id("vpc-cidr-assoc-"),
        tags: own.flat_map(|given| given.tags("Tags")).collect(),
        dhcp_options: None,
        is_default: false,
        further: Vec::new(),
        is_dedicated: input.text("InstanceTenancy") == Some("dedicated"),
        dns_hostnames: None,
        usage_metrics: false,
    };
    let answer = view(&vpc, context.caller.account.as_str());
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
    Ok(json!({ "Vpc": answer }))
}

/// Networks here have no IPv6 addresses.
pub fn no_ipv6() -> ApiError {
    let message = "IPv6 is not available in this region.";
    ApiError::bad_request("UnsupportedOperation", message)
}

const FILTERS: &[(&str, &str)] = &[
    ("vpc-id", "VpcId"),
    ("cidr", "CidrBlock"),
    ("cidr-block", "CidrBlock"),
    ("state", "State"),
    ("is-default", "IsDefault"),
    ("isDefault", "IsDefault"),
    (
        "cidr-block-association.association-id",
        "CidrBlockAssociationSet[].AssociationId",
    ),
    (
        "cidr-block-association.cidr-block",
        "CidrBlockAssociationSet[].CidrBlock",
    ),
    (
        "cidr-block-association.state",
        "CidrBlockAssociationSet[].CidrBlockState.State",
    ),
    (
        "ipv6-cidr-block-association.association-id",
        "Ipv6CidrBlockAssociationSet[].AssociationId",
    ),
    (
        "ipv6-cidr-block-association.ipv6-cidr-block",
        "Ipv6CidrBlockAssociationSet[].Ipv6CidrBlock",
    ),
    (
        "ipv6-cidr-block-association.state",
        "Ipv6CidrBlockAssociationSet[].Ipv6CidrBlockState.State",
    ),
    ("owner-id", "OwnerId"),
    ("dhcp-options-id", "DhcpOptionsId"),
];

/// `DescribeVpcs`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let wanted = input.texts("VpcIds");
    let owner = context.caller.account.as_str();
    let views = context.region.ledger.read(|state| {
        for id in &wanted {
            find(state, id)?;
        }
        let chosen = state
            .vpcs
            .values()
            .filter(|vpc| wanted.is_empty() || wanted.contains(&vpc.id.as_str()));
        Ok::<_, ApiError>(chosen.map(|vpc| (view(vpc, owner), vpc.tags.clone())).collect())
    })?;
    document::answer(&input, "Vpcs", FILTERS, views)
}

/// `DeleteVpc`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let id = input.required("VpcId");
    let change = context.region.ledger.change(|state| {
        let (known, _) = state
            .vpcs
            .iter()
            .find(|(known, _)| known.as_str() == id)
            .ok_or_else(|| not_found(id))?;
        let (own, others): (Vec<&Document>, Vec<&Document>) = state
            .documents
            .values()
            .filter(|document| is_in(document, id))
            .partition(|document| is_own(document));
        if state.subnets_of(known).next().is_some() || state.clusters_in(known).next().is_some() || !others.is_empty() {
            return Err(document::in_use("vpc", id));
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

/// Changes a VPC, and what must change with it.
async fn edit<T>(
    context: &Context,
    input: &Value,
    id: &str,
    change: impl FnOnce(&State, &mut Vpc) -> Result<(T, Vec<Change>), ApiError>,
) -> Result<T, ApiError> {
    let decide = |state: &State| {
        let mut vpc = find(state, id)?.clone();
        let (answer, mut changes) = change(state, &mut vpc)?;
        dry_run(input.flag("DryRun"))?;
        changes.push(Change::put(vpc));
        Ok((answer, changes))
    };
    context.region.ledger.change(decide).await
}

/// `ModifyVpcAttribute`: the resolver always answers here.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let given = |name: &str| input.get(name).and_then(|value| value.flag("Value"));
    edit(&context, &input, input.required("VpcId"), |_, vpc| {
        if given("EnableDnsSupport") == Some(false) {
            return Err(invalid("EnableDnsSupport cannot be turned off in this region"));
        }
        vpc.dns_hostnames = given("EnableDnsHostnames").or(vpc.dns_hostnames);
        vpc.usage_metrics = given("EnableNetworkAddressUsageMetrics").unwrap_or(vpc.usage_metrics);
        Ok((nothing(), Vec::new()))
    })
    .await
}

/// `DescribeVpcAttribute`.
pub async fn attribute(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("VpcId");
    let vpc = context.region.ledger.read(|state| find(state, id).cloned())?;
    let (member, value) = match input.required("Attribute") {
        "enableDnsSupport" => ("EnableDnsSupport", true),
        "enableDnsHostnames" => ("EnableDnsHostnames", vpc.dns_hostnames.unwrap_or(vpc.is_default)),
        _ => ("EnableNetworkAddressUsageMetrics", vpc.usage_metrics),
    };
    Ok(json!({"VpcId": id, member: {"Value": value}}))
}

/// `ModifyVpcTenancy`: instances need no hardware of their own any more; the other way there is none.
pub async fn modify_tenancy(context: Context, input: Value) -> Result<Value, ApiError> {
    let wanted = input.required("InstanceTenancy");
    if wanted != "default" {
        let message = format!("The tenancy value {wanted} is not supported.");
        return Err(ApiError::bad_request("UnsupportedTenancy", message));
    }
    edit(&context, &input, input.required("VpcId"), |_, vpc| {
        vpc.is_dedicated = false;
        Ok((json!({ "ReturnValue": true }), Vec::new()))
    })
    .await
}

/// The most IPv4 blocks of a VPC (quota L-83CA0A9D).
const MOST_BLOCKS: usize = 5;

/// `AssociateVpcCidrBlock`. Routes of the VPC lead into a further block too.
pub async fn associate_block(context: Context, input: Value) -> Result<Value, ApiError> {
    if input.text("CidrBlock").is_none() {
        return Err(no_ipv6());
    }
    let block = block(input.required("CidrBlock"))?;
    let association = context.region.id("vpc-cidr-assoc-");
    edit(&context, &input, input.required("VpcId"), |state, vpc| {
        if vpc.blocks().count() >= MOST_BLOCKS {
            let message = format!(
                "This network {} has met its maximum number of allowed CIDRs: {MOST_BLOCKS}",
                vpc.id
            );
            return Err(ApiError::bad_request("CidrLimitExceeded", message));
        }
        let overlaps = |(_, known): (&str, Ipv4Net)| known.contains(&block) || block.contains(&known);
        if vpc.blocks().any(overlaps) {
            let message = format!("The CIDR '{block}' conflicts with another CIDR of the VPC {}", vpc.id);
            return Err(ApiError::bad_request("InvalidVpc.Conflict", message));
        }
        vpc.further.push((association.clone(), block));
        let made = block_view(&association, block, "associating");
        let answer = json!({"CidrBlockAssociation": made, "VpcId": vpc.id});
        Ok((answer, route::with_local(state, vpc.id.as_str(), block)))
    })
    .await
}

/// `DisassociateVpcCidrBlock`: one in which there are no subnets.
pub async fn disassociate_block(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("AssociationId");
    let owning = |state: &State| {
        let has = |vpc: &&Vpc| vpc.blocks().any(|(known, _)| known == id);
        state.vpcs.values().find(has).map(|vpc| vpc.id.to_string())
    };
    let vpc = context.region.ledger.read(owning).ok_or_else(|| {
        let message = format!("The vpc CIDR block association ID '{id}' does not exist");
        ApiError::bad_request("InvalidVpcCidrBlockAssociationIdError.NotFound", message)
    })?;
    edit(&context, &input, &vpc, |state, vpc| {
        let Some(place) = vpc.further.iter().position(|(known, _)| known == id) else {
            let message = format!(
                "The vpc CIDR block with association ID {id} may not be disassociated. It is the primary IPv4 CIDR block of the VPC"
            );
            return Err(ApiError::bad_request("OperationNotPermitted", message));
        };
        let (_, block) = vpc.further.remove(place);
        if state.subnets_of(&vpc.id).any(|subnet| block.contains(&subnet.cidr)) {
            let message = format!("The vpc CIDR block with association ID {id} is in use by a subnet");
            return Err(ApiError::bad_request("InvalidCidr.InUse", message));
        }
        let gone = block_view(id, block, "disassociating");
        let answer = json!({"CidrBlockAssociation": gone, "VpcId": vpc.id});
        Ok((answer, route::without_local(state, vpc.id.as_str(), block)))
    })
    .await
}

fn block_view(id: &str, block: Ipv4Net, state: &str) -> Value {
    json!({"AssociationId": id, "CidrBlock": block, "CidrBlockState": {"State": state}})
}

/// EC2's answer for a VPC that is not there.
pub fn not_found(id: &str) -> ApiError {
    ApiError::bad_request("InvalidVpcID.NotFound", format!("The vpc ID '{id}' does not exist"))
}

/// A VPC as answers show it.
pub fn view(vpc: &Vpc, owner: &str) -> Value {
    let blocks = vpc.blocks().map(|(id, block)| block_view(id, block, "associated"));
    json!({
        "VpcId": vpc.id, "State": "available", "CidrBlock": vpc.cidr, "IsDefault": vpc.is_default, "OwnerId": owner,
        "InstanceTenancy": if vpc.is_dedicated { "dedicated" } else { "default" }, "Tags": tag_list(&vpc.tags),
        "CidrBlockAssociationSet": blocks.collect::<Vec<_>>(), "Ipv6CidrBlockAssociationSet": [],
        "DhcpOptionsId": vpc.dhcp_options.as_deref().unwrap_or(super::dhcp::DEFAULT),
    })
}
