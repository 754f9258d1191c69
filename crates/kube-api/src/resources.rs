//! Requests for resources: from the kind table to the registry's verbs, for every kind alike.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube_types::GroupVersionResource;
use registry::kinds::{Handler, ResourceKind, Verb};
use registry::{
    DeleteOptions, GetOptions, ListOptions, MediaType, Reply, RequestBody, StatusError, Target, WatchOptions,
    WriteOptions,
};

use crate::api::{Call, KubeApi};
use crate::connect;
use crate::protobuf;
use crate::request_info::RequestInfo;
use crate::respond::{self, Answer};

/// Bodies above 3 MiB are refused. Source: `genericapiserver.Config.MaxRequestBodyBytes`.
pub(crate) const MAXIMUM_BODY: usize = 3 * 1024 * 1024;
/// A watch without a deadline of its own gets one between this and twice this.
const WATCH_SECONDS: u64 = 1800;

/// Answers a request for a resource.
pub(crate) async fn answer(api: &KubeApi, request: Request<Body>, call: Call) -> Answer {
    let kinds = api.0.registry.kinds();
    let info = &call.info;
    let gvr = GroupVersionResource::new(info.group.clone(), info.version.clone(), info.resource.clone());
    let Some(kind) = kinds.find(&gvr).filter(|kind| scope_fits(kind, info)) else {
        return respond::page_not_found();
    };
    if let Some(warning) = kind.deprecation() {
        call.context.warnings.add(warning);
    }
    let wire = call.negotiated.wire;
    let handler = match allowed(kind, info) {
        Ok(handler) => handler,
        Err(Refusal::NoSuchPath) => return respond::page_not_found(),
        Err(Refusal::NoSuchVerb) => return respond::status(&method_not_allowed(), wire),
    };
    if handler == Some(Handler::Connect) {
        return match connect::answer(api, request, &call).await {
            Ok(answer) => answer,
            Err(error) => respond::status(&error, wire),
        };
    }
    let target = target(kind, gvr, info);
    let outcome = if info.verb == "watch" {
        watch(api, &call, &target).await
    } else {
        run(api, request, &call, &target)
            .await
            .map(|reply| respond::reply(reply, wire))
    };
    outcome.unwrap_or_else(|error| respond::status(&error, wire))
}

/// Why the table has no answer for a request.
enum Refusal {
    NoSuchPath,
    NoSuchVerb,
}

/// Namespaced kinds need a namespace for single objects and for creating; others must not have one.
fn scope_fits(kind: &ResourceKind, info: &RequestInfo) -> bool {
    if !kind.namespaced {
        return info.namespace.is_empty() || (info.resource == "namespaces" && info.group.is_empty());
    }
    !info.namespace.is_empty() || !info.names_object()
}

/// Who answers, when the table has the path and the verb.
fn allowed(kind: &ResourceKind, info: &RequestInfo) -> Result<Option<Handler>, Refusal> {
    let verb = verb(&info.verb).ok_or(Refusal::NoSuchVerb)?;
    if !info.subresource.is_empty() {
        let found = kind.subresource(&info.subresource).ok_or(Refusal::NoSuchPath)?;
        if found.handler != Handler::Connect && !info.rest.is_empty() {
            return Err(Refusal::NoSuchPath);
        }
        let connects = found.handler == Handler::Connect;
        return if connects || found.verbs.contains(&verb) {
            Ok(Some(found.handler))
        } else {
            Err(Refusal::NoSuchVerb)
        };
    }
    let on_object = info.names_object();
    let fits = match verb {
        Verb::Create => !on_object && (info.namespace.is_empty() != kind.namespaced),
        Verb::Get | Verb::Update | Verb::Patch | Verb::Delete => on_object,
        Verb::List | Verb::Watch | Verb::DeleteCollection => true,
    };
    if fits && kind.has(verb) {
        Ok(None)
    } else {
        Err(Refusal::NoSuchVerb)
    }
}

fn verb(name: &str) -> Option<Verb> {
    let all = registry::kinds::ALL_VERBS.iter().copied();
    all.into_iter().find(|verb| verb.as_str() == name)
}

/// What clients print for upstream's answer, which has no body of its own.
fn method_not_allowed() -> StatusError {
    StatusError::new(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    )
}

