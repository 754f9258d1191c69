//! The most pods agree with AWS's published list.

use super::*;

#[test]
fn max_pods_are_those_that_aws_publishes() {
    let published = [
        ("t3.micro", 4),
        ("t3.small", 11),
        ("t3a.small", 8),
        ("t3.medium", 17),
        ("t3.large", 35),
        ("t3.xlarge", 58),
        ("m5.large", 29),
        ("m5.4xlarge", 234),
        ("m5.24xlarge", 737),
        ("c5.18xlarge", 737),
        ("m6g.medium", 8),
    ];
    for (name, pods) in published {
        assert_eq!(find(name).map(InstanceType::max_pods), Some(pods), "{name}");
    }
}

#[test]
fn every_row_is_read() {
    assert_eq!(all().len(), include_str!("../instance_types.tsv").lines().count());
    assert!(find("t3.enormous").is_none());
}
