//! Network interfaces that are made by themselves, as the VPC CNI makes them. They are records: addresses are taken from the
//! subnet and nobody else gets them, but no machine has them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use aws_types::VpcId;
use aws_types::time::Time;
use cluster_lifecycle::nodegroup::{Input, Instance};
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{dry_run, instance, invalid, subnet};
use crate::error::ApiError;
use crate::fleet::instance::{mac, named_groups};
use crate::ledger::{Change, State};
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

/// Addresses of such interfaces in a VPC.
pub fn addresses(state: &State, vpc: &VpcId) -> Vec<Ipv4Addr> {
    let own =
        document::of_kind(state, Kind::NetworkInterface).filter(|one| one.body.text("VpcId") == Some(vpc.as_str()));
    let listed = own.flat_map(|one| one.body.list("PrivateIpAddresses"));
    listed
        .filter_map(|address| address.text("PrivateIpAddress")?.parse().ok())
        .collect()
}

/// As `DescribeNetworkInterfaces` shows it, with its tags for filters.
pub fn shown(interface: &Document) -> (Value, BTreeMap<String, String>) {
    let mut view = interface.view();
    if let Some(members) = view.as_object_mut() {
        members.remove("Tags");
    }
    view["TagSet"] = tag_list(&interface.tags);
    (view, interface.tags.clone())
}

/// Interfaces that were attached to an instance after its launch, as it shows them.
pub fn attached_to<'a>(state: &'a State, instance: &'a str) -> impl Iterator<Item = Value> + 'a {
    // Ids begin with their kind, so that only interfaces are looked at.
    let interfaces = state.documents.range("eni-".to_owned().."eni.".to_owned());
    let own = interfaces.filter(move |(_, one)| one.body["Attachment"].text("InstanceId") == Some(instance));
    own.map(|(_, one)| {
        let mut view = one.view();
        if let Some(members) = view.as_object_mut() {
            for member in ["Tags", "AvailabilityZone", "RequesterId", "RequesterManaged"] {
                members.remove(member);
            }
        }
        if let Some(attachment) = view["Attachment"].as_object_mut() {
            attachment.remove("InstanceId");
            attachment.remove("InstanceOwnerId");
        }
        view
    })
}

/// Refuses the id of an interface that nobody has.
///
/// # Errors
/// EC2's own.
pub fn require(state: &State, id: &str) -> Result<(), ApiError> {
    let of_own = state
        .instances
        .values()
        .any(|one| one.eni.as_str() == id && one.has_addresses());
    let of_managed = || instance::all(state).any(|(_, _, one)| one.eni.as_str() == id);
    if of_own || of_managed() {
        return Ok(());
    }
    document::find(state, Kind::NetworkInterface, id).map(drop)
}

fn address_view(context: &Context, address: Ipv4Addr, primary: bool) -> Value {
    let name = crate::allocation::node_name(address, context.region.name.as_str());
    json!({"Primary": primary, "PrivateIpAddress": address, "PrivateDnsName": name})
}