fn target(kind: &ResourceKind, gvr: GroupVersionResource, info: &RequestInfo) -> Target {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Target {
        gvr,
        namespace: some(&info.namespace).filter(|_| kind.namespaced),
        name: some(&info.name).filter(|_| info.names_object() && !selected(info)),
        subresource: some(&info.subresource),
    }
}

/// A watch's name may come from a field selector, which the options carry as well.
fn selected(info: &RequestInfo) -> bool {
    info.verb == "watch" && !info.path.trim_end_matches('/').ends_with(&format!("/{}", info.name))
}

async fn run(api: &KubeApi, request: Request<Body>, call: &Call, target: &Target) -> Result<Reply, StatusError> {
    let (registry, context, query) = (&api.0.registry, &call.context, call.query.as_slice());
    match call.info.verb.as_str() {
        "get" => registry.get(context, target, GetOptions::from_query(query)).await,
        "list" => registry.list(context, target, ListOptions::from_query(query)?).await,
        "delete" => {
            let body = read_body(request).await?;
            registry
                .delete(context, target, DeleteOptions::read(query, &body.bytes)?)
                .await
        }
        "deletecollection" => {
            let body = read_body(request).await?;
            let options = DeleteOptions::read(query, &body.bytes)?;
            registry
                .delete_collection(context, target, ListOptions::from_query(query)?, options)
                .await
        }
        "create" => {
            let options = WriteOptions::from_query(query)?;
            registry
                .create(context, target, read_body(request).await?, options)
                .await
        }
        "update" => {
            let options = WriteOptions::from_query(query)?;
            registry
                .update(context, target, read_body(request).await?, options)
                .await
        }
        "patch" => {
            let options = WriteOptions::from_query(query)?;
            registry
                .patch(context, target, read_body(request).await?, options)
                .await
        }
        _ => Err(method_not_allowed()),
    }
}

/// The stream is cut when the API drains, so that clients reconnect elsewhere.
async fn watch(api: &KubeApi, call: &Call, target: &Target) -> Result<Answer, StatusError> {
    let mut options = WatchOptions::from_query(&call.query)?;
    if options.timeout.is_none() {
        let mut bytes = [0; 8];
        api.0.random.bytes(&mut bytes);
        options.timeout = Some(Duration::from_secs(
            WATCH_SECONDS + u64::from_le_bytes(bytes) % WATCH_SECONDS,
        ));
    }
    let reply = api.0.registry.watch(&call.context, target, options).await?;
    let lines = reply
        .events
        .take_until(Box::pin(api.0.supervisor.cancelled()))
        .map(|event| Ok::<Bytes, std::convert::Infallible>(event.to_line()));
    Ok(respond::with_type(
        StatusCode::OK,
        "application/json",
        Body::from_stream(lines),
    ))
}

/// The whole body, with the form that its header names.
pub(crate) async fn read_body(request: Request<Body>) -> Result<RequestBody, StatusError> {
    let header = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = MediaType::parse(header);
    let collected = Limited::new(request.into_body(), MAXIMUM_BODY).collect().await;
    let bytes = collected.map_err(|error| unreadable(error.as_ref()))?.to_bytes();
    if media_type == MediaType::Other(protobuf::MEDIA_TYPE.to_owned()) {
        let object = protobuf::decode(&bytes).map_err(|error| StatusError::bad_request(error.to_string()))?;
        let json = serde_json::to_vec(&object).map_err(StatusError::internal)?;
        return Ok(RequestBody::json(json));
    }
    Ok(RequestBody::new(media_type, bytes))
}

fn unreadable(error: &(dyn std::error::Error + 'static)) -> StatusError {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if current.is::<LengthLimitError>() {
            let message = format!("Request entity too large: limit is {MAXIMUM_BODY}");
            return StatusError::new(413, "RequestEntityTooLarge", message);
        }
        cause = current.source();
    }
    StatusError::bad_request(format!("read request body: {error}"))
}

/// Hop-by-hop headers say nothing to the next server.
pub(crate) fn is_hop_by_hop(name: &http::HeaderName) -> bool {
    *name == TRANSFER_ENCODING || matches!(name.as_str(), "keep-alive" | "te" | "trailer" | "proxy-connection")
}

/// A header value made of text that is known to be legal.
pub(crate) fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_illegal| HeaderValue::from_static(""))
}
