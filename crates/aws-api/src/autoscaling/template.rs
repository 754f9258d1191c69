//! From what a group launches: its launch template, or the choices of its mixed instances policy.

use serde_json::{Value, json};

use super::invalid;
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

/// The request of the group's next instance.
fn request(group: &AutoScalingGroup, on_demand_now: usize) -> Result<Value, ApiError> {
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
    let mut request = request(group, on_demand)?;
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
    Ok(wanted)
}

/// Refuses templates that are not there when a group is made or changed.
///
/// # Errors
/// Auto Scaling's own.
pub fn check(state: &State, group: &AutoScalingGroup) -> Result<(), ApiError> {
    launch::merged(state, &request(group, 0)?).map(drop).map_err(|error| {
        invalid(format!(
            "You must use a valid fully-formed launch template. {}",
            error.message
        ))
    })
}
