//! Internet gateways, NAT gateways and elastic addresses. Traffic leaves a VPC by Ondol's own NAT whatever is here.

use aws_types::time::Time;
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{invalid, subnet, vpc};
use crate::error::ApiError;
use crate::ledger::Change;
use crate::members::{Members, nothing};
use crate::operations::Context;

/// `CreateInternetGateway`.
pub async fn create_internet(context: Context, input: Value) -> Result<Value, ApiError> {
    let body = json!({"Attachments": [], "OwnerId": context.caller.account});
    let made = Document::new(&context, Kind::InternetGateway, &input, body);
    document::create(&context, &input, made, "InternetGateway", |_| Ok(())).await
}

/// `AttachInternetGateway`.
pub async fn attach(context: Context, input: Value) -> Result<Value, ApiError> {
    let (id, vpc_id) = (input.required("InternetGatewayId"), input.required("VpcId"));
    document::edit(&context, &input, Kind::InternetGateway, id, |state, gateway| {
        vpc::find(state, vpc_id)?;
        if !gateway.body.list("Attachments").is_empty() {
            let message = format!("resource {id} is already attached to network {vpc_id}");
            return Err(ApiError::bad_request("Resource.AlreadyAssociated", message));
        }
        let has_one = document::of_kind(state, Kind::InternetGateway)
            .flat_map(|other| other.body.list("Attachments"))
            .any(|attachment| attachment.text("VpcId") == Some(vpc_id));
        if has_one {
            let message = format!("Network {vpc_id} already has an internet gateway attached");
            return Err(ApiError::bad_request("Resource.AlreadyAssociated", message));
        }
        gateway.body["Attachments"] = json!([{"State": "available", "VpcId": vpc_id}]);
        Ok(nothing())
    })
    .await
}

/// `DetachInternetGateway`.
pub async fn detach(context: Context, input: Value) -> Result<Value, ApiError> {
    let (id, vpc_id) = (input.required("InternetGatewayId"), input.required("VpcId"));
    document::edit(&context, &input, Kind::InternetGateway, id, |_, gateway| {
        let attached = gateway
            .body
            .list("Attachments")
            .iter()
            .any(|known| known.text("VpcId") == Some(vpc_id));
        if !attached {
            let message = format!("resource {id} is not attached to network {vpc_id}");
            return Err(ApiError::bad_request("Gateway.NotAttached", message));
        }
        gateway.body["Attachments"] = json!([]);
        Ok(nothing())
    })
    .await
}

/// `DescribeInternetGateways`.
pub async fn describe_internet(context: Context, input: Value) -> Result<Value, ApiError> {
    document::describe(&context, &input, Kind::InternetGateway)
}

/// `DeleteInternetGateway`.
pub async fn delete_internet(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("InternetGatewayId");
    document::remove(
        &context,
        &input,
        Kind::InternetGateway,
        id,
        |_, gateway| match gateway.body.list("Attachments") {
            [] => Ok(()),
            _ => Err(document::in_use("internetGateway", id)),
        },
    )
    .await?;
    Ok(nothing())
}

/// `AllocateAddress`: addresses of a block for documentation, since none of them leads here.
pub async fn allocate(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let made = context.region.ledger.change(|state| {
        let taken = |address: &String| document::of_kind(state, Kind::Address).any(|known| known.body.text("PublicIp") == Some(address));
        let free = (0..2u8).flat_map(|block| (1..255u8).map(move |host| format!("{}.{host}", ["203.0.113", "198.51.100"][usize::from(block)])));
        let Some(address) = free.into_iter().find(|address| !taken(address)) else {
            return Err(ApiError::bad_request("AddressLimitExceeded", "The maximum number of addresses has been reached."));
        };
        let body = json!({"PublicIp": address, "Domain": "vpc", "NetworkBorderGroup": context.region.name, "PublicIpv4Pool": "amazon"});
        let made = Document::new(&context, Kind::Address, &input, body);
        let mut answer = made.view();
        if let Some(members) = answer.as_object_mut() {
            members.remove("Tags");
        }
        Ok((answer, vec![Change::put(made)]))
    });
    made.await
}

