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
];
