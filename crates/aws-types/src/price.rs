//! What instances cost by the hour, in US dollars: on-demand prices of us-east-1 by family, the same in every region here.
//! Within a family AWS's prices grow with the memory.

use crate::instance_type::InstanceType;

/// Families and their price by the hour and GiB of memory, in millionths of a dollar.
const BY_FAMILY: &[(&str, u64)] = &[
    ("t2", 11_600),
    ("t3", 10_400),
    ("t3a", 9_400),
    ("t4g", 8_400),
    ("m5", 12_000),
    ("m5a", 10_750),
    ("m5d", 14_125),
    ("m5n", 14_875),
    ("m6a", 10_800),
    ("m6g", 9_625),
    ("m6i", 12_000),
    ("m7a", 14_490),
    ("m7g", 10_200),
    ("m7i", 12_600),
    ("m8g", 11_220),
    ("c5", 21_250),
    ("c5a", 19_250),
    ("c5d", 24_000),
    ("c5n", 20_571),
    ("c6a", 19_125),
    ("c6g", 17_000),
    ("c6i", 21_250),
    ("c7a", 25_660),
    ("c7g", 18_125),
    ("c7i", 22_312),
    ("c8g", 19_938),
    ("r5", 7_875),
    ("r5a", 7_062),
    ("r5d", 9_000),
    ("r6a", 7_087),
    ("r6g", 6_300),
    ("r6i", 7_875),
    ("r7a", 9_509),
    ("r7g", 6_694),
    ("r7i", 8_269),
    ("r8g", 7_364),
];

/// What a family that is not listed costs by the hour and GiB.
const OTHERS: u64 = 12_000;

/// The on-demand price by the hour, in millionths of a dollar.
pub fn on_demand(kind: &InstanceType) -> u64 {
    let family = kind.name.split('.').next().unwrap_or_default();
    let rate = BY_FAMILY
        .iter()
        .find(|(name, _)| *name == family)
        .map_or(OTHERS, |(_, rate)| *rate);
    rate * kind.memory_mib / 1024
}

/// The Spot price by the hour, in millionths of a dollar: three tenths of the on-demand price, in every zone and at all times.
pub fn spot(kind: &InstanceType) -> u64 {
    on_demand(kind) * 3 / 10
}

/// Millionths of a dollar as AWS writes prices.
pub fn dollars(millionths: u64) -> String {
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance_type;

    #[test]
    fn prices_are_those_that_aws_publishes() {
        for (name, price) in [
            ("t3.medium", "0.041600"),
            ("t3.nano", "0.005200"),
            ("m5.large", "0.096000"),
            ("m5.4xlarge", "0.768000"),
            ("c5.xlarge", "0.170000"),
            ("m6g.medium", "0.038500"),
        ] {
            let found = instance_type::find(name).map(|kind| dollars(on_demand(kind)));
            assert_eq!(found.as_deref(), Some(price), "{name}");
        }
    }
}