/// `DescribeAddresses`.
pub async fn describe_addresses(context: Context, input: Value) -> Result<Value, ApiError> {
    document::describe(&context, &input, Kind::Address)
}

/// `ReleaseAddress`.
pub async fn release(context: Context, input: Value) -> Result<Value, ApiError> {
    let named = |state: &crate::ledger::State| {
        let by_ip = |ip: &str| {
            let mut all = document::of_kind(state, Kind::Address);
            let found = all.find(|address| address.body.text("PublicIp") == Some(ip));
            found
                .map(|address| address.id.clone())
                .ok_or_else(|| ApiError::bad_request("InvalidAddress.NotFound", format!("Address '{ip}' not found.")))
        };
        match (input.text("AllocationId"), input.text("PublicIp")) {
            (Some(id), _) => Ok(id.to_owned()),
            (None, Some(ip)) => by_ip(ip),
            (None, None) => Err(super::missing("AllocationId")),
        }
    };
    let id = &context.region.ledger.read(named)?;
    document::remove(&context, &input, Kind::Address, id, |_, address| {
        match address.body.text("AssociationId") {
            None => Ok(()),
            Some(_) => Err(ApiError::bad_request(
                "InvalidIPAddress.InUse",
                format!("The address {id} is in use."),
            )),
        }
    })
    .await?;
    Ok(nothing())
}

/// `CreateNatGateway`.
pub async fn create_nat(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let (subnet_id, connectivity) = (
        input.required("SubnetId"),
        input.text("ConnectivityType").unwrap_or("public"),
    );
    let association = context.region.id("eipassoc-");
    let made = context.region.ledger.change(|state| {
        let subnet = subnet::find(state, subnet_id)?;
        let mut changes = Vec::new();
        let mut address = json!({});
        if connectivity == "public" {
            let id = input
                .text("AllocationId")
                .ok_or_else(|| invalid("An allocation ID must be specified for a public NAT gateway"))?;
            let mut elastic = document::find(state, Kind::Address, id)?.clone();
            if elastic.body.get("AssociationId").is_some() {
                let message = format!("Elastic IP address [{id}] is already associated");
                return Err(ApiError::bad_request("Resource.AlreadyAssociated", message));
            }
            address = json!({"AllocationId": id, "PublicIp": elastic.body["PublicIp"], "AssociationId": association});
            elastic.body["AssociationId"] = association.into();
            changes.push(Change::put(elastic));
        }
        let body = json!({
            "SubnetId": subnet_id, "VpcId": subnet.vpc, "State": "available", "ConnectivityType": connectivity,
            "CreateTime": Time(context.region.clock.now()), "NatGatewayAddresses": [address],
        });
        let made = Document::new(&context, Kind::NatGateway, &input, body);
        let answer = json!({"NatGateway": made.view(), "ClientToken": input.text("ClientToken")});
        changes.push(Change::put(made));
        Ok::<_, ApiError>((answer, changes))
    });
    made.await
}

/// `DescribeNatGateways`.
pub async fn describe_nat(context: Context, input: Value) -> Result<Value, ApiError> {
    document::describe(&context, &input, Kind::NatGateway)
}

/// `DeleteNatGateway`.
pub async fn delete_nat(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let id = input.required("NatGatewayId");
    let decide = |state: &crate::ledger::State| {
        let gateway = document::find(state, Kind::NatGateway, id)?;
        let mut changes = vec![Change::remove::<Document>(id.to_owned())];
        for address in gateway.body.list("NatGatewayAddresses") {
            if let Some(mut elastic) = address
                .text("AllocationId")
                .and_then(|id| document::find(state, Kind::Address, id).ok())
                .cloned()
            {
                if let Some(body) = elastic.body.as_object_mut() {
                    body.remove("AssociationId");
                }
                changes.push(Change::put(elastic));
            }
        }
        Ok::<_, ApiError>(((), changes))
    };
    context.region.ledger.change(decide).await?;
    Ok(json!({ "NatGatewayId": id }))
}
