//! What `network` promises, as tables.

use super::*;

fn problems(rules: &Rules, spec: Value) -> Vec<String> {
    let mut object = Object::from_value(json!({"spec": spec})).unwrap();
    (rules.defaults)(&mut object);
    let mut errors = Errors::new();
    (rules.validate)(&object, &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_wrong_with_a_backend_is_said_in_upstreams_words() {
    for (backend, problem) in [
        (
            json!({}),
            r#"spec.defaultBackend: Invalid value: "": resource or service backend is required"#,
        ),
        (
            json!({"service": {"name": "s", "port": {}}}),
            "spec.defaultBackend: Required value: port name or number is required",
        ),
        (
            json!({"service": {"name": "s", "port": {"name": "http", "number": 80}}}),
            r#"spec.defaultBackend: Invalid value: "": cannot set both port name & port number"#,
        ),
        (
            json!({"service": {"name": "s", "port": {"number": 70000}}}),
            "spec.defaultBackend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            json!({"service": {"port": {"number": 80}}}),
            "spec.defaultBackend.service.name: Required value",
        ),
    ] {
        assert_eq!(problems(&INGRESS, json!({"defaultBackend": backend})), [problem]);
    }
}

#[test]
fn what_is_wrong_with_a_policys_port_is_said_in_upstreams_words() {
    for (port, problem) in [
        (
            json!({"port": 80, "endPort": 70}),
            "spec.ingress[0].ports[0].endPort: Invalid value: 70: must be greater than or equal to `port`",
        ),
        (
            json!({"port": "http", "endPort": 70}),
            "spec.ingress[0].ports[0].endPort: Invalid value: 70: may not be specified when `port` is non-numeric",
        ),
        (
            json!({"endPort": 70}),
            "spec.ingress[0].ports[0].endPort: Invalid value: 70: may not be specified when `port` is not specified",
        ),
        (
            json!({"port": 80, "protocol": "ICMP"}),
            r#"spec.ingress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP""#,
        ),
    ] {
        let spec = json!({"podSelector": {}, "ingress": [{"ports": [port]}]});
        assert_eq!(problems(&NETWORK_POLICY, spec), [problem]);
    }
}
