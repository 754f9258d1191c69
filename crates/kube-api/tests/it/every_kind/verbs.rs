//! Create, read, list, follow, replace, delete, delete many; the dry run of each and the conflicts.

use kube_types::dynamic::{Value, json};
use registry::kinds::Verb;

use super::case::{Case, Events, preconditions};

pub async fn check(case: &Case<'_>) {
    let name = case.name(1);
    let mut events = case.watch(&name).await;
    let made = create(case, &name, &mut events).await;
    read(case, &name, &made).await;
    let replaced = replace(case, &name, &made, &mut events).await;
    delete(case, &name, &replaced, &mut events).await;
    if case.kind.has(Verb::DeleteCollection) {
        delete_many(case).await;
    }
}

async fn create(case: &Case<'_>, name: &str, events: &mut Events) -> Value {
    let what = case.what();
    let object = case.object(name);
    let wished = case
        .send("POST", &format!("{}?dryRun=All", case.collection()), &object)
        .await;
    wished.succeeds(&what, 201);
    assert_eq!(wished.body["metadata"]["name"], name, "{what}");
    assert_eq!(wished.version(), "", "{what}: a dry run has no revision");
    let absent = case.get(&case.path(name)).await;
    absent.refuses(&what, 404, "NotFound");
    assert_eq!(
        absent.message(),
        format!("{} \"{name}\" not found", case.resource()),
        "{what}"
    );
    let made = case.send("POST", &case.collection(), &object).await;
    made.succeeds(&what, 201);
    let metadata = &made.body["metadata"];
    assert!(
        metadata["uid"].is_string() && metadata["creationTimestamp"].is_string(),
        "{what}"
    );
    assert_eq!(
        (&made.body["kind"], &made.body["apiVersion"]),
        (&json!(case.kind.kind), &json!(case.kind.api_version())),
        "{what}"
    );
    assert_eq!(events.next().await, ("ADDED".to_owned(), made.body.clone()), "{what}");
    let again = case.send("POST", &case.collection(), &object).await;
    again.refuses(&what, 409, "AlreadyExists");
    assert_eq!(
        again.message(),
        format!("{} \"{name}\" already exists", case.resource()),
        "{what}"
    );
    let dry = case
        .send("POST", &format!("{}?dryRun=All", case.collection()), &object)
        .await;
    dry.refuses(&what, 409, "AlreadyExists");
    made.body
}

async fn read(case: &Case<'_>, name: &str, made: &Value) {
    let what = case.what();
    assert_eq!(case.get(&case.path(name)).await.body, *made, "{what}");
    let any = case.get(&format!("{}?resourceVersion=0", case.path(name))).await;
    assert_eq!(any.body, *made, "{what}");
    let version = made["metadata"]["resourceVersion"].as_str().unwrap();
    for query in [
        format!("fieldSelector=metadata.name%3D{name}"),
        format!("labelSelector=l%3D1&fieldSelector=metadata.name%3D{name}&limit=500"),
        format!("resourceVersion={version}&resourceVersionMatch=Exact&fieldSelector=metadata.name%3D{name}"),
        format!("resourceVersion={version}&resourceVersionMatch=NotOlderThan&fieldSelector=metadata.name%3D{name}"),
    ] {
        let list = case.get(&format!("{}?{query}", case.collection())).await;
        list.succeeds(&what, 200);
        assert_eq!(list.body["kind"], json!(case.kind.list_kind), "{what}");
        let items = list.body["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{what} {query}: {}", list.body);
        assert_eq!(items[0]["metadata"], made["metadata"], "{what}");
    }
    let none = case
        .get(&format!("{}?labelSelector=l%3D1,l!%3D1", case.collection()))
        .await;
    let items = none.body["items"].as_array().map_or(0, Vec::len);
    assert_eq!((none.code, items), (200, 0), "{what}: {}", none.body);
}

async fn replace(case: &Case<'_>, name: &str, made: &Value, events: &mut Events) -> Value {
    let what = case.what();
    let path = case.path(name);
    let mut changed = made.clone();
    changed["metadata"]["labels"]["put"] = "1".into();
    let wished = case.send("PUT", &format!("{path}?dryRun=All"), &changed).await;
    wished.succeeds(&what, 200);
    assert_eq!(wished.body["metadata"]["labels"]["put"], "1", "{what}");
    assert_eq!(case.get(&path).await.body, *made, "{what}: a dry run stores nothing");
    let replaced = case.send("PUT", &path, &changed).await;
    replaced.succeeds(&what, 200);
    assert_ne!(replaced.version(), made["metadata"]["resourceVersion"], "{what}");
    assert_eq!(
        replaced.body["metadata"]["generation"], made["metadata"]["generation"],
        "{what}: labels are not counted"
    );
    assert_eq!(
        events.next().await,
        ("MODIFIED".to_owned(), replaced.body.clone()),
        "{what}"
    );
    let same = case.send("PUT", &path, &replaced.body).await;
    assert_eq!(
        same.body, replaced.body,
        "{what}: what changes nothing makes no revision"
    );
    conflicts(case, name, made, &replaced.body).await;
    replaced.body
}

