//! Rows of Elastic Load Balancing, both generations.

use super::Row;
use crate::elb;

/// Every operation of it that is served.
pub const ROWS: &[Row] = &[
    row!("elb", "DescribeLoadBalancers", elb::classic),
    row!("elb", "DescribeTags", elb::classic_tags),
    row!("elbv2", "CreateLoadBalancer", elb::create),
    row!("elbv2", "DescribeLoadBalancers", elb::describe),
    row!("elbv2", "DeleteLoadBalancer", elb::delete),
    row!("elbv2", "SetIpAddressType", elb::set_address_type),
    row!("elbv2", "SetSecurityGroups", elb::set_security_groups),
    row!("elbv2", "SetSubnets", elb::set_subnets),
    row!("elbv2", "DescribeAccountLimits", elb::limits),
    row!("elbv2", "DescribeSSLPolicies", elb::ssl_policies),
    row!("elbv2", "DescribeCapacityReservation", elb::capacity),
    row!("elbv2", "DescribeLoadBalancerAttributes", elb::attribute::load_balancer),
    row!(
        "elbv2",
        "ModifyLoadBalancerAttributes",
        elb::attribute::modify_load_balancer
    ),
    row!("elbv2", "DescribeTargetGroupAttributes", elb::attribute::target_group),
    row!(
        "elbv2",
        "ModifyTargetGroupAttributes",
        elb::attribute::modify_target_group
    ),
    row!("elbv2", "DescribeListenerAttributes", elb::attribute::listener),
    row!("elbv2", "ModifyListenerAttributes", elb::attribute::modify_listener),
    row!("elbv2", "CreateTargetGroup", elb::target::create),
    row!("elbv2", "DescribeTargetGroups", elb::target::describe),
    row!("elbv2", "ModifyTargetGroup", elb::target::modify),
    row!("elbv2", "DeleteTargetGroup", elb::target::delete),
    row!("elbv2", "RegisterTargets", elb::target::register),
    row!("elbv2", "DeregisterTargets", elb::target::deregister),
    row!("elbv2", "DescribeTargetHealth", elb::target::health),
    row!("elbv2", "CreateListener", elb::listener::create),
    row!("elbv2", "DescribeListeners", elb::listener::describe),
    row!("elbv2", "ModifyListener", elb::listener::modify),
    row!("elbv2", "DeleteListener", elb::listener::delete),
    row!("elbv2", "AddListenerCertificates", elb::listener::add_certificates),
    row!(
        "elbv2",
        "RemoveListenerCertificates",
        elb::listener::remove_certificates
    ),
    row!(
        "elbv2",
        "DescribeListenerCertificates",
        elb::listener::describe_certificates
    ),
    row!("elbv2", "CreateRule", elb::rule::create),
    row!("elbv2", "DescribeRules", elb::rule::describe),
    row!("elbv2", "ModifyRule", elb::rule::modify),
    row!("elbv2", "DeleteRule", elb::rule::delete),
    row!("elbv2", "SetRulePriorities", elb::rule::set_priorities),
    row!("elbv2", "AddTags", elb::tag::add),
    row!("elbv2", "RemoveTags", elb::tag::remove),
    row!("elbv2", "DescribeTags", elb::tag::describe),
];
