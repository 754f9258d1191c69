//! What `metadata` promises, as tests.

use super::*;
use kube_types::dynamic::json;

fn problems(metadata: Value) -> Vec<String> {
    let object = Object::from_value(json!({"metadata": metadata})).unwrap();
    let mut errors = Errors::new();
    validate(
        &object,
        true,
        |name, prefix| names::with_prefix(names::dns_subdomain, name, prefix),
        &mut errors,
    );
    known_finalizers(&object, &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn metadata_is_checked_in_upstreams_words() {
    assert_eq!(
        problems(json!({"name": "a", "namespace": "n", "labels": {"x.io/a": "B"}})),
        Vec::<String>::new()
    );
    insta::assert_snapshot!(
        problems(json!({"namespace": "n", "labels": {"a b": "c d"}, "finalizers": ["x"],
        "ownerReferences": [{"apiVersion": "", "kind": "K", "name": "n", "uid": "u"}]}))
        .join("\n")
    );
    insta::assert_snapshot!(problems(json!({"name": "A_", "namespace": "n"})).join("\n"));
}

#[test]
fn a_deleting_object_gets_no_new_finalizers() {
    let old = Object::from_value(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})).unwrap();
    let new = Object::from_value(json!({"metadata": {"finalizers": ["a.io/b"]}})).unwrap();
    let mut errors = Errors::new();
    validate_update(&new, &old, &mut errors);
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            r#"metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"a.io/b"}"#
        ]
    );
}