async fn conflicts(case: &Case<'_>, name: &str, stale: &Value, newest: &Value) {
    let what = case.what();
    let path = case.path(name);
    let conflict = case.send("PUT", &path, stale).await;
    conflict.refuses(&what, 409, "Conflict");
    assert_eq!(
        conflict.message(),
        format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes \
             to the latest version and try again",
            case.resource()
        ),
        "{what}"
    );
    let mut other = newest.clone();
    let uid = newest["metadata"]["uid"].as_str().unwrap();
    other["metadata"]["uid"] = "another".into();
    let conflict = case.send("PUT", &path, &other).await;
    conflict.refuses(&what, 409, "Conflict");
    assert!(
        conflict.message().ends_with(&format!(
            "Precondition failed: UID in precondition: another, UID in object meta: {uid}"
        )),
        "{what}: {}",
        conflict.message()
    );
    for (field, value, found) in [
        ("uid", "another", uid),
        (
            "resourceVersion",
            "1",
            newest["metadata"]["resourceVersion"].as_str().unwrap(),
        ),
    ] {
        // Options of a deletion are read as JSON in this test: their protobuf has a test of its own.
        let body = preconditions(field, value).to_string().into_bytes();
        let conflict = case.raw("DELETE", &path, super::JSON, body).await;
        conflict.refuses(&what, 409, "Conflict");
        let says = format!("precondition ({value}) does not match the ");
        assert!(
            conflict.message().contains(&says) && conflict.message().contains(found),
            "{what}: {}",
            conflict.message()
        );
    }
}

async fn delete(case: &Case<'_>, name: &str, newest: &Value, events: &mut Events) {
    let what = case.what();
    let path = format!("{}?gracePeriodSeconds=0&propagationPolicy=Background", case.path(name));
    let wished = case.send("DELETE", &format!("{path}&dryRun=All"), &Value::Null).await;
    wished.succeeds(&what, 200);
    assert_eq!(case.get(&case.path(name)).await.body, *newest, "{what}");
    let deleted = case.send("DELETE", &path, &Value::Null).await;
    deleted.succeeds(&what, 200);
    if case.kind.kind == "Namespace" {
        // It goes when its finalizer does; a controller sees to that.
        assert_eq!(deleted.body["status"]["phase"], "Terminating", "{what}");
        return;
    }
    if is_protected(newest) {
        let (kind, waiting) = events.next().await;
        assert_eq!(kind, "MODIFIED", "{what}");
        assert!(waiting["metadata"]["deletionTimestamp"].is_string(), "{what}");
        release(case, name).await;
    }
    let (kind, last) = events.next().await;
    assert_eq!(kind, "DELETED", "{what}");
    assert_eq!(last["metadata"]["uid"], newest["metadata"]["uid"], "{what}");
    assert_ne!(
        last["metadata"]["resourceVersion"], newest["metadata"]["resourceVersion"],
        "{what}: the event has the revision of the deletion"
    );
    case.get(&case.path(name)).await.refuses(&what, 404, "NotFound");
    let again = case.send("DELETE", &path, &Value::Null).await;
    again.refuses(&what, 404, "NotFound");
}

async fn delete_many(case: &Case<'_>) {
    let what = case.what();
    let names = [case.name(2), case.name(3)];
    for name in &names {
        let mut object = case.object(name);
        object["metadata"]["labels"] = json!({"many": "1"});
        case.send("POST", &case.collection(), &object)
            .await
            .succeeds(&what, 201);
    }
    let query = "labelSelector=many%3D1&gracePeriodSeconds=0&propagationPolicy=Background";
    let path = format!("{}?{query}", case.collection());
    case.send("DELETE", &format!("{path}&dryRun=All"), &Value::Null)
        .await
        .succeeds(&what, 200);
    for name in &names {
        case.get(&case.path(name)).await.succeeds(&what, 200);
    }
    let list = case.send("DELETE", &path, &Value::Null).await;
    list.succeeds(&what, 200);
    for name in &names {
        let left = case.get(&case.path(name)).await;
        if is_protected(&left.body) {
            release(case, name).await;
        }
        case.get(&case.path(name)).await.refuses(&what, 404, "NotFound");
    }
}

/// Whether the server gave the object a finalizer, so that it does not go before its users.
fn is_protected(object: &Value) -> bool {
    object["metadata"]["finalizers"].is_array()
}

/// What a controller does when nobody uses the object any more.
async fn release(case: &Case<'_>, name: &str) {
    let body = json!({"metadata": {"finalizers": null}}).to_string().into_bytes();
    let released = case
        .raw("PATCH", &case.path(name), "application/merge-patch+json", body)
        .await;
    released.succeeds(&case.what(), 200);
}
