//! An index finds objects by what they are at the moment, not by what they were.

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::*;

fn pod(namespace: &str, name: &str, owner: Option<&str>, node: Option<&str>) -> Arc<Pod> {
    let owner = owner.map(|uid| OwnerReference {
        uid: uid.into(),
        controller: Some(true),
        ..OwnerReference::default()
    });
    Arc::new(Pod {
        metadata: ObjectMeta {
            namespace: Some(namespace.into()),
            name: Some(name.into()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            node_name: node.map(str::to_owned),
            ..PodSpec::default()
        }),
        status: None,
    })
}

fn names<'a>(pods: impl Iterator<Item = &'a Arc<Pod>>) -> Vec<&'a str> {
    pods.filter_map(|pod| pod.metadata.name.as_deref()).collect()
}

#[test]
fn objects_are_found_by_namespace_owner_and_relation() {
    let mut index = Index::default();
    index.insert(pod("a", "x", Some("set"), Some("node-1")));
    index.insert(pod("a", "y", None, Some("node-1")));
    index.insert(pod("ab", "z", Some("set"), None));
    assert_eq!(names(index.in_namespace("a")), ["x", "y"]);
    assert_eq!(names(index.controlled_by("set")), ["x", "z"]);
    assert_eq!(names(index.orphans_in("a")), ["y"]);
    assert_eq!(names(index.related("node-1")), ["x", "y"]);
}

#[test]
fn a_replaced_object_is_found_only_where_it_now_belongs() {
    let mut index = Index::default();
    index.insert(pod("a", "x", Some("set"), Some("node-1")));
    let before = index.insert(pod("a", "x", None, Some("node-2")));
    assert_eq!(
        before
            .and_then(|pod| controller_of(&pod.metadata).map(|owner| owner.uid.clone()))
            .as_deref(),
        Some("set")
    );
    assert_eq!(names(index.controlled_by("set")), Vec::<&str>::new());
    assert_eq!(names(index.related("node-1")), Vec::<&str>::new());
    assert_eq!(names(index.orphans_in("a")), ["x"]);
    index.remove(&ObjectKey::namespaced("a", "x"));
    assert!(index.is_empty() && names(index.related("node-2")).is_empty());
}
