//! What the rules of definitions promise, as tests.
#![allow(clippy::too_many_lines, reason = "tables are long")]

use super::*;
use kube_types::dynamic::json;
use object_rules::field::Errors;

fn definition(change: impl Fn(&mut Value)) -> Object {
    let mut value = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
            "conversion": {"strategy": "None"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}]},
        "status": {"storedVersions": ["v1"]}});
    change(&mut value);
    Object::from_value(value).unwrap()
}

fn schema_of(definition: &mut Value) -> &mut Value {
    &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

fn problems(change: impl Fn(&mut Value)) -> Vec<String> {
    let mut errors = Errors::new();
    (RULES.validate)(&definition(change), &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_sound_definition_is_accepted() {
    assert_eq!(problems(|_| {}), [""; 0]);
}

/// One broken definition and what is said of it.
type Case = (fn(&mut Value), &'static str);

#[test]
fn what_is_wrong_is_named_as_upstream_names_it() {
    const CASES: &[Case] = &[
        (
            |d| d["metadata"]["name"] = "others.example.com".into(),
            r#"metadata.name: Invalid value: "others.example.com": must be spec.names.plural+"."+spec.group"#,
        ),
        (
            |d| d["spec"]["scope"] = "Global".into(),
            r#"spec.scope: Unsupported value: "Global": supported values: "Cluster", "Namespaced""#,
        ),
        (
            |d| d["spec"]["names"]["listKind"] = "Widget".into(),
            r#"spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same"#,
        ),
        (
            |d| d["spec"]["preserveUnknownFields"] = true.into(),
            "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields \
             to true in spec.versions[*].schema instead",
        ),
        (
            |d| {
                schema_of(d).as_object_mut().unwrap().remove("type");
            },
            "spec.validation.openAPIV3Schema.type: Required value: must not be empty at the root",
        ),
        (
            |d| schema_of(d)["properties"]["spec"]["properties"]["size"] = json!({"description": "no type"}),
            "spec.validation.openAPIV3Schema.properties[spec].properties[size].type: Required value: must not be empty for \
             specified object fields",
        ),
        (
            |d| schema_of(d)["properties"]["spec"]["properties"]["size"] = json!({"type": "int"}),
            r#"spec.validation.openAPIV3Schema.properties[spec].properties[size].type: Unsupported value: "int": supported values: "array", "boolean", "integer", "number", "object", "string""#,
        ),
        (
            |d| schema_of(d)["properties"]["spec"]["properties"]["size"]["default"] = "big".into(),
            r#"spec.validation.openAPIV3Schema.properties[spec].properties[size].default: Invalid value: "string":  in body must be of type integer: "string""#,
        ),
        (
            |d| schema_of(d)["properties"]["spec"]["additionalProperties"] = json!({"type": "string"}),
            "spec.validation.openAPIV3Schema.properties[spec].additionalProperties: Forbidden: additionalProperties and \
             properties are mutual exclusive",
        ),
        (
            |d| {
                schema_of(d)["properties"]["metadata"] =
                    json!({"type": "object", "properties": {"labels": {"type": "object"}}})
            },
            "spec.validation.openAPIV3Schema.properties[metadata]: Forbidden: must not specify anything other than name and \
             generateName, but metadata is implicitly specified",
        ),
        (
            |d| schema_of(d)["properties"]["spec"]["oneOf"] = json!([{"properties": {"other": {"minLength": 1}}}]),
            "spec.validation.openAPIV3Schema.properties[spec].properties[other]: Required value: because it is defined in \
             spec.validation.openAPIV3Schema.properties[spec].oneOf[0].properties[other]",
        ),
        (
            |d| schema_of(d)["properties"]["spec"]["oneOf"] = json!([{"type": "object"}]),
            "spec.validation.openAPIV3Schema.properties[spec].oneOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            |d| d["status"]["storedVersions"] = json!(["v1", "v0"]),
            r#"status.storedVersions[1]: Invalid value: "v0": missing from spec.versions; v0 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v0 and removes v0 from status.storedVersions"#,
        ),
        (
            |d| {
                d["spec"]["group"] = "example.k8s.io".into();
                d["metadata"]["name"] = "widgets.example.k8s.io".into();
            },
            r#"metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111"#,
        ),
        (
            |d| {
                d["spec"]["conversion"] =
                    json!({"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"]}})
            },
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
        ),
        (
            |d| {
                let list = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "properties": {"name": {"type": "string"}}}});
                schema_of(d)["properties"]["spec"]["properties"]["size"] = list;
            },
            "spec.validation.openAPIV3Schema.properties[spec].properties[size].items.properties[name].default: Required \
             value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
        ),
        (
            |d| d["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".spec"}]),
            r#"spec.selectableFields[0].jsonPath: Invalid value: ".spec": must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."#,
        ),
        (
            |d| {
                let scale = json!({"scale": {"specReplicasPath": ".status.replicas", "statusReplicasPath": ".status.replicas"}});
                d["spec"]["versions"][0]["subresources"] = scale;
            },
            r#"spec.subresources.scale.specReplicasPath: Invalid value: ".status.replicas": should be a json path under .spec"#,
        ),
    ];
    for (change, expected) in CASES {
        assert_eq!(problems(change), [*expected]);
    }
}

