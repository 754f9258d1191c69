//! Fleets of types request and maintain: instances are launched as those of instant fleets are; a maintained fleet replaces those that
//! are lost.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::fleet::{self, Capacity};
use super::launch::Placement;
use super::{document, dry_run};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::fleet::instance::{Ec2Instance, LifeState};
use crate::ledger::{Change, State};
use crate::members::{Members, tag_list};
use crate::operations::Context;

/// What a fleet remembers of itself besides the members of answers: the request, its instances with what they count for, when it is
/// next tried to fill it, when it was deleted.
const REQUEST: &str = "_Request";
const MEMBERS: &str = "_Members";
const RETRY_AT: &str = "_RetryAt";
const DELETED_AT: &str = "_DeletedAt";
/// How long nothing is tried after a launch that failed.
const PAUSE: SignedDuration = SignedDuration::from_secs(60);
/// How long a deleted fleet is shown.
const SHOWN: SignedDuration = SignedDuration::from_hours(1);

/// Remembers in a fleet's record the request and the instances that were launched for it.
pub fn remember(fleet: &mut Item, request: &Value, launched: &[Value]) {
    fleet.body[REQUEST] = request.clone();
    for one in launched {
        let weight = one["LaunchTemplateAndOverrides"]["Overrides"]["WeightedCapacity"].as_f64();
        for id in one.texts("InstanceIds") {
            fleet.body[MEMBERS][id] =
                json!({"Weight": weight.unwrap_or(1.0), "Spot": one.text("Lifecycle") == Some("spot")});
        }
    }
}

/// The request without tags of instances, which only instant fleets take.
pub fn untagged(input: &Value) -> Value {
    let mut request = input.clone();
    let own = input.list("TagSpecifications").iter();
    let own = own.filter(|given| given.text("ResourceType") == Some("fleet"));
    request["TagSpecifications"] = own.cloned().collect();
    request
}

/// A fleet's instances that are there.
fn live<'a>(state: &'a State, fleet: &'a Item) -> impl Iterator<Item = (&'a Ec2Instance, &'a Value)> {
    let known = fleet.body[MEMBERS].as_object().into_iter().flatten();
    known.filter_map(|(id, member)| {
        let found = state.instances.values().find(|one| one.id.as_str() == id)?;
        found.state.is_live().then_some((found, member))
    })
}

/// How much of each market is there.
fn fulfilled(state: &State, fleet: &Item) -> Capacity {
    let sum = |is_spot: bool| {
        let own = live(state, fleet).filter(|(_, member)| member.flag("Spot") == Some(is_spot));
        own.map(|(_, member)| member["Weight"].as_f64().unwrap_or(1.0)).sum()
    };
    Capacity {
        on_demand: sum(false),
        spot: sum(true),
    }
}

/// A fleet as `DescribeFleets` shows it.
pub fn view(state: &State, fleet: &Item) -> Value {
    let mut view = fleet.body.clone();
    if let Some(members) = view.as_object_mut() {
        members.retain(|name, _| !name.starts_with('_'));
    }
    let there = fulfilled(state, fleet);
    let target = fleet.body["TargetCapacitySpecification"]["TotalTargetCapacity"].as_f64();
    let is_full = there.on_demand + there.spot >= target.unwrap_or(0.0);
    view["FleetId"] = fleet.key.as_str().into();
    view["Tags"] = tag_list(&fleet.tags);
    view["FulfilledCapacity"] = (there.on_demand + there.spot).into();
    view["FulfilledOnDemandCapacity"] = there.on_demand.into();
    view["ActivityStatus"] = if is_full { "fulfilled" } else { "pending_fulfillment" }.into();
    view
}

