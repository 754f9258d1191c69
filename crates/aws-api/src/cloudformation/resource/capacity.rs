//! Instances and Auto Scaling groups of templates.

use serde_json::{Value, json};

use super::services::{made_before, request};
use super::{Progress, Updated, Wanted, unsupported};
use crate::autoscaling::refresh;
use crate::error::ApiError;
use crate::fleet::instance::{Ec2Instance, LifeState};
use crate::fleet::refresh::Refresh;
use crate::ledger::State;
use crate::members::Members;

/// Types that are made here.
pub const KINDS: &[&str] = &["AWS::AutoScaling::AutoScalingGroup", "AWS::EC2::Instance"];

/// Makes one.
///
/// # Errors
/// What EC2 or Auto Scaling answers.
pub async fn create(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    match wanted.kind {
        "AWS::EC2::Instance" => instance(wanted).await,
        "AWS::AutoScaling::AutoScalingGroup" => {
            let name = wanted.name("AutoScalingGroupName", 255);
            let made = wanted
                .call("autoscaling", "CreateAutoScalingGroup", group(wanted, &name))
                .await;
            made_before(made, "AlreadyExists")?;
            Ok(name)
        }
        kind => Err(unsupported(kind)),
    }
}

async fn instance(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let mut given = wanted.properties.clone();
    if let Some(name) = given.text("IamInstanceProfile").map(str::to_owned) {
        given["IamInstanceProfile"] = json!({ "Name": name });
    }
    if let Some(zone) = given.text("AvailabilityZone").map(str::to_owned) {
        given["Placement"] = json!({ "AvailabilityZone": zone });
    }
    given["MinCount"] = 1.into();
    given["MaxCount"] = 1.into();
    given["ClientToken"] = wanted.generated_name(64).into();
    given["TagSpecifications"] = json!([{"ResourceType": "instance", "Tags": wanted.all_tags()}]);
    let answer = wanted
        .call("ec2", "RunInstances", request("ec2", "RunInstances", &given))
        .await?;
    Ok(answer["Instances"][0].required("InstanceId").to_owned())
}

/// A group as Auto Scaling's request writes it: subnets as one text, and every tag of the stack on instances too.
fn group(wanted: &Wanted<'_>, name: &str) -> Value {
    let mut given = wanted.properties.clone();
    given["AutoScalingGroupName"] = name.into();
    let subnets = wanted.properties.texts("VPCZoneIdentifier").join(",");
    if !subnets.is_empty() {
        given["VPCZoneIdentifier"] = subnets.into();
    }
    let mut tags = wanted.properties.list("Tags").to_vec();
    let stack = wanted.all_tags().into_iter();
    let others = stack.filter(|tag| {
        !wanted
            .properties
            .list("Tags")
            .iter()
            .any(|own| own["Key"] == tag["Key"])
    });
    tags.extend(others.map(|tag| json!({"Key": tag["Key"], "Value": tag["Value"], "PropagateAtLaunch": true})));
    given["Tags"] = tags.into();
    request("autoscaling", "CreateAutoScalingGroup", &given)
}

/// What instances are made from: a change of it is worth new instances where the update policy says so.
const SOURCES: &[&str] = &[
    "LaunchConfigurationName",
    "LaunchTemplate",
    "MixedInstancesPolicy",
    "VPCZoneIdentifier",
    "PlacementGroup",
];

/// Changes one. A group whose update policy is a rolling update gets new instances for what they are made from.
///
/// # Errors
/// What Auto Scaling answers.
pub async fn update(wanted: &Wanted<'_>, physical: &str, before: &Value) -> Result<Updated, ApiError> {
    if wanted.kind != "AWS::AutoScaling::AutoScalingGroup" {
        return Ok(Updated::Done);
    }
    let mut wished = group(wanted, physical);
    let policy = wanted.update_policy;
    let leaves_sizes = flag(&policy["AutoScalingScheduledAction"]["IgnoreUnmodifiedGroupSizeProperties"]);
    for size in ["MinSize", "MaxSize", "DesiredCapacity"] {
        let is_same = before.get(size) == wanted.properties.get(size);
        if let Some(members) = wished.as_object_mut().filter(|_| leaves_sizes && is_same) {
            members.remove(size);
        }
    }
    let input = request("autoscaling", "UpdateAutoScalingGroup", &wished);
    wanted.call("autoscaling", "UpdateAutoScalingGroup", input).await?;
    let rolling = &policy["AutoScalingRollingUpdate"];
    let is_new = SOURCES
        .iter()
        .any(|source| before.get(*source) != wanted.properties.get(*source));
    if rolling.is_object() && is_new {
        roll(wanted, physical, rolling).await?;
    }
    Ok(Updated::Done)
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str() == Some("true"))
}

fn count(value: &Value) -> Option<u32> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.and_then(|number| u32::try_from(number).ok())
}

