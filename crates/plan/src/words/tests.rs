//! The words of plans, and the names by which people call kinds.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, Service};
use kube_types::ObjectKey;

use crate::{Change, Kind, Plan, Propagation, Target, World};

fn pod(json: &str) -> Pod {
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_plan_is_one_line_for_each_step() {
    let named = pod(r#"{"metadata":{"name":"a","namespace":"n","uid":"1"}}"#);
    let fresh = pod(r#"{"metadata":{"generateName":"web-","namespace":"n"}}"#);
    let mut plan = Plan::from(Change::create(fresh));
    plan.then(Change::update_status(named.clone()));
    plan.then(Change::Delete {
        target: Target::of(&named),
        propagation: Some(Propagation::Foreground),
        grace_seconds: Some(5),
    });
    plan.look_again(Duration::from_millis(1500));
    let expected = "create Pod n/web-…\nupdate the status of Pod n/a\n\
                    delete Pod n/a, its dependents first, with 5 s of grace\nlook again in 1.5 s\n";
    assert_eq!(plan.to_string(), expected);
    assert_eq!(Plan::nothing().to_string(), "nothing to do\n");
}

#[test]
fn kinds_are_known_by_every_name_that_kubectl_takes() {
    for name in ["deployment", "Deployment", "deployments", "deploy"] {
        assert_eq!(Kind::parse(name), Some(Kind::Deployment), "{name}");
    }
    assert_eq!(Kind::parse("svc"), Some(Kind::Service));
    assert_eq!(Kind::parse("nothing"), None);
}

#[test]
fn the_world_knows_whether_an_object_is_there() {
    let mut world = World::default();
    let service: Service = serde_json::from_str(r#"{"metadata":{"name":"a","namespace":"n"}}"#).unwrap();
    let key = ObjectKey::of(&service);
    world.services.insert(std::sync::Arc::new(service));
    assert!(world.contains(Kind::Service, &key));
    assert!(!world.contains(Kind::Pod, &key));
}
