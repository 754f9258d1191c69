//! The same objects in JSON, YAML and protobuf: bodies, answers, lists, watches, errors, partial objects.

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use kube_types::dynamic::{Map, Object, Value, json};
use kube_types::{decode, protobuf};
use registry::{ResourceKind, User};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tower::ServiceExt;

use crate::filled;
use crate::world::World;

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

fn asking(path: &str, accept: &str) -> Request<Body> {
    Request::get(path).header("accept", accept).body(Body::empty()).unwrap()
}

/// An answer as the JSON that it stands for, whatever it is written in.
fn read(headers: &http::HeaderMap, body: &Bytes) -> Value {
    match headers["content-type"].to_str().unwrap() {
        JSON => serde_json::from_slice(body).unwrap(),
        YAML => decode::yaml(body).unwrap().value,
        PROTOBUF => Value::Object(protobuf::decode(body).unwrap()),
        other => panic!("{other}: {}", String::from_utf8_lossy(body)),
    }
}

async fn fetch(world: &World, path: &str, accept: &str) -> Value {
    let (code, headers, body) = world.send(asking(path, accept)).await;
    assert_eq!(code, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&body));
    let wanted = accept.split([',', ';']).next().unwrap();
    assert_eq!(headers["content-type"], wanted, "{path}");
    read(&headers, &body)
}

fn collection(kind: &ResourceKind) -> String {
    let root = if kind.group.is_empty() {
        "/api".to_owned()
    } else {
        format!("/apis/{}", kind.group)
    };
    let namespace = if kind.namespaced { "/namespaces/stored" } else { "" };
    format!("{root}/{}{namespace}/{}", kind.version, kind.plural)
}

/// Stores an object as another API server would have; answers it with its revision.
async fn store(world: &World, kind: &ResourceKind, mut object: Object, name: &str) -> Object {
    let metadata = object.metadata_mut();
    metadata.insert("name".to_owned(), name.into());
    metadata.remove("resourceVersion");
    metadata.remove("namespace");
    let mut key = kind.storage.as_ref().unwrap().prefix.to_string();
    if kind.namespaced {
        metadata.insert("namespace".to_owned(), "stored".into());
        key.push_str("stored/");
    }
    key.push_str(name);
    // The stored form has kind and version first, then the metadata.
    let mut ordered = Map::new();
    for field in ["kind", "apiVersion", "metadata"] {
        ordered.insert(field.to_owned(), object.0.shift_remove(field).unwrap());
    }
    ordered.extend(object.0);
    let value = Value::Object(ordered.clone()).to_string();
    let outcome = world.store.commit(store::Transaction::put(key, value)).await.unwrap();
    let store::Outcome::Committed { revision } = outcome else {
        panic!("{outcome:?}")
    };
    let mut object = Object(ordered);
    object
        .metadata_mut()
        .insert("resourceVersion".to_owned(), revision.to_string().into());
    object
}

#[tokio::test]
async fn every_kind_with_every_field_is_stored_and_comes_back_in_every_form_without_loss() {
    let world = World::start().await;
    crate::fairness::kept(&world).await;
    let kinds = world.api.registry().kinds();
    for kind in kinds.iter().filter(|kind| kind.storage.is_some() && !kind.converts()) {
        let gvk = kind.gvk();
        let ours = filled::filled(&gvk);
        if matches!(&*kind.kind, "CustomResourceDefinition" | "FlowSchema") {
            // The server writes the status of definitions and flow schemas itself, at once.
            let written = protobuf::encode(&ours.0).unwrap();
            let (wanted, found) = (
                Value::Object(ours.0),
                Value::Object(protobuf::decode(&written.bytes).unwrap()),
            );
            assert!(found == wanted, "{}", filled::difference("", &wanted, &found));
            continue;
        }
        let objects = [Some(ours), filled::published(&gvk)].into_iter().flatten();
        for (object, name) in objects.zip(["ours", "published"]) {
            let stored = Value::Object(store(&world, kind, object, name).await.0);
            let path = format!("{}/{name}", collection(kind));
            for form in [JSON, YAML, PROTOBUF] {
                let found = fetch(&world, &path, form).await;
                assert!(
                    found == stored,
                    "{path} as {form}: {}",
                    filled::difference("", &stored, &found)
                );
            }
        }
        let path = collection(kind);
        let [json, yaml, protobuf] = [
            fetch(&world, &path, JSON).await,
            fetch(&world, &path, YAML).await,
            fetch(&world, &path, PROTOBUF).await,
        ];
        for found in [yaml, protobuf] {
            let (wanted, found) = (ours_of(&json), ours_of(&found));
            assert!(found == wanted, "{path}: {}", filled::difference("", &wanted, &found));
        }
    }
    world.stop().await;
}