/// `DescribeFleetInstances`: instant fleets name theirs when they are described.
pub async fn instances(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let id = input.required("FleetId");
    let views = context.region.ledger.read(|state| {
        let fleet = catalogue::find(state, ItemKind::Fleet, id).ok_or_else(|| fleet::not_found(id))?;
        if fleet.body.text("Type") == Some("instant") {
            let message = "DescribeFleetInstances does not support fleets of type instant. Use DescribeFleets instead.";
            return Err(ApiError::bad_request("UnsupportedOperation", message));
        }
        let views = live(state, fleet).map(|(one, member)| {
            let mut view =
                json!({"InstanceId": one.id, "InstanceType": one.instance_type, "InstanceHealth": "healthy"});
            if member.flag("Spot") == Some(true) {
                view["SpotInstanceRequestId"] = one.spot_request().into();
            }
            (view, BTreeMap::new())
        });
        Ok(views.collect())
    })?;
    let mut answer = document::answer(&input, "ActiveInstances", &[("instance-type", "InstanceType")], views)?;
    answer["FleetId"] = id.into();
    Ok(answer)
}

/// A deleted fleet: its instances go, or go on without it.
pub fn deleted(state: &State, fleet: &Item, with_instances: bool, now: Timestamp) -> (Value, Vec<Change>) {
    let mut after = fleet.clone();
    let current = if with_instances {
        "deleted_terminating"
    } else {
        "deleted_running"
    };
    after.body["FleetState"] = current.into();
    after.body[DELETED_AT] = now.as_second().into();
    let mut changes = vec![Change::put(after)];
    for (known, _) in live(state, fleet).filter(|_| with_instances) {
        let mut one = known.clone();
        let code = "Client.UserInitiatedShutdown";
        one.become_state(
            LifeState::ShuttingDown,
            now,
            Some((code, format!("{code}: fleet deleted"))),
        );
        changes.push(Change::put(one));
    }
    let told = json!({
        "FleetId": fleet.key, "PreviousFleetState": fleet.body["FleetState"], "CurrentFleetState": current,
    });
    (told, changes)
}

/// Fills maintained fleets that have lost instances, and forgets those that were deleted long ago; whether there was something to do.
///
/// # Errors
/// When the records cannot be written.
pub async fn keep(context: &Context) -> Result<bool, ApiError> {
    let now = context.region.clock.now();
    let decide = |state: &State| {
        let mut changes = Vec::new();
        for fleet in catalogue::of_kind(state, ItemKind::Fleet) {
            let since = |member: &str| fleet.body.number(member).and_then(|at| Timestamp::from_second(at).ok());
            if since(DELETED_AT).is_some_and(|at| now.duration_since(at) > SHOWN) {
                changes.push(fleet.removal());
            } else if since(RETRY_AT).is_none_or(|at| at <= now) {
                changes.extend(refilled(state, context, fleet, now)?);
            }
        }
        Ok::<_, ApiError>((!changes.is_empty(), changes))
    };
    context.region.ledger.change(decide).await
}

/// What a maintained fleet needs to be as large as it is to be.
fn refilled(state: &State, context: &Context, fleet: &Item, now: Timestamp) -> Result<Vec<Change>, ApiError> {
    let is_kept = fleet.body.text("Type") == Some("maintain") && fleet.body.text("FleetState") == Some("active");
    if !is_kept {
        return Ok(Vec::new());
    }
    let request = &fleet.body[REQUEST];
    let (wanted, there) = (fleet::capacity(request)?, fulfilled(state, fleet));
    let missing = [
        (false, wanted.on_demand - there.on_demand),
        (true, wanted.spot - there.spot),
    ];
    if missing.iter().all(|(_, missing)| *missing <= 0.0) {
        return Ok(Vec::new());
    }
    let mut placement = Placement::default();
    let mut after = fleet.clone();
    let mut is_full = true;
    for market in missing {
        // A template that is gone is a launch that fails, and no fault of the region.
        match fleet::fill(state, context, request, market, &mut placement) {
            Ok((launched, refused)) => {
                is_full &= refused.is_empty();
                remember(&mut after, &request.clone(), &launched);
            }
            Err(error) => {
                tracing::debug!(fleet = fleet.key, code = error.code, "a fleet cannot be filled");
                is_full = false;
            }
        }
    }
    if !is_full {
        after.body[RETRY_AT] = now
            .saturating_add(PAUSE)
            .map_err(ApiError::internal)?
            .as_second()
            .into();
    }
    let mut changes = placement.changes_tagged("aws:ec2:fleet-id", &fleet.key);
    changes.push(Change::put(after));
    Ok(changes)
}
