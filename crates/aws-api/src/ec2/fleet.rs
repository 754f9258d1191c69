//! EC2 fleets: as many instances as are asked for from a list of choices, in one call.

use aws_types::time::Time;
use aws_types::{instance_type, price};
use serde_json::{Value, json};

use super::launch::{self, Placement, Wanted};
use super::{document, dry_run, standing_fleet, subnet};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// A choice: a launch template with an override.
struct Choice {
    /// Template and override as answers show them.
    shown: Value,
    /// The same as a request of `RunInstances`.
    request: Value,
    /// Its place in line: priority, or price in millionths of a dollar.
    rank: (u64, u64),
    /// How much of the capacity one instance is.
    weight: f64,
}

/// How much of which market.
pub struct Capacity {
    /// Instances at the usual price.
    pub on_demand: f64,
    /// Spot instances.
    pub spot: f64,
}

/// How much a request asks for.
///
/// # Errors
/// When it asks for nothing.
pub fn capacity(input: &Value) -> Result<Capacity, ApiError> {
    let wanted = &input["TargetCapacitySpecification"];
    let total = wanted.number("TotalTargetCapacity").unwrap_or(0);
    if total < 1 {
        let message = "TotalTargetCapacity must be at least 1";
        return Err(ApiError::bad_request("InvalidTargetCapacitySpecification", message));
    }
    let given = |member: &str| wanted.number(member).unwrap_or(0);
    let (on_demand, spot) = (given("OnDemandTargetCapacity"), given("SpotTargetCapacity"));
    let rest = (total - on_demand - spot).max(0);
    let is_spot = wanted.text("DefaultTargetCapacityType").unwrap_or("on-demand") == "spot";
    let (on_demand, spot) = if is_spot {
        (on_demand, spot + rest)
    } else {
        (on_demand + rest, spot)
    };
    Ok(Capacity {
        on_demand: on_demand as f64,
        spot: spot as f64,
    })
}

/// Every choice, the templates in their order; each checked only when it is its turn.
fn choices(state: &State, input: &Value, is_spot: bool) -> Result<Vec<Choice>, ApiError> {
    let strategy = |member: &str| input.get(member).and_then(|options| options.text("AllocationStrategy"));
    let strategy = if is_spot {
        strategy("SpotOptions")
    } else {
        strategy("OnDemandOptions")
    };
    let by_priority = strategy.is_some_and(|name| name.to_lowercase().contains("prioritized"));
    let mut choices = Vec::new();
    for config in input.list("LaunchTemplateConfigs") {
        let named = config.get("LaunchTemplateSpecification").cloned().unwrap_or_default();
        let (_, template) = launch::merged(state, &json!({ "LaunchTemplate": named }))?;
        let shown = template
            .map(|(id, name, version)| json!({"LaunchTemplateId": id, "LaunchTemplateName": name, "Version": version}));
        let plain = [json!({})];
        let overrides = config.list("Overrides");
        for chosen in if overrides.is_empty() { &plain[..] } else { overrides } {
            let mut request = json!({"LaunchTemplate": named, "MinCount": 1, "MaxCount": 1});
            for member in ["InstanceType", "SubnetId", "ImageId"] {
                if let Some(text) = chosen.text(member) {
                    request[member] = text.into();
                }
            }
            if let Some(zone) = chosen.text("AvailabilityZone") {
                request["Placement"] = json!({ "AvailabilityZone": zone });
            }
            let kind = chosen.text("InstanceType").and_then(instance_type::find);
            let cost = kind.map_or(u64::MAX, |kind| {
                if is_spot {
                    price::spot(kind)
                } else {
                    price::on_demand(kind)
                }
            });
            let priority = chosen
                .get("Priority")
                .and_then(Value::as_f64)
                .unwrap_or(f64::from(u32::MAX));
            choices.push(Choice {
                shown: json!({"LaunchTemplateSpecification": shown, "Overrides": chosen}),
                request,
                rank: (if by_priority { (priority * 1000.0) as u64 } else { 0 }, cost),
                weight: chosen.get("WeightedCapacity").and_then(Value::as_f64).unwrap_or(1.0),
            });
        }
    }
    choices.sort_by_key(|choice| choice.rank);
    Ok(choices)
}

