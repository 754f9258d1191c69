//! Paths, methods, bodies, forms and streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use futures::TryStreamExt;
use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams, WatchEvent, WatchParams};
use registry::{EncryptionConfiguration, KeyService, KeyServiceError, Wrapped};
use serde_json::Value;

use crate::world::{World, get};

#[tokio::test]
async fn every_kind_of_the_table_is_routed_and_discovered() {
    let world = World::start().await;
    for kind in world.api.registry().kinds().iter() {
        let root = if kind.group.is_empty() {
            "/api".to_owned()
        } else {
            format!("/apis/{}", kind.group)
        };
        let (code, list) = world.json("GET", &format!("{root}/{}", kind.version), "").await;
        assert_eq!(code, StatusCode::OK);
        let names = list["resources"].as_array().unwrap();
        assert!(
            names.iter().any(|one| one["name"] == *kind.plural),
            "{} is not discovered",
            kind.plural
        );
        if kind.has(registry::kinds::Verb::List) {
            let (code, list) = world
                .json("GET", &format!("{root}/{}/{}", kind.version, kind.plural), "")
                .await;
            assert_eq!(
                (code, list["kind"].as_str()),
                (StatusCode::OK, Some(&*kind.list_kind)),
                "{}",
                kind.plural
            );
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn discovery_says_in_which_version_objects_are_stored() {
    let world = World::start().await;
    // The hashes that upstream's own discovery shows.
    for (path, plural, hash) in [
        ("/api/v1", "pods", Some("xPOwRZ+Yhw8=")),
        ("/apis/apps/v1", "deployments", Some("8aSe+NMegvE=")),
        ("/api/v1", "events", Some("r2yiGXH7wu8=")),
        ("/apis/events.k8s.io/v1", "events", Some("r2yiGXH7wu8=")),
        ("/apis/autoscaling/v1", "horizontalpodautoscalers", Some("qwQve8ut294=")),
        ("/api/v1", "bindings", None),
        ("/api/v1", "pods/status", None),
    ] {
        let (_, list) = world.json("GET", path, "").await;
        let resources = list["resources"].as_array().unwrap();
        let found = resources.iter().find(|one| one["name"] == plural).unwrap();
        assert_eq!(found["storageVersionHash"].as_str(), hash, "{path}/{plural}");
    }
    world.stop().await;
}

#[tokio::test]
async fn aggregated_discovery_has_a_tag() {
    let world = World::start().await;
    let request = |tag: Option<&http::HeaderValue>| {
        let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let builder = Request::get("/apis").header("accept", accept);
        let builder = match tag {
            Some(tag) => builder.header("if-none-match", tag),
            None => builder,
        };
        builder.body(Body::empty()).unwrap()
    };
    let (code, headers, body) = world.send(request(None)).await;
    let document: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (code, document["kind"].as_str()),
        (StatusCode::OK, Some("APIGroupDiscoveryList"))
    );
    assert_eq!(
        headers["content-type"],
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    let apps = document["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["metadata"]["name"] == "apps")
        .unwrap();
    let resources = apps["versions"][0]["resources"].as_array().unwrap();
    let deployments = resources.iter().find(|one| one["resource"] == "deployments").unwrap();
    assert_eq!(deployments["responseKind"]["kind"], "Deployment");
    assert!(
        deployments["subresources"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["subresource"] == "scale")
    );
    let (code, _, body) = world.send(request(Some(&headers["etag"]))).await;
    assert_eq!((code, body.len()), (StatusCode::NOT_MODIFIED, 0));
    world.stop().await;
}

/// Method, path, media type, body, code, reason; maps are `/api/v1/namespaces/default/configmaps`.
const REFUSED: &[(&str, &str, &str, &str, u16, &str)] = &[
    ("POST", "maps", "text/plain", "{}", 415, "UnsupportedMediaType"),
    (
        "POST",
        "maps",
        "application/vnd.kubernetes.protobuf",
        "{}",
        400,
        "BadRequest",
    ),
    ("POST", "maps", "application/json", "{\"kind\":", 400, "BadRequest"),
    ("PUT", "maps", "application/json", "{}", 405, "MethodNotAllowed"),
    (
        "POST",
        "/api/v1/configmaps",
        "application/json",
        "{}",
        405,
        "MethodNotAllowed",
    ),
    ("PATCH", "maps/x", "application/json", "{}", 415, "UnsupportedMediaType"),
    ("GET", "/api/v1/configmaps?limit=x", "", "", 400, "BadRequest"),
    ("GET", "maps/absent", "", "", 404, "NotFound"),
];

async fn refused(world: &World, method: &str, path: &str, media_type: &str, body: String) -> (u16, Value) {
    let path = path.replacen(
        "maps",
        "/api/v1/namespaces/default/configmaps",
        usize::from(path.starts_with("maps")),
    );
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", media_type);
    let (code, _, bytes) = world.send(request.body(Body::from(body)).unwrap()).await;
    (code.as_u16(), serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_as_upstream_does() {
    let world = World::start().await;
    for (method, path, media_type, body, code, reason) in REFUSED {
        let (found, status) = refused(&world, method, path, media_type, (*body).to_owned()).await;
        assert_eq!(
            (found, status["reason"].as_str()),
            (*code, Some(*reason)),
            "{method} {path}: {status}"
        );
    }
    let large = format!("{{\"data\":{{\"k\":\"{}\"}}}}", "x".repeat(3 * 1024 * 1024));
    let (code, status) = refused(&world, "POST", "maps", "application/json", large).await;
    assert_eq!(
        (code, status["message"].as_str()),
        (413, Some("Request entity too large: limit is 3145728"))
    );
    for path in [
        "/nowhere",
        "/api/v1/nowhere",
        "/apis/apps/v1/namespaces/a/deployments/b/nowhere",
        "/api/v2",
    ] {
        let (code, _, body) = world.send(get(path)).await;
        assert_eq!(
            (code, body.as_ref()),
            (StatusCode::NOT_FOUND, b"404 page not found\n".as_slice()),
            "{path}"
        );
    }
    world.stop().await;
}

#[tokio::test]
async fn yaml_is_read_and_written() {
    let world = World::start().await;
    let request = Request::post("/api/v1/namespaces/default/configmaps")
        .header("content-type", "application/yaml")
        .header("accept", "application/yaml")
        .body(Body::from(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: words\ndata:\n  a: b\n",
        ))
        .unwrap();
    let (code, headers, body) = world.send(request).await;
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(
        (code, &headers["content-type"]),
        (StatusCode::CREATED, &"application/yaml".parse().unwrap()),
        "{text}"
    );
    assert!(
        text.contains("\n  name: words\n") && text.contains("data:\n  a: b\n"),
        "{text}"
    );
    world.stop().await;
}

#[tokio::test]
async fn large_answers_are_compressed_for_those_who_can_read_it() {
    let world = World::start().await;
    let request = Request::get("/openapi/v3/apis/apps/v1")
        .header("accept-encoding", "gzip")
        .body(Body::empty());
    let (_, headers, small) = world.send(request.unwrap()).await;
    assert_eq!(headers["content-encoding"], "gzip");
    let (_, headers, large) = world.send(get("/openapi/v3/apis/apps/v1")).await;
    assert!(!headers.contains_key("content-encoding") && large.len() > 2 * small.len());
    world.stop().await;
}

#[tokio::test]
async fn a_watch_streams_changes_and_ends_in_time() {
    let world = World::start().await;
    let client = world.client(&world.certificate("root", &["system:masters"]));
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let parameters = WatchParams::default().timeout(2).fields("metadata.name=watched");
    let mut events = Box::pin(maps.watch(&parameters, "0").await.unwrap());
    let mut map = ConfigMap::default();
    map.metadata.name = Some("watched".to_owned());
    maps.create(&PostParams::default(), &map).await.unwrap();
    map.metadata.name = Some("other".to_owned());
    maps.create(&PostParams::default(), &map).await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = events.try_next().await.unwrap() {
        match event {
            WatchEvent::Added(map) => seen.push(map.metadata.name.unwrap()),
            WatchEvent::Bookmark(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(seen, ["watched"]);
    world.stop().await;
}

#[tokio::test]
async fn draining_ends_watches_and_connections() {
    let world = World::start().await;
    let client = world.client(&world.certificate("root", &["system:masters"]));
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let mut events = Box::pin(maps.watch(&WatchParams::default().timeout(290), "0").await.unwrap());
    world.stop().await;
    while let Ok(Some(_)) = events.try_next().await {}
}

#[tokio::test]
async fn metrics_count_requests_under_upstreams_names() {
    let world = World::start().await;
    let map = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"counted"}}"#;
    world.json("POST", "/api/v1/namespaces/default/configmaps", map).await;
    world.send(get("/api/v1/namespaces/default/configmaps")).await;
    let (_, _, body) = world.send(get("/metrics")).await;
    let text = String::from_utf8(body.to_vec()).unwrap();
    let counted = r#"apiserver_request_total{verb="LIST",dry_run="",group="",version="v1",resource="configmaps",subresource="",scope="namespace",component="apiserver",code="200"} 1"#;
    assert!(text.contains(counted), "{text}");
    assert!(
        text.contains("apiserver_request_duration_seconds_bucket{le=\"0.005\",verb=\"LIST\""),
        "{text}"
    );
    for name in [
        "# TYPE apiserver_request_total counter\n",
        "apiserver_storage_objects{resource=\"namespaces\"} ",
        "etcd_request_duration_seconds_count{operation=\"create\",type=\"configmaps\"} ",
        "process_resident_memory_bytes ",
    ] {
        assert!(text.contains(name), "{name}\n{text}");
    }
    let request = Request::get("/metrics").header("accept", "application/openmetrics-text; version=1.0.0");
    let (_, headers, body) = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        headers["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(body.ends_with(b"# EOF\n"));
    world.stop().await;
}

#[tokio::test]
async fn oidc_documents_name_issuer_and_key() {
    let world = World::start().await;
    let (_, document) = world.json("GET", "/.well-known/openid-configuration", "").await;
    assert_eq!(document["issuer"], "https://oidc.test/id/A1");
    let (_, keys) = world.json("GET", "/openid/v1/jwks", "").await;
    assert_eq!(
        (keys["keys"][0]["kty"].as_str(), keys["keys"][0]["e"].as_str()),
        (Some("RSA"), Some("AQAB"))
    );
    world.stop().await;
}

#[tokio::test]
async fn openapi_version_2_comes_as_json_and_as_protobuf_with_a_tag() {
    let world = World::start().await;
    let (code, headers, json) = world.send(get("/openapi/v2")).await;
    assert_eq!(code, StatusCode::OK);
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["swagger"], "2.0");
    let tag = headers["etag"].clone();
    let request = Request::get("/openapi/v2")
        .header("accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
        .body(Body::empty())
        .unwrap();
    let (code, headers, bytes) = world.send(request).await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(
        headers["content-type"],
        "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
    );
    assert!(bytes.starts_with(b"\x0a\x032.0"));
    let request = Request::get("/openapi/v2")
        .header("if-none-match", tag)
        .body(Body::empty())
        .unwrap();
    assert_eq!(world.send(request).await.0, StatusCode::NOT_MODIFIED);
    let (code, headers, _) = world.send(get("/openapi/v3/apis/apps/v1?hash=old")).await;
    assert_eq!(code, StatusCode::MOVED_PERMANENTLY);
    let newest = headers["location"].to_str().unwrap().to_owned();
    assert_eq!(world.send(get(&newest)).await.0, StatusCode::OK);
    world.stop().await;
}

#[tokio::test]
async fn metrics_of_components_are_where_eks_shows_them() {
    let world = World::start().await;
    let path = "/apis/metrics.eks.amazonaws.com/v1/kcm/container/metrics";
    assert_eq!(world.send(get(path)).await.0, StatusCode::NOT_FOUND);
    let mut registry = prometheus_client::registry::Registry::default();
    let adds = prometheus_client::metrics::counter::Counter::<u64>::default();
    adds.inc();
    registry.register("workqueue_adds", "Keys added", adds);
    world.api.show_metrics("kcm", registry);
    let (code, headers, body) = world.send(get(path)).await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        text.contains("# TYPE workqueue_adds_total counter\nworkqueue_adds_total 1\n"),
        "{text}"
    );
    let user = access_rules::User::authenticated("jane", Vec::<String>::new());
    assert_eq!(world.send_as(user, get(path)).await.0, StatusCode::FORBIDDEN);
    world.stop().await;
}

#[tokio::test]
async fn health_says_each_check_and_what_cannot_be_left_out() {
    let world = World::start().await;
    let text = async |path: &str| {
        let (code, _, body) = world.send(get(path)).await;
        (code.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    };
    assert_eq!(text("/livez/ping").await, (200, "ok".to_owned()));
    assert_eq!(text("/livez/shutdown").await.0, 404);
    assert_eq!(
        text("/livez?verbose&exclude=etcd&exclude=other").await,
        (
            200,
            "[+]ping ok\n[+]log ok\n[+]etcd excluded: ok\nwarn: some health checks cannot be excluded: no matches for \
             \"other\"\nlivez check passed\n"
                .to_owned()
        )
    );
    let (_, ready) = text("/readyz?verbose").await;
    assert!(ready.contains("[+]shutdown ok\nreadyz check passed\n"), "{ready}");
    world.stop().await;
}

/// A key service of which a test says whether it is well.
#[derive(Default)]
struct Wavering {
    ill: AtomicBool,
}

impl KeyService for Wavering {
    fn key_id(&self) -> String {
        "one".to_owned()
    }

    fn encrypt(&self, plain: &[u8]) -> Result<Wrapped, KeyServiceError> {
        let cipher = plain.to_vec();
        Ok(Wrapped {
            cipher,
            key_id: self.key_id(),
            ..Wrapped::default()
        })
    }

    fn decrypt(&self, wrapped: &Wrapped) -> Result<Vec<u8>, KeyServiceError> {
        Ok(wrapped.cipher.clone())
    }

    fn ready(&self) -> Result<(), KeyServiceError> {
        Ok(())
    }

    fn check_health(&self) -> Result<(), KeyServiceError> {
        if self.ill.load(Ordering::SeqCst) {
            return Err(KeyServiceError("the service is ill".to_owned()));
        }
        Ok(())
    }
}

#[tokio::test]
async fn key_services_are_a_part_of_health_where_they_are() {
    let world = World::start().await;
    let text = async |path: &str| {
        let (code, _, body) = world.send(get(path)).await;
        (code.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    };
    assert_eq!(text("/healthz/kms-providers").await.0, 404);
    let service = Arc::new(Wavering::default());
    let nothing = EncryptionConfiguration::default();
    world
        .encryption
        .set(&nothing.with_key_service("wavering", service.clone()));
    assert_eq!(text("/healthz/kms-providers").await, (200, "ok".to_owned()));
    let (code, said) = text("/readyz?verbose").await;
    assert!(
        code == 200 && said.contains("[+]etcd ok\n[+]kms-providers ok\n"),
        "{said}"
    );
    service.ill.store(true, Ordering::SeqCst);
    for kind in ["healthz", "livez", "readyz"] {
        let (code, said) = text(&format!("/{kind}")).await;
        assert!(
            code == 500 && said.contains("[-]kms-providers failed: reason withheld\n"),
            "{kind}: {code} {said}"
        );
        let excluded = text(&format!("/{kind}?exclude=kms-providers")).await;
        assert_eq!(excluded, (200, "ok".to_owned()));
    }
    assert_eq!(text("/livez/kms-providers").await.0, 500);
    world.stop().await;
}
