//! Spot requests: each is one instance. Prices here do not change, so a request that offers too little stays open.

use std::collections::BTreeMap;

use aws_types::time::Time;
use aws_types::{instance_type, price};
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::launch::{self, Placement};
use super::{dry_run, invalid};
use crate::error::ApiError;
use crate::fleet::instance::{Ec2Instance, named_groups};
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// When a request was cancelled; its instance goes on without it.
const CANCELLED: &str = "_Cancelled";

/// Members of a request that its answers repeat.
const REPEATED: &[&str] = &["ValidFrom", "ValidUntil", "LaunchGroup", "AvailabilityZoneGroup"];

/// The offer of a request in millionths of a dollar; the on-demand price when it says nothing.
fn offer(input: &Value, usual: u64) -> Result<u64, ApiError> {
    let Some(text) = input.text("SpotPrice") else {
        return Ok(usual);
    };
    match text.parse::<f64>() {
        Ok(dollars) if dollars > 0.0 && dollars < 1_000_000.0 => Ok((dollars * 1e6).round() as u64),
        _ => Err(invalid(format!("Invalid value '{text}' for SpotPrice."))),
    }
}

/// `RequestSpotInstances`: one-time requests.
pub async fn request(context: Context, input: Value) -> Result<Value, ApiError> {
    if input.text("Type") == Some("persistent") {
        let message = "Spot requests of type persistent are not available in this region; one-time ones are";
        return Err(ApiError::bad_request("UnsupportedOperation", message));
    }
    let specification = &input["LaunchSpecification"];
    let mut wanted_request = specification.clone();
    wanted_request["InstanceMarketOptions"] = json!({ "MarketType": "spot" });
    let count = usize::try_from(input.number("InstanceCount").unwrap_or(1)).unwrap_or(0);
    if !(1..=1000).contains(&count) {
        return Err(invalid("InstanceCount must be between 1 and 1000"));
    }
    let decide = |state: &State| {
        let wanted = launch::read(state, &context, &wanted_request)?;
        let kind = instance_type::find(&wanted.instance_type);
        let kind =
            kind.ok_or_else(|| invalid(format!("Invalid value '{}' for InstanceType.", wanted.instance_type)))?;
        let offered = offer(&input, price::on_demand(kind))?;
        dry_run(input.flag("DryRun"))?;
        let mut placement = Placement::default();
        if offered >= price::spot(kind) {
            placement.add(state, &context, &wanted, count)?;
        }
        let shown = shown(state, specification, &wanted);
        let mut requests = Vec::new();
        for number in 0..count {
            let one = placement.instances().get(number);
            let mut body = json!({
                "CreateTime": Time(context.region.clock.now()), "Type": "one-time", "SpotPrice": price::dollars(offered),
                "ProductDescription": "Linux/UNIX", "InstanceInterruptionBehavior": "terminate", "LaunchSpecification": shown,
                "InstanceId": one.map(|one| one.id.as_str()), "LaunchedAvailabilityZone": one.map(|one| one.zone.as_str()),
            });
            for member in REPEATED {
                if let Some(value) = input.get(member).filter(|value| !value.is_null()) {
                    body[*member] = value.clone();
                }
            }
            let mut made = Document::new(&context, Kind::SpotRequest, &input, body);
            made.id = match one {
                Some(one) => one.spot_request(),
                None => format!("sir-{}", context.region.random.hex(8)),
            };
            requests.push(made);
        }
        let answer = requests.iter().map(opened).collect::<Vec<_>>();
        let mut changes = placement.changes();
        changes.extend(requests.into_iter().map(Change::put));
        Ok::<_, ApiError>((json!({ "SpotInstanceRequests": answer }), changes))
    };
    let answer = context.region.ledger.change(decide).await?;
    context.region.wake_fleet();
    Ok(answer)
}

/// What is to be launched, as answers show it.
fn shown(state: &State, specification: &Value, wanted: &launch::Wanted) -> Value {
    let mut shown = json!({
        "ImageId": wanted.image, "InstanceType": wanted.instance_type, "SecurityGroups": named_groups(state, &wanted.groups),
    });
    let members = [
        "KeyName",
        "SubnetId",
        "KernelId",
        "RamdiskId",
        "Placement",
        "Monitoring",
        "EbsOptimized",
        "IamInstanceProfile",
        "BlockDeviceMappings",
        "NetworkInterfaces",
        "UserData",
    ];
    for member in members {
        if let Some(value) = specification.get(member).filter(|value| !value.is_null()) {
            shown[member] = value.clone();
        }
    }
    shown
}

/// A request as the call that makes it answers it.
fn opened(made: &Document) -> Value {
    let mut view = made.view();
    view["State"] = "open".into();
    view["Status"] = status("pending-evaluation");
    if let Some(members) = view.as_object_mut() {
        members.retain(|name, value| {
            !value.is_null() && !matches!(name.as_str(), "InstanceId" | "LaunchedAvailabilityZone")
        });
    }
    view
}

