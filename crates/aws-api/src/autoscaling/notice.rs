//! What a group tells others, and through what its traffic comes: metrics, notifications, load balancers and other sources of
//! traffic. All are kept and shown; nothing collects metrics or sends notifications here.

use serde_json::{Value, json};

use super::group::{edit, find};
use super::{invalid, page};
use crate::error::ApiError;
use crate::members::{Members, nothing};
use crate::operations::Context;

const METRICS: &[&str] = &[
    "GroupAndWarmPoolDesiredCapacity",
    "GroupAndWarmPoolTotalCapacity",
    "GroupDesiredCapacity",
    "GroupInServiceCapacity",
    "GroupInServiceInstances",
    "GroupMaxSize",
    "GroupMinSize",
    "GroupPendingCapacity",
    "GroupPendingInstances",
    "GroupStandbyCapacity",
    "GroupStandbyInstances",
    "GroupTerminatingCapacity",
    "GroupTerminatingInstances",
    "GroupTotalCapacity",
    "GroupTotalInstances",
    "WarmPoolDesiredCapacity",
    "WarmPoolMinSize",
    "WarmPoolPendingCapacity",
    "WarmPoolTerminatingCapacity",
    "WarmPoolTotalCapacity",
    "WarmPoolWarmedCapacity",
];
const NOTIFICATIONS: &[&str] = &[
    "autoscaling:EC2_INSTANCE_LAUNCH",
    "autoscaling:EC2_INSTANCE_LAUNCH_ERROR",
    "autoscaling:EC2_INSTANCE_TERMINATE",
    "autoscaling:EC2_INSTANCE_TERMINATE_ERROR",
    "autoscaling:TEST_NOTIFICATION",
];

fn metrics(input: &Value) -> Result<Vec<&str>, ApiError> {
    let named = input.texts("Metrics");
    if let Some(unknown) = named.iter().find(|name| !METRICS.contains(name)) {
        return Err(invalid(format!("Invalid metric: {unknown}")));
    }
    Ok(if named.is_empty() { METRICS.to_vec() } else { named })
}

/// `EnableMetricsCollection`.
pub async fn enable_metrics(context: Context, input: Value) -> Result<Value, ApiError> {
    let granularity = input.required("Granularity");
    if granularity != "1Minute" {
        return Err(invalid(format!(
            "Invalid granularity: {granularity}. Valid granularities are [1Minute]"
        )));
    }
    let wanted = metrics(&input)?;
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        let mut all = group.details.list("EnabledMetrics").to_vec();
        for name in wanted {
            if !all.iter().any(|known| known.text("Metric") == Some(name)) {
                all.push(json!({"Metric": name, "Granularity": granularity}));
            }
        }
        group.details["EnabledMetrics"] = all.into();
        Ok(nothing())
    })
    .await
}

/// `DisableMetricsCollection`.
pub async fn disable_metrics(context: Context, input: Value) -> Result<Value, ApiError> {
    let unwanted = metrics(&input)?;
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        let mut all = group.details.list("EnabledMetrics").to_vec();
        all.retain(|known| !unwanted.contains(&known.required("Metric")));
        group.details["EnabledMetrics"] = all.into();
        Ok(nothing())
    })
    .await
}

/// `DescribeMetricCollectionTypes`.
pub async fn metric_types(_context: Context, _input: Value) -> Result<Value, ApiError> {
    let metrics: Vec<Value> = METRICS.iter().map(|name| json!({ "Metric": name })).collect();
    Ok(json!({"Metrics": metrics, "Granularities": [{"Granularity": "1Minute"}]}))
}

/// `DescribeAutoScalingNotificationTypes`.
pub async fn notification_types(_context: Context, _input: Value) -> Result<Value, ApiError> {
    Ok(json!({ "AutoScalingNotificationTypes": NOTIFICATIONS }))
}

/// `PutNotificationConfiguration`.
pub async fn put_notification(context: Context, input: Value) -> Result<Value, ApiError> {
    let types = input.texts("NotificationTypes");
    if let Some(unknown) = types.iter().find(|kind| !NOTIFICATIONS.contains(kind)) {
        return Err(invalid(format!("{unknown} is not a valid notification type")));
    }
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        let types = types.into_iter().map(str::to_owned).collect();
        group.notifications.insert(input.required("TopicARN").to_owned(), types);
        Ok(nothing())
    })
    .await
}

