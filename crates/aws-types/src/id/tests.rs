//! Which texts are identifiers and which are not.

use super::*;

#[test]
fn forms_are_checked() {
    let cases: &[(bool, bool)] = &[
        (AccountId::new("123456789012").is_ok(), true),
        (AccountId::new("12345678901").is_ok(), false),
        (RegionName::new("ap-northeast-2").is_ok(), true),
        (RegionName::new("us-gov-west-1").is_ok(), true),
        (RegionName::new("europe").is_ok(), false),
        (RegionName::new("").is_ok(), false),
        (ZoneName::new("ap-northeast-2a").is_ok(), true),
        (ZoneName::new("ap-northeast-2").is_ok(), false),
        (ZoneName::new("").is_ok(), false),
        (InstanceId::new("i-0123456789abcdef0").is_ok(), true),
        (InstanceId::new("i-0123456789ABCDEF0").is_ok(), false),
        (VpcId::new("subnet-0123456789abcdef0").is_ok(), false),
        (ClusterName::new("my_cluster-1").is_ok(), true),
        (ClusterName::new("-bad").is_ok(), false),
        (ClusterName::new("a".repeat(101)).is_ok(), false),
        (NodegroupName::new("a".repeat(63)).is_ok(), true),
    ];
    for (index, (got, want)) in cases.iter().enumerate() {
        assert_eq!(got, want, "case {index}");
    }
}
