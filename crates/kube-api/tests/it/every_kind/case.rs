//! One kind in one form of bodies: its paths, its objects, and short ways to send them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::BytesMut;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use kube_types::dynamic::{Value, json};
use kube_types::protobuf;
use registry::{ResourceKind, User};
use tower::ServiceExt;

use crate::minimal::minimal;
use crate::world::World;

pub const JSON: &str = "application/json";
pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// How bodies are written, there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Protobuf,
}

impl Form {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Protobuf => PROTOBUF,
        }
    }
}

/// An answer whose body has been read.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    pub fn version(&self) -> &str {
        self.body["metadata"]["resourceVersion"].as_str().unwrap_or_default()
    }

    /// Fails unless this is a `Status` with a code and a reason.
    #[track_caller]
    pub fn refuses(&self, what: &str, code: u16, reason: &str) {
        let found = (self.code, self.body["reason"].as_str(), self.body["kind"].as_str());
        assert_eq!(found, (code, Some(reason), Some("Status")), "{what}: {}", self.body);
        assert_eq!(self.body["code"], code, "{what}");
    }

    /// Fails unless this is an object.
    #[track_caller]
    pub fn succeeds(&self, what: &str, code: u16) {
        assert_eq!(self.code, code, "{what}: {}", self.body);
    }
}

/// A kind and a form of bodies.
pub struct Case<'w> {
    pub world: &'w World,
    pub kind: Arc<ResourceKind>,
    pub form: Form,
}

impl<'w> Case<'w> {
    pub fn new(world: &'w World, kind: Arc<ResourceKind>, form: Form) -> Self {
        Self { world, kind, form }
    }

    /// What failures name.
    pub fn what(&self) -> String {
        format!("{} ({}) in {:?}", self.collection(), self.kind.kind, self.form)
    }

    /// `deployments.apps`, as errors name resources.
    pub fn resource(&self) -> String {
        if self.kind.group.is_empty() {
            self.kind.plural.to_string()
        } else {
            format!("{}.{}", self.kind.plural, self.kind.group)
        }
    }

    pub fn collection(&self) -> String {
        self.collection_in("default")
    }

    pub fn collection_in(&self, namespace: &str) -> String {
        let root = if self.kind.group.is_empty() {
            "/api".to_owned()
        } else {
            format!("/apis/{}", self.kind.group)
        };
        let scope = if self.kind.namespaced {
            format!("/namespaces/{namespace}")
        } else {
            String::new()
        };
        format!("{root}/{}{scope}/{}", self.kind.version, self.kind.plural)
    }

