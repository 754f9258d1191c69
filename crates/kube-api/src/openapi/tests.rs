//! What clients look for in the documents.

use super::*;

fn document(group: &str, version: &str) -> Value {
    version3::document(&KindTable::built_in(), group, version).unwrap()
}

fn every_reference<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|value| every_reference(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| every_reference(value, found)),
        _ => {}
    }
}

fn assert_references_resolve(document: &Value, what: &str) {
    let mut references = Vec::new();
    every_reference(document, &mut references);
    assert!(!references.is_empty(), "{what}");
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{what}: {reference}");
    }
}

fn has_kind(schemas: &Value, kind: &str, group: &str) -> bool {
    let schemas = schemas.as_object().unwrap();
    schemas.values().any(|schema| {
        let gvks = schema["x-kubernetes-group-version-kind"].as_array();
        gvks.into_iter()
            .flatten()
            .any(|gvk| gvk["kind"] == kind && gvk["group"] == group)
    })
}

#[test]
fn every_version_has_a_document_whose_references_resolve() {
    let kinds = KindTable::built_in();
    for Group { name, versions } in kinds.groups() {
        for version in versions {
            let document = document(&name, &version);
            assert_references_resolve(&document, &format!("{name}/{version}"));
            let schemas = &document["components"]["schemas"];
            for kind in kinds.of_version(&name, &version) {
                assert!(
                    has_kind(schemas, &kind.kind, &name),
                    "{name}/{version} {} has no schema",
                    kind.kind
                );
                let lists = kind.storage.is_none() || has_kind(schemas, &kind.list_kind, &name);
                assert!(lists, "{name}/{version} {} has no schema", kind.list_kind);
            }
        }
    }
}

#[test]
fn fields_say_how_they_merge_and_what_they_are_when_left_out() {
    let document = document("apps", "v1");
    let schemas = &document["components"]["schemas"];
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(containers["x-kubernetes-list-type"], "map");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    let volumes = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["volumes"];
    assert_eq!(volumes["x-kubernetes-patch-strategy"], "merge,retainKeys");
    let strategy = &schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"];
    let strategy_type = "#/components/schemas/io.k8s.api.apps.v1.DeploymentStrategy";
    assert_eq!(strategy["allOf"][0]["$ref"], strategy_type);
    assert_eq!(strategy["default"], json!({}));
    let protocol = &schemas["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"];
    assert_eq!(protocol["default"], "TCP");
    let selector = &schemas["io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"];
    assert_eq!(selector["x-kubernetes-map-type"], "atomic");
    let node_selector = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["nodeSelector"];
    assert_eq!(node_selector["x-kubernetes-map-type"], "atomic");
}

#[test]
fn operations_name_kind_action_types_and_parameters() {
    let document = document("apps", "v1");
    let path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}";
    let patch = &document["paths"][path]["patch"];
    assert_eq!(patch["operationId"], "patchAppsV1NamespacedDeployment");
    assert_eq!(patch["x-kubernetes-action"], "patch");
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "apps", "kind": "Deployment", "version": "v1"})
    );
    for media in operations::PATCH_TYPES {
        assert!(patch["requestBody"]["content"][*media].is_object(), "{media}");
    }
    let parameters: Vec<&str> = patch["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        parameters,
        ["pretty", "dryRun", "fieldManager", "fieldValidation", "force"]
    );
    let scale = &document["paths"][format!("{path}/scale")]["put"];
    assert_eq!(scale["x-kubernetes-group-version-kind"]["kind"], "Scale");
    assert_eq!(
        scale["requestBody"]["content"]["*/*"]["schema"]["$ref"],
        "#/components/schemas/io.k8s.api.autoscaling.v1.Scale"
    );
    let everywhere = &document["paths"]["/apis/apps/v1/deployments"]["get"];
    assert_eq!(everywhere["operationId"], "listAppsV1DeploymentForAllNamespaces");
    assert_eq!(
        everywhere["responses"]["200"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/io.k8s.api.apps.v1.DeploymentList"
    );
}

