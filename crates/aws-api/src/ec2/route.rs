//! Route tables. They are kept and shown; a VPC here routes everything within itself, and out by its NAT.

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{invalid, subnet, vpc};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// The table that every VPC has.
pub fn main_table(context: &Context, vpc_id: &str, cidr: &str) -> Document {
    let mut table = new(context, &json!({}), vpc_id, cidr);
    let association = context.region.id("rtbassoc-");
    table.body["Associations"] = json!([{
        "Main": true, "RouteTableAssociationId": association, "RouteTableId": table.id,
        "AssociationState": {"State": "associated"},
    }]);
    table
}

fn new(context: &Context, input: &Value, vpc_id: &str, cidr: &str) -> Document {
    let body = json!({
        "VpcId": vpc_id, "OwnerId": context.caller.account, "Associations": [], "Routes": [local(cidr)],
        "PropagatingVgws": [],
    });
    Document::new(context, Kind::RouteTable, input, body)
}

/// The tables of a VPC with a route into a block that it got.
pub fn with_local(state: &State, vpc_id: &str, block: Ipv4Net) -> Vec<Change> {
    let add = |table: &Document| {
        let mut table = table.clone();
        list_mut(&mut table, "Routes").push(local(&block.to_string()));
        Change::put(table)
    };
    of_vpc(state, vpc_id).map(add).collect()
}

/// The tables of a VPC without the route into a block that it has no more.
pub fn without_local(state: &State, vpc_id: &str, block: Ipv4Net) -> Vec<Change> {
    let text = block.to_string();
    let remove = |table: &Document| {
        let mut table = table.clone();
        list_mut(&mut table, "Routes").retain(|route| route.text("DestinationCidrBlock") != Some(&text));
        Change::put(table)
    };
    of_vpc(state, vpc_id).map(remove).collect()
}

fn of_vpc<'a>(state: &'a State, vpc_id: &'a str) -> impl Iterator<Item = &'a Document> {
    document::of_kind(state, Kind::RouteTable).filter(move |table| table.body.text("VpcId") == Some(vpc_id))
}

/// A route within a VPC.
fn local(cidr: &str) -> Value {
    json!({"DestinationCidrBlock": cidr, "GatewayId": "local", "Origin": "CreateRouteTable", "State": "active"})
}

/// `CreateRouteTable`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let vpc_id = input.required("VpcId");
    let blocks: Vec<String> = context
        .region
        .ledger
        .read(|state| vpc::find(state, vpc_id).map(|vpc| vpc.blocks().map(|(_, block)| block.to_string()).collect()))?;
    let mut made = new(&context, &input, vpc_id, &blocks[0]);
    list_mut(&mut made, "Routes").extend(blocks[1..].iter().map(|block| local(block)));
    document::create(&context, &input, made, "RouteTable", |state| {
        vpc::find(state, vpc_id).map(drop)
    })
    .await
}

/// `DescribeRouteTables`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    document::describe(&context, &input, Kind::RouteTable)
}

/// `DeleteRouteTable`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("RouteTableId");
    document::remove(&context, &input, Kind::RouteTable, id, |_, table| {
        match table.body.list("Associations") {
            [] => Ok(()),
            _ => Err(document::in_use("routeTable", id)),
        }
    })
    .await?;
    Ok(nothing())
}

fn list_mut<'a>(table: &'a mut Document, member: &str) -> &'a mut Vec<Value> {
    if !table.body[member].is_array() {
        table.body[member] = json!([]);
    }
    match &mut table.body[member] {
        Value::Array(items) => items,
        _ => unreachable!("it was just made a list"),
    }
}

/// `AssociateRouteTable`.
pub async fn associate(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("RouteTableId");
    let (member, target) = match (input.text("SubnetId"), input.text("GatewayId")) {
        (Some(subnet), _) => ("SubnetId", subnet),
        (None, Some(gateway)) => ("GatewayId", gateway),
        (None, None) => return Err(super::missing("subnetId")),
    };
    let association = context.region.id("rtbassoc-");
    document::edit(&context, &input, Kind::RouteTable, id, |state, table| {
        match member {
            "SubnetId" => subnet::find(state, target).map(drop)?,
            _ => document::find(state, Kind::InternetGateway, target).map(drop)?,
        }
        let mut known = document::of_kind(state, Kind::RouteTable).flat_map(|table| table.body.list("Associations"));
        if known.any(|known| known.text(member) == Some(target)) {
            let message =
                format!("the specified association for route table {id} conflicts with an existing association");
            return Err(ApiError::bad_request("Resource.AlreadyAssociated", message));
        }
        list_mut(table, "Associations").push(json!({
            "Main": false, "RouteTableAssociationId": association, "RouteTableId": id, member: target,
            "AssociationState": {"State": "associated"},
        }));
        Ok(())
    })
    .await?;
    Ok(json!({"AssociationId": association, "AssociationState": {"State": "associated"}}))
}

/// `DisassociateRouteTable`.
pub async fn disassociate(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("AssociationId");
    let has = |table: &Document| {
        table
            .body
            .list("Associations")
            .iter()
            .any(|known| known.text("RouteTableAssociationId") == Some(id))
    };
    let table = context.region.ledger.read(|state| {
        document::of_kind(state, Kind::RouteTable)
            .find(|table| has(table))
            .map(|table| table.id.clone())
    });
    let table = table.ok_or_else(|| {
        ApiError::bad_request(
            "InvalidAssociationID.NotFound",
            format!("The association ID '{id}' does not exist"),
        )
    })?;
    document::edit(&context, &input, Kind::RouteTable, &table, |_, table| {
        list_mut(table, "Associations").retain(|known| known.text("RouteTableAssociationId") != Some(id));
        Ok(nothing())
    })
    .await
}

