//! Regions have valid names and distinct zones.

use super::*;

#[test]
fn every_region_has_a_valid_name_and_two_zones() {
    for region in REGIONS {
        let name = RegionName::new(region.name).expect("region names are valid");
        assert_eq!(find(&name), Some(region));
        assert!(region.zones().len() >= 2, "{}", region.name);
    }
    let seoul = ZoneName::new("ap-northeast-2c").unwrap();
    assert_eq!(zone_id(&seoul).as_deref(), Some("apne2-az3"));
}
