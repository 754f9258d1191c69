//! Regions and their availability zones.

use crate::{RegionName, ZoneName};

/// A region as `DescribeRegions` and `DescribeAvailabilityZones` know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// For example `ap-northeast-2`.
    pub name: &'static str,
    /// The prefix of zone ids, `apne2`.
    pub zone_id_prefix: &'static str,
    /// The letters of its zones.
    pub zones: &'static str,
}

impl Region {
    /// Its zones with their ids, in order: (`ap-northeast-2a`, `apne2-az1`).
    pub fn zones(&self) -> Vec<(ZoneName, String)> {
        let zone = |(index, letter): (usize, char)| {
            let name = ZoneName::new(format!("{}{letter}", self.name)).expect("a region name and a letter are a zone");
            (name, format!("{}-az{}", self.zone_id_prefix, index + 1))
        };
        self.zones.chars().enumerate().map(zone).collect()
    }
}

/// The id of a zone, for example `apne2-az1`.
pub fn zone_id(zone: &ZoneName) -> Option<String> {
    REGIONS
        .iter()
        .flat_map(Region::zones)
        .find(|(name, _)| name == zone)
        .map(|(_, id)| id)
}

/// The region of that name, if it is known.
pub fn find(name: &RegionName) -> Option<&'static Region> {
    REGIONS.iter().find(|region| region.name == name.as_str())
}

const fn region(name: &'static str, zone_id_prefix: &'static str, zones: &'static str) -> Region {
    Region {
        name,
        zone_id_prefix,
        zones,
    }
}

/// The regions that are enabled in every account, and those in which EKS is most used.
pub const REGIONS: &[Region] = &[
    region("ap-east-1", "ape1", "abc"),
    region("ap-northeast-1", "apne1", "acd"),
    region("ap-northeast-2", "apne2", "abcd"),
    region("ap-northeast-3", "apne3", "abc"),
    region("ap-south-1", "aps1", "abc"),
    region("ap-southeast-1", "apse1", "abc"),
    region("ap-southeast-2", "apse2", "abc"),
    region("ca-central-1", "cac1", "abd"),
    region("eu-central-1", "euc1", "abc"),
    region("eu-north-1", "eun1", "abc"),
    region("eu-west-1", "euw1", "abc"),
    region("eu-west-2", "euw2", "abc"),
    region("eu-west-3", "euw3", "abc"),
    region("sa-east-1", "sae1", "abc"),
    region("us-east-1", "use1", "abcdef"),
    region("us-east-2", "use2", "abc"),
    region("us-west-1", "usw1", "ac"),
    region("us-west-2", "usw2", "abcd"),
];

#[cfg(test)]
mod tests;