    /// Path of an object.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.collection())
    }

    /// A name that no other case uses; `purpose` is a letter and a small number.
    pub fn name(&self, purpose: u8) -> String {
        match &*self.kind.kind {
            "IPAddress" => format!("10.100.{}.{purpose}", 70 + u8::from(self.form == Form::Protobuf)),
            // It is named after the version and group that it serves.
            "APIService" => format!("v1.{:?}{purpose}.example", self.form).to_lowercase(),
            _ => {
                let group = self.kind.group.split('.').next().unwrap_or_default();
                format!("{:?}{group}-{}-{purpose}", self.form, self.kind.version).to_lowercase()
            }
        }
    }

    /// An object of the kind.
    pub fn object(&self, name: &str) -> Value {
        let mut object = minimal(&self.kind);
        object["metadata"]["name"] = name.into();
        if let ("APIService", Some(group)) = (&*self.kind.kind, name.strip_prefix("v1.")) {
            object["spec"]["group"] = group.into();
        }
        self.typed(object)
    }

    /// The same object with its kind and version in front.
    pub fn typed(&self, mut object: Value) -> Value {
        object["apiVersion"] = self.kind.api_version().into();
        object["kind"] = (*self.kind.kind).into();
        object
    }

    /// Sends an object (or nothing) in the form of this case, as an administrator.
    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let bytes = match (body, self.form) {
            (Value::Null, _) => Vec::new(),
            (body, Form::Json) => body.to_string().into_bytes(),
            (body, Form::Protobuf) => protobuf::encode(body.as_object().unwrap()).unwrap().bytes,
        };
        self.raw(method, path, self.form.media_type(), bytes).await
    }

    /// Sends a patch; the answer is in the form of this case.
    pub async fn patch(&self, path: &str, media_type: &str, patch: &Value) -> Answer {
        self.raw("PATCH", path, media_type, patch.to_string().into_bytes())
            .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &Value::Null).await
    }

    /// Sends bytes as an administrator.
    pub async fn raw(&self, method: &str, path: &str, media_type: &str, body: Vec<u8>) -> Answer {
        self.raw_as(User::master("admin"), method, path, media_type, body).await
    }

    pub async fn raw_as(&self, user: User, method: &str, path: &str, media_type: &str, body: Vec<u8>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media_type)
            .header("accept", self.form.media_type());
        let (code, headers, bytes) = self.world.send_as(user, request.body(Body::from(body)).unwrap()).await;
        let body = match headers.get("content-type").and_then(|value| value.to_str().ok()) {
            Some(JSON) => serde_json::from_slice(&bytes).unwrap(),
            Some(PROTOBUF) => Value::Object(protobuf::decode(&bytes).unwrap()),
            _ => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
        };
        Answer {
            code: code.as_u16(),
            headers,
            body,
        }
    }

    /// Makes an object that the case needs.
    pub async fn made(&self, name: &str) -> Answer {
        let made = self.send("POST", &self.collection(), &self.object(name)).await;
        made.succeeds(&self.what(), 201);
        made
    }

    /// Removes an object, if its kind goes at once.
    pub async fn removed(&self, name: &str) {
        let path = format!("{}?gracePeriodSeconds=0&propagationPolicy=Background", self.path(name));
        self.send("DELETE", &path, &Value::Null)
            .await
            .succeeds(&self.what(), 200);
    }

    /// Follows one object from now on.
    pub async fn watch(&self, name: &str) -> Events {
        let path = format!("{}?watch=true&fieldSelector=metadata.name%3D{name}", self.collection());
        let request = Request::get(path).header("accept", self.form.media_type());
        let service = self.world.api.in_process(User::master("admin"));
        let answer = service.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200, "{}", self.what());
        Events {
            form: self.form,
            body: answer.into_body(),
            read: BytesMut::new(),
        }
    }
}

/// The events of a watch.
pub struct Events {
    form: Form,
    body: Body,
    read: BytesMut,
}

impl Events {
    /// The next event's type and object.
    pub async fn next(&mut self) -> (String, Value) {
        loop {
            if let Some(event) = self.whole() {
                return event;
            }
            let frame = tokio::time::timeout(Duration::from_secs(60), self.body.frame()).await;
            let frame = frame.expect("an event in time").expect("the watch goes on").unwrap();
            self.read.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    fn whole(&mut self) -> Option<(String, Value)> {
        match self.form {
            Form::Json => {
                let end = self.read.iter().position(|byte| *byte == b'\n')?;
                let line = self.read.split_to(end + 1);
                let event: Value = serde_json::from_slice(&line).unwrap();
                Some((event["type"].as_str().unwrap().to_owned(), event["object"].clone()))
            }
            Form::Protobuf => {
                let length = u32::from_be_bytes(self.read.get(..4)?.try_into().unwrap()) as usize;
                if self.read.len() < 4 + length {
                    return None;
                }
                let frame = self.read.split_to(4 + length);
                let (kind, object) = crate::forms::frames(&frame).remove(0);
                Some((kind, Value::Object(object)))
            }
        }
    }
}

/// Options of a deletion that must find this object.
pub fn preconditions(field: &str, value: &str) -> Value {
    json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {field: value}})
}
