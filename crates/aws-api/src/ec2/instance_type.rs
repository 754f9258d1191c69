//! Instance types as EC2 describes them.

use std::collections::BTreeMap;

use aws_types::instance_type::{self, InstanceType};
use serde_json::{Value, json};

use super::{document, dry_run, invalid};
use crate::error::ApiError;
use crate::members::Members;
use crate::operations::Context;

/// Families before Nitro.
const XEN: &[&str] = &["m1", "t2"];
/// Families that have no newer one of their own kind before them on EC2's list of previous generations.
const PREVIOUS: &[&str] = &["m1"];

fn view(known: &InstanceType) -> Value {
    let family = known.name.split('.').next().unwrap_or_default();
    let is_nitro = !XEN.contains(&family);
    let cores = if known.architecture == "arm64" || known.vcpus == 1 {
        known.vcpus
    } else {
        known.vcpus / 2
    };
    let maker = match (known.architecture, family.contains('a')) {
        ("arm64", _) => "AWS",
        (_, true) => "AMD",
        (_, false) => "Intel",
    };
    let card = json!({
        "NetworkCardIndex": 0, "NetworkPerformance": "Up to 12.5 Gigabit", "MaximumNetworkInterfaces": known.interfaces,
    });
    json!({
        "InstanceType": known.name, "CurrentGeneration": !PREVIOUS.contains(&family), "FreeTierEligible": known.name == "t3.micro",
        "SupportedUsageClasses": ["on-demand", "spot"], "SupportedRootDeviceTypes": ["ebs"],
        "SupportedVirtualizationTypes": ["hvm"], "BareMetal": false, "Hypervisor": if is_nitro { "nitro" } else { "xen" },
        "ProcessorInfo": {
            "SupportedArchitectures": [known.architecture], "SustainedClockSpeedInGhz": 2.5, "Manufacturer": maker,
        },
        "VCpuInfo": {
            "DefaultVCpus": known.vcpus, "DefaultCores": cores.max(1), "DefaultThreadsPerCore": known.vcpus / cores.max(1),
        },
        "MemoryInfo": {"SizeInMiB": known.memory_mib}, "InstanceStorageSupported": false,
        "EbsInfo": {
            "EbsOptimizedSupport": if is_nitro { "default" } else { "unsupported" }, "EncryptionSupport": "supported",
            "NvmeSupport": if is_nitro { "required" } else { "unsupported" },
            "MaximumEbsAttachments": if is_nitro { 28 } else { 39 },
            "AttachmentLimitType": if is_nitro { "shared" } else { "dedicated" },
        },
        "NetworkInfo": {
            "NetworkPerformance": "Up to 12.5 Gigabit", "MaximumNetworkInterfaces": known.interfaces, "MaximumNetworkCards": 1,
            "DefaultNetworkCardIndex": 0, "NetworkCards": [card], "Ipv4AddressesPerInterface": known.addresses_per_interface,
            "Ipv6AddressesPerInterface": known.addresses_per_interface, "Ipv6Supported": true,
            "EnaSupport": if is_nitro { "required" } else { "unsupported" }, "EfaSupported": false,
            "EncryptionInTransitSupported": false, "EnaSrdSupported": false,
        },
        "PlacementGroupInfo": {"SupportedStrategies": ["partition", "spread"]}, "HibernationSupported": false,
        "BurstablePerformanceSupported": family.starts_with('t'), "DedicatedHostsSupported": !family.starts_with('t'),
        "AutoRecoverySupported": true, "SupportedBootModes": ["legacy-bios", "uefi"],
    })
}

const FILTERS: &[(&str, &str)] = &[
    ("instance-type", "InstanceType"),
    (
        "processor-info.supported-architecture",
        "ProcessorInfo.SupportedArchitectures[]",
    ),
    ("supported-virtualization-type", "SupportedVirtualizationTypes[]"),
    ("supported-usage-class", "SupportedUsageClasses[]"),
    ("supported-root-device-type", "SupportedRootDeviceTypes[]"),
    ("current-generation", "CurrentGeneration"),
    ("bare-metal", "BareMetal"),
    ("hypervisor", "Hypervisor"),
    ("free-tier-eligible", "FreeTierEligible"),
    ("burstable-performance-supported", "BurstablePerformanceSupported"),
    ("instance-storage-supported", "InstanceStorageSupported"),
    ("memory-info.size-in-mib", "MemoryInfo.SizeInMiB"),
    ("vcpu-info.default-vcpus", "VCpuInfo.DefaultVCpus"),
    ("vcpu-info.default-cores", "VCpuInfo.DefaultCores"),
    (
        "network-info.maximum-network-interfaces",
        "NetworkInfo.MaximumNetworkInterfaces",
    ),
    (
        "network-info.ipv4-addresses-per-interface",
        "NetworkInfo.Ipv4AddressesPerInterface",
    ),
    ("network-info.efa-supported", "NetworkInfo.EfaSupported"),
    ("ebs-info.nvme-support", "EbsInfo.NvmeSupport"),
];

/// `DescribeInstanceTypes`.
pub async fn describe(_context: Context, input: Value) -> Result<Value, ApiError> {
    let wanted = input.texts("InstanceTypes");
    let unknown: Vec<&str> = wanted
        .iter()
        .copied()
        .filter(|name| instance_type::find(name).is_none())
        .collect();
    if !unknown.is_empty() {
        let message = format!(
            "The following supplied instance types do not exist: [{}]",
            unknown.join(", ")
        );
        return Err(ApiError::bad_request("InvalidInstanceType", message));
    }
    if !wanted.is_empty() && input.number("MaxResults").is_some() {
        let message = "The parameter InstanceTypes cannot be used with the parameter MaxResults";
        return Err(ApiError::bad_request("InvalidParameterCombination", message));
    }
    if input
        .number("MaxResults")
        .is_some_and(|most| !(5..=100).contains(&most))
    {
        return Err(invalid(
            "Value for parameter MaxResults is invalid. Expecting a value between 5 and 100.",
        ));
    }
    dry_run(input.flag("DryRun"))?;
    let chosen = instance_type::all()
        .iter()
        .filter(|known| wanted.is_empty() || wanted.contains(&known.name));
    let views = chosen.map(|known| (view(known), BTreeMap::new())).collect();
    let mut paged = input.clone();
    if input.number("MaxResults").is_none() {
        paged["MaxResults"] = 100.into();
    }
    document::answer(&paged, "InstanceTypes", FILTERS, views)
}