#[test]
fn versions_with_schemas_of_their_own_are_named_by_number() {
    let found = problems(|d| {
        let mut second = d["spec"]["versions"][0].clone();
        second["name"] = "v2".into();
        second["storage"] = false.into();
        second["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["size"] = json!({});
        d["spec"]["versions"].as_array_mut().unwrap().push(second);
    });
    assert_eq!(
        found,
        [
            "spec.versions[1].schema.openAPIV3Schema.properties[spec].properties[size].type: Required value: must not be \
          empty for specified object fields"
        ]
    );
}

fn conditions(definition: &Object) -> Vec<(String, String, String)> {
    let status = child(&definition.0, "status").unwrap();
    let own = |condition: &Node, field: &str| text(condition, field).to_owned();
    items(status, "conditions")
        .map(|condition| {
            (
                own(condition, "type"),
                own(condition, "status"),
                own(condition, "reason"),
            )
        })
        .collect()
}

#[test]
fn names_are_accepted_unless_another_has_them() {
    let mut first = definition(|d| d["spec"]["names"]["shortNames"] = json!(["w"]));
    settle(&mut first, &Taken::default(), "now");
    let own = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(
        conditions(&first),
        [
            own("NamesAccepted", "True", "NoConflicts"),
            own("Established", "True", "InitialNamesAccepted")
        ]
    );
    let before = first.clone();
    settle(&mut first, &Taken::default(), "later");
    assert_eq!(first, before, "what is settled stays");
    let mut second = definition(|d| {
        d["metadata"]["name"] = "gadgets.example.com".into();
        d["spec"]["names"] = json!({"plural": "gadgets", "singular": "gadget", "kind": "Widget", "listKind": "GadgetList",
            "shortNames": ["w"]});
    });
    let all = [first.clone(), second.clone()];
    settle(&mut second, &Taken::by_others(&all[1], all.iter()), "now");
    assert_eq!(
        conditions(&second),
        [
            own("NamesAccepted", "False", "KindConflict"),
            own("Established", "False", "NotAccepted")
        ]
    );
    let accepted = at(&second.0, &["status", "acceptedNames"]).unwrap();
    assert_eq!((text(accepted, "plural"), text(accepted, "kind")), ("gadgets", ""));
    settle(&mut second, &Taken::default(), "later");
    assert!(Definition::is_established(&second), "a name that becomes free is taken");
}

#[test]
fn deletion_waits_for_the_objects() {
    let mut object = definition(|_| {});
    (RULES.mark_deleting)(&mut object, "2026-01-01T00:00:00Z");
    assert_eq!(object.finalizers(), [CLEANUP_FINALIZER]);
    assert!(condition_is(&object, "Terminating", "True"));
    remove_finalizer(&mut object);
    object
        .metadata_mut()
        .insert("deletionTimestamp".to_owned(), "2026-01-01T00:00:00Z".into());
    (RULES.mark_deleting)(&mut object, "2026-01-01T00:00:01Z");
    assert!(
        object.finalizers().is_empty(),
        "only the first request adds the finalizer"
    );
}
