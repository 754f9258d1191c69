//! Instance refreshes: beginning, showing, cancelling and taking back.

use aws_types::time::Time;
use serde_json::{Value, json};

use super::group::{edit, find};
use super::{invalid, page, template};
use crate::error::ApiError;
use crate::fleet::group::AutoScalingGroup;
use crate::fleet::instance::Ec2Instance;
use crate::fleet::refresh::{Refresh, bounds};
use crate::ledger::State;
use crate::members::Members;
use crate::operations::Context;

/// How many refreshes of a group are remembered.
const MOST: usize = 50;

fn none_active() -> ApiError {
    let message = "No in progress or pending Instance Refresh found for the Auto Scaling group.";
    ApiError::bad_request("ActiveInstanceRefreshNotFound", message)
}

/// `StartInstanceRefresh`.
pub async fn start(context: Context, input: Value) -> Result<Value, ApiError> {
    if let Some(other) = input.text("Strategy").filter(|strategy| *strategy != "Rolling") {
        return Err(invalid(format!(
            "Instance refreshes of strategy {other} are not available in this region"
        )));
    }
    let mut preferences = input
        .get("Preferences")
        .cloned()
        .filter(Value::is_object)
        .unwrap_or_else(|| json!({}));
    let healthy = preferences.number("MinHealthyPercentage").unwrap_or(90);
    preferences["MinHealthyPercentage"] = healthy.into();
    let skips = preferences.flag("SkipMatching").unwrap_or(false);
    let configuration = input
        .get("DesiredConfiguration")
        .filter(|wanted| wanted.is_object())
        .cloned();
    edit(&context, input.required("AutoScalingGroupName"), |state, group| {
        let before = (
            group.template.clone(),
            group.mixed.clone(),
            group.launch_configuration.clone(),
        );
        if let Some(wanted) = &configuration {
            configure(state, group, wanted)?;
        }
        let (keep, batch) = bounds(group.desired, u32::try_from(healthy).unwrap_or(90).min(100));
        let matching = |one: &&Ec2Instance| !(skips && template::matches(state, group, one));
        let old = group
            .instances(state)
            .filter(|one| one.state.is_live())
            .filter(matching);
        let refresh = Refresh {
            old: old.map(|one| one.id.clone()).collect(),
            warmup: preferences
                .number("InstanceWarmup")
                .or_else(|| group.details.number("DefaultInstanceWarmup"))
                .unwrap_or(0),
            ..new(&context, (keep, batch), preferences, configuration)
        };
        begin(group, Refresh { before, ..refresh })
    })
    .await
}

/// A refresh of nothing yet.
pub fn new(context: &Context, (keep, batch): (u32, u32), preferences: Value, configuration: Option<Value>) -> Refresh {
    Refresh {
        id: context.region.random.uuid(),
        status: "Pending".to_owned(),
        reason: None,
        started_at: context.region.clock.now(),
        ended_at: None,
        old: Default::default(),
        keep,
        batch,
        warmup: 0,
        preferences,
        configuration,
        before: (None, None, None),
    }
}

/// Lets a group begin a refresh.
///
/// # Errors
/// When one is under way.
pub fn begin(group: &mut AutoScalingGroup, refresh: Refresh) -> Result<Value, ApiError> {
    if group.refreshes.iter().any(Refresh::is_active) {
        let message = "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.";
        return Err(ApiError::bad_request("InstanceRefreshInProgress", message));
    }
    let answer = json!({ "InstanceRefreshId": refresh.id });
    group.refreshes.insert(0, refresh);
    group.refreshes.truncate(MOST);
    group.pause = None;
    Ok(answer)
}

fn configure(state: &State, group: &mut AutoScalingGroup, wanted: &Value) -> Result<(), ApiError> {
    if let Some(template) = wanted.get("LaunchTemplate").filter(|template| template.is_object()) {
        (group.template, group.mixed, group.launch_configuration) = (Some(template.clone()), None, None);
    }
    if let Some(mixed) = wanted.get("MixedInstancesPolicy").filter(|mixed| mixed.is_object()) {
        (group.template, group.mixed, group.launch_configuration) = (None, Some(mixed.clone()), None);
    }
    template::check(state, group)
}

/// A refresh as answers show it.
fn view(state: &State, group: &AutoScalingGroup, refresh: &Refresh) -> Value {
    let instances: Vec<&Ec2Instance> = group.instances(state).collect();
    let (total, left) = (refresh.old.len(), refresh.left(&instances));
    let done = ((total - left.min(total)) * 100).checked_div(total).unwrap_or(100);
    let mut view = json!({
        "InstanceRefreshId": refresh.id, "AutoScalingGroupName": group.name, "Status": refresh.status,
        "StatusReason": refresh.reason, "StartTime": Time(refresh.started_at), "PercentageComplete": done,
        "InstancesToUpdate": left, "Preferences": refresh.preferences, "Strategy": "Rolling",
    });
    if let Some(ended) = refresh.ended_at {
        view["EndTime"] = json!(Time(ended));
    }
    if let Some(configuration) = &refresh.configuration {
        view["DesiredConfiguration"] = configuration.clone();
    }
    view
}

/// `DescribeInstanceRefreshes`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let ids = input.texts("InstanceRefreshIds");
    let name = input.required("AutoScalingGroupName");
    let views = context.region.ledger.read(|state| {
        if super::of_nodegroups(state).any(|(_, group)| group.auto_scaling_group == name) {
            return Ok(Vec::new());
        }
        let group = find(state, name)?;
        let chosen = group
            .refreshes
            .iter()
            .filter(|refresh| ids.is_empty() || ids.contains(&refresh.id.as_str()));
        Ok::<_, ApiError>(chosen.map(|refresh| view(state, group, refresh)).collect())
    })?;
    page(&input, "InstanceRefreshes", views)
}

/// `CancelInstanceRefresh`: what was replaced stays replaced.
pub async fn cancel(context: Context, input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        let active = group.refreshes.iter_mut().find(|refresh| refresh.is_active());
        let active = active.ok_or_else(none_active)?;
        active.end("Cancelled", now);
        active.reason = Some("Cancelled due to user request.".to_owned());
        Ok(json!({ "InstanceRefreshId": active.id }))
    })
    .await
}

/// `RollbackInstanceRefresh`: the group's configuration of before, and its instances of the new one go.
pub async fn roll_back(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, input.required("AutoScalingGroupName"), |state, group| {
        let live: Vec<_> = group
            .instances(state)
            .filter(|one| one.state.is_live())
            .map(|one| one.id.clone())
            .collect();
        let active = group.refreshes.iter_mut().find(|refresh| refresh.is_active());
        let active = active.ok_or_else(none_active)?;
        if active.configuration.is_none() {
            let message = "The instance refresh has no desired configuration, so it cannot be rolled back.";
            return Err(ApiError::bad_request("IrreversibleInstanceRefresh", message));
        }
        "RollbackInProgress".clone_into(&mut active.status);
        let kept = std::mem::take(&mut active.old);
        active.old = live.into_iter().filter(|id| !kept.contains(id)).collect();
        (group.template, group.mixed, group.launch_configuration) = active.before.clone();
        Ok(json!({ "InstanceRefreshId": active.id }))
    })
    .await
}
