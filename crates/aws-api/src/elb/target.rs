//! Target groups, their targets and these' health.

use std::collections::BTreeMap;

use aws_types::VpcId;
use serde_json::{Value, json};
use service_routing::network_balancers::HealthState;

use super::{arn, attribute, check_name, error, find, not_found, paged, plan, validation, view};
use crate::catalogue::{self, Item, ItemKind};
use crate::ec2::{instance, vpc};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// Members that `ModifyTargetGroup` changes too.
const HEALTH: &[&str] = &[
    "HealthCheckProtocol",
    "HealthCheckPort",
    "HealthCheckEnabled",
    "HealthCheckPath",
    "HealthCheckIntervalSeconds",
    "HealthCheckTimeoutSeconds",
    "HealthyThresholdCount",
    "UnhealthyThresholdCount",
    "Matcher",
];

/// A target group's members: what the request says, over ELB's defaults for its protocol.
fn body(input: &Value, arn: &str, kind: &str) -> Value {
    let name = input.required("Name");
    let (protocol, port) = (input.text("Protocol"), input.number("Port"));
    let is_http = protocol.is_some_and(|name| name.starts_with("HTTP"));
    let check = input
        .text("HealthCheckProtocol")
        .unwrap_or(if is_http { protocol.unwrap_or("HTTP") } else { "TCP" });
    let checks_http = check.starts_with("HTTP");
    let mut body = json!({
        "TargetGroupArn": arn, "TargetGroupName": name, "Protocol": protocol, "Port": port, "VpcId": input.text("VpcId"),
        "TargetType": kind, "IpAddressType": input.text("IpAddressType").unwrap_or("ipv4"), "HealthCheckProtocol": check,
        "HealthCheckPort": "traffic-port", "HealthCheckEnabled": true, "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": if is_http { 5 } else { 10 }, "HealthyThresholdCount": 5, "UnhealthyThresholdCount": 2,
        "_Attributes": attribute::of_target_group(protocol.unwrap_or_default()), "_Targets": [],
    });
    if checks_http {
        body["HealthCheckPath"] = "/".into();
        body["Matcher"] = json!({"HttpCode": if is_http { "200" } else { "200-399" }});
    }
    if is_http {
        body["ProtocolVersion"] = input.text("ProtocolVersion").unwrap_or("HTTP1").into();
    }
    for member in HEALTH {
        if let Some(value) = input.get(*member).filter(|value| !value.is_null()) {
            body[*member] = value.clone();
        }
    }
    body
}

/// `CreateTargetGroup`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("Name");
    check_name(name, "target group")?;
    let kind = input.text("TargetType").unwrap_or("instance");
    let (protocol, port) = (input.text("Protocol"), input.number("Port"));
    if kind != "lambda" && (protocol.is_none() || port.is_none() || input.text("VpcId").is_none()) {
        let missing = if protocol.is_none() {
            "protocol"
        } else if port.is_none() {
            "port"
        } else {
            "VPC ID"
        };
        return Err(validation(format!("A {missing} must be specified")));
    }
    let id = context.region.random.hex(16);
    let arn = arn(&context, &format!("targetgroup/{name}/{id}"));
    let body = body(&input, &arn, kind);
    let decide = |state: &State| {
        if let Some(id) = input.text("VpcId") {
            vpc::find(state, id).map_err(|_none| validation(format!("The VPC ID '{id}' is not found")))?;
        }
        let mut all = catalogue::of_kind(state, ItemKind::TargetGroup);
        if let Some(known) = all.find(|known| known.body.text("TargetGroupName") == Some(name)) {
            let same = ["Protocol", "Port", "VpcId", "TargetType"]
                .iter()
                .all(|member| known.body[*member] == body[*member]);
            if same {
                return Ok((view_of(state, known), Vec::new()));
            }
            let message = format!("A target group with the same name '{name}' exists, but with different settings");
            return Err(error("DuplicateTargetGroupName", message));
        }
        let made = Item::new(ItemKind::TargetGroup, arn, body).tagged(input.tags("Tags"));
        Ok::<_, ApiError>((view_of(state, &made), vec![Change::put(made)]))
    };
    let made = context.region.ledger.change(decide).await?;
    Ok(json!({ "TargetGroups": [made] }))
}

/// The load balancers whose listeners or rules forward to a target group.
fn balancers(state: &State, arn: &str) -> Vec<String> {
    let rules = catalogue::of_kind(state, ItemKind::ListenerRule).filter(|rule| forwards(&rule.body["Actions"], arn));
    let of_rules =
        rules.filter_map(|rule| catalogue::find(state, ItemKind::Listener, rule.body["_Listener"].as_str()?));
    let listeners =
        catalogue::of_kind(state, ItemKind::Listener).filter(|one| forwards(&one.body["DefaultActions"], arn));
    let mut arns: Vec<String> = of_rules
        .chain(listeners)
        .filter_map(|one| one.body.text("LoadBalancerArn").map(str::to_owned))
        .collect();
    arns.sort();
    arns.dedup();
    arns
}

