//! Attributes of load balancers, target groups and listeners.

use serde_json::{Map, Value, json};

use super::{error, find, not_found};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::members::Members;
use crate::operations::Context;

fn attributes(pairs: &[(&str, &str)]) -> Value {
    let pairs = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Value::from(*value)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

/// What a network load balancer has at first.
pub fn of_load_balancer() -> Value {
    attributes(&[
        ("access_logs.s3.enabled", "false"),
        ("access_logs.s3.bucket", ""),
        ("access_logs.s3.prefix", ""),
        ("deletion_protection.enabled", "false"),
        ("load_balancing.cross_zone.enabled", "false"),
        ("dns_record.client_routing_policy", "any_availability_zone"),
        ("ipv6.deny_all_igw_traffic", "false"),
        ("zonal_shift.config.enabled", "false"),
        ("secondary_ips.auto_assigned.per_subnet", "0"),
    ])
}

/// What a target group has at first.
pub fn of_target_group(protocol: &str) -> Value {
    let mut all = attributes(&[
        ("deregistration_delay.timeout_seconds", "300"),
        ("stickiness.enabled", "false"),
        ("load_balancing.cross_zone.enabled", "use_load_balancer_configuration"),
        ("target_group_health.dns_failover.minimum_healthy_targets.count", "1"),
        (
            "target_group_health.dns_failover.minimum_healthy_targets.percentage",
            "off",
        ),
        (
            "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
            "1",
        ),
        (
            "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
            "off",
        ),
    ]);
    let own: &[(&str, &str)] = if protocol.starts_with("HTTP") {
        &[
            ("stickiness.type", "lb_cookie"),
            ("stickiness.lb_cookie.duration_seconds", "86400"),
            ("stickiness.app_cookie.cookie_name", ""),
            ("stickiness.app_cookie.duration_seconds", "86400"),
            ("slow_start.duration_seconds", "0"),
            ("load_balancing.algorithm.type", "round_robin"),
            ("load_balancing.algorithm.anomaly_mitigation", "off"),
        ]
    } else {
        &[
            ("stickiness.type", "source_ip"),
            ("proxy_protocol_v2.enabled", "false"),
            ("preserve_client_ip.enabled", "true"),
            ("deregistration_delay.connection_termination.enabled", "false"),
            ("target_health_state.unhealthy.connection_termination.enabled", "true"),
            ("target_health_state.unhealthy.draining_interval_seconds", "0"),
        ]
    };
    for (key, value) in own {
        all[*key] = (*value).into();
    }
    all
}

/// What a listener has at first.
pub fn of_listener(protocol: &str) -> Value {
    match protocol {
        "TCP" => attributes(&[("tcp.idle_timeout.seconds", "350")]),
        _ => attributes(&[]),
    }
}

/// Whether an attribute is true.
pub fn is_set(item: &Item, key: &str) -> bool {
    item.body["_Attributes"].text(key) == Some("true")
}

fn listed(item: &Item) -> Value {
    let pairs = item.body["_Attributes"].as_object().into_iter().flatten();
    pairs.map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

async fn described(context: &Context, input: &Value, kind: ItemKind, member: &str) -> Result<Value, ApiError> {
    let arn = input.required(member);
    context
        .region
        .ledger
        .read(|state| Ok(json!({ "Attributes": listed(find(state, kind, arn)?) })))
}

async fn modified(context: &Context, input: &Value, kind: ItemKind, member: &str) -> Result<Value, ApiError> {
    let arn = input.required(member);
    catalogue::edit(
        context,
        kind,
        arn,
        || not_found(kind, arn),
        |_, item| {
            for wanted in input.list("Attributes") {
                let key = wanted.required("Key");
                if item.body["_Attributes"].get(key).is_none() {
                    let message = format!("Attribute key '{key}' is not recognized");
                    return Err(error("InvalidConfigurationRequest", message));
                }
                item.body["_Attributes"][key] = wanted.required("Value").into();
            }
            Ok(json!({ "Attributes": listed(item) }))
        },
    )
    .await
}

/// `DescribeLoadBalancerAttributes`.
pub async fn load_balancer(context: Context, input: Value) -> Result<Value, ApiError> {
    described(&context, &input, ItemKind::LoadBalancer, "LoadBalancerArn").await
}

/// `ModifyLoadBalancerAttributes`.
pub async fn modify_load_balancer(context: Context, input: Value) -> Result<Value, ApiError> {
    modified(&context, &input, ItemKind::LoadBalancer, "LoadBalancerArn").await
}

/// `DescribeTargetGroupAttributes`.
pub async fn target_group(context: Context, input: Value) -> Result<Value, ApiError> {
    described(&context, &input, ItemKind::TargetGroup, "TargetGroupArn").await
}

/// `ModifyTargetGroupAttributes`.
pub async fn modify_target_group(context: Context, input: Value) -> Result<Value, ApiError> {
    modified(&context, &input, ItemKind::TargetGroup, "TargetGroupArn").await
}

/// `DescribeListenerAttributes`.
pub async fn listener(context: Context, input: Value) -> Result<Value, ApiError> {
    described(&context, &input, ItemKind::Listener, "ListenerArn").await
}

/// `ModifyListenerAttributes`.
pub async fn modify_listener(context: Context, input: Value) -> Result<Value, ApiError> {
    modified(&context, &input, ItemKind::Listener, "ListenerArn").await
}
