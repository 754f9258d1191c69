//! EBS volumes as records: made, attached, changed, by EC2's states and errors. No block device appears anywhere.

use std::collections::BTreeMap;

use aws_types::time::Time;
use aws_types::{ZoneName, region};
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{dry_run, instance, invalid};
use crate::error::ApiError;
use crate::fleet::instance::{Ec2Instance, LifeState};
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// The least and the most.
type Bounds = (i64, i64);

/// Volume types with the sizes (GiB) and IOPS that EBS allows.
const TYPES: &[(&str, Bounds, Bounds)] = &[
    ("gp3", (1, 65_536), (3000, 80_000)),
    ("gp2", (1, 16_384), (0, 0)),
    ("io1", (4, 16_384), (100, 64_000)),
    ("io2", (4, 65_536), (100, 256_000)),
    ("st1", (125, 16_384), (0, 0)),
    ("sc1", (125, 16_384), (0, 0)),
    ("standard", (1, 1024), (0, 0)),
];

/// Where the request and what came of it are kept, for calls that are repeated.
const TOKEN: &str = "_Token";

/// The members of a volume that size, type, IOPS and throughput decide.
///
/// # Errors
/// EBS's own for what its type does not allow.
fn shape(kind: &str, size: i64, iops: Option<i64>, throughput: Option<i64>) -> Result<Value, ApiError> {
    let known = TYPES.iter().find(|(name, ..)| *name == kind);
    let (_, (least, most), (fewest, quickest)) =
        known.ok_or_else(|| invalid(format!("Invalid volume type '{kind}'")))?;
    if !(*least..=*most).contains(&size) {
        let message =
            format!("Volume of {size}GiB is invalid for type {kind}; it must be between {least}GiB and {most}GiB.");
        return Err(invalid(message));
    }
    let mut shape = json!({"VolumeType": kind, "Size": size});
    match iops {
        Some(_) if *quickest == 0 => {
            let message = format!("The parameter iops is not supported for {kind} volumes.");
            return Err(ApiError::bad_request("InvalidParameterCombination", message));
        }
        Some(iops) if !(*fewest..=*quickest).contains(&iops) => {
            return Err(invalid(format!(
                "Volume iops of {iops} is not between {fewest} and {quickest}."
            )));
        }
        None if matches!(kind, "io1" | "io2") => return Err(super::missing("iops")),
        _ => {}
    }
    let usual = match kind {
        "gp3" => Some(3000),
        "gp2" => Some((size * 3).clamp(100, 16_000)),
        _ => None,
    };
    if let Some(iops) = iops.or(usual) {
        shape["Iops"] = iops.into();
    }
    match (kind, throughput) {
        ("gp3", given) => {
            let given = given.unwrap_or(125);
            if !(125..=2000).contains(&given) {
                return Err(invalid(format!(
                    "Volume throughput of {given} is not between 125 and 2000."
                )));
            }
            shape["Throughput"] = given.into();
        }
        (_, Some(_)) => {
            let message = format!("The parameter throughput is not supported for {kind} volumes.");
            return Err(ApiError::bad_request("InvalidParameterCombination", message));
        }
        _ => {}
    }
    Ok(shape)
}

fn zone(context: &Context, input: &Value) -> Result<ZoneName, ApiError> {
    let zones = region::find(&context.region.name)
        .map(region::Region::zones)
        .unwrap_or_default();
    let (name, id) = (input.text("AvailabilityZone"), input.text("AvailabilityZoneId"));
    if name.is_none() && id.is_none() {
        return Err(super::missing("AvailabilityZone"));
    }
    let fits = |(zone, zone_id): &&(ZoneName, String)| {
        name.is_none_or(|name| name == zone.as_str()) && id.is_none_or(|id| id == *zone_id)
    };
    zones.iter().find(fits).map(|(zone, _)| zone.clone()).ok_or_else(|| {
        let message = format!("The zone '{}' does not exist.", name.or(id).unwrap_or_default());
        ApiError::bad_request("InvalidZone.NotFound", message)
    })
}

