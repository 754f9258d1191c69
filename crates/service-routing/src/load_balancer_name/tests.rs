//! The name is stable, short enough for a DNS label, and differs between Services.
use super::*;

const UID: &str = "7f2c1f0e-1111-4222-8333-0123456789ab";

#[test]
fn name_is_a_and_the_uid_cut_at_32() {
    assert_eq!(load_balancer_name(UID), "a7f2c1f0e1111422283330123456789a");
    assert_eq!(load_balancer_name(UID).len(), 32);
}

#[test]
fn hostname_has_ten_digits_and_the_region() {
    let hostname = load_balancer_hostname(UID, "ap-northeast-2");
    let (label, domain) = hostname.split_once('.').unwrap();
    assert_eq!(domain, "ap-northeast-2.elb.localhost");
    let (name, digits) = label.split_once('-').unwrap();
    assert_eq!(name, load_balancer_name(UID));
    assert!(
        digits.len() == 10 && digits.chars().all(|digit| digit.is_ascii_digit()),
        "{digits}"
    );
    assert_eq!(hostname, load_balancer_hostname(UID, "ap-northeast-2"));
}

#[test]
fn uids_that_differ_only_behind_the_cut_have_different_hostnames() {
    let other = "7f2c1f0e-1111-4222-8333-0123456789ac";
    assert_eq!(load_balancer_name(UID), load_balancer_name(other));
    assert_ne!(
        load_balancer_hostname(UID, "us-east-1"),
        load_balancer_hostname(other, "us-east-1")
    );
}
