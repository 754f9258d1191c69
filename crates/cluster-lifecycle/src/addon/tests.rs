//! Add-ons as tables.

use super::*;

fn addon(status: AddonStatus) -> Addon {
    Addon {
        cluster: ClusterName::new("c").unwrap(),
        name: "coredns".into(),
        arn: "arn".into(),
        version: "v1".into(),
        status,
        service_account_role_arn: None,
        configuration_values: None,
        associations: Vec::new(),
        created_at: Timestamp::UNIX_EPOCH,
        modified_at: Timestamp::UNIX_EPOCH,
        tags: BTreeMap::new(),
        issues: Vec::new(),
        resolve_conflicts: "NONE".into(),
        preserve: false,
        update: Some("u".into()),
        client_request_token: None,
    }
}

#[test]
fn the_life_of_an_add_on() {
    use AddonStatus::{Active, CreateFailed, Creating, Degraded, Deleting, UpdateFailed, Updating};
    let lacking = || vec!["deployment/coredns".to_owned()];
    for (before, input, after, ended) in [
        (Creating, Input::Applied, Some(Active), Some(true)),
        (Creating, Input::Conflicts(lacking()), Some(CreateFailed), Some(false)),
        (Updating, Input::Applied, Some(Active), Some(true)),
        (Updating, Input::Conflicts(lacking()), Some(UpdateFailed), Some(false)),
        (Active, Input::Observed(lacking()), Some(Degraded), None),
        (Active, Input::Observed(Vec::new()), Some(Active), None),
        (Degraded, Input::Observed(Vec::new()), Some(Active), None),
        (Creating, Input::Observed(lacking()), Some(Creating), None),
        (Deleting, Input::Applied, Some(Deleting), None),
        (Deleting, Input::Gone, None, None),
        (Active, Input::Gone, Some(Active), None),
    ] {
        let shown = format!("{before:?} {input:?}");
        let stepped = addon(before).step(input, Timestamp::UNIX_EPOCH);
        assert_eq!(stepped.as_ref().map(|(addon, _)| addon.status), after, "{shown}");
        let outcome = stepped.and_then(|(_, ended)| ended).map(|(_, outcome)| outcome.is_ok());
        assert_eq!(outcome, ended, "{shown}");
    }
}

#[test]
fn versions_fit_the_cluster_and_values_the_schema() {
    for known in OFFERED {
        for version in eks_version::VERSIONS {
            let versions = known.versions(version.minor);
            assert!(
                !versions.is_empty() && versions.iter().all(|name| !name.contains('{')),
                "{versions:?}"
            );
            assert_eq!(known.version(None, version.minor).ok().as_ref(), versions.last());
        }
        assert!(known.version(Some("v0.0.1"), "1.33").is_err());
    }
    for (name, text, allowed) in [
        ("coredns", "{\"replicaCount\": 3}", true),
        ("coredns", "replicaCount: 3", true),
        ("coredns", "{}", true),
        ("coredns", "", true),
        ("coredns", "{\"replicaCount\": 0}", false),
        ("coredns", "{\"replicas\": 3}", false),
        ("vpc-cni", "{\"env\":{\"A\":\"1\"}}", true),
        ("vpc-cni", "{\"replicaCount\": 3}", false),
        ("kube-proxy", "nonsense: [", false),
    ] {
        assert_eq!(
            values(offered(name).unwrap(), Some(text)).is_ok(),
            allowed,
            "{name} {text}"
        );
    }
}