/// `CreateVolume`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let zone = zone(&context, &input)?;
    let kind = input.text("VolumeType").unwrap_or("gp2");
    let mut request = input.clone();
    if let Some(members) = request.as_object_mut() {
        members.remove("DryRun");
    }
    let decide = |state: &State| {
        let snapshot = input.text("SnapshotId").filter(|id| !id.is_empty());
        let snapshot = snapshot
            .map(|id| document::find(state, Kind::Snapshot, id))
            .transpose()?;
        let least = snapshot.and_then(|snapshot| snapshot.body.number("VolumeSize"));
        let size = input
            .number("Size")
            .or(least)
            .ok_or_else(|| super::missing("size/snapshot"))?;
        if least.is_some_and(|least| size < least) {
            let message = format!(
                "Volume of {size}GiB is smaller than snapshot '{}', expect size >= {}GiB",
                snapshot.map_or("", |one| &one.id),
                least.unwrap_or(0)
            );
            return Err(invalid(message));
        }
        let mut body = shape(kind, size, input.number("Iops"), input.number("Throughput"))?;
        let multiple = input.flag("MultiAttachEnabled").unwrap_or(false);
        if multiple && !matches!(kind, "io1" | "io2") {
            return Err(ApiError::bad_request(
                "InvalidParameterCombination",
                "Only io1 and io2 volumes can be attached to several instances.",
            ));
        }
        // What was encrypted stays so.
        let was_encrypted = snapshot.is_some_and(|snapshot| snapshot.body.flag("Encrypted") == Some(true));
        let is_encrypted = input.flag("Encrypted").unwrap_or(false) || was_encrypted;
        if input.text("KmsKeyId").is_some() && !is_encrypted {
            let message = "The parameter KmsKeyId requires the parameter Encrypted to be set.";
            return Err(ApiError::bad_request("InvalidParameterDependency", message));
        }
        dry_run(input.flag("DryRun"))?;
        if let Some(known) = repeated(state, &input, &request)? {
            return Ok((known.view(), Vec::new()));
        }
        let more = json!({
            "AvailabilityZone": zone, "AvailabilityZoneId": region::zone_id(&zone), "State": "available", "Attachments": [],
            "CreateTime": Time(context.region.clock.now()), "SnapshotId": input.text("SnapshotId").unwrap_or_default(),
            "Encrypted": is_encrypted, "MultiAttachEnabled": multiple,
            TOKEN: {"Token": input.text("ClientToken"), "Request": request},
        });
        extend(&mut body, more);
        if let Some(key) = input.text("KmsKeyId") {
            body["KmsKeyId"] = key.into();
        }
        let made = Document::new(&context, Kind::Volume, &input, body);
        let mut answer = made.view();
        answer["State"] = "creating".into();
        Ok((answer, vec![Change::put(made)]))
    };
    context.region.ledger.change(decide).await
}

/// The volume that an earlier call with the same token made.
fn repeated<'a>(state: &'a State, input: &Value, request: &Value) -> Result<Option<&'a Document>, ApiError> {
    let Some(token) = input.text("ClientToken") else {
        return Ok(None);
    };
    let known = document::of_kind(state, Kind::Volume).find(|one| one.body[TOKEN].text("Token") == Some(token));
    if known.is_some_and(|known| known.body[TOKEN]["Request"] != *request) {
        let message = "The parameters of the request differ from those of an earlier one with the same client token.";
        return Err(ApiError::bad_request("IdempotentParameterMismatch", message));
    }
    Ok(known)
}

fn extend(body: &mut Value, more: Value) {
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
}

/// `CopyVolumes`: another volume like it.
pub async fn copy(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("SourceVolumeId");
    let source = context
        .region
        .ledger
        .read(|state| document::find(state, Kind::Volume, id).cloned())?;
    let given = |member: &str| {
        input
            .get(member)
            .or_else(|| source.body.get(member))
            .cloned()
            .unwrap_or_default()
    };
    let tags: Vec<Value> = input.list("TagSpecifications").to_vec();
    let mut request = json!({
        "AvailabilityZone": source.body["AvailabilityZone"], "Size": given("Size"), "VolumeType": given("VolumeType"),
        "Encrypted": source.body["Encrypted"], "TagSpecifications": tags, "DryRun": input.get("DryRun"),
    });
    for member in ["Iops", "Throughput", "ClientToken", "MultiAttachEnabled"] {
        if let Some(value) = input.get(member) {
            request[member] = value.clone();
        }
    }
    let mut made = create(context, request).await?;
    made["SourceVolumeId"] = id.into();
    Ok(json!({ "Volumes": [made] }))
}

/// `DeleteVolume`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("VolumeId");
    document::remove(&context, &input, Kind::Volume, id, |_, volume| {
        if let Some(attachment) = volume.body.list("Attachments").first() {
            let message = format!(
                "Volume {id} is currently attached to {}",
                attachment.required("InstanceId")
            );
            return Err(ApiError::bad_request("VolumeInUse", message));
        }
        Ok(())
    })
    .await?;
    Ok(nothing())
}

