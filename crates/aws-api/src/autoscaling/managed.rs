//! The Auto Scaling groups behind managed node groups, as the cluster autoscaler sees and sizes them.

use std::collections::BTreeMap;

use aws_types::time::Time;
use aws_types::{ClusterName, InstanceId};
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::{Input, Nodegroup, Phase, Scaling};
use cluster_lifecycle::request as rules;
use serde_json::{Value, json};

use super::{invalid, of_nodegroups};
use crate::ec2::instance;
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::operations::Context;

fn find<'a>(state: &'a State, name: &str) -> Result<(&'a Cluster, &'a Nodegroup), ApiError> {
    let found = of_nodegroups(state).find(|(_, group)| group.auto_scaling_group == name);
    found.ok_or_else(|| {
        invalid(format!(
            "AutoScalingGroup name not found - AutoScalingGroup {name} not found"
        ))
    })
}

/// Tags of the group.
pub fn tags(cluster: &Cluster, group: &Nodegroup) -> BTreeMap<String, String> {
    let mut tags = instance::tags(cluster, group);
    tags.remove("aws:autoscaling:groupName");
    tags.remove("Name");
    tags
}

/// What Auto Scaling calls a phase.
pub fn lifecycle(phase: Phase) -> &'static str {
    match phase {
        Phase::Launching | Phase::Joining => "Pending",
        Phase::InService => "InService",
        Phase::Draining => "Terminating:Wait",
        Phase::Terminating => "Terminating",
    }
}

/// Tags as answers show them.
pub fn tag_views(cluster: &Cluster, group: &Nodegroup) -> Vec<Value> {
    let own = tags(cluster, group).into_iter();
    own.map(|(key, value)| {
        json!({
            "Key": key, "Value": value, "ResourceId": group.auto_scaling_group, "ResourceType": "auto-scaling-group",
            "PropagateAtLaunch": true,
        })
    })
    .collect()
}

/// A group as `DescribeAutoScalingGroups` shows it.
pub fn view(context: &Context, cluster: &Cluster, group: &Nodegroup) -> Value {
    let name = &group.auto_scaling_group;
    let mut zones: Vec<String> = group.subnets.iter().map(|subnet| subnet.zone.to_string()).collect();
    zones.sort();
    zones.dedup();
    let subnets: Vec<String> = group.subnets.iter().map(|subnet| subnet.id.to_string()).collect();
    let template = json!({
        "LaunchTemplateId": format!("lt-{}", &group.arn[group.arn.len().saturating_sub(17)..].replace('-', "0")),
        "LaunchTemplateName": name.replacen(&format!("eks-{}-", group.name), "eks-", 1), "Version": "1",
    });
    let instances: Vec<Value> = group
        .instances
        .iter()
        .map(|one| {
            json!({
                "InstanceId": one.id, "InstanceType": one.instance_type, "AvailabilityZone": one.zone,
                "LifecycleState": lifecycle(one.phase), "HealthStatus": "Healthy", "ProtectedFromScaleIn": false,
            })
        })
        .collect();
    let overrides: Vec<Value> = group
        .instance_types
        .iter()
        .map(|kind| json!({ "InstanceType": kind }))
        .collect();
    json!({
        "AutoScalingGroupName": name, "MinSize": group.scaling.min, "MaxSize": group.scaling.max,
        "AutoScalingGroupARN": format!("arn:aws:autoscaling:{}:{}:autoScalingGroup:{}:autoScalingGroupName/{name}", context.region.name, context.caller.account, &group.arn[group.arn.len().saturating_sub(36)..]),
        "DesiredCapacity": group.scaling.desired, "DefaultCooldown": 300, "AvailabilityZones": zones, "HealthCheckType": "EC2",
        "HealthCheckGracePeriod": 15, "Instances": instances, "CreatedTime": Time(group.created_at),
        "VPCZoneIdentifier": subnets.join(","), "Tags": tag_views(cluster, group), "NewInstancesProtectedFromScaleIn": false,
        "TerminationPolicies": ["AllocationStrategy", "OldestLaunchTemplate", "OldestInstance"],
        "MixedInstancesPolicy": {"LaunchTemplate": {"LaunchTemplateSpecification": template, "Overrides": overrides}},
        "LoadBalancerNames": [], "TargetGroupARNs": [], "SuspendedProcesses": [], "EnabledMetrics": [],
        "CapacityRebalance": group.capacity_type == "SPOT",
    })
}

/// Sizes a group through its node group.
///
/// # Errors
/// When it is not there or cannot be so.
pub async fn resize(
    context: &Context,
    name: &str,
    change: impl FnOnce(Scaling) -> Scaling,
    end: Option<InstanceId>,
) -> Result<(), ApiError> {
    let decide = |state: &State| {
        let (cluster, group) = find(state, name)?;
        let scaling = rules::scaling(change(group.scaling)).map_err(|refusal| invalid(refusal.message))?;
        let resized = group.clone().step(Input::Resize { scaling, end })?;
        let changes = resized.map(Change::put).into_iter().collect();
        Ok::<_, ApiError>((cluster.name.clone(), changes))
    };
    let cluster: ClusterName = context.region.ledger.change(decide).await?;
    context.region.drive(&cluster);
    Ok(())
}

/// `TerminateInstanceInAutoScalingGroup` of a managed node group's.
///
/// # Errors
/// When no node group has the instance, or would become too small.
pub async fn terminate(context: &Context, id: &str, shrink: bool) -> Result<Value, ApiError> {
    let group = context.region.ledger.read(|state| {
        let found = instance::all(state).find(|(_, _, one)| one.id.as_str() == id);
        found.map(|(_, group, one)| (group.auto_scaling_group.clone(), one.id.clone(), group.scaling))
    });
    let (name, instance, scaling) = group.ok_or_else(|| {
        invalid(format!(
            "Instance Id not found - No managed instance found for instance ID {id}"
        ))
    })?;
    if shrink && scaling.desired <= scaling.min {
        let message = "Currently, desiredSize equals minSize. Terminating instance without replacement will violate group's min size constraint.";
        return Err(invalid(message));
    }
    let change = |scaling: Scaling| {
        if shrink {
            Scaling {
                desired: scaling.desired - 1,
                ..scaling
            }
        } else {
            scaling
        }
    };
    resize(context, &name, change, Some(instance)).await?;
    let now = Time(context.region.clock.now());
    Ok(json!({"Activity": {
        "ActivityId": context.region.random.uuid(), "AutoScalingGroupName": name, "StartTime": now, "StatusCode": "InProgress",
        "Cause": "At the user's request", "Description": format!("Terminating EC2 instance: {id}"), "Progress": 0,
    }}))
}
