//! What `webhooks` promises, as a table.

use super::*;
use kube_types::dynamic::json;

fn problems(change: Value) -> Vec<String> {
    let mut hook = json!({"name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": "s", "namespace": "n", "port": 443}},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]});
    for (field, value) in change.as_object().unwrap() {
        hook[field] = value.clone();
    }
    let mut errors = Errors::new();
    validate(&Object::from_value(json!({"webhooks": [hook]})).unwrap(), &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_wrong_with_a_webhook_is_said_in_upstreams_words() {
    for (change, problem) in [
        (
            json!({"name": "a.b"}),
            r#"webhooks[0].name: Invalid value: "a.b": should be a domain with at least three segments separated by dots"#,
        ),
        (json!({"name": ""}), "webhooks[0].name: Required value"),
        (
            json!({"sideEffects": "Some"}),
            r#"webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun""#,
        ),
        (
            json!({"sideEffects": ""}),
            "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
        ),
        (
            json!({"timeoutSeconds": 31}),
            "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
        ),
        (
            json!({"admissionReviewVersions": []}),
            "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
        ),
        (
            json!({"admissionReviewVersions": ["v2"]}),
            r#"webhooks[0].admissionReviewVersions: Invalid value: ["v2"]: must include at least one of v1, v1beta1"#,
        ),
        (
            json!({"clientConfig": {}}),
            "webhooks[0].clientConfig: Required value: exactly one of url or service is required",
        ),
        (
            json!({"clientConfig": {"url": "http://x/y"}}),
            r#"webhooks[0].clientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]"#,
        ),
        (
            json!({"clientConfig": {"url": "https://x/y?z"}}),
            r#"webhooks[0].clientConfig.url: Invalid value: "z": query parameters are not permitted in the URL"#,
        ),
        (
            json!({"clientConfig": {"service": {"name": "s"}}}),
            "webhooks[0].clientConfig.service.namespace: Required value: service namespace is required",
        ),
        (
            json!({"rules": [{"operations": ["*", "CREATE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]}),
            r#"webhooks[0].rules[0].operations: Invalid value: ["*","CREATE"]: if '*' is present, must not specify other operations"#,
        ),
        (
            json!({"rules": [{"operations": ["GET"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]}),
            r#"webhooks[0].rules[0].operations[0]: Unsupported value: "GET": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE""#,
        ),
        (
            json!({"rules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*", "pods"]}]}),
            r#"webhooks[0].rules[0].resources: Invalid value: ["*","pods"]: if '*' is present, must not specify other resources without subresources"#,
        ),
    ] {
        assert_eq!(problems(change), [problem]);
    }
    assert!(problems(json!({})).is_empty());
}