/// `CreateNetworkInterface`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("SubnetId");
    let decide = |state: &State| {
        let subnet = subnet::find(state, id)?;
        let mut groups = Vec::new();
        for group in input.texts("Groups") {
            let known = document::find(state, Kind::SecurityGroup, group)?;
            groups.push(json!({"GroupId": group, "GroupName": known.body["GroupName"]}));
        }
        if groups.is_empty() {
            let usual = document::of_kind(state, Kind::SecurityGroup).find(|group| {
                group.body.text("VpcId") == Some(subnet.vpc.as_str()) && group.body.text("GroupName") == Some("default")
            });
            groups.extend(usual.map(|group| json!({"GroupId": group.id, "GroupName": "default"})));
        }
        dry_run(input.flag("DryRun"))?;
        let mut free = state.addresses(subnet);
        let more = input.number("SecondaryPrivateIpAddressCount").unwrap_or(0).max(0);
        let mut taken: Vec<Ipv4Addr> = Vec::new();
        let listed = input
            .list("PrivateIpAddresses")
            .iter()
            .filter_map(|one| one.text("PrivateIpAddress"));
        for text in input.text("PrivateIpAddress").into_iter().chain(listed) {
            let address: Ipv4Addr = text
                .parse()
                .map_err(|_none| invalid(format!("Address {text} is invalid.")))?;
            free.take_exactly(address)
                .map_err(|error| ApiError::bad_request("InvalidIPAddress.InUse", error.to_string()))?;
            taken.push(address);
        }
        let count = usize::try_from(more).unwrap_or(0) + usize::from(taken.is_empty());
        taken.extend(free.take(count).map_err(|error| full(id, &error.to_string()))?);
        let views: Vec<Value> = taken
            .iter()
            .enumerate()
            .map(|(index, one)| address_view(&context, *one, index == 0))
            .collect();
        let body = json!({
            "SubnetId": id, "VpcId": subnet.vpc, "AvailabilityZone": subnet.zone, "OwnerId": context.caller.account,
            "Description": input.text("Description").unwrap_or_default(), "Status": "available", "SourceDestCheck": true,
            "InterfaceType": input.text("InterfaceType").unwrap_or("interface"), "RequesterManaged": false, "Groups": groups,
            "RequesterId": context.caller.user_id, "MacAddress": mac(taken[0]), "PrivateIpAddress": taken[0],
            "PrivateDnsName": views[0]["PrivateDnsName"], "PrivateIpAddresses": views, "Ipv6Addresses": [],
        });
        let made = Document::new(&context, Kind::NetworkInterface, &input, body);
        let answer = json!({ "NetworkInterface": shown(&made).0 });
        Ok::<_, ApiError>((answer, vec![Change::put(made), subnet.after(&free)]))
    };
    context.region.ledger.change(decide).await
}

fn full(subnet: &str, why: &str) -> ApiError {
    ApiError::bad_request("InsufficientFreeAddressesInSubnet", format!("subnet '{subnet}': {why}"))
}

/// `DeleteNetworkInterface`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("NetworkInterfaceId");
    document::remove(&context, &input, Kind::NetworkInterface, id, |_, interface| {
        if interface.body.text("Status") == Some("in-use") {
            let message = format!("The network interface '{id}' is currently in use.");
            return Err(ApiError::bad_request("InvalidNetworkInterface.InUse", message));
        }
        Ok(())
    })
    .await?;
    Ok(nothing())
}

/// `AttachNetworkInterface`.
pub async fn attach(context: Context, input: Value) -> Result<Value, ApiError> {
    let (id, machine) = (input.required("NetworkInterfaceId"), input.required("InstanceId"));
    let attachment = context.region.id("eni-attach-");
    document::edit(&context, &input, Kind::NetworkInterface, id, |state, interface| {
        instance::require(state, &[machine])?;
        if interface.body.text("Status") == Some("in-use") {
            let message = format!("Interface: [{id}] in use.");
            return Err(ApiError::bad_request("InvalidNetworkInterface.InUse", message));
        }
        interface.body["Attachment"] = json!({
            "AttachmentId": attachment, "InstanceId": machine, "InstanceOwnerId": context.caller.account, "Status": "attached",
            "DeviceIndex": input.number("DeviceIndex"), "NetworkCardIndex": input.number("NetworkCardIndex").unwrap_or(0),
            "AttachTime": Time(context.region.clock.now()), "DeleteOnTermination": false,
        });
        interface.body["Status"] = "in-use".into();
        Ok(json!({ "AttachmentId": attachment, "NetworkCardIndex": input.number("NetworkCardIndex").unwrap_or(0) }))
    })
    .await
}

