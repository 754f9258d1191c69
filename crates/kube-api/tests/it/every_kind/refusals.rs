//! What every kind refuses: bodies that are no objects of it, names and namespaces that do not fit, users without rights.

use kube_types::dynamic::{Value, json};
use registry::User;
use registry::kinds::Verb;

use super::case::{Case, Form, JSON, PROTOBUF};

const MERGE: &str = "application/merge-patch+json";
/// One byte more than a body may have.
const TOO_LARGE: usize = 3 * 1024 * 1024 + 1;

pub async fn bad_input(case: &Case<'_>) {
    let collection = case.collection();
    bodies(case, &collection).await;
    if case.form == Form::Json {
        fields(case, &collection).await;
    }
    names(case, &collection).await;
}

/// Bodies that cannot be read.
async fn bodies(case: &Case<'_>, collection: &str) {
    let what = case.what();
    for (media_type, body, code, reason) in [
        ("text/plain", b"{}".to_vec(), 415, "UnsupportedMediaType"),
        (
            "application/cbor",
            b"\xd9\xd9\xf7\xa0".to_vec(),
            415,
            "UnsupportedMediaType",
        ),
        (JSON, Vec::new(), 400, "BadRequest"),
        (JSON, b"{\"kind\":".to_vec(), 400, "BadRequest"),
        (JSON, b"[]".to_vec(), 400, "BadRequest"),
        ("application/yaml", b"a: [".to_vec(), 400, "BadRequest"),
        (PROTOBUF, b"k8s\0\x0a\xff".to_vec(), 400, "BadRequest"),
        (PROTOBUF, b"{}".to_vec(), 400, "BadRequest"),
    ] {
        let refused = case.raw("POST", collection, media_type, body).await;
        refused.refuses(&format!("{what} {media_type}"), code, reason);
    }
    let large = case.raw("POST", collection, JSON, vec![b' '; TOO_LARGE]).await;
    large.refuses(&what, 413, "RequestEntityTooLarge");
    let mut other = case.object("x");
    other["kind"] = "Other".into();
    let refused = case.raw("POST", collection, JSON, other.to_string().into_bytes()).await;
    refused.refuses(&what, 400, "BadRequest");
    let mut other = case.object("x");
    other["apiVersion"] = "other/v1".into();
    let refused = case.raw("POST", collection, JSON, other.to_string().into_bytes()).await;
    refused.refuses(&what, 400, "BadRequest");
    for verb in ["PUT", "PATCH"] {
        let media_type = if verb == "PUT" { JSON } else { MERGE };
        let refused = case.raw(verb, collection, media_type, b"{}".to_vec()).await;
        refused.refuses(&what, 405, "MethodNotAllowed");
    }
}

/// Fields that the kind does not have, or not with such values.
async fn fields(case: &Case<'_>, collection: &str) {
    let what = case.what();
    let mut unknown = case.object(&case.name(7));
    unknown["noSuchField"] = 1.into();
    let body = || unknown.to_string().into_bytes();
    let strict = case
        .raw("POST", &format!("{collection}?fieldValidation=Strict"), JSON, body())
        .await;
    strict.refuses(&what, 400, "BadRequest");
    assert!(
        strict
            .message()
            .ends_with("strict decoding error: unknown field \"noSuchField\""),
        "{what}: {}",
        strict.message()
    );
    let warned = case
        .raw(
            "POST",
            &format!("{collection}?fieldValidation=Warn&dryRun=All"),
            JSON,
            body(),
        )
        .await;
    warned.succeeds(&what, 201);
    let warnings: Vec<&str> = warned
        .headers
        .get_all("warning")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    assert!(
        warnings.contains(&"299 - \"unknown field \\\"noSuchField\\\"\""),
        "{what}: {warnings:?}"
    );
    let ignored = case
        .raw(
            "POST",
            &format!("{collection}?fieldValidation=Ignore&dryRun=All"),
            JSON,
            body(),
        )
        .await;
    ignored.succeeds(&what, 201);
    assert_eq!(ignored.body.get("noSuchField"), None, "{what}");
    let neither = case
        .raw("POST", &format!("{collection}?fieldValidation=Never"), JSON, body())
        .await;
    neither.refuses(&what, 422, "Invalid");
    for (field, value) in [
        ("name", json!(7)),
        ("labels", json!([])),
        ("annotations", json!({"a": 1})),
    ] {
        let mut typed = case.object("x");
        typed["metadata"][field] = value;
        let refused = case.send("POST", collection, &typed).await;
        refused.refuses(&format!("{what} {field}"), 400, "BadRequest");
    }
    for query in ["dryRun=Some", "fieldManager=%01"] {
        let refused = case.raw("POST", &format!("{collection}?{query}"), JSON, body()).await;
        refused.refuses(&format!("{what} {query}"), 422, "Invalid");
    }
}

