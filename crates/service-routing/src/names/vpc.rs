//! The names that a VPC's own resolver gives: instances by address, and addresses by name.
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Answer, Record, RecordData, RecordKind, dashed, dashed_address, records, reverse_address};

/// The private name of an instance with this address: `ip-10-0-1-5.ap-northeast-2.compute.internal`; in us-east-1
/// `ip-10-0-1-5.ec2.internal`.
#[must_use]
pub fn instance_name(address: Ipv4Addr, region: &str) -> String {
    format!("ip-{}.{}", dashed(address), instance_domain(region))
}

/// The domain of private instance names in a region, which a VPC's DHCP options also name as search domain.
#[must_use]
pub fn instance_domain(region: &str) -> String {
    if region == "us-east-1" {
        "ec2.internal".to_owned()
    } else {
        format!("{region}.compute.internal")
    }
}

/// A VPC as its resolver sees it.
#[derive(Clone, Debug)]
pub struct VpcNames {
    /// Its region.
    pub region: String,
    /// Its address ranges.
    pub cidrs: Vec<Ipv4Net>,
}

impl VpcNames {
    /// Answers for instance names and the VPC's own addresses; everything else is for another server.
    #[must_use]
    pub fn answer(&self, name: &str, kind: RecordKind) -> Answer {
        let lower = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(address) = reverse_address(&lower) {
            return self.pointer(lower, address, kind);
        }
        let domain = instance_domain(&self.region);
        let Some(label) = lower.strip_suffix(&domain).and_then(|label| label.strip_suffix('.')) else {
            return Answer::NotHere;
        };
        match label
            .strip_prefix("ip-")
            .and_then(dashed_address)
            .filter(|address| self.contains(*address))
        {
            None => Answer::NoSuchName,
            Some(address) if matches!(kind, RecordKind::A | RecordKind::Any) => records(vec![Record {
                name: lower,
                data: RecordData::Address(address),
            }]),
            Some(_) => Answer::NoData,
        }
    }

    fn pointer(&self, name: String, address: Ipv4Addr, kind: RecordKind) -> Answer {
        if !self.contains(address) {
            return Answer::NotHere;
        }
        if !matches!(kind, RecordKind::Ptr | RecordKind::Any) {
            return Answer::NoData;
        }
        let target = instance_name(address, &self.region);
        records(vec![Record {
            name,
            data: RecordData::Pointer(target),
        }])
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        self.cidrs.iter().any(|range| range.contains(&address))
    }
}