#[test]
fn version_2_is_one_document_of_everything() {
    let kinds = KindTable::built_in();
    let document = version2::document(&kinds, "v1.36.0");
    assert_references_resolve(&document, "version 2");
    for kind in kinds.iter() {
        assert!(
            has_kind(&document["definitions"], &kind.kind, &kind.group),
            "{} has no schema",
            kind.kind
        );
    }
    let metadata = &document["definitions"]["io.k8s.api.core.v1.Pod"]["properties"]["metadata"];
    assert_eq!(
        metadata["$ref"],
        "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    );
    assert!(metadata["description"].is_string());
    let create = &document["paths"]["/api/v1/namespaces/{namespace}/pods"]["post"];
    let body = create["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["in"] == "body");
    assert_eq!(body.unwrap()["schema"]["$ref"], "#/definitions/io.k8s.api.core.v1.Pod");
    let port = &document["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"];
    assert_eq!(
        (&port["type"], port.get("oneOf")),
        (&json!("string"), None),
        "version 2 knows no alternatives"
    );
}

/// The fields of a message that hold bytes.
fn fields(mut message: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut found = Vec::new();
    let varint = |bytes: &mut &[u8]| {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    };
    while !message.is_empty() {
        let key = varint(&mut message);
        assert_eq!(key & 7, 2, "only bytes are expected here");
        let length = usize::try_from(varint(&mut message)).unwrap();
        found.push((u32::try_from(key >> 3).unwrap(), message[..length].to_vec()));
        message = &message[length..];
    }
    found
}

#[test]
fn the_protobuf_form_holds_names_schemas_and_extensions() {
    let document = json!({"swagger": "2.0", "info": {"title": "K", "version": "v"}, "paths": {},
        "definitions": {"a": {"type": "object", "required": ["x"], "x-b": [1]}}});
    let whole = fields(&gnostic::encode(&document));
    assert_eq!(whole[0], (1, b"2.0".to_vec()));
    assert_eq!(whole.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), [1, 2, 8, 9]);
    let definition = fields(&fields(&whole[3].1)[0].1);
    assert_eq!(definition[0], (1, b"a".to_vec()));
    let schema = fields(&definition[1].1);
    assert_eq!(schema[0], (22, b"\x0a\x06object".to_vec()));
    assert_eq!(schema[1], (19, b"x".to_vec()));
    let extension = fields(&schema[2].1);
    assert_eq!((schema[2].0, &extension[0]), (31, &(1, b"x-b".to_vec())));
    assert_eq!(fields(&extension[1].1), [(2, b"[1]\n".to_vec())]);
}

#[test]
fn the_form_of_version_2_is_negotiated() {
    for (accept, protobuf) in [
        ("", Some(false)),
        ("application/json", Some(false)),
        ("*/*", Some(false)),
        ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", Some(true)),
        (
            "application/com.github.proto-openapi.spec.v2.v1.0+protobuf, application/json",
            Some(true),
        ),
        ("text/html", None),
    ] {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::ACCEPT, accept.parse().unwrap());
        assert_eq!(chosen(&headers, gnostic::MEDIA_TYPES), protobuf, "{accept}");
    }
}

#[test]
fn the_protobuf_form_of_version_3_holds_operations_schemas_and_references() {
    let document = json!({"openapi": "3.0.0", "info": {"title": "K", "version": "v"},
        "paths": {"/p": {"get": {"operationId": "o", "responses": {}}}},
        "components": {"schemas": {"a": {"type": "object", "properties": {"b": {"$ref": "#/c"}}}}}});
    let whole = fields(&gnostic::version3::encode(&document));
    assert_eq!(whole.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), [1, 2, 4, 5]);
    let path = fields(&fields(&whole[2].1)[0].1);
    assert_eq!((path[0].clone(), path[1].0), ((1, b"/p".to_vec()), 2));
    let get = &fields(&path[1].1)[0];
    assert_eq!((get.0, fields(&get.1)[0].clone()), (4, (5, b"o".to_vec())));
    // Components, schemas, a named one, its value, and of the two that it may be, a schema.
    let named = fields(&fields(&fields(&whole[3].1)[0].1)[0].1);
    assert_eq!(named[0], (1, b"a".to_vec()));
    let schema = fields(&fields(&named[1].1)[0].1);
    assert!(schema.contains(&(25, b"object".to_vec())), "{schema:?}");
    let properties = schema.iter().find(|(tag, _)| *tag == 31).unwrap();
    let property = fields(&fields(&properties.1)[0].1);
    assert_eq!(fields(&property[1].1), [(2, b"\x0a\x03#/c".to_vec())]);
}
