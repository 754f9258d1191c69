//! Which values EKS accepts.

use super::*;

#[test]
fn clusters_and_groups_go_up_one_minor_at_a_time() {
    for (current, wanted, groups, force, allowed) in [
        ("1.33", "1.34", &["1.33"][..], false, true),
        ("1.33", "1.33", &[], false, false),
        ("1.33", "1.35", &[], false, false),
        ("1.33", "1.32", &[], false, false),
        ("1.33", "1.34", &["1.30"], false, false),
        ("1.33", "1.34", &["1.30"], true, true),
        ("1.33", "1.34", &["1.31"], false, true),
    ] {
        let found = next_version(current, wanted, groups, force);
        assert_eq!(found.is_ok(), allowed, "{current} to {wanted} with {groups:?}");
    }
    for (current, wanted, cluster, allowed) in [
        ("1.32", Some("1.33"), "1.34", true),
        ("1.32", None, "1.34", true),
        ("1.32", Some("1.34"), "1.34", false),
        ("1.33", Some("1.32"), "1.34", false),
        ("1.34", Some("1.35"), "1.34", false),
    ] {
        let found = nodegroup_upgrade(current, wanted, cluster);
        assert_eq!(found.is_ok(), allowed, "{current} to {wanted:?} below {cluster}");
    }
}

#[test]
fn a_release_names_a_version() {
    let found = |version, release| version_or_release(version, release).map(|found| found.unwrap_or_default());
    assert_eq!(found(None, None).unwrap(), "");
    assert_eq!(found(None, Some("1.33.5-20261101")).unwrap(), "1.33");
    assert_eq!(found(Some("1.33"), Some("1.33.5-20261101")).unwrap(), "1.33");
    assert_eq!(found(Some("1.33"), Some("1.19.2-29cc92cc")).unwrap(), "1.33");
    assert_eq!(
        found(Some("1.32"), Some("1.33.5-20261101")).unwrap_err().message,
        "Requested release version 1.33.5-20261101 is not valid for kubernetes version 1.32."
    );
}

fn sizes(min: u32, desired: u32, max: u32) -> Result<Scaling, Refusal> {
    scaling(Scaling { min, max, desired })
}

#[test]
fn sizes_must_agree() {
    assert!(sizes(0, 0, 1).is_ok());
    assert!(sizes(1, 2, 3).is_ok());
    assert_eq!(
        sizes(1, 4, 3).unwrap_err().message,
        "desired capacity 4 can't be greater than max size 3"
    );
    assert_eq!(
        sizes(3, 2, 4).unwrap_err().message,
        "Minimum capacity 3 can't be greater than desired size 2"
    );
    assert_eq!(
        sizes(5, 5, 4).unwrap_err().message,
        "Minimum capacity 5 can't be greater than max size 4"
    );
    assert!(sizes(0, 0, 0).is_err());
    assert!(sizes(1, 1, 451).is_err());
}

#[test]
fn the_service_range_avoids_the_vpc() {
    let vpc = |text: &str| text.parse::<Ipv4Net>().unwrap();
    let range = |wanted, of: &str| service_cidr(wanted, vpc(of)).map(|range| range.to_string());
    assert_eq!(range(None, "192.168.0.0/16").unwrap(), "10.100.0.0/16");
    assert_eq!(range(None, "10.0.0.0/16").unwrap(), "172.20.0.0/16");
    assert_eq!(range(Some("172.30.0.0/20"), "10.0.0.0/16").unwrap(), "172.30.0.0/20");
    for wrong in [
        "10.0.8.0/24",
        "8.8.0.0/16",
        "10.8.0.0/25",
        "10.8.0.0/8",
        "10.8.0.1/16",
        "ten",
        "fd00::/108",
    ] {
        assert!(range(Some(wrong), "10.0.0.0/16").is_err(), "{wrong}");
    }
}

#[test]
fn versions_obey_the_skew() {
    let skew = |nodes, cluster| nodegroup_version(nodes, cluster).map(|version| version.minor);
    assert_eq!(skew(None, "1.33"), Ok("1.33"));
    assert_eq!(skew(Some("1.30"), "1.33"), Ok("1.30"));
    assert!(skew(Some("1.34"), "1.33").is_err());
    assert!(skew(Some("1.29"), "1.33").is_err());
    assert!(version(Some("1.27")).is_err());
    assert!(version(Some("latest")).is_err());
}

#[test]
fn types_must_exist_and_share_an_architecture() {
    let names = |list: &[&str]| instance_types(&list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(names(&["t3.medium", "m5.large"]), Ok("x86_64"));
    assert_eq!(names(&["t4g.medium"]), Ok("arm64"));
    assert!(names(&["t3.medium", "t4g.medium"]).is_err());
    assert!(names(&["t3.gigantic"]).unwrap_err().message.contains("t3.gigantic"));
}
