//! Elastic addresses and who has them. None of them leads to an instance: they are shown, and free or not.

use serde_json::{Value, json};

use super::document::{self, Kind};
use super::{instance, missing};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, nothing};
use crate::operations::Context;

/// The interface and address of an instance that no managed node group has.
fn of_instance(state: &State, id: &str) -> Result<Value, ApiError> {
    instance::require(state, &[id])?;
    let found = state.instances.values().find(|one| one.id.as_str() == id);
    found
        .map(|one| json!({"InstanceId": id, "NetworkInterfaceId": one.eni, "PrivateIpAddress": one.address}))
        .ok_or_else(|| {
            let message = format!("The instance '{id}' belongs to a managed node group");
            ApiError::bad_request("UnsupportedOperation", message)
        })
}

/// The interface and address that a request names.
fn wanted(state: &State, input: &Value) -> Result<Value, ApiError> {
    if let Some(id) = input.text("InstanceId") {
        return of_instance(state, id);
    }
    let Some(id) = input.text("NetworkInterfaceId") else {
        return Err(missing("NetworkInterfaceId or InstanceId"));
    };
    if let Some(one) = state.instances.values().find(|one| one.eni.as_str() == id) {
        return of_instance(state, one.id.as_str());
    }
    let interface = document::find(state, Kind::NetworkInterface, id)?;
    Ok(json!({"NetworkInterfaceId": id, "PrivateIpAddress": interface.body["PrivateIpAddress"]}))
}

/// `AssociateAddress`.
pub async fn associate(context: Context, input: Value) -> Result<Value, ApiError> {
    let named = context.region.ledger.read(|state| {
        let mut all = document::of_kind(state, Kind::Address);
        match (input.text("AllocationId"), input.text("PublicIp")) {
            (Some(id), _) => document::find(state, Kind::Address, id).map(|address| address.id.clone()),
            (None, Some(ip)) => all
                .find(|address| address.body.text("PublicIp") == Some(ip))
                .map(|address| address.id.clone())
                .ok_or_else(|| ApiError::bad_request("InvalidAddress.NotFound", format!("Address '{ip}' not found."))),
            (None, None) => Err(missing("AllocationId")),
        }
    })?;
    let association = context.region.id("eipassoc-");
    document::edit(&context, &input, Kind::Address, &named, |state, address| {
        let target = wanted(state, &input)?;
        if let Some(known) = address.body.text("AssociationId") {
            let same = |member: &str| address.body.get(member) == target.get(member);
            if same("NetworkInterfaceId") && same("PrivateIpAddress") {
                return Ok(json!({ "AssociationId": known }));
            }
        }
        // It moves unless the caller forbids it.
        let may_move = input.flag("AllowReassociation").unwrap_or(true);
        if address.body.text("AssociationId").is_some() && !may_move {
            let message = format!(
                "resource {named} is already associated with associate-id {}",
                address.body.required("AssociationId")
            );
            return Err(ApiError::bad_request("Resource.AlreadyAssociated", message));
        }
        for member in ["InstanceId", "NetworkInterfaceId", "PrivateIpAddress"] {
            address.body[member] = target[member].clone();
        }
        address.body["NetworkInterfaceOwnerId"] = context.caller.account.as_str().into();
        address.body["AssociationId"] = association.as_str().into();
        Ok(json!({ "AssociationId": association }))
    })
    .await
}

/// `DisassociateAddress`.
pub async fn disassociate(context: Context, input: Value) -> Result<Value, ApiError> {
    let (association, ip) = (input.text("AssociationId"), input.text("PublicIp"));
    if association.is_none() && ip.is_none() {
        return Err(missing("AssociationId"));
    }
    let found = context.region.ledger.read(|state| {
        document::of_kind(state, Kind::Address)
            .find(|address| {
                (association.is_some() && address.body.text("AssociationId") == association)
                    || (ip.is_some() && address.body.text("PublicIp") == ip)
            })
            .map(|address| address.id.clone())
    });
    let id = found.ok_or_else(|| {
        let message = format!(
            "The association ID '{}' does not exist",
            association.or(ip).unwrap_or_default()
        );
        ApiError::bad_request("InvalidAssociationID.NotFound", message)
    })?;
    document::edit(&context, &input, Kind::Address, &id, |_, address| {
        if let Some(members) = address.body.as_object_mut() {
            for member in [
                "AssociationId",
                "InstanceId",
                "NetworkInterfaceId",
                "PrivateIpAddress",
                "NetworkInterfaceOwnerId",
            ] {
                members.remove(member);
            }
        }
        Ok(nothing())
    })
    .await
}