/// A running or stopped instance of anybody's, with its zone.
fn machine_zone(state: &State, id: &str) -> Result<ZoneName, ApiError> {
    instance::require(state, &[id])?;
    if let Some(one) = state.instances.values().find(|one| one.id.as_str() == id) {
        if !matches!(one.state, LifeState::Running | LifeState::Stopped | LifeState::Pending) {
            let message = format!("Instance '{id}' is not 'running'.");
            return Err(ApiError::bad_request("IncorrectState", message));
        }
        return Ok(one.zone.clone());
    }
    let mut others = instance::all(state);
    let found = others
        .find(|(_, _, one)| one.id.as_str() == id)
        .map(|(_, _, one)| one.zone.clone());
    found.ok_or_else(|| instance::not_found(id))
}

/// `AttachVolume`.
pub async fn attach(context: Context, input: Value) -> Result<Value, ApiError> {
    let (id, machine, device) = (
        input.required("VolumeId"),
        input.required("InstanceId"),
        input.required("Device"),
    );
    let now = Time(context.region.clock.now());
    let decide = |state: &State| {
        let mut volume = document::find(state, Kind::Volume, id)?.clone();
        let zone = machine_zone(state, machine)?;
        dry_run(input.flag("DryRun"))?;
        let attachments = volume.body.list("Attachments").to_vec();
        let is_shared = volume.body.flag("MultiAttachEnabled") == Some(true);
        if let Some(other) = attachments
            .iter()
            .find(|one| !is_shared || one.text("InstanceId") == Some(machine))
        {
            let message = format!(
                "{id} is already attached to an instance ({})",
                other.required("InstanceId")
            );
            return Err(ApiError::bad_request("VolumeInUse", message));
        }
        if volume.body.text("AvailabilityZone") != Some(zone.as_str()) {
            let message = format!("The volume '{id}' is not in the same availability zone as instance '{machine}'");
            return Err(ApiError::bad_request("InvalidVolume.ZoneMismatch", message));
        }
        let mut others = document::of_kind(state, Kind::Volume).flat_map(|one| one.body.list("Attachments"));
        if others.any(|one| one.text("InstanceId") == Some(machine) && one.text("Device") == Some(device)) {
            let message =
                format!("Invalid value '{device}' for unixDevice. Attachment point {device} is already in use");
            return Err(invalid(message));
        }
        let attachment = json!({
            "VolumeId": id, "InstanceId": machine, "Device": device, "State": "attached", "AttachTime": now,
            "DeleteOnTermination": false,
        });
        let mut all = attachments;
        all.push(attachment.clone());
        volume.body["Attachments"] = all.into();
        volume.body["State"] = "in-use".into();
        let mut answer = attachment;
        answer["State"] = "attaching".into();
        let mut changes = vec![Change::put(volume)];
        changes.extend(with_volume(state, machine, |volumes| {
            volumes.push((device.to_owned(), id.to_owned()))
        }));
        Ok::<_, ApiError>((answer, changes))
    };
    context.region.ledger.change(decide).await
}

/// An instance shows its volumes.
fn with_volume(state: &State, machine: &str, edit: impl FnOnce(&mut Vec<(String, String)>)) -> Option<Change> {
    let mut one: Ec2Instance = state.instances.values().find(|one| one.id.as_str() == machine)?.clone();
    edit(&mut one.volumes);
    Some(Change::put(one))
}

/// `DetachVolume`.
pub async fn detach(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("VolumeId");
    let decide = |state: &State| {
        let mut volume = document::find(state, Kind::Volume, id)?.clone();
        if let Some(machine) = input.text("InstanceId") {
            instance::require(state, &[machine])?;
        }
        dry_run(input.flag("DryRun"))?;
        let fits = |one: &Value| {
            input
                .text("InstanceId")
                .is_none_or(|wanted| one.text("InstanceId") == Some(wanted))
                && input
                    .text("Device")
                    .is_none_or(|wanted| one.text("Device") == Some(wanted))
        };
        let (going, staying): (Vec<Value>, Vec<Value>) =
            volume.body.list("Attachments").iter().cloned().partition(fits);
        let Some(mut attachment) = going.into_iter().next() else {
            return Err(not_attached(&volume, input.text("InstanceId")));
        };
        volume.body["State"] = if staying.is_empty() { "available" } else { "in-use" }.into();
        volume.body["Attachments"] = staying.into();
        let machine = attachment.required("InstanceId").to_owned();
        attachment["State"] = "detaching".into();
        let mut changes = vec![Change::put(volume)];
        changes.extend(with_volume(state, &machine, |volumes| {
            volumes.retain(|(_, volume)| volume != id)
        }));
        Ok::<_, ApiError>((attachment, changes))
    };
    context.region.ledger.change(decide).await
}

