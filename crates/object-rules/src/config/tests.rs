//! What `config` promises, as tests.

use super::*;
use kube_types::dynamic::json;

fn object(value: Value) -> Object {
    Object::from_value(value).unwrap()
}

#[test]
fn text_of_a_secret_becomes_data() {
    let mut secret =
        object(json!({"data": {"a": "eA=="}, "stringData": {"b": "hello", "c": "ab", "d": "abc", "e": ""}}));
    (SECRET.defaults)(&mut secret);
    assert_eq!(
        Value::Object(secret.0),
        json!({"type": "Opaque", "data": {"a": "eA==", "b": "aGVsbG8=", "c": "YWI=", "d": "YWJj", "e": ""}})
    );
}

#[test]
fn immutable_data_stays() {
    let old = object(json!({"immutable": true, "data": {"a": "1"}}));
    let new = object(json!({"data": {"a": "2"}}));
    let mut errors = Errors::new();
    (CONFIG_MAP.validate_update)(&new, &old, &mut errors);
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "immutable: Forbidden: field is immutable when `immutable` is set",
            "data: Forbidden: field is immutable when `immutable` is set"
        ]
    );
}