/// A status, in the words of the EC2 User Guide.
fn status(code: &str) -> Value {
    let message = match code {
        "fulfilled" => "Your spot request is fulfilled.",
        "price-too-low" => "Your Spot request price is lower than the minimum required Spot request fulfillment price.",
        "canceled-before-fulfillment" => "Your Spot request is canceled before it was fulfilled.",
        "request-canceled-and-instance-running" => "Your Spot request is canceled, but your instance is still running.",
        "instance-terminated-by-user" => "Spot Instance terminated due to user-initiated termination.",
        _ => "Your Spot request has been submitted for review, and is pending evaluation.",
    };
    json!({"Code": code, "Message": message})
}

/// A request as it is now.
fn view(state: &State, request: &Document) -> Value {
    let mut view = request.view();
    let instance = request.body.text("InstanceId");
    let is_live = |id: &str| {
        let found = state.instances.values().find(|one| one.id.as_str() == id);
        found.is_some_and(|one| one.state.is_live())
    };
    let is_cancelled = request.body.flag(CANCELLED) == Some(true);
    let (now, code) = match (instance.map(is_live), is_cancelled) {
        (Some(true), true) => ("cancelled", "request-canceled-and-instance-running"),
        (Some(true), false) => ("active", "fulfilled"),
        (Some(false), _) => ("closed", "instance-terminated-by-user"),
        (None, true) => ("cancelled", "canceled-before-fulfillment"),
        (None, false) => ("open", "price-too-low"),
    };
    view["State"] = now.into();
    view["Status"] = status(code);
    if let Some(members) = view.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    view
}

/// The request of a Spot instance that was launched by another call.
fn of_instance(state: &State, one: &Ec2Instance) -> Document {
    let kind = instance_type::find(&one.instance_type);
    let body = json!({
        "CreateTime": Time(one.launched_at), "Type": "one-time", "ProductDescription": "Linux/UNIX",
        "SpotPrice": kind.map(|kind| price::dollars(price::on_demand(kind))), "InstanceInterruptionBehavior": "terminate",
        "InstanceId": one.id, "LaunchedAvailabilityZone": one.zone,
        "LaunchSpecification": {
            "ImageId": one.image, "InstanceType": one.instance_type, "SubnetId": one.subnet,
            "SecurityGroups": named_groups(state, &one.groups),
        },
    });
    Document {
        kind: Kind::SpotRequest,
        id: one.spot_request(),
        body,
        tags: BTreeMap::new(),
    }
}

/// Every request.
fn all(state: &State) -> Vec<Document> {
    let made = document::of_kind(state, Kind::SpotRequest).cloned();
    let others = state.instances.values().filter(|one| one.spot);
    let others = others.map(|one| of_instance(state, one));
    let others = others.filter(|request| !state.documents.contains_key(&request.id));
    made.chain(others).collect()
}

const FILTERS: &[(&str, &str)] = &[
    ("create-time", "CreateTime"),
    ("instance-id", "InstanceId"),
    ("launch.group-id", "LaunchSpecification.SecurityGroups[].GroupId"),
    ("launch.group-name", "LaunchSpecification.SecurityGroups[].GroupName"),
    ("launch.image-id", "LaunchSpecification.ImageId"),
    ("launch.instance-type", "LaunchSpecification.InstanceType"),
    ("launch.key-name", "LaunchSpecification.KeyName"),
    ("launch-group", "LaunchGroup"),
    ("launched-availability-zone", "LaunchedAvailabilityZone"),
    ("product-description", "ProductDescription"),
    ("spot-instance-request-id", "SpotInstanceRequestId"),
    ("spot-price", "SpotPrice"),
    ("state", "State"),
    ("status-code", "Status.Code"),
    ("status-message", "Status.Message"),
    ("type", "Type"),
    ("valid-from", "ValidFrom"),
    ("valid-until", "ValidUntil"),
];

/// `DescribeSpotInstanceRequests`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let ids = input.texts("SpotInstanceRequestIds");
    let views = context.region.ledger.read(|state| {
        let all = all(state);
        if let Some(unknown) = ids.iter().find(|id| !all.iter().any(|known| known.id == **id)) {
            return Err(Kind::SpotRequest.not_found(unknown));
        }
        let chosen = all
            .iter()
            .filter(|one| ids.is_empty() || ids.contains(&one.id.as_str()));
        Ok(chosen.map(|one| (view(state, one), one.tags.clone())).collect())
    })?;
    document::answer(&input, "SpotInstanceRequests", FILTERS, views)
}

/// `CancelSpotInstanceRequests`: instances go on.
pub async fn cancel(context: Context, input: Value) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let all = all(state);
        let (mut told, mut changes) = (Vec::new(), Vec::new());
        for id in input.texts("SpotInstanceRequestIds") {
            let mut request = all
                .iter()
                .find(|known| known.id == id)
                .cloned()
                .ok_or_else(|| Kind::SpotRequest.not_found(id))?;
            request.body[CANCELLED] = true.into();
            told.push(json!({"SpotInstanceRequestId": id, "State": "cancelled"}));
            changes.push(Change::put(request));
        }
        dry_run(input.flag("DryRun"))?;
        Ok::<_, ApiError>((json!({ "CancelledSpotInstanceRequests": told }), changes))
    };
    context.region.ledger.change(decide).await
}
