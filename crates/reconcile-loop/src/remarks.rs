//! What upstream's controllers say in their log of decisions and events, in their words.

use kube_types::ObjectKey;
use plan::{Change, EventRecord, Kind, Plan, World};

use crate::log::LogLine;

/// An event as upstream's recorder logs it.
pub(crate) fn of_event(event: &EventRecord) -> LogLine {
    let regarding = &event.regarding;
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let object = match &regarding.namespace {
        Some(namespace) => format!("{namespace}/{}", text(&regarding.name)),
        None => text(&regarding.name),
    };
    LogLine::new("Event occurred")
        .with("object", object)
        .with("fieldPath", text(&regarding.field_path))
        .with("kind", text(&regarding.kind))
        .with("apiVersion", text(&regarding.api_version))
        .with("type", event.kind)
        .with("reason", &event.reason)
        .with("message", &event.message)
}

/// What a controller says of a plan for an object, and where upstream's code says it.
pub(crate) fn of_plan(
    controller: &str,
    root: &ObjectKey,
    plan: &Plan,
    world: &World,
) -> Option<(&'static str, LogLine)> {
    let (key, need) = replicas(controller, root, world)?;
    let count = |is_it: fn(&Change) -> bool| plan.steps.iter().filter(|step| is_it(&step.change)).count();
    let creating = count(|change| matches!(change, Change::Create(object) if object.kind() == Kind::Pod));
    let deleting = count(|change| matches!(change, Change::Delete { target, .. } if target.resource.kind == "Pod"));
    let (place, message, verb, number) = match (creating, deleting) {
        (0, 0) => return None,
        (0, _) => ("replica_set.go:642", "Too many replicas", "deleting", deleting),
        _ => ("replica_set.go:605", "Too few replicas", "creating", creating),
    };
    let line = LogLine::new(message)
        .with("logger", controller)
        .with(key, root)
        .with_number("need", need)
        .with_number(verb, number);
    Some((place, line))
}

/// What upstream calls an object whose pods are counted, and how many it wants.
fn replicas(controller: &str, root: &ObjectKey, world: &World) -> Option<(&'static str, usize)> {
    let (key, wanted) = match controller {
        "replicaset-controller" => ("replicaSet", world.replica_sets.get(root)?.spec.as_ref()?.replicas),
        "replication-controller" => (
            "replicationController",
            world.replication_controllers.get(root)?.spec.as_ref()?.replicas,
        ),
        _ => return None,
    };
    Some((key, usize::try_from(wanted.unwrap_or(1)).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
    use k8s_openapi::api::core::v1::{ObjectReference, Pod};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use plan::{Observed, Step};

    use super::*;

    #[test]
    fn missing_and_surplus_pods_are_told_of_as_upstream_does() {
        let root = ObjectKey::namespaced("default", "web");
        let set = ReplicaSet {
            metadata: ObjectMeta {
                namespace: Some("default".to_owned()),
                name: Some("web".to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(ReplicaSetSpec {
                replicas: Some(3),
                ..ReplicaSetSpec::default()
            }),
            ..ReplicaSet::default()
        };
        let mut world = World::default();
        world.replica_sets.insert(Arc::new(set));
        let steps = (0..2).map(|_| Step::from(Change::Create(Pod::default().into_any())));
        let plan = Plan {
            steps: steps.collect(),
            ..Plan::default()
        };
        let (_, line) = of_plan("replicaset-controller", &root, &plan, &world).unwrap();
        let wanted = r#""Too few replicas" logger="replicaset-controller" replicaSet="default/web" need=3 creating=2"#;
        assert_eq!(line.to_string(), wanted);
        assert!(of_plan("replicaset-controller", &root, &Plan::default(), &world).is_none());
        assert!(of_plan("daemonset-controller", &root, &plan, &world).is_none());
    }

    #[test]
    fn events_are_told_of_with_their_object() {
        let regarding = ObjectReference {
            kind: Some("Node".to_owned()),
            name: Some("one".to_owned()),
            ..ObjectReference::default()
        };
        let line = of_event(&EventRecord::normal(regarding, "NodeNotReady", "it is not"));
        let wanted = r#""Event occurred" object="one" fieldPath="" kind="Node" apiVersion="" type="Normal" reason="NodeNotReady" message="it is not""#;
        assert_eq!(line.to_string(), wanted);
    }
}
