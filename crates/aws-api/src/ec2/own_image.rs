//! Machine images of one's own: made from an instance or from snapshots, copied, disabled, and what may be launched.
//!
//! An image that was made from an instance stands on the published image that the instance was made from: that says which software its
//! nodes have. Volumes hold nothing here, so what an instance had written on them is not in its images.

use aws_types::image::{self, Image};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{dry_run, instance_state, snapshot};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// The published image under an image, kept beside the members of answers.
pub(super) const BASE: &str = "_Base";
/// Who may launch it besides its owner.
pub(super) const PERMISSIONS: &str = "_LaunchPermissions";

/// The published image that an image is or stands on.
pub fn base(state: &State, id: &str) -> Option<&'static Image> {
    image::find(id).or_else(|| find(state, id).ok()?.body.text(BASE).and_then(image::find))
}

/// Whether somebody may launch an image of that id.
pub fn is_known(state: &State, id: &str) -> bool {
    image::find(id).is_some() || find(state, id).is_ok_and(|own| own.body.text("State") == Some("available"))
}

/// The architecture of an image.
pub fn architecture<'a>(state: &'a State, id: &str) -> Option<&'a str> {
    let own = || find(state, id).ok()?.body.text("Architecture");
    image::find(id).map(|image| image.architecture).or_else(own)
}

/// The root device of an image.
pub fn root_device<'a>(state: &'a State, id: &str) -> &'a str {
    let own = || find(state, id).ok()?.body.text("RootDeviceName");
    let published = image::find(id).map(Image::root_device);
    published.or_else(own).unwrap_or("/dev/xvda")
}

/// The volumes of an instance of an image, by device.
pub fn volumes(state: &State, id: &str) -> Vec<(String, Value)> {
    let root = |size: i64| json!({"VolumeSize": size, "VolumeType": "gp3", "DeleteOnTermination": true});
    let Ok(own) = find(state, id) else {
        let published = image::find(id);
        let size = published.map_or(8, Image::root_size);
        return vec![(root_device(state, id).to_owned(), root(size))];
    };
    let mappings = own.body.list("BlockDeviceMappings").iter();
    let mappings = mappings.filter_map(|mapping| {
        let ebs = mapping.get("Ebs").filter(|ebs| ebs.is_object())?;
        Some((mapping.required("DeviceName").to_owned(), ebs.clone()))
    });
    mappings.collect()
}

/// The account's own image of that id.
///
/// # Errors
/// EC2's own for an id that nobody has, and for images that are somebody else's.
pub fn find<'a>(state: &'a State, id: &str) -> Result<&'a Document, ApiError> {
    if image::find(id).is_some() {
        let message = format!("Not authorized for image:{id}");
        return Err(ApiError::bad_request("AuthFailure", message));
    }
    document::find(state, Kind::Image, id)
}

/// A new image's document, with what every image of one's own says of itself.
fn new(context: &Context, state: &State, input: &Value, body: Value) -> Result<Document, ApiError> {
    let name = input.required("Name");
    if !(3..=128).contains(&name.len()) {
        let message = "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_'";
        return Err(ApiError::bad_request("InvalidAMIName.Malformed", message));
    }
    let taken = document::of_kind(state, Kind::Image).find(|known| known.body.text("Name") == Some(name));
    if let Some(known) = taken {
        let message = format!("AMI name {name} is already in use by AMI {}", known.id);
        return Err(ApiError::bad_request("InvalidAMIName.Duplicate", message));
    }
    let owner = &context.caller.account;
    let mut made = Document::new(context, Kind::Image, input, body);
    let own = json!({
        "Name": name, "Description": input.text("Description").unwrap_or_default(), "OwnerId": owner,
        "ImageLocation": format!("{owner}/{name}"), "State": "available", "ImageType": "machine", "Public": false,
        "CreationDate": date(context.region.clock.now()), PERMISSIONS: [],
    });
    for (member, value) in own.as_object().into_iter().flatten() {
        made.body[member] = value.clone();
    }
    Ok(made)
}

fn date(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}

