//! Table test of the versions in which a body may come.

use kube_types::GroupVersionKind;
use kube_types::dynamic::{Object, Value, json};

use super::check_gvk;

fn accepted(body: &Value, group: &str, version: &str, kind: &str) -> bool {
    let object = Object(body.as_object().unwrap().clone());
    check_gvk(&object, &GroupVersionKind::new(group, version, kind)).is_ok()
}

#[test]
fn evictions_are_read_in_their_earlier_version_and_others_are_not() {
    let eviction = |version: &str| json!({"apiVersion": version, "kind": "Eviction"});
    assert!(accepted(&eviction("policy/v1"), "policy", "v1", "Eviction"));
    assert!(accepted(&eviction("policy/v1beta1"), "policy", "v1", "Eviction"));
    assert!(!accepted(&eviction("policy/v2"), "policy", "v1", "Eviction"));
    assert!(accepted(&json!({}), "policy", "v1", "Eviction"));
    let budget = json!({"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget"});
    assert!(!accepted(&budget, "policy", "v1", "PodDisruptionBudget"));
}