/// `ReplaceRouteTableAssociation`: a subnet, or a VPC's own routes, by another table.
pub async fn replace_association(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let (id, table) = (input.required("AssociationId"), input.required("RouteTableId"));
    let made = context.region.id("rtbassoc-");
    let decide = |state: &State| {
        let mut after = document::find(state, Kind::RouteTable, table)?.clone();
        let is_it = |known: &Value| known.text("RouteTableAssociationId") == Some(id);
        let before =
            document::of_kind(state, Kind::RouteTable).find(|table| table.body.list("Associations").iter().any(is_it));
        let mut before = before.cloned().ok_or_else(|| {
            let message = format!("The association ID '{id}' does not exist");
            ApiError::bad_request("InvalidAssociationID.NotFound", message)
        })?;
        let mut moved = before
            .body
            .list("Associations")
            .iter()
            .find(|known| is_it(known))
            .cloned()
            .unwrap_or_default();
        moved["RouteTableAssociationId"] = made.as_str().into();
        moved["RouteTableId"] = table.into();
        if before.id == after.id {
            return Ok((id.to_owned(), Vec::new()));
        }
        list_mut(&mut before, "Associations").retain(|known| !is_it(known));
        list_mut(&mut after, "Associations").push(moved);
        Ok::<_, ApiError>((made, vec![Change::put(before), Change::put(after)]))
    };
    let association = context.region.ledger.change(decide).await?;
    Ok(json!({"NewAssociationId": association, "AssociationState": {"State": "associated"}}))
}

/// Members of a route that say where it leads.
const TARGETS: &[&str] = &[
    "GatewayId",
    "NatGatewayId",
    "EgressOnlyInternetGatewayId",
    "NetworkInterfaceId",
    "InstanceId",
    "TransitGatewayId",
    "VpcPeeringConnectionId",
];
const DESTINATIONS: &[&str] = &["DestinationCidrBlock", "DestinationIpv6CidrBlock"];

fn destination(input: &Value) -> Result<(&'static str, &str), ApiError> {
    let found = DESTINATIONS
        .iter()
        .find_map(|member| Some((*member, input.text(member)?)));
    found.ok_or_else(|| super::missing("destinationCidrBlock"))
}

fn route(input: &Value) -> Result<Value, ApiError> {
    let (member, block) = destination(input)?;
    if member == "DestinationCidrBlock" && block.parse::<Ipv4Net>().is_err() {
        let message =
            format!("Value ({block}) for parameter destinationCidrBlock is invalid. This is not a valid CIDR block.");
        return Err(invalid(message));
    }
    let target = TARGETS.iter().find_map(|member| Some((*member, input.text(member)?)));
    let (target, id) = target.ok_or_else(|| invalid("Route target must be specified"))?;
    Ok(json!({member: block, target: id, "Origin": "CreateRoute", "State": "active"}))
}

/// `CreateRoute`.
pub async fn add(context: Context, input: Value) -> Result<Value, ApiError> {
    let route = route(&input)?;
    let (member, block) = destination(&input)?;
    document::edit(
        &context,
        &input,
        Kind::RouteTable,
        input.required("RouteTableId"),
        |state, table| {
            let targets = [
                ("GatewayId", Kind::InternetGateway, "igw-"),
                ("NatGatewayId", Kind::NatGateway, "nat-"),
                ("VpcPeeringConnectionId", Kind::VpcPeering, "pcx-"),
                ("EgressOnlyInternetGatewayId", Kind::EgressOnlyInternetGateway, ""),
            ];
            if let Some(id) = route.text("InstanceId") {
                super::instance::require(state, &[id])?;
            }
            if let Some(id) = route.text("NetworkInterfaceId") {
                super::interface::require(state, id)?;
            }
            for (target, kind, prefix) in targets {
                if let Some(id) = route.text(target).filter(|id| id.starts_with(prefix)) {
                    document::find(state, kind, id)?;
                }
            }
            if table
                .body
                .list("Routes")
                .iter()
                .any(|known| known.text(member) == Some(block))
            {
                let message = format!("The route identified by {block} already exists.");
                return Err(ApiError::bad_request("RouteAlreadyExists", message));
            }
            list_mut(table, "Routes").push(route);
            Ok(json!({ "Return": true }))
        },
    )
    .await
}

/// `ReplaceRoute`.
pub async fn replace(context: Context, input: Value) -> Result<Value, ApiError> {
    let route = route(&input)?;
    let (member, block) = destination(&input)?;
    document::edit(
        &context,
        &input,
        Kind::RouteTable,
        input.required("RouteTableId"),
        |_, table| {
            let known = list_mut(table, "Routes")
                .iter_mut()
                .find(|known| known.text(member) == Some(block));
            let known = known.ok_or_else(|| {
                invalid(format!(
                    "There is no route defined for '{block}' in the route table. Use CreateRoute instead."
                ))
            })?;
            *known = route;
            Ok(nothing())
        },
    )
    .await
}

/// `DeleteRoute`.
pub async fn remove(context: Context, input: Value) -> Result<Value, ApiError> {
    let (member, block) = destination(&input)?;
    document::edit(
        &context,
        &input,
        Kind::RouteTable,
        input.required("RouteTableId"),
        |_, table| {
            let routes = list_mut(table, "Routes");
            let before = routes.len();
            routes.retain(|known| known.text(member) != Some(block) || known.text("GatewayId") == Some("local"));
            if routes.len() == before {
                Err(no_route(block))
            } else {
                Ok(nothing())
            }
        },
    )
    .await
}

fn no_route(block: &str) -> ApiError {
    ApiError::bad_request(
        "InvalidRoute.NotFound",
        format!("no route with destination-cidr-block {block} in route table"),
    )
}
