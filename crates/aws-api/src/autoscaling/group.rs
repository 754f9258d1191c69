//! Auto Scaling groups that users make: making, changing, showing, deleting.

use aws_types::time::Time;
use aws_types::{ZoneName, region};
use cluster_lifecycle::nodegroup::GroupSubnet;
use http::StatusCode;
use serde_json::{Value, json};

use super::{invalid, launch_configuration, template};
use crate::ec2::subnet;
use crate::error::ApiError;
use crate::fleet::group::AutoScalingGroup;
use crate::fleet::instance::{Ec2Instance, LifeState};
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// Members of a group that are only shown.
const SHOWN: &[&str] = &[
    "HealthCheckType",
    "HealthCheckGracePeriod",
    "DefaultCooldown",
    "TerminationPolicies",
    "CapacityRebalance",
    "MaxInstanceLifetime",
    "DefaultInstanceWarmup",
    "PlacementGroup",
    "ServiceLinkedRoleARN",
    "Context",
    "DesiredCapacityType",
];

/// A group that is not there.
pub fn not_found(name: &str) -> ApiError {
    invalid(format!(
        "AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"
    ))
}

/// A group of a user's.
///
/// # Errors
/// When it is not there.
pub fn find<'a>(state: &'a State, name: &str) -> Result<&'a AutoScalingGroup, ApiError> {
    state.groups.get(name).ok_or_else(|| not_found(name))
}

/// Changes a group of a user's, and has it looked at.
///
/// # Errors
/// When it is not there, or what the change answers.
pub async fn edit<T>(
    context: &Context,
    name: &str,
    change: impl FnOnce(&State, &mut AutoScalingGroup) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let decide = |state: &State| {
        let mut group = find(state, name)?.clone();
        let answer = change(state, &mut group)?;
        Ok::<_, ApiError>((answer, vec![Change::put(group)]))
    };
    let answer = context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(answer)
}

fn size(input: &Value, member: &str) -> Result<Option<u32>, ApiError> {
    let given = input.number(member);
    given
        .map(|value| u32::try_from(value).map_err(|_negative| invalid(format!("{member} must not be negative"))))
        .transpose()
}

/// Takes in what a request says, when a group is made and when it is changed.
fn fill(state: &State, context: &Context, group: &mut AutoScalingGroup, input: &Value) -> Result<(), ApiError> {
    group.min = size(input, "MinSize")?.unwrap_or(group.min);
    group.max = size(input, "MaxSize")?.unwrap_or(group.max);
    let desired = size(input, "DesiredCapacity")?;
    if group.min > group.max {
        let message = format!(
            "Max bound, {}, must be greater than or equal to min bound, {}",
            group.max, group.min
        );
        return Err(invalid(message));
    }
    group.desired = desired.unwrap_or_else(|| group.desired.clamp(group.min, group.max));
    if !(group.min..=group.max).contains(&group.desired) {
        let message = format!(
            "Desired capacity:{} must be between the specified min size:{} and max size:{}",
            group.desired, group.min, group.max
        );
        return Err(invalid(message));
    }
    if let Some(named) = input.get("LaunchTemplate").filter(|named| named.is_object()) {
        template::check_reference(named)?;
        (group.template, group.mixed, group.launch_configuration) = (Some(named.clone()), None, None);
    }
    if let Some(mixed) = input.get("MixedInstancesPolicy").filter(|mixed| mixed.is_object()) {
        (group.template, group.mixed, group.launch_configuration) = (None, Some(template::mixed(mixed)), None);
    }
    if let Some(name) = input.text("LaunchConfigurationName") {
        (group.template, group.mixed, group.launch_configuration) = (None, None, Some(name.to_owned()));
    }
    if let Some(text) = input.text("VPCZoneIdentifier") {
        group.subnets = named_subnets(state, text)?;
    }
    let zones = input.texts("AvailabilityZones");
    if !zones.is_empty() {
        place_in_zones(state, context, group, &zones)?;
    }
    if let Some(flag) = input.flag("NewInstancesProtectedFromScaleIn") {
        group.protects_new = flag;
    }
    for member in SHOWN {
        if let Some(value) = input.get(*member).filter(|value| !value.is_null()) {
            group.details[*member] = value.clone();
        }
    }
    Ok(())
}

