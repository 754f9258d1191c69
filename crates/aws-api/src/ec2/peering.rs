//! VPC peering connections: records with EC2's states. The VPCs of a region are namespaces of their own here, and no traffic
//! passes between them.

use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::vpc;
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, nothing};
use crate::network::Vpc;
use crate::operations::Context;

fn side(context: &Context, vpc: &Vpc) -> Value {
    json!({
        "CidrBlock": vpc.cidr, "CidrBlockSet": [{"CidrBlock": vpc.cidr}], "OwnerId": context.caller.account, "VpcId": vpc.id,
        "Region": context.region.name, "PeeringOptions": {
            "AllowDnsResolutionFromRemoteVpc": false, "AllowEgressFromLocalClassicLinkToRemoteVpc": false,
            "AllowEgressFromLocalVpcToRemoteClassicLink": false,
        },
    })
}

fn status(code: &str, message: &str) -> Value {
    json!({"Code": code, "Message": message})
}

/// `CreateVpcPeeringConnection`: between VPCs of this account and region.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let (own, peer) = (input.required("VpcId"), input.required("PeerVpcId"));
    let elsewhere = input
        .text("PeerRegion")
        .filter(|region| *region != context.region.name.as_str());
    if let Some(region) = elsewhere {
        let message = format!("VPCs of region {region} cannot be reached from this region");
        return Err(ApiError::bad_request("UnsupportedOperation", message));
    }
    let (own, peer) = context
        .region
        .ledger
        .read(|state| Ok::<_, ApiError>((vpc::find(state, own)?.clone(), vpc::find(state, peer)?.clone())))?;
    let overlap = own.cidr.contains(&peer.cidr) || peer.cidr.contains(&own.cidr);
    let code = if overlap {
        status(
            "failed",
            "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range",
        )
    } else {
        status(
            "pending-acceptance",
            &format!("Pending Acceptance by {}", context.caller.account),
        )
    };
    let mut accepter = side(&context, &peer);
    if let Some(members) = accepter.as_object_mut() {
        // What can be asked for is shown once it was accepted.
        members.remove("PeeringOptions");
    }
    let body = json!({"AccepterVpcInfo": accepter, "RequesterVpcInfo": side(&context, &own), "Status": code});
    let made = Document::new(&context, Kind::VpcPeering, &input, body);
    document::create(&context, &input, made, "VpcPeeringConnection", |_| Ok(())).await
}

/// `DescribeVpcPeeringConnections`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    document::describe(&context, &input, Kind::VpcPeering)
}

fn require(known: &Document, wanted: &str) -> Result<(), ApiError> {
    let code = known.body["Status"].required("Code");
    if code == wanted {
        return Ok(());
    }
    let message = format!(
        "VpcPeeringConnection ID {} is not in a correct state for the request.",
        known.id
    );
    Err(ApiError::bad_request("InvalidStateTransition", message))
}

/// `AcceptVpcPeeringConnection`.
pub async fn accept(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("VpcPeeringConnectionId");
    document::edit(&context, &input, Kind::VpcPeering, id, |state, known| {
        require(known, "pending-acceptance")?;
        known.body["Status"] = status("active", "Active");
        let peer = vpc::find(state, known.body["AccepterVpcInfo"].required("VpcId"))?;
        known.body["AccepterVpcInfo"] = side(&context, peer);
        Ok(json!({ "VpcPeeringConnection": known.view() }))
    })
    .await
}

/// `RejectVpcPeeringConnection`.
pub async fn reject(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("VpcPeeringConnectionId");
    document::edit(&context, &input, Kind::VpcPeering, id, |_, known| {
        require(known, "pending-acceptance")?;
        known.body["Status"] = status("rejected", "Inactive");
        Ok(json!({ "Return": true }))
    })
    .await
}

/// `DeleteVpcPeeringConnection`: it is shown as deleted.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("VpcPeeringConnectionId");
    document::edit(&context, &input, Kind::VpcPeering, id, |_, known| {
        known.body["Status"] = status("deleted", &format!("Deleted by {}", context.caller.account));
        Ok(json!({ "Return": true }))
    })
    .await
}

/// `ModifyVpcPeeringConnectionOptions`.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("VpcPeeringConnectionId");
    document::edit(&context, &input, Kind::VpcPeering, id, |_: &State, known| {
        require(known, "active")?;
        let mut answer = nothing();
        for (asked, info) in [
            ("AccepterPeeringConnectionOptions", "AccepterVpcInfo"),
            ("RequesterPeeringConnectionOptions", "RequesterVpcInfo"),
        ] {
            let Some(options) = input.get(asked).filter(|options| options.is_object()) else {
                continue;
            };
            for (name, value) in options.as_object().into_iter().flatten() {
                known.body[info]["PeeringOptions"][name] = value.clone();
            }
            answer[asked] = known.body[info]["PeeringOptions"].clone();
        }
        Ok(answer)
    })
    .await
}
