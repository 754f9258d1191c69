//! What `status` promises, as tests.

use super::*;
use object_rules::field::Errors;

#[test]
fn messages_are_upstreams() {
    let pods = Subject::new("", "pods");
    let deployments = Subject::new("apps", "deployments");
    for (error, code, message) in [
        (StatusError::not_found(&pods, "a"), 404, r#"pods "a" not found"#),
        (
            StatusError::not_found(&deployments, "a"),
            404,
            r#"deployments.apps "a" not found"#,
        ),
        (
            StatusError::already_exists(&deployments, "a"),
            409,
            r#"deployments.apps "a" already exists"#,
        ),
        (
            StatusError::modified(&pods, "a"),
            409,
            r#"Operation cannot be fulfilled on pods "a": the object has been modified; please apply your changes to the latest version and try again"#,
        ),
        (StatusError::forbidden(&pods, "", "no"), 403, "pods is forbidden: no"),
        (
            StatusError::forbidden(&pods, "a", "no"),
            403,
            r#"pods "a" is forbidden: no"#,
        ),
        (
            StatusError::method_not_allowed(&deployments, "create"),
            405,
            r#"create is not supported on resources of kind "deployments.apps""#,
        ),
        (
            StatusError::revision_too_large(9, 5),
            504,
            "Timeout: Too large resource version: 9, current: 5",
        ),
        (StatusError::internal("x"), 500, "Internal error occurred: x"),
    ] {
        assert_eq!((error.code(), error.message()), (code, message));
    }
}

#[test]
fn invalid_objects_name_every_field() {
    let mut errors = Errors::new();
    errors.required("spec.selector", "");
    let subject = Subject::new("apps", "Deployment");
    let one = StatusError::invalid(&subject, "web", &errors);
    assert_eq!(
        one.message(),
        r#"Deployment.apps "web" is invalid: spec.selector: Required value"#
    );
    errors.invalid("spec.replicas", -1, "must be greater than or equal to 0");
    let two = StatusError::invalid(&subject, "web", &errors);
    insta::assert_snapshot!(serde_json::to_string_pretty(two.status()).unwrap());
}