/// `CreateImage`: from an instance, with a snapshot of each of its volumes.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("InstanceId");
    let decide = |state: &State| {
        let instance = instance_state::find(state, id)?;
        let published = base(state, &instance.image);
        let body = json!({
            "Architecture": architecture(state, &instance.image).unwrap_or("x86_64"), "SourceInstanceId": id,
            "RootDeviceName": root_device(state, &instance.image), "RootDeviceType": "ebs", "VirtualizationType": "hvm",
            "Hypervisor": "xen", "EnaSupport": true, "SriovNetSupport": "simple", "PlatformDetails": "Linux/UNIX",
            "UsageOperation": "RunInstances", "BootMode": "uefi-preferred", "SourceImageId": instance.image,
            BASE: published.map(|image| image.id.as_str()),
        });
        let made = new(&context, state, &input, body)?;
        dry_run(input.flag("DryRun"))?;
        let description = format!("Created by CreateImage({id}) for {}", made.id);
        let (mut mappings, mut changes) = (Vec::new(), Vec::new());
        for (device, volume) in &instance.volumes {
            let Ok(volume) = document::find(state, Kind::Volume, volume) else {
                continue;
            };
            let given = json!({"TagSpecifications": input["TagSpecifications"], "Description": description});
            let taken = snapshot::of(&context, volume, &given);
            mappings.push(json!({"DeviceName": device, "Ebs": {
                "SnapshotId": taken.id, "VolumeSize": volume.body["Size"], "VolumeType": volume.body["VolumeType"],
                "Encrypted": volume.body["Encrypted"],
                "DeleteOnTermination": volume.body["Attachments"][0].flag("DeleteOnTermination").unwrap_or(true),
            }}));
            changes.push(Change::put(taken));
        }
        Ok::<_, ApiError>(with_mappings(made, mappings, changes))
    };
    context.region.ledger.change(decide).await
}

/// The answer that names a new image, and all that is written down with it.
fn with_mappings(mut made: Document, mappings: Vec<Value>, mut changes: Vec<Change>) -> (Value, Vec<Change>) {
    made.body["BlockDeviceMappings"] = mappings.into();
    let answer = json!({ "ImageId": made.id });
    changes.push(Change::put(made));
    (answer, changes)
}

/// `RegisterImage`: from snapshots.
pub async fn register(context: Context, input: Value) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let mut mappings = input.list("BlockDeviceMappings").to_vec();
        for mapping in &mut mappings {
            let Some(id) = mapping["Ebs"].text("SnapshotId").map(str::to_owned) else {
                continue;
            };
            let taken = document::find(state, Kind::Snapshot, &id)?;
            if mapping["Ebs"].number("VolumeSize").is_none() {
                mapping["Ebs"]["VolumeSize"] = taken.body["VolumeSize"].clone();
            }
        }
        let body = json!({
            "Architecture": input.text("Architecture").unwrap_or("i386"), "RootDeviceType": "ebs", "Hypervisor": "xen",
            "RootDeviceName": input.text("RootDeviceName"), "BlockDeviceMappings": mappings,
            "VirtualizationType": input.text("VirtualizationType").unwrap_or("paravirtual"),
            "EnaSupport": input.flag("EnaSupport").unwrap_or(false), "PlatformDetails": "Linux/UNIX",
            "UsageOperation": "RunInstances",
        });
        let made = new(&context, state, &input, body)?;
        dry_run(input.flag("DryRun"))?;
        Ok::<_, ApiError>((json!({ "ImageId": made.id }), vec![Change::put(made)]))
    };
    context.region.ledger.change(decide).await
}

/// An image to be copied: its members, as they are in the region that has it.
fn source(context: &Context, state: &State, input: &Value) -> Result<Value, ApiError> {
    let (id, region) = (input.required("SourceImageId"), input.required("SourceRegion"));
    let not_found = || Kind::Image.not_found(id);
    if let Some(published) = image::find(id) {
        let mut view = super::image::view(published);
        view[BASE] = id.into();
        return Ok(view);
    }
    if region == context.region.name.as_str() {
        return find(state, id).map(|own| own.body.clone());
    }
    let name = aws_types::RegionName::new(region).map_err(|_no_region| not_found())?;
    let partition = context.region.partition().ok_or_else(not_found)?;
    let other = partition
        .existing(context.region.account(), &name)
        .ok_or_else(not_found)?;
    other.ledger.read(|state| find(state, id).map(|own| own.body.clone()))
}

