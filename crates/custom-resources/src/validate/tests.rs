//! What `validate` promises, as tests: upstream's words for each check, and ratcheting.
#![allow(clippy::too_many_lines, reason = "tables are long")]

use super::*;
use kube_types::dynamic::json;

fn found(schema: Value, value: Value, old: Option<Value>) -> Vec<String> {
    let Value::Object(schema) = schema else {
        return Vec::new();
    };
    let mut errors = Errors::new();
    validate(&Schema::parse(&schema), &value, old.as_ref(), "", &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

fn spec(schema: Value) -> Value {
    json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"x": schema}}}})
}

#[test]
fn each_check_has_upstreams_words() {
    for (schema, value, expected) in [
        (
            json!({"type": "integer"}),
            json!("a"),
            r#"spec.x: Invalid value: "string": spec.x in body must be of type integer: "string""#,
        ),
        (
            json!({"type": "string"}),
            json!(null),
            r#"spec.x: Invalid value: "null": spec.x in body must be of type string: "null""#,
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            r#"spec.x: Invalid value: "boolean": spec.x in body must be of type integer,string: "boolean""#,
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            r#"spec.x: Unsupported value: "c": supported values: "a", "b""#,
        ),
        (
            json!({"type": "integer", "enum": [1, 2]}),
            json!(3),
            r#"spec.x: Unsupported value: 3: supported values: "1", "2""#,
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            r#"spec.x: Invalid value: "b": spec.x in body should match '^a+$'"#,
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("ä"),
            r#"spec.x: Invalid value: "ä": spec.x in body should be at least 2 chars long"#,
        ),
        (
            json!({"type": "string", "maxLength": 2}),
            json!("abc"),
            "spec.x: Too long: may not be more than 2 bytes",
        ),
        (
            json!({"type": "integer", "minimum": 1}),
            json!(0),
            "spec.x: Invalid value: 0: spec.x in body should be greater than or equal to 1",
        ),
        (
            json!({"type": "integer", "maximum": 10, "exclusiveMaximum": true}),
            json!(10),
            "spec.x: Invalid value: 10: spec.x in body should be less than 10",
        ),
        (
            json!({"type": "number", "maximum": 1000000}),
            json!(1000000.5),
            "spec.x: Invalid value: 1000000.5: spec.x in body should be less than or equal to 1e+06",
        ),
        (
            json!({"type": "integer", "multipleOf": 5}),
            json!(7),
            "spec.x: Invalid value: 7: spec.x in body should be a multiple of 5",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "maxItems": 1}),
            json!(["a", "b"]),
            "spec.x: Too many: 2: must have at most 1 items",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            json!([]),
            "spec.x: Invalid value: []: spec.x in body should have at least 1 items",
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}}),
            json!([1, "b"]),
            r#"spec.x[1]: Invalid value: "string": spec.x[1] in body must be of type integer: "string""#,
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"k": 1}),
            r#"spec.x.k: Invalid value: "integer": spec.x.k in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}),
            json!({}),
            "spec.x.name: Required value",
        ),
        (
            json!({"type": "string", "format": "ipv4"}),
            json!("300.0.0.1"),
            r#"spec.x: Invalid value: "300.0.0.1": spec.x in body must be of type ipv4: "300.0.0.1""#,
        ),
    ] {
        let object = json!({"spec": {"x": value}});
        assert_eq!(found(spec(schema.clone()), object, None), [expected], "{schema}");
    }
}

#[test]
fn alternatives_tell_which_fits_best() {
    let either = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}]});
    assert_eq!(
        found(spec(either.clone()), json!({"spec": {"x": {}}}), None),
        [
            r#"<nil>: Invalid value: "": "spec.x" must validate one and only one schema (oneOf). Found none valid"#,
            "spec.x.a: Required value"
        ]
    );
    assert_eq!(
        found(spec(either.clone()), json!({"spec": {"x": {"a": "1", "b": "2"}}}), None),
        [
            r#"<nil>: Invalid value: "": "spec.x" must validate one and only one schema (oneOf). Found 2 valid alternatives"#
        ]
    );
    assert_eq!(found(spec(either), json!({"spec": {"x": {"a": "1"}}}), None), [""; 0]);
    let not = json!({"type": "string", "not": {"enum": ["bad"]}});
    assert_eq!(
        found(spec(not), json!({"spec": {"x": "bad"}}), None),
        [r#"<nil>: Invalid value: "": "spec.x" must not validate the schema (not)"#]
    );
    let any = json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}],
        "pattern": "^[0-9]+%$"});
    assert_eq!(found(spec(any.clone()), json!({"spec": {"x": 5}}), None), [""; 0]);
    assert_eq!(found(spec(any.clone()), json!({"spec": {"x": "5%"}}), None), [""; 0]);
    assert_eq!(found(spec(any), json!({"spec": {"x": "5"}}), None).len(), 1);
}

#[test]
fn what_was_wrong_before_and_has_not_changed_is_let_through() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "name": {"type": "string", "maxLength": 3},
        "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port"], "items":
            {"type": "object", "properties": {"port": {"type": "integer"}, "name": {"type": "string", "maxLength": 3}}}},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}}}}}});
    let old = json!({"spec": {"name": "long", "ports": [{"port": 1, "name": "long"}, {"port": 2}], "tags": ["long"]}});
    let mut new = json!({"spec": {"name": "long", "ports": [{"port": 2, "name": "x"}, {"port": 1, "name": "long"}],
        "tags": ["long"], "other": 1}});
    assert_eq!(found(schema.clone(), new.clone(), Some(old.clone())), [""; 0]);
    new["spec"]["name"] = "longer".into();
    new["spec"]["tags"] = json!(["long", "a"]);
    assert_eq!(
        found(schema, new, Some(old)),
        [
            "spec.name: Too long: may not be more than 3 bytes",
            "spec.tags[0]: Too long: may not be more than 3 bytes"
        ]
    );
}

#[test]
fn formats_are_those_of_strfmt() {
    for (format, good, bad) in [
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("ipv6", "fe80::1", "1.2.3.4"),
        ("mac", "00:1b:44:11:3a:b7", "00:1b"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
        ("date", "2026-01-31", "2026-02-30"),
        ("date-time", "2026-01-31T10:00:00Z", "yesterday"),
        ("duration", "1h30m", "soon"),
        ("duration", "2 weeks", "1 fortnight"),
        ("uri", "https://a.example/x?y", "no uri"),
        ("hostname", "a.example.com", "-a-"),
        ("email", "me@example.com", "me"),
        ("byte", "aGk=", "a-b"),
        ("hexcolor", "#ffF", "#ff"),
        ("isbn", "978-0321751041", "978-0321751042"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("k8s-short-name", "a-b", "A"),
    ] {
        assert!(format::fits(format, good), "{format} {good}");
        assert!(!format::fits(format, bad), "{format} {bad}");
    }
    let unknown = json!({"type": "string", "format": "semver"});
    assert_eq!(found(spec(unknown), json!({"spec": {"x": "anything"}}), None), [""; 0]);
}
