//! EBS snapshots as records.

use aws_types::time::Time;
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{dry_run, own_image};
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

/// `CopySnapshot`: within the region.
pub async fn copy(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("SourceSnapshotId");
    let decide = |state: &State| {
        let source = document::find(state, Kind::Snapshot, id)?;
        dry_run(input.flag("DryRun"))?;
        let mut body = source.body.clone();
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