/// `DetachNetworkInterface`.
pub async fn detach(context: Context, input: Value) -> Result<Value, ApiError> {
    let attachment = input.required("AttachmentId");
    let own = |one: &&Document| one.body["Attachment"].text("AttachmentId") == Some(attachment);
    let id = context.region.ledger.read(|state| {
        document::of_kind(state, Kind::NetworkInterface)
            .find(own)
            .map(|one| one.id.clone())
    });
    let id = id.ok_or_else(|| {
        let message = format!("The networkInterface attachment ID '{attachment}' does not exist");
        ApiError::bad_request("InvalidAttachmentID.NotFound", message)
    })?;
    document::edit(&context, &input, Kind::NetworkInterface, &id, |_, interface| {
        interface.body["Attachment"] = Value::Null;
        interface.body["Status"] = "available".into();
        Ok(nothing())
    })
    .await
}

/// `ModifyNetworkInterfaceAttribute`.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("NetworkInterfaceId");
    if context
        .region
        .ledger
        .read(|state| of_instance(state, &input, id).is_some())
    {
        let decide = |state: &State| match of_instance(state, &input, id) {
            Some(changes) => Ok(((), changes?)),
            None => Err(Kind::NetworkInterface.not_found(id)),
        };
        context.region.ledger.change(decide).await?;
        context.region.secure_now().await;
        return Ok(nothing());
    }
    document::edit(&context, &input, Kind::NetworkInterface, id, |state, interface| {
        let groups = input.texts("Groups");
        if !groups.is_empty() {
            interface.body["Groups"] = named_groups(state, &known_groups(state, &groups)?);
        }
        if let Some(text) = input.get("Description").and_then(|value| value.text("Value")) {
            interface.body["Description"] = text.into();
        }
        if let Some(flag) = input.get("SourceDestCheck").and_then(|value| value.flag("Value")) {
            interface.body["SourceDestCheck"] = flag.into();
        }
        let deletes = input
            .get("Attachment")
            .and_then(|value| value.flag("DeleteOnTermination"));
        if let Some(flag) = deletes.filter(|_| interface.body["Attachment"].is_object()) {
            interface.body["Attachment"]["DeleteOnTermination"] = flag.into();
        }
        Ok(nothing())
    })
    .await
}

/// The groups of these ids.
///
/// # Errors
/// When one of them is not there.
pub fn known_groups(state: &State, ids: &[&str]) -> Result<Vec<String>, ApiError> {
    let known = ids.iter().map(|id| document::find(state, Kind::SecurityGroup, id));
    known.map(|found| found.map(|group| group.id.clone())).collect()
}

/// Gives an instance of a managed node group other security groups.
///
/// # Errors
/// When a group is not there.
pub fn secure_managed(
    state: &State,
    is_it: impl Fn(&Instance) -> bool,
    groups: &[&str],
) -> Result<Vec<Change>, ApiError> {
    let groups = known_groups(state, groups)?;
    let Some((_, of, one)) = instance::all(state).find(|(_, _, one)| is_it(one)) else {
        return Ok(Vec::new());
    };
    let change = Input::Secure {
        instance: one.id.clone(),
        groups,
    };
    Ok(of.clone().step(change)?.map(Change::put).into_iter().collect())
}

/// A change of the interface that an instance was launched with; `None` when it is no such. Of its attributes, the groups
/// can be changed.
fn of_instance(state: &State, input: &Value, id: &str) -> Option<Result<Vec<Change>, ApiError>> {
    let groups = input.texts("Groups");
    let own = state
        .instances
        .values()
        .find(|one| one.eni.as_str() == id && one.has_addresses());
    let is_managed = instance::all(state).any(|(_, _, one)| one.eni.as_str() == id);
    if own.is_none() && !is_managed {
        return None;
    }
    let changes = || {
        dry_run(input.flag("DryRun"))?;
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let Some(own) = own else {
            return secure_managed(state, |one| one.eni.as_str() == id, &groups);
        };
        let mut changed = own.clone();
        changed.groups = known_groups(state, &groups)?;
        Ok(vec![Change::put(changed)])
    };
    Some(changes())
}

