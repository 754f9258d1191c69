//! Rows of Auto Scaling.

use super::Row;
use crate::autoscaling;

/// Every operation of Auto Scaling that is served.
pub const ROWS: &[Row] = &[
    row!("autoscaling", "CreateAutoScalingGroup", autoscaling::group::create),
    row!("autoscaling", "UpdateAutoScalingGroup", autoscaling::update),
    row!("autoscaling", "DeleteAutoScalingGroup", autoscaling::group::delete),
    row!("autoscaling", "DescribeAutoScalingGroups", autoscaling::describe),
    row!(
        "autoscaling",
        "DescribeAutoScalingInstances",
        autoscaling::describe_instances
    ),
    row!("autoscaling", "DescribeScalingActivities", autoscaling::activities),
    row!(
        "autoscaling",
        "DescribeLaunchConfigurations",
        autoscaling::launch_configuration::describe
    ),
    row!(
        "autoscaling",
        "CreateLaunchConfiguration",
        autoscaling::launch_configuration::create
    ),
    row!(
        "autoscaling",
        "DeleteLaunchConfiguration",
        autoscaling::launch_configuration::delete
    ),
    row!("autoscaling", "SetDesiredCapacity", autoscaling::set_desired),
    row!(
        "autoscaling",
        "TerminateInstanceInAutoScalingGroup",
        autoscaling::terminate
    ),
    row!("autoscaling", "AttachInstances", autoscaling::member::attach),
    row!("autoscaling", "DetachInstances", autoscaling::member::detach),
    row!("autoscaling", "EnterStandby", autoscaling::member::enter_standby),
    row!("autoscaling", "ExitStandby", autoscaling::member::exit_standby),
    row!("autoscaling", "SetInstanceProtection", autoscaling::member::protect),
    row!("autoscaling", "SetInstanceHealth", autoscaling::member::set_health),
    row!("autoscaling", "CreateOrUpdateTags", autoscaling::tag::create),
    row!("autoscaling", "DeleteTags", autoscaling::tag::delete),
    row!("autoscaling", "DescribeTags", autoscaling::tag::describe),
    row!("autoscaling", "PutLifecycleHook", autoscaling::hook::put),
    row!("autoscaling", "DescribeLifecycleHooks", autoscaling::hook::describe),
    row!("autoscaling", "DeleteLifecycleHook", autoscaling::hook::delete),
    row!(
        "autoscaling",
        "CompleteLifecycleAction",
        autoscaling::lifecycle::complete
    ),
    row!(
        "autoscaling",
        "RecordLifecycleActionHeartbeat",
        autoscaling::lifecycle::heartbeat
    ),
    row!("autoscaling", "PutScalingPolicy", autoscaling::policy::put),
    row!("autoscaling", "DescribePolicies", autoscaling::policy::describe),
    row!("autoscaling", "DeletePolicy", autoscaling::policy::delete),
    row!("autoscaling", "ExecutePolicy", autoscaling::policy::execute),
    row!(
        "autoscaling",
        "DescribeAdjustmentTypes",
        autoscaling::policy::adjustment_types
    ),
    row!(
        "autoscaling",
        "PutScheduledUpdateGroupAction",
        autoscaling::schedule::put
    ),
    row!(
        "autoscaling",
        "BatchPutScheduledUpdateGroupAction",
        autoscaling::schedule::put_many
    ),
    row!(
        "autoscaling",
        "DescribeScheduledActions",
        autoscaling::schedule::describe
    ),
    row!("autoscaling", "DeleteScheduledAction", autoscaling::schedule::delete),
    row!(
        "autoscaling",
        "BatchDeleteScheduledAction",
        autoscaling::schedule::delete_many
    ),
    row!("autoscaling", "StartInstanceRefresh", autoscaling::refresh::start),
    row!(
        "autoscaling",
        "DescribeInstanceRefreshes",
        autoscaling::refresh::describe
    ),
    row!("autoscaling", "CancelInstanceRefresh", autoscaling::refresh::cancel),
    row!(
        "autoscaling",
        "RollbackInstanceRefresh",
        autoscaling::refresh::roll_back
    ),
    row!("autoscaling", "PutWarmPool", autoscaling::warm_pool::put),
    row!("autoscaling", "DescribeWarmPool", autoscaling::warm_pool::describe),
    row!("autoscaling", "DeleteWarmPool", autoscaling::warm_pool::delete),
    row!(
        "autoscaling",
        "EnableMetricsCollection",
        autoscaling::notice::enable_metrics
    ),
    row!(
        "autoscaling",
        "DisableMetricsCollection",
        autoscaling::notice::disable_metrics
    ),
    row!(
        "autoscaling",
        "DescribeMetricCollectionTypes",
        autoscaling::notice::metric_types
    ),
    row!(
        "autoscaling",
        "DescribeAutoScalingNotificationTypes",
        autoscaling::notice::notification_types
    ),
    row!(
        "autoscaling",
        "PutNotificationConfiguration",
        autoscaling::notice::put_notification
    ),
    row!(
        "autoscaling",
        "DeleteNotificationConfiguration",
        autoscaling::notice::delete_notification
    ),
    row!(
        "autoscaling",
        "DescribeNotificationConfigurations",
        autoscaling::notice::notifications
    ),
    row!(
        "autoscaling",
        "AttachLoadBalancers",
        autoscaling::notice::attach_balancers
    ),
    row!(
        "autoscaling",
        "DetachLoadBalancers",
        autoscaling::notice::detach_balancers
    ),
    row!("autoscaling", "DescribeLoadBalancers", autoscaling::notice::balancers),
    row!(
        "autoscaling",
        "AttachTrafficSources",
        autoscaling::notice::attach_sources
    ),
    row!(
        "autoscaling",
        "DetachTrafficSources",
        autoscaling::notice::detach_sources
    ),
    row!("autoscaling", "DescribeTrafficSources", autoscaling::notice::sources),
    row!("autoscaling", "SuspendProcesses", autoscaling::hook::suspend),
    row!("autoscaling", "ResumeProcesses", autoscaling::hook::resume),
    row!(
        "autoscaling",
        "AttachLoadBalancerTargetGroups",
        autoscaling::hook::attach_targets
    ),
    row!(
        "autoscaling",
        "DetachLoadBalancerTargetGroups",
        autoscaling::hook::detach_targets
    ),
    row!(
        "autoscaling",
        "DescribeLoadBalancerTargetGroups",
        autoscaling::hook::describe_targets
    ),
    row!(
        "autoscaling",
        "DescribeScalingProcessTypes",
        autoscaling::hook::process_types
    ),
    row!(
        "autoscaling",
        "DescribeLifecycleHookTypes",
        autoscaling::hook::hook_types
    ),
    row!(
        "autoscaling",
        "DescribeTerminationPolicyTypes",
        autoscaling::hook::termination_policies
    ),
    row!("autoscaling", "DescribeAccountLimits", autoscaling::hook::limits),
];