fn named_subnets(state: &State, text: &str) -> Result<Vec<GroupSubnet>, ApiError> {
    let ids = text.split(',').map(str::trim).filter(|id| !id.is_empty());
    ids.map(|id| {
        let found = subnet::find(state, id).map_err(|error| invalid(error.message))?;
        Ok(GroupSubnet {
            id: found.id.clone(),
            zone: found.zone.clone(),
        })
    })
    .collect()
}

fn place_in_zones(
    state: &State,
    context: &Context,
    group: &mut AutoScalingGroup,
    zones: &[&str],
) -> Result<(), ApiError> {
    let known = region::find(&context.region.name)
        .map(region::Region::zones)
        .unwrap_or_default();
    if let Some(unknown) = zones
        .iter()
        .find(|zone| !known.iter().any(|(known, _)| known.as_str() == **zone))
    {
        return Err(invalid(format!("Invalid availability zones: [{unknown}]")));
    }
    let named: Vec<ZoneName> = known
        .into_iter()
        .map(|(zone, _)| zone)
        .filter(|zone| zones.contains(&zone.as_str()))
        .collect();
    if group.subnets.is_empty() {
        let own = state
            .subnets
            .values()
            .filter(|subnet| subnet.is_default && named.contains(&subnet.zone));
        group.subnets = own
            .map(|subnet| GroupSubnet {
                id: subnet.id.clone(),
                zone: subnet.zone.clone(),
            })
            .collect();
        if group.subnets.is_empty() {
            return Err(invalid(
                "No default subnet was found in the specified availability zones. Please specify VPCZoneIdentifier.",
            ));
        }
    } else if let Some(outside) = group.subnets.iter().find(|subnet| !named.contains(&subnet.zone)) {
        return Err(invalid(format!(
            "The availability zones of the specified subnets and the Auto Scaling group do not match: {}",
            outside.zone
        )));
    }
    group.zones = named;
    Ok(())
}

/// Refuses requests for what no group is made from.
fn check_request(input: &Value) -> Result<(), ApiError> {
    let sources = [
        "LaunchTemplate",
        "MixedInstancesPolicy",
        "LaunchConfigurationName",
        "InstanceId",
    ];
    let given = sources
        .iter()
        .filter(|member| input.get(**member).is_some_and(|value| !value.is_null()));
    if given.count() != 1 {
        let message = "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.";
        return Err(invalid(message));
    }
    if input.text("VPCZoneIdentifier").is_none() && input.texts("AvailabilityZones").is_empty() {
        return Err(invalid("At least one Availability Zone or VPC Subnet is required."));
    }
    Ok(())
}

/// A group without sizes and places.
fn new(context: &Context, input: &Value) -> AutoScalingGroup {
    let (name, region) = (input.required("AutoScalingGroupName"), &context.region);
    let (account, uuid) = (&context.caller.account, region.random.uuid());
    let tag = |tag: &Value| {
        let propagates = tag.flag("PropagateAtLaunch").unwrap_or(false);
        (
            tag.required("Key").to_owned(),
            (tag.required("Value").to_owned(), propagates),
        )
    };
    let hook = |hook: &Value| {
        (
            hook.required("LifecycleHookName").to_owned(),
            super::hook::view(name, hook),
        )
    };
    AutoScalingGroup {
        name: name.to_owned(),
        arn: format!(
            "arn:aws:autoscaling:{}:{account}:autoScalingGroup:{uuid}:autoScalingGroupName/{name}",
            region.name
        ),
        created_at: region.clock.now(),
        min: 0,
        max: 0,
        desired: 0,
        subnets: Vec::new(),
        zones: Vec::new(),
        template: None,
        mixed: None,
        launch_configuration: None,
        policies: Default::default(),
        scheduled: Default::default(),
        scheduled_until: None,
        refreshes: Vec::new(),
        warm_pool: None,
        scaled_at: None,
        notifications: Default::default(),
        tags: input.list("Tags").iter().map(tag).collect(),
        suspended: Default::default(),
        hooks: input.list("LifecycleHookSpecificationList").iter().map(hook).collect(),
        activities: Vec::new(),
        target_groups: input.texts("TargetGroupARNs").into_iter().map(str::to_owned).collect(),
        protects_new: false,
        deleting: false,
        pause: None,
        details: json!({
            "HealthCheckType": "EC2", "HealthCheckGracePeriod": 0, "DefaultCooldown": 300, "CapacityRebalance": false,
            "TerminationPolicies": ["Default"], "LoadBalancerNames": input.list("LoadBalancerNames"), "EnabledMetrics": [],
        }),
    }
}

