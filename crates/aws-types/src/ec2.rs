//! Requests, answers and structures of EC2, for the operations that Ondol serves and calls. Names are AWS's own; a test
//! compares them with the published model.
#![allow(missing_docs, reason = "the members are AWS's own, and documented by AWS")]

use serde::{Deserialize, Serialize};

macro_rules! structures {
    ($($name:ident { $($field:ident: $kind:ty),* $(,)? })*) => {
        $(
            #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
            #[serde(rename_all = "PascalCase", default)]
            pub struct $name {
                $(#[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<$kind>,)*
            }
        )*

        /// Every structure here with the members that it has on the wire, for the comparison with the model.
        #[cfg(test)]
        fn declared() -> Vec<(&'static str, Vec<&'static str>)> {
            vec![$((stringify!($name), vec![$(stringify!($field)),*])),*]
        }
    };
}

structures! {
    CreateVpcRequest { cidr_block: String, tag_specifications: Vec<TagSpecification>, dry_run: bool }
    CreateVpcResult { vpc: Vpc }
    DeleteVpcRequest { vpc_id: String, dry_run: bool }
    DescribeVpcsRequest { vpc_ids: Vec<String>, filters: Vec<Filter>, dry_run: bool, next_token: String, max_results: i64 }
    DescribeVpcsResult { vpcs: Vec<Vpc>, next_token: String }
    CreateSubnetRequest {
        vpc_id: String, cidr_block: String, availability_zone: String, availability_zone_id: String,
        tag_specifications: Vec<TagSpecification>, dry_run: bool,
    }
    CreateSubnetResult { subnet: Subnet }
    DeleteSubnetRequest { subnet_id: String, dry_run: bool }
    DescribeSubnetsRequest { subnet_ids: Vec<String>, filters: Vec<Filter>, dry_run: bool, next_token: String, max_results: i64 }
    DescribeSubnetsResult { subnets: Vec<Subnet>, next_token: String }
    DescribeRegionsRequest { region_names: Vec<String>, filters: Vec<Filter>, all_regions: bool, dry_run: bool }
    DescribeRegionsResult { regions: Vec<Region> }
    DescribeAvailabilityZonesRequest {
        zone_names: Vec<String>, zone_ids: Vec<String>, filters: Vec<Filter>, all_availability_zones: bool, dry_run: bool,
    }
    DescribeAvailabilityZonesResult { availability_zones: Vec<AvailabilityZone> }

    Filter { name: String, values: Vec<String> }
    Tag { key: String, value: String }
    TagSpecification { resource_type: String, tags: Vec<Tag> }
    Vpc {
        vpc_id: String, state: String, cidr_block: String, is_default: bool, owner_id: String, instance_tenancy: String,
        cidr_block_association_set: Vec<VpcCidrBlockAssociation>, tags: Vec<Tag>, dhcp_options_id: String,
    }
    VpcCidrBlockAssociation { association_id: String, cidr_block: String, cidr_block_state: VpcCidrBlockState }
    VpcCidrBlockState { state: String }
    Subnet {
        subnet_id: String, subnet_arn: String, vpc_id: String, state: String, cidr_block: String, availability_zone: String,
        availability_zone_id: String, available_ip_address_count: i64, default_for_az: bool,
        map_public_ip_on_launch: bool, owner_id: String, tags: Vec<Tag>,
    }
    Region { region_name: String, endpoint: String, opt_in_status: String }
    AvailabilityZone {
        zone_name: String, zone_id: String, region_name: String, state: String, zone_type: String, group_name: String,
        opt_in_status: String, network_border_group: String,
    }
}

#[cfg(test)]
mod tests;
