//! Requests to one of the servers, in process.

use axum::body::Body;
use http::Request;
use kube_types::dynamic::Value;
use registry::User;
use tower::ServiceExt;

use crate::world::World;

pub const MERGE: &str = "application/merge-patch+json";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub const JSON_PATCH: &str = "application/json-patch+json";
pub const APPLY: &str = "application/apply-patch+yaml";

/// One API server.
pub struct Server<'w>(pub &'w World);

/// Code and body of an answer.
pub struct Answer {
    pub code: u16,
    pub body: Value,
}

impl Answer {
    pub fn revision(&self) -> u64 {
        revision(&self.body)
    }

    pub fn reason(&self) -> &str {
        self.body["reason"].as_str().unwrap_or_default()
    }
}

/// The revision of an object or a list.
pub fn revision(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

impl Server<'_> {
    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.send_as(method, path, "application/json", body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &Value::Null).await
    }

    pub async fn send_as(&self, method: &str, path: &str, media_type: &str, body: &Value) -> Answer {
        let bytes = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media_type);
        let (code, _, bytes) = self.0.send(request.body(bytes).unwrap()).await;
        // A path that nothing serves is answered in plain text.
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        // Nothing that clients do here may be the server's fault.
        assert!(code.as_u16() < 500, "{method} {path}: {code} {body}");
        Answer {
            code: code.as_u16(),
            body,
        }
    }

    /// A watch; its body is a stream of lines.
    pub async fn watch(&self, path: &str) -> Body {
        let service = self.0.api.in_process(User::master("admin"));
        let answer = service
            .oneshot(Request::get(path).body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.into_body()
    }
}