/// A list without the objects that every cluster has: structs that are empty are `{}` in protobuf, as at upstream.
fn ours_of(list: &Value) -> Value {
    let mut list = list.clone();
    let items = list["items"].as_array_mut().unwrap();
    items.retain(|item| ["ours", "published"].contains(&item["metadata"]["name"].as_str().unwrap()));
    assert!(!items.is_empty());
    list
}

async fn send(world: &World, method: &str, path: &str, media_type: &str, body: Vec<u8>) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media_type)
        .header("accept", PROTOBUF);
    let (code, headers, body) = world.send(request.body(Body::from(body)).unwrap()).await;
    (code.as_u16(), read(&headers, &body))
}

fn in_protobuf(object: &Value) -> Vec<u8> {
    protobuf::encode(object.as_object().unwrap()).unwrap().bytes
}

#[tokio::test]
async fn a_client_that_speaks_only_protobuf_lives_with_the_server() {
    let world = World::start().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"},
        "binaryData": {"b": "AP8="}, "immutable": false});
    let (code, made) = send(&world, "POST", maps, PROTOBUF, in_protobuf(&map)).await;
    assert_eq!(
        (code, &made["data"], &made["binaryData"], &made["immutable"]),
        (201, &map["data"], &map["binaryData"], &json!(false)),
        "{made}"
    );
    let mut changed = made.clone();
    changed["data"]["k"] = "w".into();
    let one = format!("{maps}/a");
    let (code, changed) = send(&world, "PUT", &one, PROTOBUF, in_protobuf(&changed)).await;
    assert_eq!((code, &changed["data"]["k"]), (200, &json!("w")));
    let (code, conflict) = send(&world, "PUT", &one, PROTOBUF, in_protobuf(&made)).await;
    assert_eq!(
        (
            code,
            &conflict["kind"],
            &conflict["reason"],
            &conflict["details"]["name"]
        ),
        (409, &json!("Status"), &json!("Conflict"), &json!("a"))
    );
    let (code, patched) = send(
        &world,
        "PATCH",
        &one,
        "application/merge-patch+json",
        br#"{"data":{"k":null}}"#.to_vec(),
    )
    .await;
    assert_eq!((code, &patched["data"]), (200, &Value::Null));
    let token = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}});
    let reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let (code, review) = send(&world, "POST", reviews, PROTOBUF, in_protobuf(&token)).await;
    assert_eq!(
        (code, &review["status"]["userInfo"]["username"]),
        (201, &json!("admin")),
        "{review}"
    );
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "other"}});
    let (code, refused) = send(&world, "DELETE", &one, PROTOBUF, in_protobuf(&options)).await;
    assert_eq!((code, &refused["reason"]), (409, &json!("Conflict")));
    let (code, status) = send(&world, "DELETE", &one, PROTOBUF, Vec::new()).await;
    assert_eq!((code, &status["status"]), (200, &json!("Success")), "{status}");
    let groups = fetch(&world, "/apis", PROTOBUF).await;
    assert_eq!(groups["kind"], "APIGroupList");
    world.stop().await;
}

/// The frames of a protobuf watch stream, as type and object.
/// The events of a protobuf watch: types and objects.
pub fn frames(mut bytes: &[u8]) -> Vec<(String, Map<String, Value>)> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (frame, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        bytes = rest;
        // A frame is an event: its type, then an extension whose only field is the object.
        let (kind, raw) = frame[2..].split_at(frame[1].into());
        let at = raw.windows(4).position(|window| window == b"k8s\0").unwrap();
        frames.push((
            String::from_utf8(kind.to_vec()).unwrap(),
            protobuf::decode(&raw[at..]).unwrap(),
        ));
    }
    frames
}

