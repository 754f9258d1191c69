//! Rows of EC2.

use super::Row;
use crate::ec2;

/// Every operation of EC2 that is served.
pub const ROWS: &[Row] = &[
    row!("ec2", "CreateVpc", ec2::vpc::create),
    row!("ec2", "DescribeVpcs", ec2::vpc::describe),
    row!("ec2", "DeleteVpc", ec2::vpc::delete),
    row!("ec2", "CreateSubnet", ec2::subnet::create),
    row!("ec2", "DescribeSubnets", ec2::subnet::describe),
    row!("ec2", "DeleteSubnet", ec2::subnet::delete),
    row!("ec2", "DescribeRegions", ec2::fact::regions),
    row!("ec2", "DescribeAvailabilityZones", ec2::fact::availability_zones),
    row!("ec2", "DescribeInstanceTypes", ec2::fact::instance_types),
    row!("ec2", "ModifyVpcAttribute", ec2::vpc::modify),
    row!("ec2", "DescribeVpcAttribute", ec2::vpc::attribute),
    row!("ec2", "ModifySubnetAttribute", ec2::subnet::modify),
    row!("ec2", "CreateInternetGateway", ec2::gateway::create_internet),
    row!("ec2", "AttachInternetGateway", ec2::gateway::attach),
    row!("ec2", "DetachInternetGateway", ec2::gateway::detach),
    row!("ec2", "DescribeInternetGateways", ec2::gateway::describe_internet),
    row!("ec2", "DeleteInternetGateway", ec2::gateway::delete_internet),
    row!("ec2", "AllocateAddress", ec2::gateway::allocate),
    row!("ec2", "DescribeAddresses", ec2::gateway::describe_addresses),
    row!("ec2", "ReleaseAddress", ec2::gateway::release),
    row!("ec2", "CreateNatGateway", ec2::gateway::create_nat),
    row!("ec2", "DescribeNatGateways", ec2::gateway::describe_nat),
    row!("ec2", "DeleteNatGateway", ec2::gateway::delete_nat),
    row!("ec2", "CreateRouteTable", ec2::route::create),
    row!("ec2", "DescribeRouteTables", ec2::route::describe),
    row!("ec2", "DeleteRouteTable", ec2::route::delete),
    row!("ec2", "AssociateRouteTable", ec2::route::associate),
    row!("ec2", "DisassociateRouteTable", ec2::route::disassociate),
    row!("ec2", "CreateRoute", ec2::route::add),
    row!("ec2", "ReplaceRoute", ec2::route::replace),
    row!("ec2", "DeleteRoute", ec2::route::remove),
    row!("ec2", "CreateSecurityGroup", ec2::security_group::create),
    row!("ec2", "DescribeSecurityGroups", ec2::security_group::describe),
    row!("ec2", "DeleteSecurityGroup", ec2::security_group::delete),
    row!(
        "ec2",
        "AuthorizeSecurityGroupIngress",
        ec2::security_group::authorize_ingress
    ),
    row!(
        "ec2",
        "AuthorizeSecurityGroupEgress",
        ec2::security_group::authorize_egress
    ),
    row!("ec2", "RevokeSecurityGroupIngress", ec2::security_group::revoke_ingress),
    row!("ec2", "RevokeSecurityGroupEgress", ec2::security_group::revoke_egress),
    row!("ec2", "DescribeSecurityGroupRules", ec2::security_group::describe_rules),
    row!("ec2", "CreateLaunchTemplate", ec2::launch_template::create),
    row!(
        "ec2",
        "CreateLaunchTemplateVersion",
        ec2::launch_template::create_version
    ),
    row!("ec2", "ModifyLaunchTemplate", ec2::launch_template::modify),
    row!("ec2", "DescribeLaunchTemplates", ec2::launch_template::describe),
    row!(
        "ec2",
        "DescribeLaunchTemplateVersions",
        ec2::launch_template::describe_versions
    ),
    row!(
        "ec2",
        "DeleteLaunchTemplateVersions",
        ec2::launch_template::delete_versions
    ),
    row!("ec2", "DeleteLaunchTemplate", ec2::launch_template::delete),
    row!("ec2", "ImportKeyPair", ec2::key_pair::import),
    row!("ec2", "DescribeKeyPairs", ec2::key_pair::describe),
    row!("ec2", "DeleteKeyPair", ec2::key_pair::delete),
    row!("ec2", "CreateTags", ec2::tag::create),
    row!("ec2", "DeleteTags", ec2::tag::delete),
    row!("ec2", "DescribeTags", ec2::tag::describe),
    row!("ec2", "DescribeInstances", ec2::instance::describe),
    row!("ec2", "DescribeInstanceStatus", ec2::instance::describe_status),
    row!("ec2", "TerminateInstances", ec2::instance::terminate),
    row!("ec2", "DescribeNetworkInterfaces", ec2::instance::interfaces),
    row!("ec2", "DescribeInstanceTypeOfferings", ec2::instance::offerings),
];
