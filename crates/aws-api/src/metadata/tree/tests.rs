//! What paths hold, for one instance.

use super::*;
use crate::metadata::facts::fixture::facts;

fn text(path: &str) -> String {
    match look(&facts(), path) {
        Some(Found::Text(text)) => text,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn leaves_and_directories_are_as_on_ec2() {
    assert_eq!(text("/latest/"), "dynamic\nmeta-data");
    assert_eq!(text("/latest/meta-data/instance-id"), "i-0123456789abcdef0");
    assert_eq!(
        text("/2021-03-23/meta-data/placement"),
        "availability-zone\navailability-zone-id\nregion"
    );
    assert_eq!(text("/latest/meta-data/iam/"), "info\nsecurity-credentials/");
    assert_eq!(text("/latest/meta-data/iam/security-credentials/"), "node-role");
    assert_eq!(text("/latest/meta-data/network/interfaces/macs/"), "0a:58:c0:a8:01:0a/");
    assert!(text("/latest/meta-data/").contains("\nnetwork/\n"));
    assert!(text("/").ends_with("latest"));
}

#[test]
fn the_interface_has_what_the_vpc_cni_reads() {
    let of = |name: &str| {
        text(&format!(
            "/latest/meta-data/network/interfaces/macs/0a:58:c0:a8:01:0a/{name}"
        ))
    };
    assert_eq!(of("interface-id"), "eni-0123456789abcdef0");
    assert_eq!(of("device-number"), "0");
    assert_eq!(of("local-ipv4s"), "192.168.1.10\n192.168.1.11\n192.168.1.12");
    assert_eq!(of("subnet-ipv4-cidr-block"), "192.168.1.0/24");
    assert_eq!(of("vpc-ipv4-cidr-blocks"), "192.168.0.0/16");
    assert_eq!(of("security-group-ids"), "sg-1");
}

#[test]
fn what_is_not_there_is_not_found() {
    let missing = [
        "/latest/meta-data/spot/instance-action",
        "/latest/meta-data/public-ipv4",
        "/latest/user-data",
        "/latest/meta-data/tags/instance/",
        "/later/meta-data/",
        "/latest/meta-data/iam/security-credentials/other",
    ];
    for path in missing {
        assert_eq!(look(&facts(), path), None, "{path}");
    }
}

#[test]
fn credentials_and_user_data_and_tags_come_when_there_are_some() {
    let mut facts = facts();
    assert_eq!(
        look(&facts, "/latest/meta-data/iam/security-credentials/node-role"),
        Some(Found::Credentials)
    );
    facts.user_data = Some(b"#!/bin/sh".to_vec());
    assert_eq!(
        look(&facts, "/latest/user-data"),
        Some(Found::UserData(b"#!/bin/sh".to_vec()))
    );
    facts.options.tags = true;
    facts.tags = [("Name", "n"), ("kubernetes.io/cluster/c", "owned")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    assert_eq!(
        look(&facts, "/latest/meta-data/tags/instance/"),
        Some(Found::Text("Name".to_owned()))
    );
    facts.role = String::new();
    assert_eq!(look(&facts, "/latest/meta-data/iam/"), None);
}

#[test]
fn the_identity_document_names_account_and_zone() {
    let document: serde_json::Value =
        serde_json::from_str(&text("/latest/dynamic/instance-identity/document")).unwrap();
    assert_eq!(document["accountId"], "123456789012");
    assert_eq!(document["availabilityZone"], "ap-northeast-2a");
    assert_eq!(document["pendingTime"], "2026-01-02T03:04:05Z");
}
