//! Facts: regions and zones.

use std::collections::BTreeMap;

use aws_types::ec2::{
    AvailabilityZone, DescribeAvailabilityZonesRequest, DescribeAvailabilityZonesResult, DescribeRegionsRequest,
    DescribeRegionsResult, Region,
};
use aws_types::region::{self, REGIONS};
use serde_json::{Value, json};

use super::filter::{Subject, passes};
use super::{dry_run, invalid};
use crate::error::ApiError;
use crate::members::Members;
use crate::operations::Context;

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

/// `DescribeAccountAttributes`: EC2's usual limits, and the default VPC.
pub async fn account_attributes(context: Context, input: Value) -> Result<Value, ApiError> {
    dry_run(input.flag("DryRun"))?;
    let default = context.region.ledger.read(|state| {
        let found = state.vpcs.values().find(|vpc| vpc.is_default);
        found.map_or_else(|| "none".to_owned(), |vpc| vpc.id.to_string())
    });
    let known = [
        ("vpc-max-security-groups-per-interface", "5"),
        ("max-instances", "20"),
        ("supported-platforms", "VPC"),
        ("default-vpc", default.as_str()),
        ("max-elastic-ips", "5"),
        ("vpc-max-elastic-ips", "5"),
    ];
    let wanted = input.texts("AttributeNames");
    let chosen = known
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.contains(name));
    let views: Vec<Value> = chosen
        .map(|(name, value)| json!({"AttributeName": name, "AttributeValues": [{ "AttributeValue": value }]}))
        .collect();
    Ok(json!({ "AccountAttributes": views }))
}
