//! What is written of new objects, and that it is of their kinds.

use kube_types::dynamic::{Object, Value, json};
use kube_types::{GroupVersionKind, schema};

use super::{WRITTEN, complete};

fn completed(group: &str, kind: &str, object: &Value) -> Value {
    let mut object = Object(object.as_object().unwrap().clone());
    complete(group, kind, &mut object);
    Value::Object(object.0)
}

#[test]
fn a_new_object_has_the_status_that_typed_clients_read() {
    let cases = [
        ("apps", "Deployment", json!({}), json!({"status": {}})),
        (
            "apps",
            "ReplicaSet",
            json!({"status": null}),
            json!({"status": {"replicas": 0}}),
        ),
        (
            "apps",
            "StatefulSet",
            json!({}),
            json!({"status": {"availableReplicas": 0, "replicas": 0}}),
        ),
        (
            "",
            "Service",
            json!({"spec": {"type": "ClusterIP"}}),
            json!({"spec": {"type": "ClusterIP"}, "status": {"loadBalancer": {}}}),
        ),
        (
            "storage.k8s.io",
            "VolumeAttachment",
            json!({}),
            json!({"status": {"attached": false}}),
        ),
        ("", "ConfigMap", json!({"data": {}}), json!({"data": {}})),
    ];
    for (group, kind, given, wanted) in cases {
        assert_eq!(completed(group, kind, &given), wanted, "{kind}");
    }
}

#[test]
fn what_was_set_stays() {
    let given = json!({"status": {"replicas": 3, "readyReplicas": 1}});
    assert_eq!(completed("apps", "ReplicaSet", &given), given);
}

#[test]
fn what_is_written_is_of_the_kinds_schema() {
    for (group, kind, _) in WRITTEN {
        let version = match *group {
            "autoscaling" => "v2",
            _ => "v1",
        };
        let schema = schema::lookup(&GroupVersionKind::new(*group, version, *kind)).unwrap();
        let mut object = Object(completed(group, kind, &json!({})).as_object().unwrap().clone());
        let unknown = schema.normalize(&mut object.0).unwrap().0;
        assert!(unknown.is_empty(), "{kind}: {unknown:?}");
    }
}