fn wanted(state: &State, context: &Context, input: &Value, choice: &Choice, is_spot: bool) -> Result<Wanted, ApiError> {
    let mut request = choice.request.clone();
    let tags = input
        .list("TagSpecifications")
        .iter()
        .filter(|given| given.text("ResourceType") != Some("fleet"));
    request["TagSpecifications"] = tags.cloned().collect();
    // A subnet that is not there says so before anything else.
    if let Some(id) = request.text("SubnetId") {
        subnet::find(state, id)?;
    }
    let mut wanted = launch::read(state, context, &request)?;
    wanted.spot = is_spot;
    Ok(wanted)
}

/// What one market gives: answers of instances, and of choices that could not be had.
///
/// # Errors
/// When a launch template is not there.
pub fn fill(
    state: &State,
    context: &Context,
    input: &Value,
    (is_spot, mut missing): (bool, f64),
    placement: &mut Placement,
) -> Result<(Vec<Value>, Vec<Value>), ApiError> {
    let lifecycle = if is_spot { "spot" } else { "on-demand" };
    let (mut instances, mut errors) = (Vec::new(), Vec::new());
    if missing <= 0.0 {
        return Ok((instances, errors));
    }
    let choices = choices(state, input, is_spot)?;
    let count = choices.len();
    let is_diversified = is_spot && input["SpotOptions"].text("AllocationStrategy") == Some("diversified");
    for (number, choice) in choices.into_iter().enumerate() {
        // Diversified, every choice that is left has its share; otherwise the first that can gives all.
        let share = if is_diversified {
            missing / (count - number) as f64
        } else {
            missing
        };
        let mut given = 0.0;
        let mut ids = Vec::new();
        let refused = loop {
            if given >= share {
                break None;
            }
            let more = wanted(state, context, input, &choice, is_spot)
                .and_then(|wanted| Ok((placement.add(state, context, &wanted, 1)?, wanted.instance_type)));
            match more {
                Ok((more, kind)) => {
                    ids.extend(more.into_iter().map(|id| (id, kind.clone())));
                    given += choice.weight;
                }
                Err(error) => break Some(error),
            }
        };
        missing -= given;
        if let Some((_, kind)) = ids.first() {
            let listed: Vec<&str> = ids.iter().map(|(id, _)| id.as_str()).collect();
            instances.push(json!({
                "LaunchTemplateAndOverrides": choice.shown, "Lifecycle": lifecycle, "InstanceIds": listed, "InstanceType": kind,
            }));
        }
        match refused {
            None if missing <= 0.0 => break,
            None => {}
            Some(error) => errors.push(json!({
                "LaunchTemplateAndOverrides": choice.shown, "Lifecycle": lifecycle, "ErrorCode": error.code,
                "ErrorMessage": error.message,
            })),
        }
    }
    Ok((instances, errors))
}

/// `CreateFleet`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let kind = input.text("Type").unwrap_or("maintain");
    let is_instant = kind == "instant";
    let request = if is_instant {
        input.clone()
    } else {
        standing_fleet::untagged(&input)
    };
    let capacity = capacity(&input)?;
    let id = format!("fleet-{}", context.region.random.uuid());
    let decide = |state: &State| {
        // Templates that are not there are told even to a dry run.
        choices(state, &input, capacity.on_demand <= 0.0)?;
        dry_run(input.flag("DryRun"))?;
        if let Some(known) = input.text("ClientToken").and_then(|token| {
            catalogue::of_kind(state, ItemKind::Fleet).find(|fleet| fleet.body.text("ClientToken") == Some(token))
        }) {
            let mut answer = json!({ "FleetId": known.key });
            for member in ["Instances", "Errors"].iter().filter(|_| is_instant) {
                answer[*member] = known.body[*member].clone();
            }
            return Ok((answer, Vec::new()));
        }
        let mut placement = Placement::default();
        let (mut instances, mut errors) = fill(state, &context, &request, (false, capacity.on_demand), &mut placement)?;
        let (more, wrong) = fill(state, &context, &request, (true, capacity.spot), &mut placement)?;
        instances.extend(more);
        errors.extend(wrong);
        let mut changes = placement.changes_tagged("aws:ec2:fleet-id", &id);
        let mut record = record(&context, &input, &id);
        standing_fleet::remember(&mut record, &request, &instances);
        let mut answer = json!({ "FleetId": id });
        if is_instant {
            for (member, listed) in [("Instances", instances), ("Errors", errors)] {
                record.body[member] = listed.clone().into();
                answer[member] = listed.into();
            }
        }
        changes.push(Change::put(record));
        Ok::<_, ApiError>((answer, changes))
    };
    let answer = context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(answer)
}

