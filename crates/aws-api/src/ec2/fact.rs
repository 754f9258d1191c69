//! Facts: regions, zones, instance types.

use std::collections::BTreeMap;

use aws_types::ec2::{
    AvailabilityZone, DescribeAvailabilityZonesRequest, DescribeAvailabilityZonesResult, DescribeInstanceTypesRequest,
    DescribeInstanceTypesResult, DescribeRegionsRequest, DescribeRegionsResult, InstanceTypeInfo, MemoryInfo,
    NetworkInfo, ProcessorInfo, Region, VCpuInfo,
};
use aws_types::instance_type::{self, InstanceType};
use aws_types::region::{self, REGIONS};

use super::filter::{Subject, passes};
use super::{dry_run, invalid};
use crate::error::ApiError;
use crate::operations::Context;
use crate::page;

/// `DescribeRegions`.
pub async fn regions(_context: Context, request: DescribeRegionsRequest) -> Result<DescribeRegionsResult, ApiError> {
    dry_run(request.dry_run)?;
    let wanted = request.region_names.unwrap_or_default();
    let mut regions = Vec::new();
    for known in REGIONS
        .iter()
        .filter(|known| wanted.is_empty() || wanted.iter().any(|name| name == known.name))
    {
        let endpoint = format!("ec2.{}.amazonaws.com", known.name);
        let opt_in = "opt-in-not-required".to_owned();
        let values = [
            ("region-name", known.name.to_owned()),
            ("endpoint", endpoint.clone()),
            ("opt-in-status", opt_in.clone()),
        ];
        if passes(
            request.filters.as_deref(),
            &Subject {
                values: &values,
                tags: &BTreeMap::new(),
            },
        )? {
            regions.push(Region {
                region_name: Some(known.name.to_owned()),
                endpoint: Some(endpoint),
                opt_in_status: Some(opt_in),
            });
        }
    }
    Ok(DescribeRegionsResult { regions: Some(regions) })
}

/// `DescribeAvailabilityZones`.
pub async fn availability_zones(
    context: Context,
    request: DescribeAvailabilityZonesRequest,
) -> Result<DescribeAvailabilityZonesResult, ApiError> {
    let own = context.region.name.to_string();
    let known = region::find(&context.region.name)
        .map(region::Region::zones)
        .unwrap_or_default();
    let names = request.zone_names.unwrap_or_default();
    let ids = request.zone_ids.unwrap_or_default();
    if let Some(unknown) = names
        .iter()
        .find(|name| !known.iter().any(|(zone, _)| zone.as_str() == **name))
    {
        return Err(invalid(format!("Invalid availability zone: [{unknown}]")));
    }
    dry_run(request.dry_run)?;
    let mut zones = Vec::new();
    for (zone, id) in known {
        let named = names.is_empty() || names.iter().any(|name| name == zone.as_str());
        if !named || !(ids.is_empty() || ids.contains(&id)) {
            continue;
        }
        let values = [
            ("zone-name", zone.to_string()),
            ("zone-id", id.clone()),
            ("region-name", own.clone()),
            ("state", "available".to_owned()),
            ("zone-type", "availability-zone".to_owned()),
            ("group-name", own.clone()),
            ("opt-in-status", "opt-in-not-required".to_owned()),
        ];
        if passes(
            request.filters.as_deref(),
            &Subject {
                values: &values,
                tags: &BTreeMap::new(),
            },
        )? {
            zones.push(AvailabilityZone {
                zone_name: Some(zone.to_string()),
                zone_id: Some(id),
                region_name: Some(own.clone()),
                state: Some("available".to_owned()),
                zone_type: Some("availability-zone".to_owned()),
                group_name: Some(own.clone()),
                opt_in_status: Some("opt-in-not-required".to_owned()),
                network_border_group: Some(own.clone()),
            });
        }
    }
    Ok(DescribeAvailabilityZonesResult {
        availability_zones: Some(zones),
    })
}

/// `DescribeInstanceTypes`.
pub async fn instance_types(
    _context: Context,
    request: DescribeInstanceTypesRequest,
) -> Result<DescribeInstanceTypesResult, ApiError> {
    let wanted = request.instance_types.unwrap_or_default();
    let unknown: Vec<&str> = wanted
        .iter()
        .map(String::as_str)
        .filter(|name| instance_type::find(name).is_none())
        .collect();
    if !unknown.is_empty() {
        let message = format!(
            "The following supplied instance types do not exist: [{}]",
            unknown.join(", ")
        );
        return Err(ApiError::bad_request("InvalidInstanceType", message));
    }
    dry_run(request.dry_run)?;
    let mut fitting = Vec::new();
    for known in instance_type::all()
        .iter()
        .filter(|known| wanted.is_empty() || wanted.iter().any(|name| name == known.name))
    {
        let values = [
            ("instance-type", known.name.to_owned()),
            ("processor-info.supported-architecture", known.architecture.to_owned()),
            ("supported-virtualization-type", "hvm".to_owned()),
            ("current-generation", "true".to_owned()),
            ("bare-metal", "false".to_owned()),
        ];
        if passes(
            request.filters.as_deref(),
            &Subject {
                values: &values,
                tags: &BTreeMap::new(),
            },
        )? {
            fitting.push(known.name.to_owned());
        }
    }
    let (names, next_token) = page::names(fitting, request.max_results, request.next_token.as_deref())
        .map_err(|refusal| invalid(refusal.message))?;
    let types = names
        .iter()
        .filter_map(|name| instance_type::find(name))
        .map(describe_type)
        .collect();
    Ok(DescribeInstanceTypesResult {
        instance_types: Some(types),
        next_token,
    })
}

fn describe_type(known: &InstanceType) -> InstanceTypeInfo {
    InstanceTypeInfo {
        instance_type: Some(known.name.to_owned()),
        current_generation: Some(true),
        processor_info: Some(ProcessorInfo {
            supported_architectures: Some(vec![known.architecture.to_owned()]),
        }),
        v_cpu_info: Some(VCpuInfo {
            default_v_cpus: Some(i64::from(known.vcpus)),
        }),
        memory_info: Some(MemoryInfo {
            size_in_mi_b: i64::try_from(known.memory_mib).ok(),
        }),
        network_info: Some(NetworkInfo {
            maximum_network_interfaces: Some(i64::from(known.interfaces)),
            ipv4_addresses_per_interface: Some(i64::from(known.addresses_per_interface)),
        }),
        supported_usage_classes: Some(vec!["on-demand".to_owned(), "spot".to_owned()]),
        hypervisor: Some("nitro".to_owned()),
        supported_virtualization_types: Some(vec!["hvm".to_owned()]),
        bare_metal: Some(false),
    }
}
