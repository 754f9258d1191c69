//! What `services` promises, as tests.

use super::addresses::{host_count, reserved};

#[test]
fn the_lower_part_of_the_range_is_kept_for_addresses_asked_for() {
    for (cidr, hosts, lower) in [
        ("10.100.0.0/16", 65534, 256),
        ("10.0.0.0/24", 254, 16),
        ("10.0.0.0/28", 14, 0),
    ] {
        let count = host_count(cidr.parse().unwrap());
        assert_eq!((count, reserved(count)), (hosts, lower), "{cidr}");
    }
}
