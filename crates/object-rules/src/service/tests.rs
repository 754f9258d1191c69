//! What `service` promises, as tests.

use super::*;
use kube_types::dynamic::json;

fn object(value: Value) -> Object {
    Object::from_value(value).unwrap()
}

fn service(spec: Value) -> Object {
    let mut service = object(json!({"metadata": {"name": "s", "namespace": "n"}, "spec": spec}));
    (SERVICE.defaults)(&mut service);
    service
}

#[test]
fn a_short_service_is_filled() {
    let filled = service(json!({"type": "LoadBalancer", "ports": [{"port": 80}]}));
    insta::assert_snapshot!(serde_json::to_string_pretty(&filled).unwrap());
}

#[test]
fn what_is_wrong_with_a_service_is_said_in_upstreams_words() {
    let cases = [
        json!({}),
        json!({"type": "Other", "ports": [{"port": 0}]}),
        json!({"ports": [{"port": 80}, {"port": 80}]}),
        json!({"ports": [{"port": 80, "nodePort": 30000, "protocol": "ICMP", "targetPort": "NO"}]}),
        json!({"type": "ExternalName"}),
        json!({"type": "NodePort", "clusterIP": "None", "ports": [{"port": 80}]}),
        json!({"clusterIP": "x", "externalTrafficPolicy": "Local", "ports": [{"port": 80}]}),
    ];
    let all: Vec<String> = cases
        .into_iter()
        .map(|spec| {
            let mut errors = Errors::new();
            validate(&service(spec), &mut errors);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        })
        .collect();
    insta::assert_snapshot!(all.join("\n\n"));
}