/// `CreateAutoScalingGroup`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    check_request(&input)?;
    let asked_name = input.required("AutoScalingGroupName").to_owned();
    let name = asked_name.as_str();
    let mut group = new(&context, &input);
    let decide = |state: &State| {
        let is_managed = super::of_nodegroups(state).any(|(_, group)| group.auto_scaling_group == name);
        if is_managed || state.groups.contains_key(name) {
            let message =
                format!("AutoScalingGroup by this name already exists - A group with the name {name} already exists");
            return Err(ApiError::new("AlreadyExists", StatusCode::BAD_REQUEST, message));
        }
        let mut changes = Vec::new();
        let mut input = input;
        // A group that is to be like an instance gets a launch configuration of its own name.
        if input.text("InstanceId").is_some() {
            launch_configuration::require_free(state, name)?;
            let made = launch_configuration::new(state, &context, name, &json!({"InstanceId": input["InstanceId"]}))?;
            changes.push(Change::put(made));
            input["LaunchConfigurationName"] = name.into();
        }
        fill(state, &context, &mut group, &input)?;
        if changes.is_empty() {
            template::check(state, &group)?;
        }
        changes.push(Change::put(group));
        Ok::<_, ApiError>(((), changes))
    };
    context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(nothing())
}

/// `UpdateAutoScalingGroup` of a user's group.
///
/// # Errors
/// When it is not there or cannot be so.
pub async fn update(context: &Context, input: &Value) -> Result<Value, ApiError> {
    edit(context, input.required("AutoScalingGroupName"), |state, group| {
        group.pause = None;
        fill(state, context, group, input)?;
        template::check(state, group)?;
        Ok(nothing())
    })
    .await
}

/// `SetDesiredCapacity` of a user's group.
///
/// # Errors
/// When it is not there or the size is out of bounds.
pub async fn set_desired(context: &Context, name: &str, desired: u32) -> Result<(), ApiError> {
    edit(context, name, |_, group| {
        if desired > group.max {
            let message = format!(
                "New SetDesiredCapacity value {desired} is above max value {} for the AutoScalingGroup.",
                group.max
            );
            return Err(invalid(message));
        }
        if desired < group.min {
            let message = format!(
                "New SetDesiredCapacity value {desired} is below min value {} for the AutoScalingGroup.",
                group.min
            );
            return Err(invalid(message));
        }
        group.desired = desired;
        group.pause = None;
        Ok(())
    })
    .await
}

/// `DeleteAutoScalingGroup`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("AutoScalingGroupName");
    let force = input.flag("ForceDelete").unwrap_or(false);
    edit(&context, name, |state, group| {
        let has_instances = group.instances(state).any(|one| one.state != LifeState::Terminated);
        if has_instances && !force {
            let message = "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.";
            return Err(ApiError::bad_request("ResourceInUse", message));
        }
        group.deleting = true;
        (group.min, group.max, group.desired) = (0, 0, 0);
        // Nothing that was asked to rest keeps a group from going.
        group.suspended.clear();
        group.hooks.clear();
        Ok(nothing())
    })
    .await?;
    let decide = |state: &State| {
        let changes = state
            .instances
            .values()
            .filter(|one| one.group.as_deref() == Some(name))
            .map(|one| {
                let mut one = one.clone();
                (one.protected, one.standby, one.hold) = (false, false, None);
                Change::put(one)
            });
        Ok::<_, ApiError>(((), changes.collect()))
    };
    context.region.ledger.change(decide).await?;
    // With nothing left to end, the group is gone with this call.
    let decide = |state: &State| {
        let is_empty = state.groups.get(name).is_some_and(|group| {
            group.deleting && group.instances(state).all(|one| one.state == LifeState::Terminated)
        });
        let gone = is_empty.then(|| Change::remove::<AutoScalingGroup>(name.to_owned()));
        Ok::<_, ApiError>(((), gone.into_iter().collect()))
    };
    context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(nothing())
}

