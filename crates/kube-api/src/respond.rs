//! Answers on the wire: JSON, YAML and protobuf bodies, `Status` errors, compression of large bodies.

use std::io::Write;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::stream;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY, WARNING};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use kube_types::protobuf;
use registry::{Encoding, Reply, StatusError};

/// An answer with a body of any kind.
pub type Answer = Response<Body>;

/// Bodies above this are compressed for clients that can read it. Source: `responsewriters/writers.go`.
const COMPRESS_ABOVE: usize = 128 * 1024;
/// Lists of less than this go out in one piece with their length.
const JOIN_BELOW: usize = 64 * 1024;
/// Warnings longer than this in all are cut. Source: `endpoints/filters/warning.go`.
const WARNINGS_LIMIT: usize = 4096;
const WARNING_CUT: usize = 256;

/// How objects are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Written {
    /// As JSON.
    #[default]
    Json,
    /// As YAML.
    Yaml,
    /// As Kubernetes' protobuf, where there is such a form.
    Protobuf,
}

impl Written {
    /// The encoding that the registry is asked for.
    #[must_use]
    pub fn encoding(self) -> Encoding {
        match self {
            Self::Json | Self::Yaml => Encoding::Json,
            Self::Protobuf => Encoding::Protobuf,
        }
    }
}

/// What the client can read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wire {
    /// What it prefers.
    pub written: Written,
    /// The client reads gzip.
    pub gzip: bool,
    /// The client asked for indentation.
    pub pretty: bool,
}

impl Wire {
    /// Does the client read gzip?
    #[must_use]
    pub fn reads_gzip(headers: &HeaderMap) -> bool {
        let values = headers
            .get_all(ACCEPT_ENCODING)
            .iter()
            .filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|coding| coding.split(';').next().unwrap_or("").trim() == "gzip")
    }
}

/// A successful answer of the registry.
pub fn reply(reply: Reply, wire: Wire) -> Answer {
    let code = StatusCode::from_u16(reply.code).unwrap_or(StatusCode::OK);
    let length = reply.body.len();
    let as_it_is = match reply.encoding {
        Encoding::Protobuf => true,
        Encoding::Json => wire.written == Written::Json && !wire.pretty,
    };
    if !as_it_is {
        return document(code, reply.body.into_bytes(), wire);
    }
    let media_type = match reply.encoding {
        Encoding::Json => "application/json",
        Encoding::Protobuf => protobuf::MEDIA_TYPE,
    };
    if length > COMPRESS_ABOVE && wire.gzip {
        return body(code, media_type, reply.body.into_bytes(), wire.gzip);
    }
    let body = if reply.body.0.len() == 1 || length < JOIN_BELOW {
        Body::from(reply.body.into_bytes())
    } else {
        let chunks = Chunks(reply.body.0.into_iter());
        Body::from_stream(stream::iter(chunks.map(Ok::<Bytes, std::convert::Infallible>)))
    };
    with_type(code, media_type, body)
}

/// Pieces joined while they are sent: each one that goes out costs frames of its own.
struct Chunks<I>(I);

impl<I: Iterator<Item = Bytes>> Iterator for Chunks<I> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let (mut pieces, mut length) = (Vec::new(), 0);
        while length < JOIN_BELOW {
            match self.0.next() {
                Some(piece) => {
                    length += piece.len();
                    pieces.push(piece);
                }
                None if pieces.is_empty() => return None,
                None => break,
            }
        }
        Some(pieces.concat().into())
    }
}

/// A JSON document in the form that the client reads; what has no protobuf form stays JSON.
pub fn document(code: StatusCode, json: Bytes, wire: Wire) -> Answer {
    let (bytes, media_type) = match wire.written {
        Written::Yaml => match as_yaml(&json) {
            Ok(yaml) => (Bytes::from(yaml), "application/yaml"),
            Err(error) => return status(&StatusError::internal(error), Wire::default()),
        },
        Written::Protobuf => match as_protobuf(&json) {
            Some(bytes) => (bytes, protobuf::MEDIA_TYPE),
            None => (json, "application/json"),
        },
        Written::Json if wire.pretty => (indented(&json).unwrap_or(json), "application/json"),
        Written::Json => (json, "application/json"),
    };
    body(code, media_type, bytes, wire.gzip)
}

/// A body, compressed when it is large and the client reads that.
fn body(code: StatusCode, media_type: &'static str, bytes: Bytes, gzip: bool) -> Answer {
    if !gzip || bytes.len() <= COMPRESS_ABOVE {
        return with_type(code, media_type, Body::from(bytes));
    }
    match compressed(&bytes) {
        Ok(small) => {
            let mut answer = with_type(code, media_type, Body::from(small));
            answer
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            answer
                .headers_mut()
                .insert(VARY, HeaderValue::from_static("Accept-Encoding"));
            answer
        }
        Err(error) => status(&StatusError::internal(error), Wire::default()),
    }
}

/// A failure.
pub fn status(error: &StatusError, wire: Wire) -> Answer {
    let code = StatusCode::from_u16(error.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = serde_json::to_vec(error.status()).expect("a Status always serializes");
    let mut answer = document(code, json.into(), Wire { gzip: false, ..wire });
    let seconds = error
        .status()
        .details
        .as_ref()
        .and_then(|details| details.retry_after_seconds);
    if let Some(seconds) = seconds.filter(|seconds| *seconds > 0) {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// Plain text, as health checks answer.
pub fn text(code: StatusCode, text: impl Into<String>) -> Answer {
    let mut answer = with_type(code, "text/plain; charset=utf-8", Body::from(text.into()));
    answer
        .headers_mut()
        .insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}

/// What upstream answers for a path that nothing serves.
pub fn page_not_found() -> Answer {
    text(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// A body of a media type.
pub fn with_type(code: StatusCode, media_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

/// Adds `Warning` headers, all cut short when together they are too long.
pub fn add_warnings(headers: &mut HeaderMap, warnings: &[String]) {
    let total: usize = warnings.iter().map(|warning| warning.chars().count()).sum();
    for warning in warnings {
        let cut: String = if total > WARNINGS_LIMIT {
            warning.chars().take(WARNING_CUT).collect()
        } else {
            warning.clone()
        };
        let quoted = cut
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace(['\n', '\r'], " ");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{quoted}\"").as_bytes()) {
            headers.append(WARNING, value);
        }
    }
}

/// The protobuf form, when the document's kind has one.
fn as_protobuf(json: &[u8]) -> Option<Bytes> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).ok()?;
    Some(protobuf::encode(&object).ok()?.bytes.into())
}

fn as_yaml(json: &[u8]) -> Result<String, String> {
    let value: serde_json::Value = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    serde_saphyr::to_string(&value).map_err(|error| error.to_string())
}

fn indented(json: &[u8]) -> Option<Bytes> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    let mut text = serde_json::to_vec_pretty(&value).ok()?;
    text.push(b'\n');
    Some(text.into())
}

fn compressed(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}