/// `CopyImage`: from this region or another.
pub async fn copy(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("SourceImageId");
    let decide = |state: &State| {
        let mut body = source(&context, state, &input)?;
        for member in ["ImageId", "Tags", "ImageOwnerAlias", "DeprecationTime"] {
            if let Some(members) = body.as_object_mut() {
                members.remove(member);
            }
        }
        body["SourceImageId"] = id.into();
        body["SourceImageRegion"] = input["SourceRegion"].clone();
        let described = input.text("Description").map(str::to_owned);
        let described = described.or_else(|| body.text("Description").map(str::to_owned));
        let mut made = new(&context, state, &input, body)?;
        made.body["Description"] = described.into();
        dry_run(input.flag("DryRun"))?;
        let mut changes = Vec::new();
        let mut mappings = made.body.list("BlockDeviceMappings").to_vec();
        for mapping in mappings.iter_mut().filter(|mapping| mapping["Ebs"].is_object()) {
            let from = mapping["Ebs"].text("SnapshotId").unwrap_or_default();
            let given = json!({"Description": format!(
                "Copied for DestinationAmi {} from SourceAmi {id} for SourceSnapshot {from}. Task created on {}.",
                made.id,
                context.region.clock.now().as_millisecond()
            )});
            let taken = snapshot::of_size(&context, &mapping["Ebs"]["VolumeSize"], &given);
            mapping["Ebs"]["SnapshotId"] = taken.id.as_str().into();
            changes.push(Change::put(taken));
        }
        Ok::<_, ApiError>(with_mappings(made, mappings, changes))
    };
    context.region.ledger.change(decide).await
}

/// `DeregisterImage`: its snapshots stay, unless they are to go too.
pub async fn deregister(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("ImageId");
    let decide = |state: &State| {
        let own = find(state, id)?;
        dry_run(input.flag("DryRun"))?;
        let mut changes = vec![Change::remove::<Document>(id.to_owned())];
        let mut gone = Vec::new();
        if input.flag("DeleteAssociatedSnapshots") == Some(true) {
            for taken in own.body.list("BlockDeviceMappings") {
                if let Some(taken) = taken["Ebs"].text("SnapshotId") {
                    changes.push(Change::remove::<Document>(taken.to_owned()));
                    gone.push(json!({"SnapshotId": taken, "ReturnCode": "success"}));
                }
            }
        }
        Ok::<_, ApiError>((json!({"Return": true, "DeleteSnapshotResults": gone}), changes))
    };
    context.region.ledger.change(decide).await
}

/// The image that a snapshot belongs to.
pub fn user_of<'a>(state: &'a State, snapshot: &str) -> Option<&'a str> {
    let has = |own: &&Document| {
        let mut mappings = own.body.list("BlockDeviceMappings").iter();
        mappings.any(|mapping| mapping["Ebs"].text("SnapshotId") == Some(snapshot))
    };
    document::of_kind(state, Kind::Image)
        .find(has)
        .map(|own| own.id.as_str())
}

async fn edit(
    context: &Context,
    input: &Value,
    change: impl FnOnce(&mut Document) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let id = input.required("ImageId");
    context.region.ledger.read(|state| find(state, id).map(drop))?;
    document::edit(context, input, Kind::Image, id, |_, own| change(own)).await
}

/// `DisableImage`: nobody can launch it any more.
pub async fn disable(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |own| {
        own.body["State"] = "disabled".into();
        own.body["Public"] = false.into();
        own.body[PERMISSIONS] = json!([]);
        Ok(())
    })
    .await?;
    Ok(json!({ "Return": true }))
}

/// `EnableImage`.
pub async fn enable(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |own| {
        own.body["State"] = "available".into();
        Ok(())
    })
    .await?;
    Ok(json!({ "Return": true }))
}

