//! Which objects a quota counts, and for how much.

use kube_types::dynamic::json;

use super::*;

fn object(value: Value) -> Object {
    Object::from_value(value).unwrap()
}

#[test]
fn each_name_of_a_quota_counts_the_objects_of_one_resource() {
    for (name, group, plural) in [
        ("pods", "", "pods"),
        ("cpu", "", "pods"),
        ("requests.memory", "", "pods"),
        ("limits.ephemeral-storage", "", "pods"),
        ("requests.nvidia.com/gpu", "", "pods"),
        ("hugepages-2Mi", "", "pods"),
        ("count/pods", "", "pods"),
        ("secrets", "", "secrets"),
        ("services", "", "services"),
        ("services.nodeports", "", "services"),
        ("requests.storage", "", "persistentvolumeclaims"),
        (
            "gp3.storageclass.storage.k8s.io/requests.storage",
            "",
            "persistentvolumeclaims",
        ),
        ("count/deployments.apps", "apps", "deployments"),
        ("count/widgets.example.com", "example.com", "widgets"),
    ] {
        let expected = BTreeSet::from([(group.to_owned(), plural.to_owned())]);
        assert_eq!(counted([name]), expected, "{name}");
    }
}

/// What is used of a quota on pods when there is only this pod.
fn used_by(pod: Value, scopes: Value) -> Vec<(String, String)> {
    let hard = json!({"pods": "9", "count/pods": "9", "requests.cpu": "9", "secrets": "9"});
    let mut used = Amounts::new();
    let now = "2026-01-01T00:01:00Z".parse().unwrap();
    let spec = object(json!({"hard": hard, "scopes": scopes}));
    add_used(&mut used, &spec, ("", "pods"), &[object(pod)], now);
    used.into_iter()
        .map(|(name, amount)| (name, amount.to_string()))
        .collect()
}

#[test]
fn pods_that_have_ended_or_should_have_take_only_their_place_in_the_store() {
    let spec = json!({"containers": [{"resources": {"requests": {"cpu": "250m"}}}]});
    let deleted = |at: &str| json!({"deletionTimestamp": at, "deletionGracePeriodSeconds": 30});
    for (metadata, phase, scopes, expected) in [
        (json!({}), "Running", json!([]), ["1", "1", "250m"]),
        (json!({}), "Succeeded", json!([]), ["1", "0", "0"]),
        (json!({}), "Failed", json!([]), ["1", "0", "0"]),
        (
            deleted("2026-01-01T00:00:40Z"),
            "Running",
            json!([]),
            ["1", "1", "250m"],
        ),
        (deleted("2026-01-01T00:00:20Z"), "Running", json!([]), ["1", "0", "0"]),
        (json!({}), "Running", json!(["NotBestEffort"]), ["1", "1", "250m"]),
        (json!({}), "Running", json!(["BestEffort"]), ["0", "0", "0"]),
    ] {
        let pod = json!({"metadata": metadata, "spec": spec, "status": {"phase": phase}});
        let names = ["count/pods", "pods", "requests.cpu"].map(str::to_owned);
        let expected: Vec<(String, String)> = names.into_iter().zip(expected.map(str::to_owned)).collect();
        assert_eq!(used_by(pod.clone(), scopes), expected, "{pod:?}");
    }
}

#[test]
fn claims_and_services_are_added_up() {
    let mut used = Amounts::new();
    let spec = object(
        json!({"hard": {"requests.storage": "9Gi", "gp3.storageclass.storage.k8s.io/requests.storage": "9Gi",
        "services.nodeports": "9", "services.loadbalancers": "1"}}),
    );
    let claim = |class: &str, size: &str| {
        object(json!({"spec": {"storageClassName": class, "resources": {"requests": {"storage": size}}}}))
    };
    let service = |kind: &str| object(json!({"spec": {"type": kind, "ports": [{"port": 1}, {"port": 2}]}}));
    let now = Timestamp::UNIX_EPOCH;
    add_used(
        &mut used,
        &spec,
        ("", "persistentvolumeclaims"),
        &[claim("gp3", "1Gi"), claim("", "512Mi")],
        now,
    );
    let services = ["ClusterIP", "NodePort", "LoadBalancer"].map(service);
    add_used(&mut used, &spec, ("", "services"), &services, now);
    let used: Vec<(&str, String)> = used
        .iter()
        .map(|(name, amount)| (name.as_str(), amount.to_string()))
        .collect();
    assert_eq!(
        used,
        [
            ("gp3.storageclass.storage.k8s.io/requests.storage", "1Gi".to_owned()),
            ("requests.storage", "1536Mi".to_owned()),
            ("services.loadbalancers", "1".to_owned()),
            ("services.nodeports", "4".to_owned()),
        ]
    );
}
