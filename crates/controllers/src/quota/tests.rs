//! When a quota is counted, and what its status says then.

use k8s_openapi::api::core::v1::{Pod, PodStatus, ResourceQuotaSpec, Service, ServiceSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use plan::{AnyObject, Observed};

use super::*;

/// Names of resources with their amounts.
type Named<'a> = &'a [(&'a str, &'a str)];

fn quantities(of: Named<'_>) -> BTreeMap<String, Quantity> {
    of.iter()
        .map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned())))
        .collect()
}

fn quota(asked: Named<'_>, told: Option<(Named<'_>, Named<'_>)>) -> ResourceQuota {
    ResourceQuota {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some("q".into()),
            ..ObjectMeta::default()
        },
        spec: Some(ResourceQuotaSpec {
            hard: Some(quantities(asked)),
            ..ResourceQuotaSpec::default()
        }),
        status: told.map(|(hard, used)| ResourceQuotaStatus {
            hard: Some(quantities(hard)),
            used: Some(quantities(used)),
        }),
    }
}

fn pod(phase: &str) -> Pod {
    Pod {
        status: Some(PodStatus {
            phase: Some(phase.into()),
            ..PodStatus::default()
        }),
        ..Pod::default()
    }
}

fn core(plural: &str) -> Resource {
    (String::new(), plural.to_owned())
}

#[test]
fn a_quota_is_counted_when_its_limits_change_and_once_they_are_in_force() {
    let (one, two) = ([("pods", "1")].as_slice(), [("pods", "2")].as_slice());
    let unused = [("pods", "0")].as_slice();
    for (old, new, due, when) in [
        (None, quota(one, None), true, "new"),
        (None, quota(one, Some((one, unused))), true, "seen for the first time"),
        (
            Some(quota(one, None)),
            quota(one, Some((one, unused))),
            true,
            "in force now",
        ),
        (
            Some(quota(one, Some((one, unused)))),
            quota(two, Some((one, unused))),
            true,
            "asked for more",
        ),
        (
            Some(quota(one, Some((one, unused)))),
            quota(one, Some((one, one))),
            false,
            "admission took something",
        ),
    ] {
        assert_eq!(is_due(old.as_ref(), &new), due, "{when}");
    }
}

#[test]
fn what_may_need_less_gives_something_back() {
    let (running, ended) = (pod("Running"), pod("Succeeded"));
    let service = |kind: &str| Service {
        spec: Some(ServiceSpec {
            type_: Some(kind.into()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    let (balanced, plain) = (service("LoadBalancer"), service("ClusterIP"));
    let change = |old: Observation<'_>, new: Observation<'_>| given_back(old, new);
    assert_eq!(change(running.observation(), ended.observation()), Some(core("pods")));
    assert_eq!(change(pod("Pending").observation(), running.observation()), None);
    assert_eq!(change(ended.observation(), pod("Failed").observation()), None);
    assert_eq!(
        change(balanced.observation(), plain.observation()),
        Some(core("services"))
    );
    assert_eq!(change(plain.observation(), plain.observation()), None);
}

#[test]
fn the_status_tells_what_is_used_of_what_is_served() {
    let asked = [
        ("pods", "5"),
        ("count/secrets", "3"),
        ("count/widgets.example.com", "1"),
    ];
    let quota = quota(&asked, None);
    let objects = |pods: &[Pod]| pods.iter().map(|pod| Object::from_typed(pod).unwrap()).collect();
    let found = BTreeMap::from([
        (core("pods"), objects(&[pod("Running"), pod("Pending"), pod("Failed")])),
        (core("secrets"), Vec::new()),
    ]);
    let plan = plan_status(&quota, &found, Timestamp::UNIX_EPOCH).unwrap();
    let [step] = plan.steps.as_slice() else {
        panic!("one change: {plan:?}");
    };
    let Change::UpdateStatus(AnyObject::ResourceQuota(told)) = &step.change else {
        panic!("a status: {step:?}");
    };
    let status = told.status.clone().unwrap();
    assert_eq!(status.hard, Some(quantities(&asked)));
    assert_eq!(
        status.used,
        Some(quantities(&[("pods", "2"), ("count/secrets", "0")])),
        "nobody can count widgets"
    );
    let again = plan_status(told, &found, Timestamp::UNIX_EPOCH).unwrap();
    assert!(again.is_empty(), "{again:?}");
}