/// `DescribeImageAttribute`.
pub async fn attribute(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let id = input.required("ImageId");
    let body = context
        .region
        .ledger
        .read(|state| find(state, id).map(|own| own.body.clone()))?;
    let value = |member: &str| match body.get(member).filter(|value| !value.is_null()) {
        Some(value) => json!({ "Value": value }),
        None => nothing(),
    };
    let (member, shown) = match input.required("Attribute") {
        "description" => ("Description", value("Description")),
        "launchPermission" => ("LaunchPermissions", body[PERMISSIONS].clone()),
        "blockDeviceMapping" => ("BlockDeviceMappings", body["BlockDeviceMappings"].clone()),
        "productCodes" => ("ProductCodes", json!([])),
        "kernel" => ("KernelId", value("KernelId")),
        "ramdisk" => ("RamdiskId", value("RamdiskId")),
        "sriovNetSupport" => ("SriovNetSupport", value("SriovNetSupport")),
        "bootMode" => ("BootMode", value("BootMode")),
        "imdsSupport" => ("ImdsSupport", value("ImdsSupport")),
        _ => {
            return Err(ApiError::bad_request(
                "InvalidRequest",
                "The request received was invalid",
            ));
        }
    };
    Ok(json!({"ImageId": id, member: shown}))
}

/// The permissions that a request adds and removes.
fn permissions(input: &Value) -> (Vec<Value>, Vec<Value>) {
    let listed = |member: &str, name: &str| {
        let texts = input.texts(member).into_iter();
        texts.map(|text| json!({ name: text })).collect::<Vec<Value>>()
    };
    let named = [
        listed("UserIds", "UserId"),
        listed("UserGroups", "Group"),
        listed("OrganizationArns", "OrganizationArn"),
        listed("OrganizationalUnitArns", "OrganizationalUnitArn"),
    ]
    .concat();
    let (mut add, mut remove) = match input.text("OperationType") {
        Some("remove") => (Vec::new(), named),
        _ => (named, Vec::new()),
    };
    add.extend_from_slice(input["LaunchPermission"].list("Add"));
    remove.extend_from_slice(input["LaunchPermission"].list("Remove"));
    (add, remove)
}

fn check_permission(permission: &Value) -> Result<(), ApiError> {
    let is_account = |id: &str| id.len() == 12 && id.chars().all(|digit| digit.is_ascii_digit());
    let wrong = match (permission.text("UserId"), permission.text("Group")) {
        (Some(id), _) if !is_account(id) => Some(("userId", id)),
        (_, Some(group)) if group != "all" => Some(("userGroup", group)),
        _ => None,
    };
    match wrong {
        Some((kind, text)) => Err(ApiError::bad_request(
            "InvalidAMIAttributeItemValue",
            format!("Invalid attribute item value \"{text}\" for {kind} item type."),
        )),
        None => Ok(()),
    }
}

/// `ModifyImageAttribute`: who may launch it, and its description.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let (add, remove) = permissions(&input);
    add.iter().chain(&remove).try_for_each(check_permission)?;
    edit(&context, &input, |own| {
        let by_name = input
            .text("Value")
            .filter(|_| input.text("Attribute") == Some("description"));
        if let Some(text) = input["Description"].text("Value").or(by_name) {
            own.body["Description"] = text.into();
        }
        let mut known = own.body.list(PERMISSIONS).to_vec();
        known.retain(|one| !remove.contains(one));
        for one in add {
            if !known.contains(&one) {
                known.push(one);
            }
        }
        own.body["Public"] = known.iter().any(|one| one.text("Group") == Some("all")).into();
        own.body[PERMISSIONS] = known.into();
        Ok(())
    })
    .await?;
    Ok(nothing())
}

/// `ResetImageAttribute`: nobody but its owner may launch it.
pub async fn reset(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |own| {
        own.body["Public"] = false.into();
        own.body[PERMISSIONS] = json!([]);
        Ok(())
    })
    .await?;
    Ok(nothing())
}