/// Has every instance of a group replaced, `MaxBatchSize` at a time, `MinInstancesInService` of them always in service.
async fn roll(wanted: &Wanted<'_>, name: &str, rolling: &Value) -> Result<(), ApiError> {
    let context = wanted.context;
    crate::autoscaling::group::edit(context, name, |state, group| {
        let keep = count(&rolling["MinInstancesInService"]).unwrap_or(0);
        if keep >= group.max && keep > 0 {
            let message = format!(
                "MinInstancesInService must be less than the autoscaling group's MaxSize ({})",
                group.max
            );
            return Err(ApiError::bad_request("ValidationError", message));
        }
        let batch = count(&rolling["MaxBatchSize"]).unwrap_or(1).max(1);
        // Without room between what is kept and what is there, one instance at a time has to go.
        let keep = keep.min(group.desired.saturating_sub(1));
        let old = group
            .instances(state)
            .filter(|one| one.state.is_live())
            .map(|one| one.id.clone());
        let old = old.collect();
        let preferences = json!({ "MinHealthyPercentage": (keep * 100).checked_div(group.desired).unwrap_or(0) });
        let made = refresh::new(context, (keep, batch), preferences, None);
        for other in group.refreshes.iter_mut().filter(|other| other.is_active()) {
            other.end("Cancelled", context.region.clock.now());
        }
        refresh::begin(group, Refresh { old, ..made }).map(drop)
    })
    .await
}

/// Removes one.
///
/// # Errors
/// What EC2 or Auto Scaling answers.
pub async fn delete(wanted: &Wanted<'_>, physical: &str) -> Result<(), ApiError> {
    let removed = match wanted.kind {
        "AWS::EC2::Instance" => {
            wanted
                .call("ec2", "TerminateInstances", json!({ "InstanceIds": [physical] }))
                .await
        }
        _ => {
            let input = json!({"AutoScalingGroupName": physical, "ForceDelete": true});
            wanted.call("autoscaling", "DeleteAutoScalingGroup", input).await
        }
    };
    match removed {
        Err(error) if error.code == "ValidationError" && error.message.contains("not found") => Ok(()),
        other => other.map(drop),
    }
}

/// How far a resource is that was asked for.
pub fn created(state: &State, kind: &str, physical: &str) -> Progress {
    match kind {
        "AWS::EC2::Instance" => match instance_of(state, physical).map(|one| one.state) {
            Some(LifeState::Pending) => Progress::Busy,
            Some(LifeState::Running) => Progress::Done,
            _ => Progress::Failed(format!("Instance {physical} did not stabilize.")),
        },
        "AWS::AutoScaling::AutoScalingGroup" => {
            let Some(group) = state.groups.get(physical) else {
                return Progress::Failed(format!("Group {physical} is gone."));
            };
            let running = group.instances(state).filter(|one| one.is_in_service()).count();
            match group
                .activities
                .first()
                .filter(|told| told.text("StatusCode") == Some("Failed"))
            {
                Some(told) => Progress::Failed(told.required("StatusMessage").to_owned()),
                None if running < group.desired as usize => Progress::Busy,
                None if group.refreshes.iter().any(Refresh::is_active) => Progress::Busy,
                None => Progress::Done,
            }
        }
        _ => Progress::Done,
    }
}

/// How far the removal of a resource is.
pub fn removed(state: &State, kind: &str, physical: &str) -> Progress {
    let is_there = match kind {
        "AWS::EC2::Instance" => instance_of(state, physical).is_some_and(|one| one.state != LifeState::Terminated),
        "AWS::AutoScaling::AutoScalingGroup" => state.groups.contains_key(physical),
        _ => false,
    };
    if is_there { Progress::Busy } else { Progress::Done }
}

fn instance_of<'a>(state: &'a State, id: &str) -> Option<&'a Ec2Instance> {
    state.instances.values().find(|one| one.id.as_str() == id)
}

/// What `Fn::GetAtt` gives.
pub fn attribute(state: &State, kind: &str, physical: &str, name: &str) -> Option<Value> {
    match (kind, name) {
        ("AWS::EC2::Instance", name) => {
            let one = instance_of(state, physical)?;
            match name {
                "InstanceId" => Some(json!(physical)),
                "PrivateIp" => Some(json!(one.address)),
                "PrivateDnsName" => Some(json!(one.node_name)),
                "AvailabilityZone" => Some(json!(one.zone)),
                "VpcId" => Some(json!(one.vpc)),
                "PublicIp" | "PublicDnsName" => Some(json!("")),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Properties that can be changed where the resource is.
pub fn keeps(kind: &str) -> &'static [&'static str] {
    match kind {
        "AWS::EC2::Instance" => &["Tags", "DisableApiTermination"],
        "AWS::AutoScaling::AutoScalingGroup" => &[
            "MinSize",
            "MaxSize",
            "DesiredCapacity",
            "LaunchTemplate",
            "LaunchConfigurationName",
            "MixedInstancesPolicy",
            "VPCZoneIdentifier",
            "AvailabilityZones",
            "TargetGroupARNs",
            "Tags",
            "HealthCheckType",
            "HealthCheckGracePeriod",
            "Cooldown",
            "TerminationPolicies",
            "NewInstancesProtectedFromScaleIn",
        ],
        _ => &[],
    }
}
