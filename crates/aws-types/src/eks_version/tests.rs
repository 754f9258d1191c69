//! The calendar is complete and in order.

use super::*;

#[test]
fn versions_are_consecutive_and_dated() {
    for pair in VERSIONS.windows(2) {
        assert_eq!(pair[0].minor_number() + 1, pair[1].minor_number());
    }
    for version in VERSIONS {
        if let Some(life) = version.lifecycle() {
            assert!(
                life.released < life.standard_support_ends && life.standard_support_ends < life.extended_support_ends
            );
        }
        assert!(version.patch.starts_with(version.minor));
    }
    assert_eq!(default_version().minor, DEFAULT);
    assert!(find("1.27").is_none() && find("1.37").is_none());
}