/// Names and namespaces that do not fit.
async fn names(case: &Case<'_>, collection: &str) {
    let what = case.what();
    let mut unnamed = case.object("x");
    unnamed["metadata"].as_object_mut().unwrap().remove("name");
    unnamed["metadata"]["labels"] = json!({"a b": "c"});
    let refused = case.send("POST", collection, &unnamed).await;
    refused.refuses(&what, 422, "Invalid");
    for says in [
        "metadata.name: Required value: name or generateName is required",
        "metadata.labels: Invalid value: \"a b\"",
    ] {
        assert!(refused.message().contains(says), "{what}: {}", refused.message());
    }
    let path = case.path(&case.name(8));
    let mut misnamed = case.object("another");
    let refused = case.send("PUT", &path, &misnamed).await;
    refused.refuses(&what, 400, "BadRequest");
    assert_eq!(
        refused.message(),
        format!(
            "the name of the object (another) does not match the name on the URL ({})",
            case.name(8)
        ),
        "{what}"
    );
    misnamed["metadata"].as_object_mut().unwrap().remove("name");
    let refused = case.send("PUT", &path, &misnamed).await;
    refused.refuses(&what, 400, "BadRequest");
    let mut versioned = case.object(&case.name(8));
    versioned["metadata"]["resourceVersion"] = "5".into();
    let refused = case.send("POST", collection, &versioned).await;
    refused.refuses(&what, 400, "BadRequest");
    assert_eq!(
        refused.message(),
        "resourceVersion should not be set on objects to be created",
        "{what}"
    );
    if !case.kind.namespaced {
        return;
    }
    let mut elsewhere = case.object(&case.name(8));
    elsewhere["metadata"]["namespace"] = "elsewhere".into();
    let refused = case.send("POST", collection, &elsewhere).await;
    refused.refuses(&what, 400, "BadRequest");
    assert_eq!(
        refused.message(),
        "the namespace of the provided object does not match the namespace sent on the request",
        "{what}"
    );
    let nowhere = case
        .send("POST", &case.collection_in("nowhere"), &case.object(&case.name(8)))
        .await;
    nowhere.refuses(&what, 404, "NotFound");
    assert_eq!(nowhere.message(), "namespaces \"nowhere\" not found", "{what}");
}

/// Every verb of a user who may do nothing; the refusal comes before the object is looked for.
pub async fn denied(case: &Case<'_>) {
    let name = case.name(9);
    let mut tried: Vec<(&str, String, Verb, String)> = vec![
        ("POST", case.collection(), Verb::Create, String::new()),
        ("GET", case.collection(), Verb::List, String::new()),
        (
            "GET",
            format!("{}?watch=true", case.collection()),
            Verb::Watch,
            String::new(),
        ),
        ("DELETE", case.collection(), Verb::DeleteCollection, String::new()),
        ("GET", case.path(&name), Verb::Get, String::new()),
        ("PUT", case.path(&name), Verb::Update, String::new()),
        ("PATCH", case.path(&name), Verb::Patch, String::new()),
        ("DELETE", case.path(&name), Verb::Delete, String::new()),
    ];
    for part in ["status", "scale"] {
        if case.kind.subresource(part).is_some() {
            for (method, verb) in [("GET", Verb::Get), ("PUT", Verb::Update), ("PATCH", Verb::Patch)] {
                tried.push((method, format!("{}/{part}", case.path(&name)), verb, format!("/{part}")));
            }
        }
    }
    for (method, path, verb, part) in tried {
        let what = format!("{} {method} {path}", case.what());
        let on_object = !path.starts_with(&format!("{}?", case.collection())) && path != case.collection();
        let jane = User::authenticated("jane", Vec::<String>::new());
        let body = if method == "GET" { Vec::new() } else { b"{}".to_vec() };
        let refused = case.raw_as(jane, method, &path, MERGE, body).await;
        refused.refuses(&what, 403, "Forbidden");
        let named = if on_object {
            format!(" \"{name}\"")
        } else {
            String::new()
        };
        let scope = match (case.kind.namespaced, &*case.kind.kind) {
            (true, _) => "in the namespace \"default\"".to_owned(),
            (false, "Namespace") if on_object => format!("in the namespace \"{name}\""),
            (false, _) => "at the cluster scope".to_owned(),
        };
        let expected = format!(
            "{}{named} is forbidden: User \"jane\" cannot {} resource \"{}{part}\" in API group \"{}\" {scope}",
            case.resource(),
            verb.as_str(),
            case.kind.plural,
            case.kind.group,
        );
        assert_eq!(refused.message(), expected, "{what}");
        let details = &refused.body["details"];
        assert_eq!(details["kind"], json!(case.kind.plural), "{what}: {details}");
        let wanted = if on_object { json!(name) } else { Value::Null };
        assert_eq!(details["name"], wanted, "{what}: {details}");
    }
}