fn not_attached(volume: &Document, machine: Option<&str>) -> ApiError {
    let id = &volume.id;
    match machine.filter(|_| volume.body.text("State") != Some("available")) {
        Some(machine) => ApiError::bad_request(
            "InvalidAttachment.NotFound",
            format!("Volume '{id}' is not attached to instance '{machine}'."),
        ),
        None => ApiError::bad_request("IncorrectState", format!("Volume '{id}' is in the 'available' state.")),
    }
}

/// `ModifyVolume`: in effect at once, and shown as completed.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("VolumeId");
    let now = Time(context.region.clock.now());
    document::edit(&context, &input, Kind::Volume, id, |_, volume| {
        let before = volume.body.clone();
        let kind = input.text("VolumeType").unwrap_or(before.required("VolumeType"));
        let same_kind = before.text("VolumeType") == Some(kind);
        let (old_size, size) = (before.number("Size").unwrap_or(1), input.number("Size"));
        let size = size.unwrap_or(old_size);
        if size < old_size {
            let message = format!("New size cannot be smaller than existing size: {old_size}GiB");
            return Err(invalid(message));
        }
        let kept = |member: &str| before.number(member).filter(|_| same_kind && kind != "gp2");
        let shape = shape(
            kind,
            size,
            input.number("Iops").or_else(|| kept("Iops")),
            input.number("Throughput").or_else(|| kept("Throughput")),
        )?;
        for member in ["Iops", "Throughput"] {
            if let Some(members) = volume.body.as_object_mut() {
                members.remove(member);
            }
        }
        extend(&mut volume.body, shape);
        let pair = |member: &str| (before[member].clone(), volume.body[member].clone());
        let mut change = json!({"VolumeId": id, "ModificationState": "completed", "Progress": 100, "StartTime": now, "EndTime": now});
        for (member, name) in [("Size", "Size"), ("Iops", "Iops"), ("VolumeType", "VolumeType"), ("Throughput", "Throughput")] {
            let (original, target) = pair(member);
            change[format!("Original{name}")] = original;
            change[format!("Target{name}")] = target;
        }
        volume.body["_Modification"] = change.clone();
        change["ModificationState"] = "modifying".into();
        change["Progress"] = 0.into();
        if let Some(members) = change.as_object_mut() {
            members.remove("EndTime");
        }
        Ok(json!({ "VolumeModification": change }))
    })
    .await
}

/// `DescribeVolumesModifications`.
pub async fn modifications(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let ids = input.texts("VolumeIds");
    let views = context.region.ledger.read(|state| {
        let mut views = Vec::new();
        for id in &ids {
            let volume = document::find(state, Kind::Volume, id)?;
            if volume.body["_Modification"].is_null() {
                let message = format!("Modification for volume '{id}' does not exist.");
                return Err(ApiError::bad_request("InvalidVolumeModification.NotFound", message));
            }
        }
        for volume in document::of_kind(state, Kind::Volume) {
            let change = &volume.body["_Modification"];
            if !change.is_null() && (ids.is_empty() || ids.contains(&volume.id.as_str())) {
                views.push((change.clone(), BTreeMap::new()));
            }
        }
        Ok(views)
    })?;
    let filters = [
        ("volume-id", "VolumeId"),
        ("modification-state", "ModificationState"),
        ("target-size", "TargetSize"),
    ];
    document::answer(&input, "VolumesModifications", &filters, views)
}

/// `DescribeVolumeStatus`.
pub async fn status(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let ids = input.texts("VolumeIds");
    let views = context.region.ledger.read(|state| {
        for id in &ids {
            document::find(state, Kind::Volume, id)?;
        }
        let chosen =
            document::of_kind(state, Kind::Volume).filter(|one| ids.is_empty() || ids.contains(&one.id.as_str()));
        let fine = json!({"Status": "ok", "Details": [
            {"Name": "io-enabled", "Status": "passed"}, {"Name": "io-performance", "Status": "not-applicable"},
        ]});
        Ok::<_, ApiError>(
            chosen
                .map(|one| {
                    let view = json!({
                        "VolumeId": one.id, "AvailabilityZone": one.body["AvailabilityZone"], "VolumeStatus": fine,
                        "Actions": [], "Events": [],
                    });
                    (view, BTreeMap::new())
                })
                .collect(),
        )
    })?;
    let filters = [
        ("availability-zone", "AvailabilityZone"),
        ("volume-status.status", "VolumeStatus.Status"),
    ];
    document::answer(&input, "VolumeStatuses", &filters, views)
}

/// `DescribeVolumes`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    document::describe(&context, &input, Kind::Volume)
}
