//! The volumes that come with an instance, and what goes with it.

use aws_types::InstanceId;
use aws_types::time::Time;
use serde_json::{Value, json};

use super::super::document::{Document, Kind};
use super::Wanted;
use crate::fleet::instance::Ec2Instance;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// The volumes of a new instance, by device.
pub fn volumes(context: &Context, wanted: &Wanted, zone: &str, instance: &InstanceId) -> Vec<(String, Document)> {
    let now = Time(context.region.clock.now());
    let volume = |(device, ebs): &(String, Value)| {
        let kind = ebs.text("VolumeType").unwrap_or("gp3");
        let mut body = json!({
            "AvailabilityZone": zone, "CreateTime": now, "Size": ebs.number("VolumeSize").unwrap_or(8), "State": "in-use",
            "VolumeType": kind, "Encrypted": ebs.flag("Encrypted").unwrap_or(false), "SnapshotId": ebs.text("SnapshotId").unwrap_or_default(),
            "MultiAttachEnabled": false,
            "Attachments": [{
                "VolumeId": null, "InstanceId": instance, "Device": device, "State": "attached", "AttachTime": now,
                "DeleteOnTermination": ebs.flag("DeleteOnTermination").unwrap_or(true),
            }],
        });
        if kind == "gp3" {
            body["Iops"] = ebs.number("Iops").unwrap_or(3000).into();
            body["Throughput"] = ebs.number("Throughput").unwrap_or(125).into();
        }
        let mut volume = Document::new(context, Kind::Volume, &json!({}), body);
        volume.body["Attachments"][0]["VolumeId"] = volume.id.as_str().into();
        volume.tags = wanted.volume_tags.clone();
        (device.clone(), volume)
    };
    wanted.volumes.iter().map(volume).collect()
}

/// What a terminated instance leaves behind: its volumes go or become available, further interfaces come loose.
pub fn release(state: &State, instance: &Ec2Instance) -> Vec<Change> {
    let id = Some(instance.id.as_str());
    let attached = state.documents.values().filter(|document| match document.kind {
        Kind::Volume => document
            .body
            .list("Attachments")
            .iter()
            .any(|one| one.text("InstanceId") == id),
        Kind::NetworkInterface => document.body["Attachment"].text("InstanceId") == id,
        _ => false,
    });
    let released = attached.map(|document| {
        let attachment = match document.kind {
            Kind::Volume => &document.body["Attachments"][0],
            _ => &document.body["Attachment"],
        };
        if attachment.flag("DeleteOnTermination") == Some(true) {
            return Change::remove::<Document>(document.id.clone());
        }
        let mut document = document.clone();
        if document.kind == Kind::Volume {
            document.body["Attachments"] = json!([]);
            document.body["State"] = "available".into();
        } else {
            document.body["Attachment"] = Value::Null;
            document.body["Status"] = "available".into();
        }
        Change::put(document)
    });
    released.collect()
}
