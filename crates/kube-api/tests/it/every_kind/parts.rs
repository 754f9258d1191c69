//! `status` and `scale` of the kinds that have them.

use kube_types::dynamic::json;

use super::case::{Case, Form};

const MERGE: &str = "application/merge-patch+json";

pub async fn check(case: &Case<'_>) {
    let name = case.name(6);
    let has = |part: &str| case.kind.subresource(part).is_some();
    if !has("status") && !has("scale") {
        let (what, path) = (case.what(), case.path("any"));
        for part in ["status", "scale"] {
            let absent = case.get(&format!("{path}/{part}")).await;
            assert_eq!(absent.code, 404, "{what}");
        }
        return;
    }
    let mut object = case.object(&name);
    if case.kind.custom.is_some() {
        // What no schema fills must be there to be scaled.
        object["spec"]["replicas"] = 1.into();
    }
    let made = case.send("POST", &case.collection(), &object).await;
    made.succeeds(&case.what(), 201);
    if has("status") {
        status(case, &name).await;
    }
    if has("scale") {
        scale(case, &name).await;
    }
    case.removed(&name).await;
}

async fn status(case: &Case<'_>, name: &str) {
    let (what, path) = (case.what(), case.path(name));
    let part = format!("{path}/status");
    let read = case.get(&part).await;
    assert_eq!(read.body, case.get(&path).await.body, "{what}");
    let same = case.send("PUT", &part, &read.body).await;
    same.succeeds(&what, 200);
    // Protobuf has no absent numbers: a status of zeros becomes one that was written.
    if case.form == Form::Json {
        assert_eq!(same.body, read.body, "{what}: nothing has changed");
    }
    let read = case.get(&part).await;
    let mut changed = read.body.clone();
    // The metadata that a status may change differs by kind; what must not change is the rest.
    changed["metadata"]["annotations"] = json!({"by": "status"});
    for field in ["spec", "data"] {
        if changed.get(field).is_some_and(|value| value.is_object()) && case.form == Form::Json {
            changed[field] = json!({});
        }
    }
    let wished = case.send("PUT", &format!("{part}?dryRun=All"), &changed).await;
    wished.succeeds(&what, 200);
    assert_eq!(
        case.get(&path).await.body,
        read.body,
        "{what}: a dry run stores nothing"
    );
    let written = case.send("PUT", &part, &changed).await;
    written.succeeds(&what, 200);
    assert_eq!(
        written.body.get("spec"),
        read.body.get("spec"),
        "{what}: only the status changes"
    );
    assert_eq!(
        written.body["metadata"]["generation"], read.body["metadata"]["generation"],
        "{what}"
    );
    let mut stale = read.body.clone();
    stale["metadata"]["resourceVersion"] = "1".into();
    case.send("PUT", &part, &stale).await.refuses(&what, 409, "Conflict");
    let patch = json!({"metadata": {"annotations": {"by": "patch"}}});
    let wished = case.patch(&format!("{part}?dryRun=All"), MERGE, &patch).await;
    wished.succeeds(&what, 200);
    case.patch(&part, MERGE, &patch).await.succeeds(&what, 200);
    let absent = case
        .patch(&format!("{}/status", case.path("absent")), MERGE, &patch)
        .await;
    absent.refuses(&what, 404, "NotFound");
}

async fn scale(case: &Case<'_>, name: &str) {
    let (what, path) = (case.what(), case.path(name));
    let part = format!("{path}/scale");
    let read = case.get(&part).await;
    read.succeeds(&what, 200);
    assert_eq!(
        (&read.body["kind"], &read.body["apiVersion"]),
        (&json!("Scale"), &json!("autoscaling/v1")),
        "{what}"
    );
    let mut wanted = read.body.clone();
    wanted["spec"] = json!({"replicas": 7});
    let wished = case.send("PUT", &format!("{part}?dryRun=All"), &wanted).await;
    wished.succeeds(&what, 200);
    assert_eq!(
        case.get(&part).await.body,
        read.body,
        "{what}: a dry run stores nothing"
    );
    let scaled = case.send("PUT", &part, &wanted).await;
    scaled.succeeds(&what, 200);
    assert_eq!(scaled.body["spec"]["replicas"], 7, "{what}");
    assert_eq!(case.get(&path).await.body["spec"]["replicas"], 7, "{what}");
    case.send("PUT", &part, &wanted).await.refuses(&what, 409, "Conflict");
    let patched = case.patch(&part, MERGE, &json!({"spec": {"replicas": 8}})).await;
    patched.succeeds(&what, 200);
    assert_eq!(case.get(&path).await.body["spec"]["replicas"], 8, "{what}");
    let negative = case.patch(&part, MERGE, &json!({"spec": {"replicas": -1}})).await;
    negative.refuses(&what, 422, "Invalid");
    let absent = case.get(&format!("{}/scale", case.path("absent"))).await;
    absent.refuses(&what, 404, "NotFound");
}
