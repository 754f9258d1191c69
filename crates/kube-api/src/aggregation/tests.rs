//! Tables on what is pure: registration, judgement, and how users are said to others.

use std::collections::BTreeSet;

use kube_types::api::core::v1::Service;
use kube_types::api::discovery::v1::EndpointSlice;
use kube_types::dynamic::{Object, json};
use registry::KindTable;

use super::judge::{self, Verdict};
use super::local::{self, Step};
use super::*;

fn object(value: Value) -> Object {
    Object::from_value(value).unwrap()
}

#[test]
fn every_built_in_group_has_a_priority_of_its_own_table() {
    for kind in KindTable::built_in().iter() {
        let found = local::priorities(&kind.group, &kind.version);
        assert_ne!(
            found,
            (1000, 100),
            "{}/{} is not in the table",
            kind.group,
            kind.version
        );
    }
}

#[test]
fn built_in_services_are_made_once_and_others_are_left_alone() {
    let wanted = local::wanted(&KindTable::built_in());
    assert!(!wanted.contains_key("v1.apiregistration.k8s.io"));
    let none = BTreeSet::new();
    let steps = local::plan(&wanted, &[], &none, &none);
    assert_eq!(steps.len(), wanted.len());
    let Some((_, Step::Create(core))) = steps.iter().find(|(name, _)| name == "v1.") else {
        panic!("no step for v1.")
    };
    assert_eq!(
        *core,
        json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": "v1.", "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}},
            "spec": {"version": "v1", "groupPriorityMinimum": 18000, "versionPriority": 1}})
    );
    let settled: BTreeSet<String> = wanted.keys().cloned().collect();
    assert_eq!(local::plan(&wanted, &[], &settled, &none), []);
    let foreign = object(json!({"metadata": {"name": "v1.apps"}, "spec": {"group": "apps", "version": "v1"}}));
    let steps = local::plan(&wanted, &[foreign], &none, &none);
    assert!(!steps.iter().any(|(name, _)| name == "v1.apps"));
}

#[test]
fn services_of_what_is_served_no_more_go() {
    let kept = |name: &str, how: &str| {
        object(json!({"metadata": {"name": name, "labels": {"kube-aggregator.kubernetes.io/automanaged": how}}}))
    };
    let present = [
        kept("v1.old", "true"),
        kept("v1.start", "onstart"),
        kept("v1.later", "onstart"),
    ];
    let at_start = BTreeSet::from(["v1.start".to_owned()]);
    let steps = local::plan(&BTreeMap::new(), &present, &BTreeSet::new(), &at_start);
    let deleted: Vec<&str> = steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(deleted, ["v1.old", "v1.start"]);
}

fn backend() -> Backend {
    Backend {
        namespace: "kube-system".to_owned(),
        service: "metrics".to_owned(),
        port: 443,
        trust: Trust::Anybody,
    }
}

fn obstacle(service: Option<Value>, slices: Value) -> Option<(&'static str, String)> {
    let service: Option<Service> = service.map(|service| serde_json::from_value(service).unwrap());
    let slices: Vec<EndpointSlice> = serde_json::from_value(slices).unwrap();
    judge::obstacle(&backend(), service.as_ref(), &slices).map(|verdict| (verdict.reason, verdict.message))
}

#[test]
fn what_is_missing_is_named_as_upstream_names_it() {
    let is = |reason, message: &str| Some((reason, message.to_owned()));
    assert_eq!(
        obstacle(None, json!([])),
        is("ServiceNotFound", "service/metrics in \"kube-system\" is not present")
    );
    let service = |port: i32| Some(json!({"spec": {"type": "ClusterIP", "ports": [{"name": "https", "port": port}]}}));
    assert_eq!(
        obstacle(service(80), json!([])),
        is(
            "ServicePortError",
            "service/metrics in \"kube-system\" is not listening on port 443"
        )
    );
    assert_eq!(
        obstacle(service(443), json!([])),
        is(
            "EndpointsNotFound",
            "cannot find endpointslices for service/metrics in \"kube-system\""
        )
    );
    let slice = |ready: bool| {
        json!([{"addressType": "IPv4", "ports": [{"name": "https", "port": 10250}],
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}]}])
    };
    assert_eq!(
        obstacle(service(443), slice(false)),
        is(
            "MissingEndpoints",
            "endpointslices for service/metrics in \"kube-system\" have no addresses with port name \"https\""
        )
    );
    assert_eq!(obstacle(service(443), slice(true)), None);
}

#[test]
fn the_time_of_a_condition_is_that_of_its_last_change() {
    let service = object(json!({"metadata": {"name": "v1.x"}, "spec": {}}));
    let first = judge::with_verdict(&service, &Verdict::passed(), "t1").unwrap();
    assert!(judge::is_available(&first));
    assert_eq!(judge::with_verdict(&first, &Verdict::passed(), "t2"), None);
    let failed = Verdict::failed("FailedDiscoveryCheck", "a".to_owned());
    let second = judge::with_verdict(&first, &failed, "t2").unwrap();
    assert_eq!(second.0["status"]["conditions"][0]["lastTransitionTime"], "t2");
    let other = Verdict::failed("FailedDiscoveryCheck", "b".to_owned());
    let third = judge::with_verdict(&second, &other, "t3").unwrap();
    let condition = &third.0["status"]["conditions"][0];
    assert_eq!(
        (&condition["lastTransitionTime"], &condition["message"]),
        (&json!("t2"), &json!("b"))
    );
}

#[test]
fn users_are_said_in_headers_and_nobody_says_them_himself() {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-remote-user", "admin".parse().unwrap());
    headers.insert("x-remote-extra-forged", "x".parse().unwrap());
    let mut user = User::authenticated("jane", ["dev"]);
    user.uid = Some("7".to_owned());
    user.extra
        .insert("example.com/scope%".to_owned(), vec!["a".to_owned(), "b".to_owned()]);
    proxy::identify(&mut headers, &user);
    let mut said: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    said.sort();
    assert_eq!(
        said,
        [
            "x-remote-extra-example.com%2fscope%25: a",
            "x-remote-extra-example.com%2fscope%25: b",
            "x-remote-group: dev",
            "x-remote-group: system:authenticated",
            "x-remote-uid: 7",
            "x-remote-user: jane",
        ]
    );
}
