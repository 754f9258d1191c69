//! Requests are counted by how they end, and timed unless they are streams.

use http_body_util::Full;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, WatchParams};
use prometheus_client::encoding::text::encode;
use tower::BoxError;

use super::*;
use crate::in_process_counted;

fn text(metrics: &Metrics) -> String {
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text
}

async fn answer(request: Request<Body>) -> Result<Response<Full<Bytes>>, BoxError> {
    let query = request.uri().query().unwrap_or_default();
    let (status, body) = match request.uri().path() {
        "/api/v1/pods" if query.contains("watch=true") => (200, ""),
        "/api/v1/pods" => (200, r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[]}"#),
        "/api/v1/namespaces/default/pods/none" => (404, "{}"),
        path => return Err(format!("no way to {path}").into()),
    };
    Ok(Response::builder().status(status).body(Full::from(body)).unwrap())
}

#[tokio::test]
async fn requests_are_counted_and_timed_under_upstreams_names() {
    let counted = in_process_counted(tower::service_fn(answer), "default");
    let all: Api<Pod> = Api::all(counted.client.clone());
    all.list(&ListParams::default()).await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(counted.client.clone());
    pods.get("none").await.unwrap_err();
    pods.get("elsewhere").await.unwrap_err();
    let watched = all.watch(&WatchParams::default(), "0").await.unwrap();
    drop(watched);
    let text = text(&counted.metrics);
    for line in [
        r#"rest_client_requests_total{code="200",method="GET",host="in-process"} 2"#,
        r#"rest_client_requests_total{code="404",method="GET",host="in-process"} 1"#,
        r#"rest_client_requests_total{code="<error>",method="GET",host="in-process"} 1"#,
        r#"rest_client_request_duration_seconds_bucket{le="60.0",verb="GET",host="in-process"} 3"#,
        r#"rest_client_request_duration_seconds_count{verb="GET",host="in-process"} 3"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
