//! Auto Scaling groups: those behind managed node groups, as the cluster autoscaler sees and sizes them.

use std::collections::BTreeMap;

use aws_types::time::Time;
use aws_types::{ClusterName, InstanceId};
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::{Input, Nodegroup, Phase, Scaling};
use cluster_lifecycle::request as rules;
use http::StatusCode;
use serde_json::{Value, json};

use crate::ec2::instance;
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("ValidationError", message)
}

fn groups(state: &State) -> impl Iterator<Item = (&Cluster, &Nodegroup)> {
    state
        .nodegroups
        .values()
        .filter_map(|group| Some((state.clusters.get(&group.cluster)?, group)))
}

fn find<'a>(state: &'a State, name: &str) -> Result<(&'a Cluster, &'a Nodegroup), ApiError> {
    let found = groups(state).find(|(_, group)| group.auto_scaling_group == name);
    found.ok_or_else(|| {
        invalid(format!(
            "AutoScalingGroup name not found - AutoScalingGroup {name} not found"
        ))
    })
}

fn tags(cluster: &Cluster, group: &Nodegroup) -> BTreeMap<String, String> {
    let mut tags = instance::tags(cluster, group);
    tags.remove("aws:autoscaling:groupName");
    tags.remove("Name");
    tags
}

fn lifecycle(phase: Phase) -> &'static str {
    match phase {
        Phase::Launching | Phase::Joining => "Pending",
        Phase::InService => "InService",
        Phase::Draining => "Terminating:Wait",
        Phase::Terminating => "Terminating",
    }
}

fn tag_views(cluster: &Cluster, group: &Nodegroup) -> Vec<Value> {
    let own = tags(cluster, group).into_iter();
    own.map(|(key, value)| {
        json!({
            "Key": key, "Value": value, "ResourceId": group.auto_scaling_group, "ResourceType": "auto-scaling-group",
            "PropagateAtLaunch": true,
        })
    })
    .collect()
}

fn view(context: &Context, cluster: &Cluster, group: &Nodegroup) -> Value {
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

/// Filters `tag-key`, `tag-value` and `tag:<key>`, all of which must fit.
fn passes(input: &Value, tags: &BTreeMap<String, String>) -> bool {
    input.list("Filters").iter().all(|filter| {
        let (name, values) = (filter.required("Name"), filter.texts("Values"));
        match name.strip_prefix("tag:") {
            Some(key) => tags.get(key).is_some_and(|value| values.contains(&value.as_str())),
            None if name == "tag-key" => tags.keys().any(|key| values.contains(&key.as_str())),
            None if name == "tag-value" => tags.values().any(|value| values.contains(&value.as_str())),
            None => false,
        }
    })
}

/// One page: `NextToken` is where the next begins.
fn page(input: &Value, member: &str, views: Vec<Value>) -> Result<Value, ApiError> {
    let token = input.text("NextToken").unwrap_or("0");
    let begin: usize = token
        .parse()
        .map_err(|_no_token| ApiError::bad_request("InvalidNextToken", "The NextToken value is not valid."))?;
    let most = input
        .number("MaxRecords")
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or(50)
        .clamp(1, 100);
    let total = views.len();
    let page: Vec<Value> = views.into_iter().skip(begin).take(most).collect();
    let end = begin + page.len();
    let mut answer = json!({ member: page });
    if end < total {
        answer["NextToken"] = end.to_string().into();
    }
    Ok(answer)
}

/// `DescribeAutoScalingGroups`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = input.texts("AutoScalingGroupNames");
    let views = context.region.ledger.read(|state| {
        let named =
            groups(state).filter(|(_, group)| names.is_empty() || names.contains(&group.auto_scaling_group.as_str()));
        let fitting = named.filter(|(cluster, group)| passes(&input, &tags(cluster, group)));
        fitting.map(|(cluster, group)| view(&context, cluster, group)).collect()
    });
    page(&input, "AutoScalingGroups", views)
}

