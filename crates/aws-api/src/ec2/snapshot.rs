//! EBS snapshots as records.

use aws_types::time::Time;
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{dry_run, instance_state, own_image};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// A snapshot of a volume.
pub fn of(context: &Context, volume: &Document, input: &Value) -> Document {
    let mut made = of_size(context, &volume.body["Size"], input);
    made.body["VolumeId"] = volume.id.as_str().into();
    made.body["Encrypted"] = volume.body["Encrypted"].clone();
    made
}

/// A snapshot of a volume that nobody knows any more, for example in another region.
pub fn of_size(context: &Context, size: &Value, input: &Value) -> Document {
    let now = Time(context.region.clock.now());
    let body = json!({
        "VolumeId": "vol-ffffffff", "VolumeSize": size, "State": "completed", "Progress": "100%", "StartTime": now,
        "CompletionTime": now, "OwnerId": context.caller.account, "Encrypted": false, "StorageTier": "standard",
        "Description": input.text("Description").unwrap_or_default(),
    });
    Document::new(context, Kind::Snapshot, input, body)
}

/// `CreateSnapshot`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("VolumeId");
    let decide = |state: &State| {
        let volume = document::find(state, Kind::Volume, id)?;
        dry_run(input.flag("DryRun"))?;
        let made = of(&context, volume, &input);
        let mut answer = made.view();
        answer["State"] = "pending".into();
        answer["Progress"] = "".into();
        if let Some(members) = answer.as_object_mut() {
            members.remove("CompletionTime");
            members.remove("StorageTier");
        }
        Ok::<_, ApiError>((answer, vec![Change::put(made)]))
    };
    context.region.ledger.change(decide).await
}

/// `CreateSnapshots`: of the volumes of an instance, at one moment.
pub async fn create_all(context: Context, input: Value) -> Result<Value, ApiError> {
    let which = &input["InstanceSpecification"];
    let (id, left_out) = (which.required("InstanceId"), which.texts("ExcludeDataVolumeIds"));
    let with_tags = input.text("CopyTagsFromSource") == Some("volume");
    let decide = |state: &State| {
        let instance = instance_state::find(state, id)?;
        let root = own_image::root_device(state, &instance.image);
        dry_run(input.flag("DryRun"))?;
        let (mut views, mut changes) = (Vec::new(), Vec::new());
        for (device, volume) in &instance.volumes {
            let is_boot = device == root;
            let without_boot = which.flag("ExcludeBootVolume") == Some(true);
            if (is_boot && without_boot) || left_out.contains(&volume.as_str()) {
                continue;
            }
            let volume = document::find(state, Kind::Volume, volume)?;
            let mut made = of(&context, volume, &input);
            if with_tags {
                made.tags.extend(volume.tags.clone());
            }
            let body = &made.body;
            views.push(json!({
                "SnapshotId": made.id, "VolumeId": volume.id, "VolumeSize": body["VolumeSize"], "State": "pending",
                "StartTime": body["StartTime"], "Progress": "", "OwnerId": body["OwnerId"], "Encrypted": body["Encrypted"],
                "Description": body["Description"], "Tags": crate::members::tag_list(&made.tags),
            }));
            changes.push(Change::put(made));
        }
        Ok::<_, ApiError>((json!({ "Snapshots": views }), changes))
    };
    context.region.ledger.change(decide).await
}

/// Who may make volumes of a snapshot besides its owner, kept beside the members of answers.
const PERMISSIONS: &str = "_CreateVolumePermissions";

/// `DescribeSnapshotAttribute`.
pub async fn attribute(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let id = input.required("SnapshotId");
    let body = context
        .region
        .ledger
        .read(|state| document::find(state, Kind::Snapshot, id).map(|known| known.body.clone()))?;
    let (member, shown) = match input.required("Attribute") {
        "productCodes" => ("ProductCodes", json!([])),
        _ => ("CreateVolumePermissions", json!(body.list(PERMISSIONS))),
    };
    Ok(json!({"SnapshotId": id, member: shown}))
}

/// `ModifySnapshotAttribute`.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let listed = |member: &str, name: &str| {
        let texts = input.texts(member).into_iter();
        texts.map(|text| json!({ name: text })).collect::<Vec<Value>>()
    };
    let named = [listed("UserIds", "UserId"), listed("GroupNames", "Group")].concat();
    let (mut add, mut remove) = match input.text("OperationType") {
        Some("remove") => (Vec::new(), named),
        _ => (named, Vec::new()),
    };
    add.extend_from_slice(input["CreateVolumePermission"].list("Add"));
    remove.extend_from_slice(input["CreateVolumePermission"].list("Remove"));
    let mut groups = add.iter().filter_map(|one| one.text("Group"));
    if let Some(group) = groups.find(|group| *group != "all") {
        let message = format!("Invalid attribute item value \"{group}\" for userGroup item type.");
        return Err(ApiError::bad_request("InvalidAMIAttributeItemValue", message));
    }
    let id = input.required("SnapshotId");
    document::edit(&context, &input, Kind::Snapshot, id, |_, snapshot| {
        let mut known = snapshot.body.list(PERMISSIONS).to_vec();
        known.retain(|one| !remove.contains(one));
        for one in add {
            if !known.contains(&one) {
                known.push(one);
            }
        }
        snapshot.body[PERMISSIONS] = known.into();
        Ok(nothing())
    })
    .await
}