/// What Auto Scaling calls an instance's state.
pub fn lifecycle(instance: &Ec2Instance) -> &'static str {
    match instance.state {
        LifeState::Pending => "Pending",
        LifeState::Running if instance.is_leaving() => "Terminating:Wait",
        LifeState::Running if instance.hold.is_some() => "Pending:Wait",
        LifeState::Running if instance.standby => "Standby",
        LifeState::Running => "InService",
        LifeState::Stopping | LifeState::Stopped | LifeState::ShuttingDown => "Terminating",
        LifeState::Terminated => "Terminated",
    }
}

/// An instance that goes because something is wrong with it is unhealthy until it is gone.
fn health(instance: &Ec2Instance) -> &'static str {
    match instance.state {
        LifeState::Pending | LifeState::Running => "Healthy",
        _ => "Unhealthy",
    }
}

fn instance_view(instance: &Ec2Instance) -> Value {
    let template = instance
        .template
        .as_ref()
        .map(|(id, name, version)| json!({"LaunchTemplateId": id, "LaunchTemplateName": name, "Version": version}));
    json!({
        "InstanceId": instance.id, "InstanceType": instance.instance_type, "AvailabilityZone": instance.zone,
        "LifecycleState": lifecycle(instance), "HealthStatus": health(instance), "LaunchTemplate": template,
        "ProtectedFromScaleIn": instance.protected, "LaunchConfigurationName": instance.launch_configuration,
    })
}

/// Tags as answers show them.
pub fn tag_views(group: &AutoScalingGroup) -> Vec<Value> {
    let tags = group.tags.iter();
    tags.map(|(key, (value, propagates))| {
        json!({
            "Key": key, "Value": value, "ResourceId": group.name, "ResourceType": "auto-scaling-group",
            "PropagateAtLaunch": propagates,
        })
    })
    .collect()
}

/// A group as `DescribeAutoScalingGroups` shows it.
pub fn view(state: &State, group: &AutoScalingGroup) -> Value {
    let mut zones: Vec<String> = group.subnets.iter().map(|subnet| subnet.zone.to_string()).collect();
    zones.extend(group.zones.iter().map(ToString::to_string));
    zones.sort();
    zones.dedup();
    let subnets: Vec<&str> = group.subnets.iter().map(|subnet| subnet.id.as_str()).collect();
    let own = group.instances(state).filter(|one| one.state != LifeState::Terminated);
    let suspended: Vec<Value> = group
        .suspended
        .iter()
        .map(|name| json!({"ProcessName": name, "SuspensionReason": format!("User suspended at {}", group.created_at)}))
        .collect();
    let mut view = json!({
        "AutoScalingGroupName": group.name, "AutoScalingGroupARN": group.arn, "MinSize": group.min, "MaxSize": group.max,
        "DesiredCapacity": group.desired, "AvailabilityZones": zones, "Instances": own.map(instance_view).collect::<Vec<_>>(),
        "CreatedTime": Time(group.created_at), "VPCZoneIdentifier": subnets.join(","), "Tags": tag_views(group),
        "NewInstancesProtectedFromScaleIn": group.protects_new, "LoadBalancerNames": [], "EnabledMetrics": [],
        "LaunchConfigurationName": group.launch_configuration, "WarmPoolConfiguration": group.warm_pool,
        "TargetGroupARNs": group.target_groups, "SuspendedProcesses": suspended,
        "TrafficSources": group.target_groups.iter().map(|arn| json!({"Identifier": arn, "Type": "elbv2"})).collect::<Vec<_>>(),
    });
    if let (Some(all), Some(own)) = (view.as_object_mut(), group.details.as_object()) {
        all.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    if let Some(template) = &group.template {
        view["LaunchTemplate"] = full_template(state, template);
    }
    if let Some(mixed) = &group.mixed {
        let mut mixed = mixed.clone();
        mixed["LaunchTemplate"]["LaunchTemplateSpecification"] =
            full_template(state, &mixed["LaunchTemplate"]["LaunchTemplateSpecification"]);
        view["MixedInstancesPolicy"] = mixed;
    }
    if group.deleting {
        view["Status"] = "Delete in progress".into();
    }
    view
}

/// A template with id and name, whichever of them it was named by.
fn full_template(state: &State, named: &Value) -> Value {
    let mut full = named.clone();
    let known =
        crate::ec2::launch_template::find(state, named.text("LaunchTemplateId"), named.text("LaunchTemplateName"));
    if let Ok(known) = known {
        full["LaunchTemplateId"] = known.id.as_str().into();
        full["LaunchTemplateName"] = known.body["LaunchTemplateName"].clone();
    }
    full
}