/// `DescribeAutoScalingInstances`.
pub async fn describe_instances(context: Context, input: Value) -> Result<Value, ApiError> {
    let ids = input.texts("InstanceIds");
    let views = context.region.ledger.read(|state| {
        let chosen = instance::all(state).filter(|(_, _, one)| ids.is_empty() || ids.contains(&one.id.as_str()));
        chosen
            .map(|(_, group, one)| {
                json!({
                    "InstanceId": one.id, "InstanceType": one.instance_type, "AutoScalingGroupName": group.auto_scaling_group,
                    "AvailabilityZone": one.zone, "LifecycleState": lifecycle(one.phase), "HealthStatus": "HEALTHY",
                    "ProtectedFromScaleIn": false,
                })
            })
            .collect()
    });
    page(&input, "AutoScalingInstances", views)
}

/// `DescribeTags`.
pub async fn describe_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    let fits = |view: &Value| {
        input.list("Filters").iter().all(|filter| {
            let member = match filter.required("Name") {
                "auto-scaling-group" => "ResourceId",
                "key" => "Key",
                "value" => "Value",
                _ => return true,
            };
            filter.texts("Values").contains(&view.required(member))
        })
    };
    let views = context.region.ledger.read(|state| {
        groups(state)
            .flat_map(|(cluster, group)| tag_views(cluster, group))
            .filter(fits)
            .collect()
    });
    page(&input, "Tags", views)
}

/// `DescribeScalingActivities`: what fails is told by the node group's health; nothing else is recorded.
pub async fn activities(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.text("AutoScalingGroupName");
    let views = context.region.ledger.read(|state| {
        let own = groups(state).filter(|(_, group)| name.is_none_or(|name| name == group.auto_scaling_group));
        own.flat_map(|(_, group)| {
            group.issues.iter().enumerate().map(move |(index, issue)| {
                json!({
                    "ActivityId": format!("{}-{index}", group.name), "AutoScalingGroupName": group.auto_scaling_group,
                    "Cause": issue.code, "StartTime": Time(group.modified_at), "StatusCode": "Failed", "StatusMessage": issue.message,
                    "Description": "Launching a new EC2 instance", "Progress": 100,
                })
            })
        })
        .collect()
    });
    page(&input, "Activities", views)
}

/// `DescribeLaunchConfigurations`: groups here use launch templates.
pub async fn launch_configurations(_context: Context, _input: Value) -> Result<Value, ApiError> {
    Ok(json!({ "LaunchConfigurations": [] }))
}

async fn resize(
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

fn size(value: i64) -> Result<u32, ApiError> {
    u32::try_from(value).map_err(|_negative| invalid(format!("size {value} must not be negative")))
}

/// `SetDesiredCapacity`.
pub async fn set_desired(context: Context, input: Value) -> Result<Value, ApiError> {
    let desired = size(input.number("DesiredCapacity").unwrap_or(0))?;
    resize(
        &context,
        input.required("AutoScalingGroupName"),
        |scaling| Scaling { desired, ..scaling },
        None,
    )
    .await?;
    Ok(nothing())
}

/// `UpdateAutoScalingGroup`: sizes.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let number = |member: &str| input.number(member).map(size).transpose();
    let (min, max, desired) = (number("MinSize")?, number("MaxSize")?, number("DesiredCapacity")?);
    let change = |scaling: Scaling| Scaling {
        min: min.unwrap_or(scaling.min),
        max: max.unwrap_or(scaling.max),
        desired: desired.unwrap_or(scaling.desired),
    };
    resize(&context, input.required("AutoScalingGroupName"), change, None).await?;
    Ok(nothing())
}

/// `TerminateInstanceInAutoScalingGroup`.
pub async fn terminate(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("InstanceId");
    let shrink = input.flag("ShouldDecrementDesiredCapacity").unwrap_or(false);
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
    resize(&context, &name, change, Some(instance)).await?;
    let now = Time(context.region.clock.now());
    Ok(json!({"Activity": {
        "ActivityId": context.region.random.uuid(), "AutoScalingGroupName": name, "StartTime": now, "StatusCode": "InProgress",
        "Cause": "At the user's request", "Description": format!("Terminating EC2 instance: {id}"), "Progress": 0,
    }}))
}

/// `CreateOrUpdateTags`, `DeleteTags`: tags of a node group's Auto Scaling group are EKS's.
pub async fn refuse_tags(_context: Context, _input: Value) -> Result<Value, ApiError> {
    let message = "Tags of a managed node group's Auto Scaling group are changed by EKS's TagResource here";
    Err(ApiError::new("ValidationError", StatusCode::BAD_REQUEST, message))
}