#[tokio::test]
async fn a_watch_in_protobuf_sends_frames() {
    let world = World::start().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
    let (_, made) = world.json("POST", maps, &map.to_string()).await;
    let watched = format!(
        "{maps}?watch=true&timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true\
         &resourceVersionMatch=NotOlderThan&fieldSelector=metadata.name%3Da"
    );
    for (accept, kind) in [
        (PROTOBUF, "ConfigMap"),
        (
            "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            "PartialObjectMetadata",
        ),
    ] {
        let (code, headers, body) = world.send(asking(&watched, accept)).await;
        assert_eq!(code, StatusCode::OK);
        assert_eq!(
            headers["content-type"],
            "application/vnd.kubernetes.protobuf;stream=watch"
        );
        let frames = frames(&body);
        assert_eq!(
            (frames[0].0.as_str(), &frames[0].1["kind"], &frames[0].1["metadata"]),
            ("ADDED", &json!(kind), &made["metadata"])
        );
        let (last, bookmark) = &frames[1];
        assert_eq!(
            (last.as_str(), &bookmark["kind"], &bookmark["metadata"]["annotations"]),
            ("BOOKMARK", &json!(kind), &json!({"k8s.io/initial-events-end": "true"}))
        );
    }
    let old = format!("{maps}?watch=true&resourceVersion=1");
    let request = asking(&old, PROTOBUF);
    let answer = world
        .api
        .in_process(User::master("admin"))
        .oneshot(request)
        .await
        .unwrap();
    let first = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        answer.into_body().frame().await.unwrap().unwrap().into_data().unwrap()
    });
    // The history of revision 1 is not in memory after a restart of the cluster, or it is: then the object comes.
    let (kind, object) = frames(&first.await.unwrap()).remove(0);
    assert!(
        (kind == "ERROR" && object["reason"] == "Expired") || kind == "ADDED",
        "{kind} {object:?}"
    );
    world.stop().await;
}

#[tokio::test]
async fn partial_objects_and_tables_have_the_forms_that_upstream_gives_them() {
    let world = World::start().await;
    let path = "/api/v1/namespaces/kube-system";
    let partial = |of: &str| format!("{PROTOBUF};as={of};g=meta.k8s.io;v=v1");
    let found = fetch(&world, path, &partial("PartialObjectMetadata")).await;
    assert_eq!(
        (&found["kind"], &found["metadata"]["name"], &found["spec"]),
        (&json!("PartialObjectMetadata"), &json!("kube-system"), &Value::Null)
    );
    let list = fetch(&world, "/api/v1/namespaces", &partial("PartialObjectMetadataList")).await;
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert!(
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|item| item["metadata"] == found["metadata"])
    );
    let table = "as=Table;g=meta.k8s.io;v=v1";
    let refused = world.send(asking(path, &format!("{PROTOBUF};{table}"))).await;
    assert_eq!(refused.0, StatusCode::NOT_ACCEPTABLE);
    let both = format!("{PROTOBUF};{table},{JSON};{table},{PROTOBUF}");
    let (_, headers, body) = world.send(asking(path, &both)).await;
    assert_eq!(read(&headers, &body)["kind"], "Table");
    let (_, headers, body) = world.send(asking(path, &format!("{YAML};{table}"))).await;
    assert_eq!(
        (
            headers["content-type"].to_str().unwrap(),
            &read(&headers, &body)["kind"]
        ),
        (YAML, &json!("Table"))
    );
    world.stop().await;
}

#[tokio::test]
async fn cbor_is_refused_so_that_clients_fall_back() {
    let world = World::start().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let request = Request::post(maps)
        .header("content-type", "application/cbor")
        .body(Body::from("\u{1}"));
    let (code, _, body) = world.send(request.unwrap()).await;
    let status: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (code.as_u16(), status["message"].as_str().unwrap()),
        (
            415,
            "the body of the request was in an unknown format - accepted media types include: application/json, \
             application/yaml, application/vnd.kubernetes.protobuf"
        )
    );
    assert_eq!(world.send(asking(maps, "application/cbor")).await.0.as_u16(), 406);
    let (code, headers, _) = world.send(asking(maps, "application/cbor,application/json")).await;
    assert_eq!((code.as_u16(), headers["content-type"].to_str().unwrap()), (200, JSON));
    world.stop().await;
}

