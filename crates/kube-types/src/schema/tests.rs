//! What `schema` promises, as tests.

use super::*;
use crate::dynamic::{Object, json};

fn normalize(api_version: &str, kind: &str, value: Value) -> Result<(Value, Vec<String>), String> {
    let schema = lookup(&GroupVersionKind::from_api_version(api_version, kind)).unwrap();
    let mut object = Object::from_value(value).unwrap();
    let unknown = schema.normalize(&mut object.0).map_err(|error| error.to_string())?;
    Ok((Value::Object(object.0), unknown.0))
}

#[test]
fn objects_take_the_form_upstream_gives_them() {
    let (pod, unknown) = normalize(
        "v1",
        "Pod",
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "creationTimestamp": null, "labels": {},
            "annotations": {"x": null}}, "extra": 1,
            "spec": {"nodeName": "", "containers": [{"name": "c", "args": [], "imag": "x",
                "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}],
                "volumes": [{"name": "v", "emptyDir": {}}]}}),
    )
    .unwrap();
    assert_eq!(unknown, ["extra", "spec.containers[0].imag"]);
    assert_eq!(
        pod,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "annotations": {"x": ""}},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}],
                "volumes": [{"name": "v", "emptyDir": {}}]}})
    );
}

#[test]
fn wrong_types_are_worded_as_upstream() {
    for (api_version, kind, spec, message) in [
        (
            "apps/v1",
            "Deployment",
            json!({"replicas": "3"}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "apps/v1",
            "Deployment",
            json!({"template": {"spec": {"containers": [{"ports": "x"}]}}}),
            "json: cannot unmarshal string into Go struct field Container.spec.template.spec.containers.ports of type []v1.ContainerPort",
        ),
        (
            "v1",
            "Pod",
            json!({"containers": [{"env": [{"name": "a", "value": 1}]}]}),
            "json: cannot unmarshal number into Go struct field EnvVar.spec.containers.env.value of type string",
        ),
        (
            "v1",
            "Pod",
            json!({"terminationGracePeriodSeconds": 1.5}),
            "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64",
        ),
        (
            "apps/v1",
            "Deployment",
            json!({"replicas": 3.0}),
            "json: cannot unmarshal number 3.0 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            "v1",
            "Pod",
            json!({"terminationGracePeriodSeconds": 9_223_372_036_854_775_808_u64}),
            "json: cannot unmarshal number 9223372036854775808 into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64",
        ),
        (
            "v1",
            "Pod",
            json!({"containers": [{"resources": {"limits": {"cpu": "x"}}}]}),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (
            "v1",
            "Pod",
            json!(3),
            "json: cannot unmarshal number into Go struct field Pod.spec of type v1.PodSpec",
        ),
    ] {
        assert_eq!(
            normalize(api_version, kind, json!({"spec": spec})).unwrap_err(),
            message
        );
    }
}

#[test]
fn secrets_and_times_are_checked() {
    let error = normalize("v1", "Secret", json!({"data": {"a": "***"}})).unwrap_err();
    assert_eq!(error, "illegal base64 data at input byte 0");
    let (lease, _) = normalize(
        "coordination.k8s.io/v1",
        "Lease",
        json!({"metadata": {"creationTimestamp": "2026-01-01T01:00:00+01:00"}, "spec": {"renewTime": "2026-01-01T00:00:00.5Z"}}),
    )
    .unwrap();
    assert_eq!(lease["metadata"]["creationTimestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(lease["spec"]["renewTime"], "2026-01-01T00:00:00.500000Z");
}

#[test]
fn the_compiled_set_is_small_and_documents_are_made_on_demand() {
    let set = compiled();
    let fields: usize = set.structs.iter().map(|of| of.fields.len()).sum();
    assert!((400..900).contains(&set.structs.len()), "{} structs", set.structs.len());
    assert!(fields > 2000, "{fields} fields");
    let (definitions, names) = definitions();
    assert!(definitions.contains_key("io.k8s.api.core.v1.PodSpec"));
    assert_eq!(
        names[&GroupVersionKind::new("apps", "v1", "Deployment")],
        "io.k8s.api.apps.v1.Deployment"
    );
    assert!(lookup(&GroupVersionKind::new("example.com", "v1", "Thing")).is_none());
}
