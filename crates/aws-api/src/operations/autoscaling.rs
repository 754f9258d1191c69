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
        autoscaling::launch_configurations
    ),
    row!(
        "autoscaling",
        "CreateLaunchConfiguration",
        autoscaling::create_launch_configuration
    ),
    row!(
        "autoscaling",
        "DeleteLaunchConfiguration",
        autoscaling::delete_launch_configuration
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
    row!("autoscaling", "CompleteLifecycleAction", autoscaling::hook::no_action),
    row!(
        "autoscaling",
        "RecordLifecycleActionHeartbeat",
        autoscaling::hook::no_action
    ),
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
