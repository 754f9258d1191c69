//! What form the client wants its answer in, from the `Accept` header.

#[cfg(test)]
mod tests;

use http::HeaderMap;
use http::header::{ACCEPT, USER_AGENT};
use kube_types::protobuf;
use registry::{Form, IncludeObject, StatusError};

use crate::respond::{Wire, Written};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";

/// What can be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Is the kind one of those that have a protobuf form?
    pub protobuf: bool,
    /// Is it a stream of events?
    pub stream: bool,
}

/// Whatever an error or a document may be written in.
pub const ANYTHING: Offer = Offer {
    protobuf: true,
    stream: false,
};

/// A negotiated answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Negotiated {
    /// The form of the objects.
    pub form: Form,
    /// How they are written.
    pub wire: Wire,
}

/// One media range of an `Accept` header.
struct Range<'a> {
    media_type: &'a str,
    quality: f32,
    parameters: Vec<(&'a str, &'a str)>,
}

/// Picks the first range that can be served, best quality first. Types that are not served, such as CBOR, are passed
/// over.
///
/// # Errors
/// 406 when nothing that is accepted can be served.
pub fn negotiate(headers: &HeaderMap, query: &[(String, String)], offer: Offer) -> Result<Negotiated, StatusError> {
    let accept: Vec<&str> = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let mut wire = Wire {
        written: Written::Json,
        gzip: Wire::reads_gzip(headers),
        pretty: wants_indentation(headers, query),
    };
    let accept = accept.join(",");
    if accept.trim().is_empty() {
        return Ok(Negotiated {
            form: Form::Object,
            wire,
        });
    }
    for range in ranges(&accept) {
        let written = match range.media_type {
            JSON | "*/*" | "application/*" => Written::Json,
            YAML => Written::Yaml,
            protobuf::MEDIA_TYPE => Written::Protobuf,
            _ => continue,
        };
        match form(&range, query)? {
            Some(Form::Table { .. } | Form::Object) | None if written == Written::Protobuf && !offer.protobuf => {}
            // Tables have no protobuf form.
            Some(Form::Table { .. }) if written == Written::Protobuf => {}
            // The first type that fits counts, even when it cannot be streamed, as upstream has it.
            Some(_) if written == Written::Yaml && offer.stream => break,
            Some(form) => {
                wire.written = written;
                return Ok(Negotiated { form, wire });
            }
            None => {}
        }
    }
    let offered = [JSON, YAML, protobuf::MEDIA_TYPE];
    let offered = offered.into_iter().filter(|one| !offer.stream || *one != YAML);
    let suffix = if offer.stream { ";stream=watch" } else { "" };
    let named: Vec<String> = offered.map(|one| format!("{one}{suffix}")).collect();
    Err(StatusError::not_acceptable(
        &named.iter().map(String::as_str).collect::<Vec<_>>(),
    ))
}

/// Does the client ask for an aggregated discovery document, and in which version?
#[must_use]
pub fn aggregated_discovery(headers: &HeaderMap) -> Option<&'static str> {
    let accept = headers.get(ACCEPT)?.to_str().ok()?;
    for range in ranges(accept) {
        let parameter = |name: &str| {
            range
                .parameters
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| *value)
        };
        if range.media_type != "application/json" {
            continue;
        }
        match (parameter("as"), parameter("g"), parameter("v")) {
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => return Some("v2"),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => return Some("v2beta1"),
            (None, _, _) => return None,
            _ => {}
        }
    }
    None
}

fn ranges(accept: &str) -> Vec<Range<'_>> {
    let mut ranges: Vec<Range<'_>> = accept
        .split(',')
        .map(|part| {
            let mut pieces = part.split(';').map(str::trim);
            let media_type = pieces.next().unwrap_or_default();
            let parameters: Vec<_> = pieces.filter_map(|piece| piece.split_once('=')).collect();
            let quality = parameters
                .iter()
                .find(|(key, _)| *key == "q")
                .and_then(|(_, value)| value.parse().ok());
            Range {
                media_type,
                quality: quality.unwrap_or(1.0),
                parameters,
            }
        })
        .collect();
    ranges.sort_by(|left, right| right.quality.total_cmp(&left.quality));
    ranges
}

/// The form that a range names; `None` when this server does not know it.
fn form(range: &Range<'_>, query: &[(String, String)]) -> Result<Option<Form>, StatusError> {
    let parameter = |name: &str| {
        range
            .parameters
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    };
    if parameter("stream").is_some_and(|stream| stream != "watch") {
        return Ok(None);
    }
    if parameter("as") == Some("APIGroupDiscoveryList") {
        // Discovery looks at the header itself; for anything else the plain form is as good.
        return Ok(Some(Form::Object));
    }
    let Some(wanted) = parameter("as") else {
        return Ok(Some(Form::Object));
    };
    if parameter("g") != Some("meta.k8s.io") || !matches!(parameter("v"), Some("v1" | "v1beta1")) {
        return Ok(None);
    }
    Ok(match wanted {
        "Table" => Some(Form::Table {
            include: include(query)?,
        }),
        "PartialObjectMetadata" => Some(Form::PartialObject),
        "PartialObjectMetadataList" => Some(Form::PartialObjectList),
        _ => None,
    })
}

fn include(query: &[(String, String)]) -> Result<IncludeObject, StatusError> {
    let value = query
        .iter()
        .find(|(key, _)| key == "includeObject")
        .map_or("", |(_, value)| value.as_str());
    match value {
        "" | "Metadata" => Ok(IncludeObject::Metadata),
        "None" => Ok(IncludeObject::None),
        "Object" => Ok(IncludeObject::Object),
        other => Err(StatusError::bad_request(format!(
            "unrecognized includeObject value: {other:?}"
        ))),
    }
}

/// `?pretty=true`, or a client that people read directly. Source: `negotiation.isPrettyPrint`.
fn wants_indentation(headers: &HeaderMap, query: &[(String, String)]) -> bool {
    if let Some((_, value)) = query.iter().find(|(key, _)| key == "pretty") {
        return !matches!(value.as_str(), "0" | "false" | "False");
    }
    let agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"]
        .iter()
        .any(|start| agent.starts_with(start))
}