/// A snapshot to be copied, as it is in the region that has it.
fn source(context: &Context, state: &State, input: &Value) -> Result<Value, ApiError> {
    let (id, region) = (input.required("SourceSnapshotId"), input.required("SourceRegion"));
    let of = |state: &State| document::find(state, Kind::Snapshot, id).map(|known| known.body.clone());
    if region.is_empty() || region == context.region.name.as_str() {
        return of(state);
    }
    let not_found = || Kind::Snapshot.not_found(id);
    let name = aws_types::RegionName::new(region).map_err(|_no_region| not_found())?;
    let partition = context.region.partition().ok_or_else(not_found)?;
    let other = partition.existing(context.region.account(), &name);
    other.ok_or_else(not_found)?.ledger.read(of)
}

/// `CopySnapshot`: from this region or another.
pub async fn copy(context: Context, input: Value) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let mut body = source(&context, state, &input)?;
        dry_run(input.flag("DryRun"))?;
        body["Description"] = input.text("Description").unwrap_or_default().into();
        body["StartTime"] = serde_json::to_value(Time(context.region.clock.now())).map_err(ApiError::internal)?;
        if let Some(flag) = input.flag("Encrypted") {
            body["Encrypted"] = flag.into();
        }
        let made = Document::new(&context, Kind::Snapshot, &input, body);
        let answer = json!({"SnapshotId": made.id, "Tags": crate::members::tag_list(&made.tags)});
        Ok::<_, ApiError>((answer, vec![Change::put(made)]))
    };
    context.region.ledger.change(decide).await
}

/// `DescribeSnapshots`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let owners = input.texts("OwnerIds");
    let account = context.caller.account.as_str();
    let is_ours = owners.is_empty() || owners.iter().any(|owner| *owner == "self" || *owner == account);
    if !is_ours {
        dry_run(input.flag("DryRun"))?;
        return Ok(json!({ "Snapshots": [] }));
    }
    document::describe(&context, &input, Kind::Snapshot)
}

/// `DeleteSnapshot`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("SnapshotId");
    document::remove(&context, &input, Kind::Snapshot, id, |state, snapshot| {
        if let Some(image) = own_image::user_of(state, id) {
            let message = format!("The snapshot {id} is currently in use by {image}");
            return Err(ApiError::bad_request("InvalidSnapshot.InUse", message));
        }
        if !snapshot.body["_Lock"].is_null() {
            let message = format!("The snapshot '{id}' is locked.");
            return Err(ApiError::bad_request("SnapshotLocked", message));
        }
        Ok(())
    })
    .await?;
    Ok(nothing())
}

/// `LockSnapshot`.
pub async fn lock(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("SnapshotId");
    let mode = input.required("LockMode");
    let now = context.region.clock.now();
    document::edit(&context, &input, Kind::Snapshot, id, |_, snapshot| {
        let days = input.number("LockDuration").unwrap_or(1);
        let ends = now.saturating_add(jiff::SignedDuration::from_hours(24 * days)).unwrap_or(now);
        let lock = json!({
            "SnapshotId": id, "LockState": mode, "LockDuration": days, "LockCreatedOn": Time(now), "LockExpiresOn": Time(ends),
            "LockDurationStartTime": Time(now),
        });
        snapshot.body["_Lock"] = lock.clone();
        Ok(lock)
    })
    .await
}

/// `EnableFastSnapshotRestores`: there is nothing that could be made faster.
pub async fn fast_restores(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let zones = input.texts("AvailabilityZones");
    let enabled = context.region.ledger.read(|state| {
        let mut enabled = Vec::new();
        for id in input.texts("SourceSnapshotIds") {
            document::find(state, Kind::Snapshot, id)?;
            enabled.extend(zones.iter().map(|zone| {
                json!({"SnapshotId": id, "AvailabilityZone": zone, "State": "enabled", "OwnerId": context.caller.account})
            }));
        }
        Ok::<_, ApiError>(enabled)
    })?;
    Ok(json!({"Successful": enabled, "Unsuccessful": []}))
}