fn record(context: &Context, input: &Value, id: &str) -> Item {
    let own = input
        .list("TagSpecifications")
        .iter()
        .filter(|given| given.text("ResourceType") == Some("fleet"));
    let tags = own.flat_map(|given| given.tags("Tags")).collect();
    let mut body = json!({
        "Type": input.text("Type").unwrap_or("maintain"), "FleetState": "active",
        "CreateTime": Time(context.region.clock.now()), "TargetCapacitySpecification": input["TargetCapacitySpecification"],
        "LaunchTemplateConfigs": input["LaunchTemplateConfigs"],
        "ExcessCapacityTerminationPolicy": input.text("ExcessCapacityTerminationPolicy").unwrap_or("termination"),
        "TerminateInstancesWithExpiration": input.flag("TerminateInstancesWithExpiration").unwrap_or(false),
        "ReplaceUnhealthyInstances": input.flag("ReplaceUnhealthyInstances").unwrap_or(false),
    });
    for member in [
        "ClientToken",
        "SpotOptions",
        "OnDemandOptions",
        "ValidFrom",
        "ValidUntil",
        "Context",
    ] {
        if let Some(value) = input.get(member).filter(|value| !value.is_null()) {
            body[member] = value.clone();
        }
    }
    Item::new(ItemKind::Fleet, id, body).tagged(tags)
}

/// `DescribeFleets`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let ids = input.texts("FleetIds");
    let views = context.region.ledger.read(|state| {
        if let Some(unknown) = ids
            .iter()
            .find(|id| catalogue::find(state, ItemKind::Fleet, id).is_none())
        {
            return Err(not_found(unknown));
        }
        let chosen =
            catalogue::of_kind(state, ItemKind::Fleet).filter(|one| ids.is_empty() || ids.contains(&one.key.as_str()));
        let views = chosen.map(|fleet| (standing_fleet::view(state, fleet), fleet.tags.clone()));
        Ok(views.collect())
    })?;
    let filters = [
        ("type", "Type"),
        ("fleet-state", "FleetState"),
        ("activity-status", "ActivityStatus"),
    ];
    document::answer(&input, "Fleets", &filters, views)
}

/// EC2's answer for a fleet that nobody has.
pub fn not_found(id: &str) -> ApiError {
    ApiError::bad_request("InvalidFleetId.NotFound", format!("The fleet ID '{id}' does not exist"))
}

/// `DeleteFleets`: instant ones go with their instances, others as the caller says.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let now = context.region.clock.now();
    let decide = |state: &State| {
        let (mut gone, mut failed, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for id in input.texts("FleetIds") {
            let Some(fleet) = catalogue::find(state, ItemKind::Fleet, id) else {
                let error = not_found(id);
                failed.push(json!({"FleetId": id, "Error": {"Code": "fleetIdDoesNotExist", "Message": error.message}}));
                continue;
            };
            let is_instant = fleet.body.text("Type") == Some("instant");
            let with_instances = is_instant || input.flag("TerminateInstances").unwrap_or(false);
            let (told, more) = standing_fleet::deleted(state, fleet, with_instances, now);
            gone.push(told);
            changes.extend(more);
        }
        let answer = json!({"SuccessfulFleetDeletions": gone, "UnsuccessfulFleetDeletions": failed});
        Ok::<_, ApiError>((answer, changes))
    };
    let answer = context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(answer)
}
