//! Machine images: those that are published.

use std::collections::BTreeMap;

use aws_types::image::{self, Image};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{document, dry_run};
use crate::error::ApiError;
use crate::members::Members;
use crate::operations::Context;

/// When the images were published.
const CREATED: &str = "2026-11-01T00:00:00.000Z";
/// How long an image is not deprecated, in seconds: two years.
const LIFE: i64 = 2 * 365 * 24 * 3600;

fn view(image: &Image) -> Value {
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

const FILTERS: &[(&str, &str)] = &[
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
    (
        "block-device-mapping.volume-type",
        "BlockDeviceMappings[].Ebs.VolumeType",
    ),
    (
        "block-device-mapping.snapshot-id",
        "BlockDeviceMappings[].Ebs.SnapshotId",
    ),
];

/// `DescribeImages`.
pub async fn describe(_context: Context, input: Value) -> Result<Value, ApiError> {
    let ids = input.texts("ImageIds");
    if let Some(wrong) = ids.iter().find(|id| !id.starts_with("ami-")) {
        let message = format!("Invalid id: \"{wrong}\" (expecting \"ami-...\")");
        return Err(ApiError::bad_request("InvalidAMIID.Malformed", message));
    }
    let unknown: Vec<&str> = ids.iter().copied().filter(|id| image::find(id).is_none()).collect();
    if !unknown.is_empty() {
        let message = format!("The image id '[{}]' does not exist", unknown.join(", "));
        return Err(ApiError::bad_request("InvalidAMIID.NotFound", message));
    }
    dry_run(input.flag("DryRun"))?;
    let owners = input.texts("Owners");
    let is_owned =
        |image: &&Image| owners.is_empty() || owners.iter().any(|owner| *owner == "amazon" || *owner == image.owner);
    // Two parameters may name one image.
    let mut seen = std::collections::BTreeSet::new();
    let chosen = image::all()
        .iter()
        .filter(is_owned)
        .filter(|image| ids.is_empty() || ids.contains(&image.id.as_str()));
    let views = chosen
        .filter(|image| seen.insert(&image.id))
        .map(|image| (view(image), BTreeMap::new()));
    document::answer(&input, "Images", FILTERS, views.collect())
}
