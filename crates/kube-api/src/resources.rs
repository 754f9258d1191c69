//! Requests for resources: from the kind table to the registry's verbs, for every kind alike.

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube_types::{GroupVersionResource, protobuf};
use registry::kinds::{Handler, ResourceKind, Verb};
use registry::{
    DeleteOptions, GetOptions, ListOptions, MediaType, Reply, RequestBody, StatusError, Target, WriteOptions,
};

use crate::api::{Call, KubeApi};
use crate::audit::Record;
use crate::connect;
use crate::negotiate::{Offer, negotiate};
use crate::request_info::RequestInfo;
use crate::respond::{self, Answer};
use crate::watch;

/// Bodies above 3 MiB are refused. Source: `genericapiserver.Config.MaxRequestBodyBytes`.
pub(crate) const MAXIMUM_BODY: usize = 3 * 1024 * 1024;

/// Answers a request for a resource.
pub(crate) async fn answer(api: &KubeApi, request: Request<Body>, mut call: Call) -> Answer {
    let info = &call.info;
    let gvr = GroupVersionResource::new(info.group.clone(), info.version.clone(), info.resource.clone());
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
    api.0.registry.follow_definition(&gvr, writes).await;
    let kinds = api.0.registry.kinds();
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
        let target = target(kind, gvr, info);
        return match connected(api, request, &call, &target).await {
            Ok(answer) => answer,
            Err(error) => respond::status(&error, wire),
        };
    }
    let target = target(kind, gvr, info);
    let offer = Offer {
        protobuf: protobuf::knows(&kind.api_version(), &kind.kind),
        stream: info.verb == "watch",
    };
    if offer.stream || !offer.protobuf {
        match negotiate(request.headers(), &call.query, offer) {
            Ok(negotiated) => {
                (call.context.form, call.context.encoding) = (negotiated.form, negotiated.wire.written.encoding());
                call.negotiated = negotiated;
            }
            Err(error) => return respond::status(&error, wire),
        }
    }
    let outcome = if offer.stream {
        watch::answer(api, request, &call, &target).await
    } else {
        let reply = run(api, request, &call, &target).await;
        reply.map(|reply| respond::reply(reply, call.negotiated.wire))
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
        name: some(&info.name).filter(|_| info.names_object()),
        subresource: some(&info.subresource),
    }
}

/// A connection is admitted like a write; reading a log is no connection.
async fn connected(api: &KubeApi, request: Request<Body>, call: &Call, target: &Target) -> Result<Answer, StatusError> {
    if call.info.subresource != "log" {
        let registry = &api.0.registry;
        registry.admit_connection(&call.context, target, &call.query).await?;
    }
    connect::answer(api, request, call).await
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

/// The whole body, with the form that its header names.
pub(crate) async fn read_body(request: Request<Body>) -> Result<RequestBody, StatusError> {
    let header = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = MediaType::parse(header);
    let (method, record) = (request.method().clone(), request.extensions().get::<Record>().cloned());
    let collected = Limited::new(request.into_body(), MAXIMUM_BODY).collect().await;
    let bytes = collected.map_err(|error| unreadable(error.as_ref()))?.to_bytes();
    if media_type == MediaType::Other(protobuf::MEDIA_TYPE.to_owned()) && !bytes.is_empty() {
        let object = protobuf::decode(&bytes).map_err(|error| StatusError::bad_request(error.to_string()))?;
        let json = serde_json::to_vec(&object).map_err(StatusError::internal)?;
        return Ok(recorded(RequestBody::json(json), &method, record));
    }
    Ok(recorded(RequestBody::new(media_type, bytes), &method, record))
}

fn recorded(body: RequestBody, method: &Method, record: Option<Record>) -> RequestBody {
    if let Some(record) = record {
        record.sent(method, &body);
    }
    body
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
