//! What the two versions of OpenAPI say of the same schema.

use kube_types::dynamic::Object;

use super::*;

fn published(schema: &Value, form: Form) -> Value {
    let definition = Object::from_value(json!({"metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "versions": [{"name": "v1", "served": true,
            "storage": true, "schema": {"openAPIV3Schema": schema}}]},
        "status": {"acceptedNames": {"plural": "widgets", "kind": "Widget"}}}));
    let definition = Definition::read(&definition.unwrap());
    document(&definition, &definition.versions[0], form)
}

fn property(schema: &Value, form: Form) -> Value {
    let whole = json!({"type": "object", "properties": {"spec": schema}});
    published(&whole, form)["properties"]["spec"].clone()
}

#[test]
fn swagger_2_is_told_what_it_knows_only() {
    let text = json!({"type": "string"});
    let cases = [
        (
            json!({"type": "string", "allOf": [{"minLength": 1}], "oneOf": [{"pattern": "a"}], "not": {"pattern": "b"}}),
            text.clone(),
        ),
        (
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!({"x-kubernetes-int-or-string": true}),
        ),
        (
            json!({"type": "object", "nullable": true, "description": "d", "properties": {"a": text}}),
            json!({"description": "d"}),
        ),
        (
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": text}}),
            json!({"x-kubernetes-preserve-unknown-fields": true}),
        ),
        (json!({"type": "array", "nullable": true, "items": text}), json!({})),
        (
            json!({"type": "object", "required": ["a", "b"],
                "properties": {"a": text, "b": {"type": "string", "nullable": true}}}),
            json!({"type": "object", "required": ["a"], "properties": {"a": text, "b": {}}}),
        ),
        (
            json!({"type": "object", "required": ["b"], "properties": {"b": {"type": "string", "nullable": true}}}),
            json!({"type": "object", "properties": {"b": {}}}),
        ),
        (
            json!({"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string", "not": {}}}}),
            json!({"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}}),
        ),
    ];
    for (schema, expected) in cases {
        assert_eq!(property(&schema, Form::V2), expected, "{schema}");
        let mut kept = schema.clone();
        if kept["x-kubernetes-int-or-string"] == true {
            kept["anyOf"] = json!([{"type": "integer"}, {"type": "string"}]);
        }
        assert_eq!(property(&schema, Form::V3), kept, "version 3 keeps it");
    }
}

#[test]
fn every_object_has_its_kind_and_metadata() {
    let schema = json!({"type": "object", "properties": {"template":
        {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}}}});
    for form in [Form::V2, Form::V3] {
        let whole = published(&schema, form);
        for object in [&whole, &whole["properties"]["template"]] {
            assert_eq!(object["properties"]["metadata"]["$ref"], OBJECT_META);
            assert_eq!(object["properties"]["kind"]["type"], "string");
        }
        let required = &whole["properties"]["template"]["required"];
        assert_eq!(*required, json!(["kind", "apiVersion"]), "{form:?}");
    }
}

#[test]
fn an_open_object_has_no_properties_in_swagger_2() {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}});
    assert_eq!(published(&open, Form::V2), json!({"type": "object"}));
    assert_eq!(published(&open, Form::V3)["properties"]["a"]["type"], "string");
    let mut template = open;
    template["x-kubernetes-embedded-resource"] = true.into();
    let embedded = property(&template, Form::V2);
    assert_eq!(
        embedded.get("properties"),
        None,
        "kubectl would know no other fields: {embedded}"
    );
    assert!(property(&template, Form::V3)["properties"]["metadata"].is_object());
}
