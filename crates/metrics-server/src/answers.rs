//! From a request to its answer.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Status, StatusDetails};
use kube::api::{Api, ListParams};
use serde::Serialize;

use crate::Shared;
use crate::access::{Asked, User};
use crate::document::{self, GROUP, Metrics, Of, VERSION};

type Answer = Response<Full<Bytes>>;

/// Answers a request; `proxy` is the common name of the front proxy's certificate, if one was shown.
pub(crate) async fn answer<B>(shared: &Shared, request: &Request<B>, proxy: Option<&str>) -> Answer {
    let path = request.uri().path().trim_matches('/');
    if let Some(answer) = health(shared, path) {
        return answer;
    }
    let user = match shared.access.user(request.headers(), proxy).await {
        Ok(Some(user)) => user,
        Ok(None) => return failure(401, "Unauthorized", "Unauthorized", None),
        Err(error) => return internal(&error),
    };
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["apis"] => json(StatusCode::OK, &document::groups()),
        ["apis", GROUP] => json(StatusCode::OK, &document::group()),
        ["apis", GROUP, VERSION] => json(StatusCode::OK, &document::resources()),
        ["apis", GROUP, VERSION, rest @ ..] => match Wanted::read(rest) {
            Some(wanted) => metrics(shared, request, &user, &wanted).await,
            None => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        },
        _ => text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

/// Health is everybody's. Ready is who can say something of a node.
fn health(shared: &Shared, path: &str) -> Option<Answer> {
    match path {
        "healthz" | "livez" => Some(text(StatusCode::OK, "ok")),
        "readyz" if shared.usage.is_ready() => Some(text(StatusCode::OK, "ok")),
        "readyz" => {
            let said = "[-]metric-storage-ready failed: reason withheld\nreadyz check failed\n";
            Some(text(StatusCode::INTERNAL_SERVER_ERROR, said))
        }
        _ => None,
    }
}

/// What a path below the group and version names.
struct Wanted {
    of: Of,
    namespace: String,
    name: String,
}

impl Wanted {
    fn read(parts: &[&str]) -> Option<Self> {
        let (of, namespace, name) = match parts {
            ["nodes"] => (Of::Nodes, "", ""),
            ["nodes", name] => (Of::Nodes, "", *name),
            ["pods"] => (Of::Pods, "", ""),
            ["namespaces", namespace, "pods"] => (Of::Pods, *namespace, ""),
            ["namespaces", namespace, "pods", name] => (Of::Pods, *namespace, *name),
            _ => return None,
        };
        let decoded = |part: &str| {
            percent_encoding::percent_decode_str(part)
                .decode_utf8_lossy()
                .into_owned()
        };
        Some(Self {
            of,
            namespace: decoded(namespace),
            name: decoded(name),
        })
    }
}

async fn metrics<B>(shared: &Shared, request: &Request<B>, user: &User, wanted: &Wanted) -> Answer {
    let query = Query::read(request.uri().query().unwrap_or_default());
    let verb = match *request.method() {
        Method::GET if !wanted.name.is_empty() => "get",
        Method::GET if query.watch => "watch",
        Method::GET => "list",
        _ => "",
    };
    if !matches!(verb, "get" | "list") {
        let said = "the server does not allow this method on the requested resource";
        return failure(405, "MethodNotAllowed", said, None);
    }
    let asked = Asked {
        verb,
        resource: wanted.of.plural(),
        namespace: wanted.namespace.clone(),
        name: wanted.name.clone(),
    };
    match shared.access.refusal(user, &asked).await {
        Ok(None) => {}
        Ok(Some(reason)) => return forbidden(user, &asked, &reason),
        Err(error) => return internal(&error),
    }
    let found = match found(shared, wanted, &query).await {
        Ok(found) => found,
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(kube::Error::Api(status)) if status.code == 400 => {
            return failure(400, "BadRequest", &status.message, None);
        }
        Err(error) => return internal(&error),
    };
    let as_table = request
        .headers()
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|accepted| accepted.contains("as=Table") && accepted.contains("g=meta.k8s.io"));
    match (verb, found.first()) {
        ("get", None) => not_found(wanted),
        ("get", Some(one)) if !as_table => json(StatusCode::OK, &one.clone().alone(wanted.of)),
        _ if as_table => json(StatusCode::OK, &document::table(found)),
        _ => json(StatusCode::OK, &document::list(wanted.of, found)),
    }
}

