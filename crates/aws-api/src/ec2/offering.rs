//! What is offered: instance types by place, Spot prices, capacity.

use std::collections::BTreeMap;

use aws_types::time::Time;
use aws_types::{instance_type, price, region};
use serde_json::{Value, json};

use super::document;
use crate::error::ApiError;
use crate::members::Members;
use crate::operations::Context;

/// `DescribeInstanceTypeOfferings`: every type that is known, everywhere.
pub async fn offerings(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let kind = input.text("LocationType").unwrap_or("region");
    let zones = region::find(&context.region.name)
        .map(region::Region::zones)
        .unwrap_or_default();
    let locations: Vec<String> = match kind {
        "availability-zone" => zones.iter().map(|(zone, _)| zone.to_string()).collect(),
        "availability-zone-id" => zones.iter().map(|(_, id)| id.clone()).collect(),
        _ => vec![context.region.name.to_string()],
    };
    let all = instance_type::all().iter().flat_map(|known| {
        locations.iter().map(move |location| {
            (
                json!({"InstanceType": known.name, "LocationType": kind, "Location": location}),
                BTreeMap::new(),
            )
        })
    });
    let filters = [("instance-type", "InstanceType"), ("location", "Location")];
    document::answer(&input, "InstanceTypeOfferings", &filters, all.collect())
}

/// `DescribeSpotPriceHistory`: one price for each type and zone, which has always been so.
pub async fn spot_prices(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let zones = region::find(&context.region.name)
        .map(region::Region::zones)
        .unwrap_or_default();
    let wanted = input.texts("InstanceTypes");
    let products = input.texts("ProductDescriptions");
    let is_linux = products.is_empty() || products.iter().any(|name| name.starts_with("Linux/UNIX"));
    let only_zone = input.text("AvailabilityZone");
    let now = Time(context.region.clock.now());
    let chosen = instance_type::all()
        .iter()
        .filter(|kind| is_linux && (wanted.is_empty() || wanted.contains(&kind.name)));
    let prices = chosen.flat_map(|kind| {
        let zones = zones
            .iter()
            .filter(|(zone, _)| only_zone.is_none_or(|only| only == zone.as_str()));
        zones.map(move |(zone, id)| {
            let view = json!({
                "InstanceType": kind.name, "AvailabilityZone": zone, "AvailabilityZoneId": id, "Timestamp": now,
                "ProductDescription": "Linux/UNIX", "SpotPrice": price::dollars(price::spot(kind)),
            });
            (view, BTreeMap::new())
        })
    });
    let filters = [
        ("instance-type", "InstanceType"),
        ("availability-zone", "AvailabilityZone"),
        ("availability-zone-id", "AvailabilityZoneId"),
        ("product-description", "ProductDescription"),
        ("spot-price", "SpotPrice"),
        ("timestamp", "Timestamp"),
    ];
    document::answer(&input, "SpotPriceHistory", &filters, prices.collect())
}

/// `DescribeCapacityReservations`: there are none.
pub async fn reservations(_context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    if let Some(id) = input.texts("CapacityReservationIds").first() {
        let message = format!("The capacity reservation '{id}' does not exist");
        return Err(ApiError::bad_request("InvalidCapacityReservationId.NotFound", message));
    }
    Ok(json!({ "CapacityReservations": [] }))
}

/// `GetInstanceTypesFromInstanceRequirements`: processors, memory and architecture decide; the other requirements are met by
/// every type that is known.
pub async fn by_requirements(_context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    let wanted = &input["InstanceRequirements"];
    let within = |member: &str, value: u64| {
        let bounds = &wanted[member];
        let number = |name: &str| bounds.number(name).and_then(|number| u64::try_from(number).ok());
        number("Min").is_none_or(|least| value >= least) && number("Max").is_none_or(|most| value <= most)
    };
    let architectures = input.texts("ArchitectureTypes");
    let matches = |name: &str, pattern: &str| super::filter::matches(pattern, name);
    let allowed = wanted.texts("AllowedInstanceTypes");
    let excluded = wanted.texts("ExcludedInstanceTypes");
    let fits = |kind: &&instance_type::InstanceType| {
        architectures.contains(&kind.architecture)
            && within("VCpuCount", u64::from(kind.vcpus))
            && within("MemoryMiB", kind.memory_mib)
            && (allowed.is_empty() || allowed.iter().any(|pattern| matches(kind.name, pattern)))
            && !excluded.iter().any(|pattern| matches(kind.name, pattern))
            && (wanted.text("BurstablePerformance").unwrap_or("excluded") != "excluded" || !kind.name.starts_with('t'))
    };
    let views = instance_type::all()
        .iter()
        .filter(fits)
        .map(|kind| json!({"InstanceType": kind.name}));
    document::page(&input, "InstanceTypes", views.collect())
}
