//! Auto Scaling groups: those that users make, and those behind managed node groups.

pub mod activity;
pub mod group;
pub mod hook;
pub mod launch_configuration;
pub mod lifecycle;
mod managed;
pub mod member;
pub mod notice;
pub mod policy;
pub mod refresh;
pub mod schedule;
pub mod tag;
pub mod template;
pub mod warm_pool;

use std::collections::BTreeMap;

use aws_types::time::Time;
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::{Nodegroup, Scaling};
use serde_json::{Value, json};

use crate::ec2::instance;
use crate::error::ApiError;
use crate::fleet::instance::LifeState;
use crate::ledger::State;
use crate::members::{Members, nothing};
use crate::operations::Context;

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("ValidationError", message)
}

/// The groups behind managed node groups.
fn of_nodegroups(state: &State) -> impl Iterator<Item = (&Cluster, &Nodegroup)> {
    state
        .nodegroups
        .values()
        .filter_map(|group| Some((state.clusters.get(&group.cluster)?, group)))
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
    let is_named = |name: &str| names.is_empty() || names.contains(&name);
    let views = context.region.ledger.read(|state| {
        let managed = of_nodegroups(state)
            .filter(|(cluster, group)| {
                is_named(&group.auto_scaling_group) && passes(&input, &managed::tags(cluster, group))
            })
            .map(|(cluster, group)| managed::view(&context, cluster, group));
        let plain = |group: &crate::fleet::group::AutoScalingGroup| {
            let tags = group.tags.iter().map(|(key, (value, _))| (key.clone(), value.clone()));
            tags.collect::<BTreeMap<_, _>>()
        };
        let own = state
            .groups
            .values()
            .filter(|group| is_named(&group.name) && passes(&input, &plain(group)));
        managed.chain(own.map(|group| group::view(state, group))).collect()
    });
    page(&input, "AutoScalingGroups", views)
}

/// `DescribeAutoScalingInstances`.
pub async fn describe_instances(context: Context, input: Value) -> Result<Value, ApiError> {
    let ids = input.texts("InstanceIds");
    let views = context.region.ledger.read(|state| {
        let is_chosen = |id: &str| ids.is_empty() || ids.contains(&id);
        let own = state.instances.values().filter(|one| is_chosen(one.id.as_str()) && one.state != LifeState::Terminated);
        let own = own.filter_map(|one| {
            let template = one.template.as_ref().map(|(id, name, version)| {
                json!({"LaunchTemplateId": id, "LaunchTemplateName": name, "Version": version})
            });
            Some(json!({
                "InstanceId": one.id, "InstanceType": one.instance_type, "AutoScalingGroupName": one.group.as_ref()?,
                "AvailabilityZone": one.zone, "LifecycleState": group::lifecycle(one), "HealthStatus": "HEALTHY",
                "LaunchTemplate": template, "ProtectedFromScaleIn": one.protected,
                "LaunchConfigurationName": one.launch_configuration,
            }))
        });
        let chosen = instance::all(state).filter(|(_, _, one)| is_chosen(one.id.as_str()));
        chosen
            .map(|(_, group, one)| {
                json!({
                    "InstanceId": one.id, "InstanceType": one.instance_type, "AutoScalingGroupName": group.auto_scaling_group,
                    "AvailabilityZone": one.zone, "LifecycleState": managed::lifecycle(one.phase), "HealthStatus": "HEALTHY",
                    "ProtectedFromScaleIn": false,
                })
            })
            .chain(own)
            .collect()
    });
    page(&input, "AutoScalingInstances", views)
}

/// `DescribeScalingActivities`: of managed node groups only what fails is told, by the node group's health.
pub async fn activities(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.text("AutoScalingGroupName");
    let views = context.region.ledger.read(|state| {
        let own = of_nodegroups(state).filter(|(_, group)| name.is_none_or(|name| name == group.auto_scaling_group));
        let groups = state.groups.values().filter(|group| name.is_none_or(|name| name == group.name));
        let told: Vec<Value> = groups.flat_map(|group| group.activities.iter().cloned()).collect();
        own.flat_map(|(_, group)| {
            group.issues.iter().enumerate().map(move |(index, issue)| {
                json!({
                    "ActivityId": format!("{}-{index}", group.name), "AutoScalingGroupName": group.auto_scaling_group,
                    "Cause": issue.code, "StartTime": Time(group.modified_at), "StatusCode": "Failed", "StatusMessage": issue.message,
                    "Description": "Launching a new EC2 instance", "Progress": 100,
                })
            })
        })
        .chain(told)
        .collect()
    });
    page(&input, "Activities", views)
}

fn size(value: i64) -> Result<u32, ApiError> {
    u32::try_from(value).map_err(|_negative| invalid(format!("size {value} must not be negative")))
}

fn is_own(context: &Context, name: &str) -> bool {
    context.region.ledger.read(|state| state.groups.contains_key(name))
}

/// `SetDesiredCapacity`.
pub async fn set_desired(context: Context, input: Value) -> Result<Value, ApiError> {
    let desired = size(input.number("DesiredCapacity").unwrap_or(0))?;
    let name = input.required("AutoScalingGroupName");
    if is_own(&context, name) {
        group::set_desired(&context, name, desired).await?;
    } else {
        managed::resize(&context, name, |scaling| Scaling { desired, ..scaling }, None).await?;
    }
    Ok(nothing())
}

/// `UpdateAutoScalingGroup`: of managed node groups the sizes.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("AutoScalingGroupName");
    if is_own(&context, name) {
        return group::update(&context, &input).await;
    }
    let is_managed = |state: &State| of_nodegroups(state).any(|(_, group)| group.auto_scaling_group == name);
    if !context.region.ledger.read(is_managed) {
        return Err(invalid("AutoScalingGroup name not found - null"));
    }
    let number = |member: &str| input.number(member).map(size).transpose();
    let (min, max, desired) = (number("MinSize")?, number("MaxSize")?, number("DesiredCapacity")?);
    let change = |scaling: Scaling| Scaling {
        min: min.unwrap_or(scaling.min),
        max: max.unwrap_or(scaling.max),
        desired: desired.unwrap_or(scaling.desired),
    };
    managed::resize(&context, name, change, None).await?;
    Ok(nothing())
}

/// `TerminateInstanceInAutoScalingGroup`.
pub async fn terminate(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("InstanceId");
    let shrinks = input.flag("ShouldDecrementDesiredCapacity").unwrap_or(false);
    if let Some(answer) = member::terminate(&context, id, shrinks).await? {
        return Ok(answer);
    }
    managed::terminate(&context, id, shrinks).await
}