/// Whether actions forward to a target group.
pub fn forwards(actions: &Value, arn: &str) -> bool {
    actions.as_array().into_iter().flatten().any(|action| {
        let config = action
            .get("ForwardConfig")
            .map(|config| config.list("TargetGroups"))
            .unwrap_or_default();
        action.text("TargetGroupArn") == Some(arn)
            || config.iter().any(|group| group.text("TargetGroupArn") == Some(arn))
    })
}

fn view_of(state: &State, group: &Item) -> Value {
    let mut view = view(group);
    view["LoadBalancerArns"] = balancers(state, &group.key).into();
    view
}

/// `DescribeTargetGroups`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let (arns, names) = (input.texts("TargetGroupArns"), input.texts("Names"));
    let balancer = input.text("LoadBalancerArn");
    let views = context.region.ledger.read(|state| {
        for arn in &arns {
            find(state, ItemKind::TargetGroup, arn)?;
        }
        if let Some(arn) = balancer {
            find(state, ItemKind::LoadBalancer, arn)?;
        }
        let all: Vec<&Item> = catalogue::of_kind(state, ItemKind::TargetGroup).collect();
        for name in &names {
            if !all.iter().any(|one| one.body.text("TargetGroupName") == Some(name)) {
                return Err(error("TargetGroupNotFound", "One or more target groups not found"));
            }
        }
        let chosen = all.into_iter().filter(|one| {
            (arns.is_empty() || arns.contains(&one.key.as_str()))
                && (names.is_empty() || names.contains(&one.body.required("TargetGroupName")))
        });
        let views = chosen.map(|one| view_of(state, one));
        Ok(views
            .filter(|view| balancer.is_none_or(|arn| view.texts("LoadBalancerArns").contains(&arn)))
            .collect())
    })?;
    paged(&input, "TargetGroups", views)
}

async fn edit(
    context: &Context,
    input: &Value,
    change: impl FnOnce(&State, &mut Item) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    let arn = input.required("TargetGroupArn");
    catalogue::edit(
        context,
        ItemKind::TargetGroup,
        arn,
        || not_found(ItemKind::TargetGroup, arn),
        change,
    )
    .await
}

/// `ModifyTargetGroup`.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |state, group| {
        for member in HEALTH {
            if let Some(value) = input.get(*member).filter(|value| !value.is_null()) {
                group.body[*member] = value.clone();
            }
        }
        Ok(json!({ "TargetGroups": [view_of(state, group)] }))
    })
    .await
}

/// `DeleteTargetGroup`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("TargetGroupArn");
    let decide = |state: &State| {
        let Some(known) = catalogue::find(state, ItemKind::TargetGroup, arn) else {
            return Ok((nothing(), Vec::new()));
        };
        let is_used = !balancers(state, arn).is_empty();
        if is_used {
            let message = format!("Target group '{arn}' is currently in use by a listener or a rule");
            return Err(error("ResourceInUse", message));
        }
        Ok::<_, ApiError>((nothing(), vec![known.removal()]))
    };
    context.region.ledger.change(decide).await
}

/// A target with the port that it is registered with.
fn full(group: &Item, target: &Value) -> Value {
    let mut full = json!({"Id": target["Id"], "Port": target.number("Port").or(group.body.number("Port"))});
    if let Some(zone) = target.text("AvailabilityZone") {
        full["AvailabilityZone"] = zone.into();
    }
    full
}

/// `RegisterTargets`.
pub async fn register(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |state, group| {
        let mut targets = group.body.list("_Targets").to_vec();
        for target in input.list("Targets") {
            let id = target.required("Id");
            match group.body.text("TargetType") {
                Some("instance") => {
                    instance::require(state, &[id]).map_err(|_none| {
                        error(
                            "InvalidTarget",
                            format!(
                                "The following targets are not in a running state and cannot be registered: '{id}'"
                            ),
                        )
                    })?;
                }
                Some("ip") if id.parse::<std::net::IpAddr>().is_err() => {
                    return Err(validation(format!(
                        "The IP address '{id}' is not a valid IPv4 or IPv6 address"
                    )));
                }
                _ => {}
            }
            let full = full(group, target);
            if let Some(draining) = group.body["_Draining"].as_array_mut() {
                draining.retain(|known| known["Id"] != full["Id"] || known["Port"] != full["Port"]);
            }
            if !targets
                .iter()
                .any(|known| known["Id"] == full["Id"] && known["Port"] == full["Port"])
            {
                targets.push(full);
            }
        }
        group.body["_Targets"] = targets.into();
        Ok(nothing())
    })
    .await
}