#[tokio::test]
async fn a_large_list_in_protobuf_is_compressed_and_smaller_than_in_json() {
    let world = World::start().await;
    let data = "0123456789abcdef".repeat(512);
    for number in 0..30 {
        let map = json!({"metadata": {"name": format!("m{number}")}, "data": {"d": data}});
        world
            .json("POST", "/api/v1/namespaces/default/configmaps", &map.to_string())
            .await;
    }
    let path = "/api/v1/namespaces/default/configmaps";
    let request = Request::get(path)
        .header("accept", PROTOBUF)
        .header("accept-encoding", "gzip");
    let (_, headers, small) = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (&headers["content-encoding"], &headers["content-type"]),
        (&"gzip".parse().unwrap(), &PROTOBUF.parse().unwrap())
    );
    let (_, _, plain) = world.send(asking(path, PROTOBUF)).await;
    let (_, _, json) = world.send(asking(path, JSON)).await;
    assert!(small.len() < plain.len() && plain.len() < json.len());
    world.stop().await;
}

#[tokio::test]
async fn a_watch_works_over_websocket() {
    let world = World::start().await;
    let credentials = world.certificate("root", &["system:masters"]);
    let maps = "/api/v1/namespaces/default/configmaps";
    for (accept, text) in [(JSON, true), (PROTOBUF, false)] {
        let mut request = format!("wss://{}{maps}?watch=true", world.address)
            .into_client_request()
            .unwrap();
        request.headers_mut().insert("accept", accept.parse().unwrap());
        let stream = world.tls(&credentials).await;
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let map = json!({"metadata": {"name": if text { "text" } else { "binary" }}});
        world.json("POST", maps, &map.to_string()).await;
        let message = loop {
            let next = tokio::time::timeout(std::time::Duration::from_secs(60), socket.next()).await;
            match next.unwrap().unwrap().unwrap() {
                Message::Text(line) => {
                    let event: Value = serde_json::from_str(&line).unwrap();
                    break (event["type"].as_str().unwrap().to_owned(), event["object"].clone());
                }
                Message::Binary(frame) => {
                    let (kind, object) = frames(&frame).remove(0);
                    // The second watch begins with the first one's object.
                    if object["metadata"]["name"] != "text" {
                        break (kind, Value::Object(object));
                    }
                }
                _ => {}
            }
        };
        assert_eq!(
            (message.0.as_str(), &message.1["metadata"]["name"]),
            ("ADDED", &map["metadata"]["name"])
        );
        socket.close(None).await.unwrap();
    }
    world.stop().await;
}

#[tokio::test]
async fn a_watch_of_one_name_in_all_namespaces_sees_it() {
    let world = World::start().await;
    let (_, made) = world
        .json(
            "POST",
            "/api/v1/namespaces/default/configmaps",
            r#"{"metadata":{"name":"only"}}"#,
        )
        .await;
    world
        .json(
            "POST",
            "/api/v1/namespaces/default/configmaps",
            r#"{"metadata":{"name":"other"}}"#,
        )
        .await;
    for path in [
        "/api/v1/configmaps?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Donly",
        "/api/v1/watch/configmaps?timeoutSeconds=1&fieldSelector=metadata.name%3Donly",
        "/api/v1/watch/namespaces/default/configmaps/only?timeoutSeconds=1",
        "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Donly",
    ] {
        let (code, _, body) = world.send(asking(path, JSON)).await;
        assert_eq!(code, StatusCode::OK, "{path}");
        let event: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&event["type"], &event["object"]), (&json!("ADDED"), &made), "{path}");
    }
    let list = fetch(&world, "/api/v1/configmaps?fieldSelector=metadata.name%3Donly", JSON).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    world.stop().await;
}