/// `DeleteNotificationConfiguration`.
pub async fn delete_notification(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        group.notifications.remove(input.required("TopicARN"));
        Ok(nothing())
    })
    .await
}

/// `DescribeNotificationConfigurations`.
pub async fn notifications(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = input.texts("AutoScalingGroupNames");
    let views = context.region.ledger.read(|state| {
        let groups = state
            .groups
            .values()
            .filter(|group| names.is_empty() || names.contains(&group.name.as_str()));
        groups
            .flat_map(|group| {
                group
                    .notifications
                    .iter()
                    .map(move |(topic, kinds)| (group, topic, kinds))
            })
            .flat_map(|(group, topic, kinds)| {
                kinds.iter().map(move |kind| {
                    json!({"AutoScalingGroupName": group.name, "TopicARN": topic, "NotificationType": kind})
                })
            })
            .collect()
    });
    page(&input, "NotificationConfigurations", views)
}

/// `AttachLoadBalancers`.
pub async fn attach_balancers(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = input.texts("LoadBalancerNames");
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        let mut all = group.details.list("LoadBalancerNames").to_vec();
        all.extend(
            names
                .into_iter()
                .map(Value::from)
                .filter(|name| !group.details.list("LoadBalancerNames").contains(name)),
        );
        group.details["LoadBalancerNames"] = all.into();
        Ok(nothing())
    })
    .await
}

/// `DetachLoadBalancers`.
pub async fn detach_balancers(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = input.texts("LoadBalancerNames");
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        let mut all = group.details.list("LoadBalancerNames").to_vec();
        all.retain(|name| !names.iter().any(|gone| name.as_str() == Some(gone)));
        group.details["LoadBalancerNames"] = all.into();
        Ok(nothing())
    })
    .await
}

/// `DescribeLoadBalancers`.
pub async fn balancers(context: Context, input: Value) -> Result<Value, ApiError> {
    let views = context.region.ledger.read(|state| {
        let group = find(state, input.required("AutoScalingGroupName"))?;
        let names = group.details.list("LoadBalancerNames").iter();
        Ok::<_, ApiError>(
            names
                .map(|name| json!({"LoadBalancerName": name, "State": "InService"}))
                .collect(),
        )
    })?;
    page(&input, "LoadBalancers", views)
}

/// The ARNs of target groups among sources of traffic; nothing else can be one here.
fn target_groups(input: &Value) -> Result<Vec<String>, ApiError> {
    let arn = |source: &Value| match source.text("Type").unwrap_or("elbv2") {
        "elbv2" => Ok(source.required("Identifier").to_owned()),
        other => Err(invalid(format!(
            "Traffic sources of type {other} are not available in this region"
        ))),
    };
    input.list("TrafficSources").iter().map(arn).collect()
}

/// `AttachTrafficSources`.
pub async fn attach_sources(context: Context, input: Value) -> Result<Value, ApiError> {
    let arns = target_groups(&input)?;
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        group.target_groups.extend(arns);
        Ok(nothing())
    })
    .await
}

/// `DetachTrafficSources`.
pub async fn detach_sources(context: Context, input: Value) -> Result<Value, ApiError> {
    let arns = target_groups(&input)?;
    edit(&context, input.required("AutoScalingGroupName"), |_, group| {
        group.target_groups.retain(|arn| !arns.contains(arn));
        Ok(nothing())
    })
    .await
}

/// `DescribeTrafficSources`.
pub async fn sources(context: Context, input: Value) -> Result<Value, ApiError> {
    let views = context.region.ledger.read(|state| {
        let group = find(state, input.required("AutoScalingGroupName"))?;
        let shown = group
            .target_groups
            .iter()
            .filter(|_| input.text("TrafficSourceType").is_none_or(|kind| kind == "elbv2"))
            .map(|arn| json!({"TrafficSource": arn, "Identifier": arn, "Type": "elbv2", "State": "InService"}));
        Ok::<_, ApiError>(shown.collect())
    })?;
    page(&input, "TrafficSources", views)
}