/// `DeregisterTargets`: what goes on with them is drained.
pub async fn deregister(context: Context, input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now().as_second();
    edit(&context, &input, |state, group| {
        let going: Vec<&Value> = input.list("Targets").iter().collect();
        let is_going = |known: &Value| {
            going.iter().any(|target| {
                let port = target.number("Port");
                target["Id"] == known["Id"] && port.is_none_or(|port| known.number("Port") == Some(port))
            })
        };
        let (gone, staying): (Vec<Value>, Vec<Value>) = group.body.list("_Targets").iter().cloned().partition(is_going);
        let mut draining: Vec<Value> = draining(group, now).cloned().collect();
        if !balancers(state, &group.key).is_empty() {
            let until = now.saturating_add(i64::try_from(plan::delay(group)).unwrap_or(i64::MAX));
            draining.extend(gone.into_iter().map(|mut target| {
                target["_Until"] = until.into();
                target
            }));
        }
        group.body["_Targets"] = staying.into();
        group.body["_Draining"] = draining.into();
        Ok(nothing())
    })
    .await
}

/// Targets that were deregistered and are drained still.
fn draining(group: &Item, now: i64) -> impl Iterator<Item = &Value> {
    let all = group.body.list("_Draining").iter();
    all.filter(move |target| target.number("_Until").is_some_and(|until| until > now))
}

/// What is known of a group's targets' health, by id and port.
type Known = Option<BTreeMap<(String, u16), HealthState>>;

/// `DescribeTargetHealth`. Where nobody asks targets for their health, they are taken for healthy.
pub async fn health(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("TargetGroupArn");
    let find_vpc = |state: &State| {
        let group = find(state, ItemKind::TargetGroup, arn)?;
        Ok::<_, ApiError>(group.body.text("VpcId").and_then(|id| VpcId::new(id).ok()))
    };
    let seen: Known = match context.region.ledger.read(find_vpc)? {
        Some(vpc) => context.region.host.target_health(vpc, arn.to_owned()).await,
        None => None,
    };
    let now = context.region.clock.now().as_second();
    context.region.ledger.read(|state| {
        let group = find(state, ItemKind::TargetGroup, arn)?;
        let known = plan::targets(state, group);
        let is_used = !balancers(state, arn).is_empty();
        let drained: Vec<Value> = draining(group, now).map(without_mark).collect();
        let view = |target: &Value| {
            let same = |other: &&Value| other["Id"] == target["Id"] && other["Port"] == target["Port"];
            let health = match (known.iter().any(|known| same(&known)), is_used) {
                (true, true) => health_of(state, group, target, &seen),
                (true, false) => unused(
                    "Target.NotInUse",
                    "Target group is not configured to receive traffic from the load balancer",
                ),
                (false, _) if drained.iter().any(|known| same(&known)) => json!({
                    "State": "draining", "Reason": "Target.DeregistrationInProgress",
                    "Description": "Target deregistration is in progress",
                }),
                (false, _) => unused("Target.NotRegistered", "Target is not registered to the target group"),
            };
            let checked = group
                .body
                .text("HealthCheckPort")
                .filter(|port| *port != "traffic-port")
                .map(str::to_owned);
            let port = checked.or_else(|| target.number("Port").map(|port| port.to_string()));
            json!({"Target": target, "HealthCheckPort": port, "TargetHealth": health})
        };
        let asked: Vec<Value> = input.list("Targets").iter().map(|target| full(group, target)).collect();
        let all = if asked.is_empty() {
            [known.clone(), drained.clone()].concat()
        } else {
            asked
        };
        Ok(json!({ "TargetHealthDescriptions": all.iter().map(view).collect::<Vec<_>>() }))
    })
}

fn unused(reason: &str, description: &str) -> Value {
    json!({"State": "unused", "Reason": reason, "Description": description})
}

fn without_mark(target: &Value) -> Value {
    let mut target = target.clone();
    if let Some(members) = target.as_object_mut() {
        members.remove("_Until");
    }
    target
}

/// The health of a registered target of a group that is in use.
fn health_of(state: &State, group: &Item, target: &Value, seen: &Known) -> Value {
    let id = target.required("Id");
    if group.body.text("TargetType") == Some("instance") && plan::address(state, id).is_none() {
        return unused("Target.InvalidState", "Target is in the stopped state");
    }
    let port = target.number("Port").and_then(|port| u16::try_from(port).ok());
    let health = match (seen, port) {
        (Some(seen), Some(port)) => seen.get(&(id.to_owned(), port)).copied().unwrap_or_default(),
        _ => HealthState::Healthy,
    };
    plan::view(health)
}
