//! Describing machine images: those that are published, and the account's own.

use std::collections::{BTreeMap, BTreeSet};

use aws_types::image::{self, Image};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{dry_run, own_image};
use crate::error::ApiError;
use crate::members::Members;
use crate::operations::Context;

/// When the images were published.
const CREATED: &str = "2026-11-01T00:00:00.000Z";
/// How long an image is not deprecated, in seconds: two years.
const LIFE: i64 = 2 * 365 * 24 * 3600;

/// A published image, as answers show it.
pub fn view(image: &Image) -> Value {
    let created: Timestamp = CREATED.parse().unwrap_or_default();
    let deprecated = Timestamp::from_second(created.as_second() + LIFE).unwrap_or(created);
    json!({
        "ImageId": image.id, "Name": image.name, "Description": image.description, "Architecture": image.architecture,
        "OwnerId": image.owner, "ImageOwnerAlias": "amazon", "ImageLocation": format!("amazon/{}", image.name), "State": "available",
        "CreationDate": CREATED, "DeprecationTime": deprecated.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string(), "Public": true,
        "ImageType": "machine", "RootDeviceName": image.root_device(), "RootDeviceType": "ebs", "VirtualizationType": "hvm",
        "Hypervisor": "xen", "EnaSupport": true, "SriovNetSupport": "simple", "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances", "BootMode": "uefi-preferred", "ImdsSupport": "v2.0",
        "BlockDeviceMappings": [{"DeviceName": image.root_device(), "Ebs": {
            "DeleteOnTermination": true, "Encrypted": false, "SnapshotId": image.id.replacen("ami-", "snap-", 1),
            "VolumeSize": image.root_size(), "VolumeType": "gp3",
        }}],
    })
}

/// What images can be looked for by.
pub const FILTERS: &[(&str, &str)] = &[
    ("image-id", "ImageId"),
    ("name", "Name"),
    ("description", "Description"),
    ("architecture", "Architecture"),
    ("owner-id", "OwnerId"),
    ("owner-alias", "ImageOwnerAlias"),
    ("state", "State"),
    ("is-public", "Public"),
    ("image-type", "ImageType"),
    ("root-device-type", "RootDeviceType"),
    ("root-device-name", "RootDeviceName"),
    ("virtualization-type", "VirtualizationType"),
    ("hypervisor", "Hypervisor"),
    ("platform-details", "PlatformDetails"),
    ("creation-date", "CreationDate"),
    ("ena-support", "EnaSupport"),
    ("platform", "Platform"),
    ("product-code", "ProductCodes[].ProductCodeId"),
    ("kernel-id", "KernelId"),
    ("ramdisk-id", "RamdiskId"),
    ("manifest-location", "ImageLocation"),
    ("source-instance-id", "SourceInstanceId"),
    ("source-image-id", "SourceImageId"),
    ("source-image-region", "SourceImageRegion"),
    ("sriov-net-support", "SriovNetSupport"),
    ("state-reason-code", "StateReason.Code"),
    ("boot-mode", "BootMode"),
    ("imds-support", "ImdsSupport"),
    ("block-device-mapping.device-name", "BlockDeviceMappings[].DeviceName"),
    (
        "block-device-mapping.volume-size",
        "BlockDeviceMappings[].Ebs.VolumeSize",
    ),
    ("block-device-mapping.encrypted", "BlockDeviceMappings[].Ebs.Encrypted"),
    (
        "block-device-mapping.delete-on-termination",
        "BlockDeviceMappings[].Ebs.DeleteOnTermination",
    ),
    (
        "block-device-mapping.volume-type",
        "BlockDeviceMappings[].Ebs.VolumeType",
    ),
    (
        "block-device-mapping.snapshot-id",
        "BlockDeviceMappings[].Ebs.SnapshotId",
    ),
];

/// `DescribeImages`: published ones and the account's own.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let ids = input.texts("ImageIds");
    if let Some(wrong) = ids.iter().find(|id| !id.starts_with("ami-")) {
        let message = format!("Invalid id: \"{wrong}\" (expecting \"ami-...\")");
        return Err(ApiError::bad_request("InvalidAMIID.Malformed", message));
    }
    let views = context.region.ledger.read(|state| {
        let is_known = |id: &str| image::find(id).is_some() || own_image::find(state, id).is_ok();
        let unknown: Vec<&str> = ids.iter().copied().filter(|id| !is_known(id)).collect();
        if !unknown.is_empty() {
            let message = match unknown[..] {
                [one] => format!("The image id '[{one}]' does not exist"),
                _ => format!("The image ids '[{}]' do not exist", unknown.join(", ")),
            };
            return Err(ApiError::bad_request("InvalidAMIID.NotFound", message));
        }
        dry_run(input.flag("DryRun"))?;
        let chosen = |id: &str| ids.is_empty() || ids.contains(&id);
        // Two parameters may name one image.
        let mut seen = BTreeSet::new();
        let published = image::all().iter().filter(|image| {
            chosen(&image.id) && is_owned(&input, &context, image.owner, true) && may_launch(&input, &context, None)
        });
        let published = published.filter(|image| seen.insert(&image.id));
        let published = published.map(|image| (view(image), BTreeMap::new()));
        let own = document::of_kind(state, Kind::Image).filter(|own| {
            let owner = own.body.required("OwnerId");
            chosen(&own.id) && is_owned(&input, &context, owner, false) && may_launch(&input, &context, Some(own))
        });
        let own = own.map(|own| (own.view(), own.tags.clone()));
        Ok(published.chain(own).collect())
    })?;
    document::answer(&input, "Images", FILTERS, views)
}

/// Whether a request asks for the images of an owner.
fn is_owned(input: &Value, context: &Context, owner: &str, by_amazon: bool) -> bool {
    let owners = input.texts("Owners");
    let fits = |wanted: &&str| match *wanted {
        "amazon" => by_amazon,
        "self" => owner == context.caller.account.as_str(),
        other => other == owner,
    };
    owners.is_empty() || owners.iter().any(fits)
}

/// Whether one of those that a request names as users was told that it may launch an image; a published one is everybody's.
fn may_launch(input: &Value, context: &Context, own: Option<&Document>) -> bool {
    let users = input.texts("ExecutableUsers");
    let given = own.map(|own| own.body.list(own_image::PERMISSIONS));
    let fits = |user: &&str| match (*user, given) {
        ("all", None) => true,
        ("all", Some(given)) => given.iter().any(|one| one.text("Group") == Some("all")),
        (_, None) => false,
        (user, Some(given)) => {
            let account = context.caller.account.as_str();
            let wanted = if user == "self" { account } else { user };
            given.iter().any(|one| one.text("UserId") == Some(wanted))
        }
    };
    users.is_empty() || users.iter().any(fits)
}