/// The metrics of what is selected, as far as there are some.
async fn found(shared: &Shared, wanted: &Wanted, query: &Query) -> Result<Vec<Metrics>, kube::Error> {
    let now = shared.clock.now();
    let named = |objects: Vec<ObjectMeta>| objects.into_iter().filter(|object| object.name.is_some());
    let parameters = ListParams {
        label_selector: query.label_selector.clone(),
        field_selector: query.field_selector.clone(),
        ..ListParams::default()
    };
    match wanted.of {
        Of::Nodes => {
            let objects = selected(&Api::<Node>::all(shared.client.clone()), wanted, &parameters).await?;
            let measured = named(objects).filter_map(|object| {
                let usage = shared.usage.node(object.name.as_deref()?)?;
                Some(Metrics::of_node(&object, &usage, now))
            });
            Ok(measured.collect())
        }
        Of::Pods => {
            let pods: Api<Pod> = match wanted.namespace.as_str() {
                "" => Api::all(shared.client.clone()),
                namespace => Api::namespaced(shared.client.clone(), namespace),
            };
            let objects = selected(&pods, wanted, &parameters).await?;
            let measured = named(objects).filter_map(|object| {
                let usage = shared
                    .usage
                    .pod(object.namespace.as_deref()?, object.name.as_deref()?)?;
                Some(Metrics::of_pod(&object, &usage, now))
            });
            Ok(measured.collect())
        }
    }
}

/// The metadata of the objects asked for.
async fn selected<K>(api: &Api<K>, wanted: &Wanted, parameters: &ListParams) -> Result<Vec<ObjectMeta>, kube::Error>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    if wanted.name.is_empty() {
        let listed = api.list_metadata(parameters).await?;
        return Ok(listed.items.into_iter().map(|object| object.metadata).collect());
    }
    Ok(vec![api.get_metadata(&wanted.name).await?.metadata])
}

/// The parameters that are understood.
#[derive(Default)]
struct Query {
    label_selector: Option<String>,
    field_selector: Option<String>,
    watch: bool,
}

impl Query {
    fn read(text: &str) -> Self {
        let mut query = Self::default();
        for (key, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
            let spaced = value.replace('+', " ");
            let value = percent_encoding::percent_decode_str(&spaced)
                .decode_utf8_lossy()
                .into_owned();
            match key {
                "labelSelector" if !value.is_empty() => query.label_selector = Some(value),
                "fieldSelector" if !value.is_empty() => query.field_selector = Some(value),
                "watch" => query.watch = !matches!(value.as_str(), "0" | "false"),
                _ => {}
            }
        }
        query
    }
}

fn not_found(wanted: &Wanted) -> Answer {
    let kind = match wanted.of {
        Of::Nodes => "nodemetrics",
        Of::Pods => "podmetrics",
    };
    let shown = match wanted.namespace.as_str() {
        "" => wanted.name.clone(),
        namespace => format!("{namespace}/{}", wanted.name),
    };
    let details = StatusDetails {
        name: Some(shown.clone()),
        group: Some(GROUP.to_owned()),
        kind: Some(kind.to_owned()),
        ..StatusDetails::default()
    };
    let said = format!("{kind}.{GROUP} \"{shown}\" not found");
    failure(404, "NotFound", &said, Some(details))
}

fn forbidden(user: &User, asked: &Asked, reason: &str) -> Answer {
    let Asked {
        verb,
        resource,
        namespace,
        name,
    } = asked;
    let place = match namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    let object = if name.is_empty() {
        String::new()
    } else {
        format!(" \"{name}\"")
    };
    let mut said = format!(
        "{resource}.{GROUP}{object} is forbidden: User \"{}\" cannot {verb} resource \"{resource}\" in API group \"{GROUP}\" {place}",
        user.name
    );
    if !reason.is_empty() {
        said.push_str(": ");
        said.push_str(reason);
    }
    let details = StatusDetails {
        name: (!name.is_empty()).then(|| name.clone()),
        group: Some(GROUP.to_owned()),
        kind: Some((*resource).to_owned()),
        ..StatusDetails::default()
    };
    failure(403, "Forbidden", &said, Some(details))
}

fn internal(error: &kube::Error) -> Answer {
    let said = format!("Internal error occurred: {}", supervision::error_chain(error));
    failure(500, "InternalError", &said, None)
}

fn failure(code: u16, reason: &str, message: &str, details: Option<StatusDetails>) -> Answer {
    let status = Status {
        status: Some("Failure".to_owned()),
        message: Some(message.to_owned()),
        reason: Some(reason.to_owned()),
        code: Some(i32::from(code)),
        details,
        ..Status::default()
    };
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json(code, &status)
}

fn json(code: StatusCode, document: &impl Serialize) -> Answer {
    match serde_json::to_vec(document) {
        Ok(bytes) => with_type(code, "application/json", bytes.into()),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn text(code: StatusCode, said: impl Into<Bytes>) -> Answer {
    with_type(code, "text/plain; charset=utf-8", said.into())
}

fn with_type(code: StatusCode, kind: &'static str, bytes: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(bytes));
    *answer.status_mut() = code;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