/// `DescribeNetworkInterfaceAttribute`.
pub async fn attribute(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("NetworkInterfaceId");
    let body = context
        .region
        .ledger
        .read(|state| document::find(state, Kind::NetworkInterface, id).map(|one| one.body.clone()))?;
    let (member, value) = match input.text("Attribute").unwrap_or("description") {
        "groupSet" => ("Groups", body["Groups"].clone()),
        "sourceDestCheck" => ("SourceDestCheck", json!({ "Value": body["SourceDestCheck"] })),
        "attachment" => ("Attachment", body["Attachment"].clone()),
        _ => ("Description", json!({ "Value": body["Description"] })),
    };
    Ok(json!({"NetworkInterfaceId": id, member: value}))
}

/// `AssignPrivateIpAddresses`.
pub async fn assign(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("NetworkInterfaceId");
    if input.number("Ipv4PrefixCount").is_some() || !input.list("Ipv4Prefixes").is_empty() {
        let message = "Prefixes cannot be assigned in this region; addresses can";
        return Err(ApiError::bad_request("UnsupportedOperation", message));
    }
    document::edit(&context, &input, Kind::NetworkInterface, id, |state, interface| {
        let subnet = subnet::find(state, interface.body.required("SubnetId"))?;
        let mut free = state.addresses(subnet);
        let mut taken: Vec<Ipv4Addr> = Vec::new();
        for text in input.texts("PrivateIpAddresses") {
            let address: Ipv4Addr = text
                .parse()
                .map_err(|_none| invalid(format!("Address {text} is invalid.")))?;
            free.take_exactly(address).map_err(|error| invalid(error.to_string()))?;
            taken.push(address);
        }
        let more = usize::try_from(input.number("SecondaryPrivateIpAddressCount").unwrap_or(0)).unwrap_or(0);
        taken.extend(
            free.take(more)
                .map_err(|error| full(subnet.id.as_str(), &error.to_string()))?,
        );
        if let Some(list) = interface.body["PrivateIpAddresses"].as_array_mut() {
            list.extend(taken.iter().map(|address| address_view(&context, *address, false)));
        }
        let views: Vec<Value> = taken
            .iter()
            .map(|address| json!({ "PrivateIpAddress": address }))
            .collect();
        Ok(json!({"NetworkInterfaceId": id, "AssignedPrivateIpAddresses": views}))
    })
    .await
}

/// `UnassignPrivateIpAddresses`.
pub async fn unassign(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("NetworkInterfaceId");
    document::edit(&context, &input, Kind::NetworkInterface, id, |_, interface| {
        let going = input.texts("PrivateIpAddresses");
        let list = interface.body["PrivateIpAddresses"].as_array_mut();
        let list = list.ok_or_else(|| ApiError::internal("an interface without addresses"))?;
        let known = |address: &&str| list.iter().any(|one| one.text("PrivateIpAddress") == Some(address));
        if let Some(unknown) = going.iter().find(|address| !known(address)) {
            return Err(invalid(format!(
                "Some of the specified addresses are not assigned to interface {id}: {unknown}"
            )));
        }
        list.retain(|one| one.flag("Primary") == Some(true) || !going.contains(&one.required("PrivateIpAddress")));
        Ok(nothing())
    })
    .await
}

/// IPv6 addresses, permissions and trunks: no subnet here has IPv6 addresses, and no instance type a trunk.
pub async fn unsupported(_context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let message = "The network interface's subnet has no IPv6 addresses, and its instance no trunk, in this region";
    Err(ApiError::bad_request("UnsupportedOperation", message))
}

/// `DescribeTrunkInterfaceAssociations`: there are none.
pub async fn trunks(_context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    Ok(json!({ "InterfaceAssociations": [] }))
}
