//! Both patch families: JSON, merge and strategic merge patches, and server-side apply; dry runs and conflicts.

use kube_types::dynamic::json;

use super::case::{Case, Form};

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

pub async fn check(case: &Case<'_>) {
    patches(case).await;
    applied(case).await;
}

async fn patches(case: &Case<'_>) {
    let name = case.name(4);
    let (what, path) = (case.what(), case.path(&name));
    case.made(&name).await;
    let merge = json!({"metadata": {"labels": {"p": "merge"}}});
    let strategic = json!({"metadata": {"labels": {"p": "strategic"}}});
    let ops = json!([
        {"op": "test", "path": "/metadata/name", "value": name},
        {"op": "add", "path": "/metadata/labels/p", "value": "json"}
    ]);
    for (media_type, patch, value) in [
        (JSON_PATCH, &ops, "json"),
        (MERGE, &merge, "merge"),
        (STRATEGIC, &strategic, "strategic"),
    ] {
        let what = format!("{what} {media_type}");
        if media_type == STRATEGIC && case.kind.custom.is_some() {
            let refused = case.patch(&path, media_type, patch).await;
            refused.refuses(&what, 415, "UnsupportedMediaType");
            continue;
        }
        let before = case.get(&path).await.body;
        let wished = case.patch(&format!("{path}?dryRun=All"), media_type, patch).await;
        wished.succeeds(&what, 200);
        assert_eq!(wished.body["metadata"]["labels"]["p"], value, "{what}");
        assert_eq!(case.get(&path).await.body, before, "{what}: a dry run stores nothing");
        let patched = case.patch(&path, media_type, patch).await;
        patched.succeeds(&what, 200);
        assert_eq!(patched.body["metadata"]["labels"]["p"], value, "{what}");
        assert_eq!(patched.body["metadata"]["labels"]["l"], "1", "{what}: the others stay");
        assert_eq!(case.get(&path).await.body, patched.body, "{what}");
        let again = case.patch(&path, media_type, patch).await;
        assert_eq!(
            again.version(),
            patched.version(),
            "{what}: what changes nothing is not written"
        );
    }
    let stale = json!({"metadata": {"resourceVersion": "1", "labels": {"p": "x"}}});
    let other = json!({"metadata": {"uid": "another", "labels": {"p": "x"}}});
    for patch in [&stale, &other] {
        case.patch(&path, MERGE, patch).await.refuses(&what, 409, "Conflict");
    }
    let failing = json!([{"op": "test", "path": "/metadata/name", "value": "another"}]);
    let refused = case.patch(&path, JSON_PATCH, &failing).await;
    refused.refuses(&what, 422, "Invalid");
    for media_type in [JSON_PATCH, MERGE] {
        let refused = case.raw("PATCH", &path, media_type, b"{".to_vec()).await;
        refused.refuses(&what, 400, "BadRequest");
    }
    let refused = case.patch(&path, "application/json", &merge).await;
    refused.refuses(&what, 415, "UnsupportedMediaType");
    let absent = case.patch(&case.path("absent"), MERGE, &merge).await;
    absent.refuses(&what, 404, "NotFound");
    let strict = json!({"noSuchField": 1});
    let refused = case
        .patch(&format!("{path}?fieldValidation=Strict"), MERGE, &strict)
        .await;
    refused.refuses(&what, 422, "Invalid");
    assert!(
        refused.message().contains("unknown field \"noSuchField\""),
        "{what}: {}",
        refused.message()
    );
    case.removed(&name).await;
}

async fn applied(case: &Case<'_>) {
    let name = case.name(5);
    let (what, path) = (case.what(), case.path(&name));
    let object = case.object(&name);
    let as_manager = |manager: &str, more: &str| format!("{path}?fieldManager={manager}{more}");
    let wished = case.patch(&as_manager("one", "&dryRun=All"), APPLY, &object).await;
    wished.succeeds(&what, 201);
    case.get(&path).await.refuses(&what, 404, "NotFound");
    let nobody = case.patch(&path, APPLY, &object).await;
    nobody.refuses(&what, 422, "Invalid");
    assert!(
        nobody
            .message()
            .contains("fieldManager: Required value: is required for apply patch"),
        "{what}: {}",
        nobody.message()
    );
    let made = case.patch(&as_manager("one", ""), APPLY, &object).await;
    made.succeeds(&what, 201);
    let owners = &made.body["metadata"]["managedFields"];
    assert_eq!(
        (&owners[0]["manager"], &owners[0]["operation"]),
        (&json!("one"), &json!("Apply")),
        "{what}: {owners}"
    );
    let again = case.patch(&as_manager("one", ""), APPLY, &object).await;
    again.succeeds(&what, 200);
    assert_eq!(again.version(), made.version(), "{what}: applied again");
    conflicts(case, &name).await;
    let mut without = object.clone();
    without["metadata"]["labels"] = json!({"other": "1"});
    let changed = case.patch(&as_manager("one", "&force=true"), APPLY, &without).await;
    changed.succeeds(&what, 200);
    let labels = changed.body["metadata"]["labels"].as_object().unwrap();
    assert!(
        labels.contains_key("other") && labels["l"] == "2",
        "{what}: what another owns stays: {labels:?}"
    );
    let mut unknown = object;
    unknown["noSuchField"] = 1.into();
    let refused = case.patch(&as_manager("one", ""), APPLY, &unknown).await;
    assert!(
        refused.code == 500 || refused.code == 400,
        "{what}: {} {}",
        refused.code,
        refused.body
    );
    assert!(
        refused.message().contains("noSuchField"),
        "{what}: {}",
        refused.message()
    );
    case.removed(&name).await;
}

async fn conflicts(case: &Case<'_>, name: &str) {
    let (what, path) = (case.what(), case.path(name));
    // Protobuf has no absent structs, which makes another list of what is owned as a whole.
    let made = Case::new(case.world, case.kind.clone(), Form::Json)
        .get(&path)
        .await
        .body;
    let mut other = json!({"metadata": {"name": name, "labels": {"l": "2"}}});
    other = case.typed(other);
    // The rest is said again with the values that are there, defaults included: some are owned as a whole.
    for (field, value) in made.as_object().unwrap() {
        if !matches!(field.as_str(), "metadata" | "status") {
            other[field.as_str()] = value.clone();
        }
    }
    let conflict = case.patch(&format!("{path}?fieldManager=two"), APPLY, &other).await;
    conflict.refuses(&what, 409, "Conflict");
    assert_eq!(
        conflict.message(),
        "Apply failed with 1 conflict: conflict with \"one\": .metadata.labels.l",
        "{what}"
    );
    let cause = &conflict.body["details"]["causes"][0];
    assert_eq!(
        (&cause["reason"], &cause["field"], &cause["message"]),
        (
            &json!("FieldManagerConflict"),
            &json!(".metadata.labels.l"),
            &json!("conflict with \"one\"")
        ),
        "{what}"
    );
    let wished = case
        .patch(&format!("{path}?fieldManager=two&force=true&dryRun=All"), APPLY, &other)
        .await;
    wished.succeeds(&what, 200);
    assert_eq!(
        case.get(&path).await.body["metadata"]["labels"]["l"],
        "1",
        "{what}: a dry run stores nothing"
    );
    let forced = case
        .patch(&format!("{path}?fieldManager=two&force=true"), APPLY, &other)
        .await;
    forced.succeeds(&what, 200);
    assert_eq!(forced.body["metadata"]["labels"]["l"], "2", "{what}");
}
