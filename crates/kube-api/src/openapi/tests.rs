//! What clients look for in the documents.

use super::*;

fn document(group: &str, version: &str) -> Value {
    document::of_version(&KindTable::built_in(), group, version).unwrap()
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

#[test]
fn every_version_has_a_document_whose_references_resolve() {
    let kinds = KindTable::built_in();
    for Group { name, versions } in kinds.groups() {
        for version in versions {
            let document = document(&name, &version);
            let mut references = Vec::new();
            every_reference(&document, &mut references);
            for reference in references {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{name}/{version}: {reference}");
            }
            for kind in kinds.of_version(&name, &version) {
                let known = document["components"]["schemas"]
                    .as_object()
                    .unwrap()
                    .values()
                    .any(|schema| schema["x-kubernetes-group-version-kind"][0]["kind"] == *kind.kind);
                assert!(known, "{name}/{version} {} has no schema", kind.kind);
            }
        }
    }
}

#[test]
fn lists_say_how_they_merge() {
    let document = document("apps", "v1");
    let containers = &document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    let volumes = &document["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["volumes"];
    assert_eq!(volumes["x-kubernetes-patch-strategy"], "merge,retainKeys");
    let strategy = &document["components"]["schemas"]["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]["strategy"];
    assert_eq!(
        strategy["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.api.apps.v1.DeploymentStrategy"
    );
}

#[test]
fn patch_operations_name_kind_types_and_parameters() {
    let document = document("apps", "v1");
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "apps", "kind": "Deployment", "version": "v1"})
    );
    assert!(patch["requestBody"]["content"]["application/strategic-merge-patch+json"].is_object());
    assert!(
        patch["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["name"] == "fieldValidation")
    );
}
