//! From what a group launches: its launch template, or the choices of its mixed instances policy.

use serde_json::{Value, json};

use super::{invalid, launch_configuration};
use crate::ec2::launch::{self, Wanted};
use crate::error::ApiError;
use crate::fleet::group::AutoScalingGroup;
use crate::fleet::instance::Ec2Instance;
use crate::ledger::State;
use crate::members::Members;
use crate::operations::Context;

/// A launch template as Auto Scaling names it, as EC2 does.
fn named(specification: &Value) -> Value {
    let mut named = json!({});
    for member in ["LaunchTemplateId", "LaunchTemplateName", "Version"] {
        if let Some(text) = specification.text(member) {
            named[member] = text.into();
        }
    }
    named
}

/// Refuses a template that is named by both id and name, or by none of them.
///
/// # Errors
/// Auto Scaling's own.
pub fn check_reference(named: &Value) -> Result<(), ApiError> {
    if named.text("LaunchTemplateId").is_some() == named.text("LaunchTemplateName").is_some() {
        return Err(invalid(
            "Valid requests must contain either launchTemplateId or LaunchTemplateName",
        ));
    }
    Ok(())
}

/// A mixed instances policy with Auto Scaling's defaults.
pub fn mixed(given: &Value) -> Value {
    let mut policy = given.clone();
    for (member, usual) in [
        ("OnDemandAllocationStrategy", json!("prioritized")),
        ("OnDemandBaseCapacity", json!(0)),
        ("OnDemandPercentageAboveBaseCapacity", json!(100)),
        ("SpotAllocationStrategy", json!("lowest-price")),
    ] {
        if policy["InstancesDistribution"].get(member).is_none_or(Value::is_null) {
            policy["InstancesDistribution"][member] = usual;
        }
    }
    let is_cheapest = policy["InstancesDistribution"].text("SpotAllocationStrategy") == Some("lowest-price");
    if is_cheapest
        && policy["InstancesDistribution"]
            .get("SpotInstancePools")
            .is_none_or(Value::is_null)
    {
        policy["InstancesDistribution"]["SpotInstancePools"] = 2.into();
    }
    if policy["LaunchTemplate"].get("Overrides").is_none_or(Value::is_null) {
        policy["LaunchTemplate"]["Overrides"] = json!([]);
    }
    policy
}

/// The request of the group's next instance.
fn request(state: &State, group: &AutoScalingGroup, on_demand_now: usize) -> Result<Value, ApiError> {
    if let Some(name) = &group.launch_configuration {
        return Ok(launch_configuration::request(
            &launch_configuration::find(state, name)?.body,
        ));
    }
    if let Some(template) = &group.template {
        return Ok(json!({ "LaunchTemplate": named(template) }));
    }
    let Some(mixed) = &group.mixed else {
        return Err(invalid("The group has no launch template"));
    };
    let template = &mixed["LaunchTemplate"];
    let first = template.list("Overrides").first().cloned().unwrap_or_default();
    let specification = first.get("LaunchTemplateSpecification").filter(|own| own.is_object());
    let mut request =
        json!({ "LaunchTemplate": named(specification.unwrap_or(&template["LaunchTemplateSpecification"])) });
    if let Some(kind) = first.text("InstanceType") {
        request["InstanceType"] = kind.into();
    }
    let distribution = &mixed["InstancesDistribution"];
    let base = distribution.number("OnDemandBaseCapacity").unwrap_or(0);
    let above = distribution
        .number("OnDemandPercentageAboveBaseCapacity")
        .unwrap_or(100);
    let wanted = base + (i64::from(group.desired) - base).max(0) * above / 100;
    if i64::try_from(on_demand_now).unwrap_or(i64::MAX) >= wanted {
        request["InstanceMarketOptions"] = json!({"MarketType": "spot"});
    }
    Ok(request)
}

/// The group's next instance, in a subnet.
///
/// # Errors
/// EC2's own for templates, images and what else is not there.
pub fn wanted(
    state: &State,
    context: &Context,
    group: &AutoScalingGroup,
    subnet: &str,
    launched: &[Ec2Instance],
) -> Result<Wanted, ApiError> {
    let is_on_demand = |one: &&Ec2Instance| !one.spot && one.state.is_live();
    let on_demand =
        group.instances(state).filter(is_on_demand).count() + launched.iter().filter(|one| !one.spot).count();
    let mut request = request(state, group, on_demand)?;
    request["SubnetId"] = subnet.into();
    let mut wanted = launch::read(state, context, &request)?;
    wanted.tags.extend(group.instance_tags());
    if let Some((id, _, version)) = &wanted.template {
        wanted.tags.insert("aws:ec2launchtemplate:id".to_owned(), id.clone());
        wanted
            .tags
            .insert("aws:ec2launchtemplate:version".to_owned(), version.clone());
    }
    wanted.group = Some((group.name.clone(), group.protects_new));
    wanted.launch_configuration.clone_from(&group.launch_configuration);
    Ok(wanted)
}

/// Refuses templates that are not there when a group is made or changed.
///
/// # Errors
/// Auto Scaling's own.
pub fn check(state: &State, group: &AutoScalingGroup) -> Result<(), ApiError> {
    if let Some(name) = &group.launch_configuration {
        return launch_configuration::find(state, name).map(drop);
    }
    launch::merged(state, &request(state, group, 0)?)
        .map(drop)
        .map_err(|error| {
            invalid(format!(
                "You must use a valid fully-formed launch template. {}",
                error.message
            ))
        })
}

/// Whether an instance is what the group would launch now.
pub fn matches(state: &State, group: &AutoScalingGroup, one: &Ec2Instance) -> bool {
    if group.launch_configuration.is_some() {
        return one.launch_configuration == group.launch_configuration;
    }
    let asked = request(state, group, 0).and_then(|request| launch::merged(state, &request));
    asked.is_ok_and(|(request, template)| {
        template == one.template
            && request
                .text("InstanceType")
                .is_none_or(|kind| kind == one.instance_type)
    })
}
