//! REST-JSON requests: which operation a method and path name, and the members that travel outside the body.

use aws_types::shapes::{Kind, Location, Service};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::json::{self, wire_name};
use super::{DecodeError, Decoded};

/// What of an HTTP request says which operation is meant.
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path as sent, still percent-encoded: ARNs in a segment hold encoded slashes.
    pub path: &'a str,
    /// The query as sent, without the question mark.
    pub query: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// Understands a REST-JSON request.
///
/// # Errors
/// When no operation fits, or body, path or query cannot be understood.
pub fn decode(service: &Service, request: &HttpRequest<'_>) -> Result<Decoded, DecodeError> {
    let (operation, labels) = find(service, request).ok_or(DecodeError::NoOperation)?;
    let mut input = Map::new();
    if let Some(shape) = &service.operations[operation].input {
        let body: Value = match request.body {
            [] => Value::Object(Map::new()),
            body => serde_json::from_slice(body)
                .map_err(|error| DecodeError::Malformed(format!("the request body is not JSON: {error}")))?,
        };
        let Value::Object(members) = json::decode(service, shape, &body, "")? else {
            return Err(DecodeError::Malformed(
                "the request body is not a JSON object".to_owned(),
            ));
        };
        input = members;
        elsewhere(service, shape, &labels, request.query, &mut input)?;
    }
    Ok(Decoded {
        operation: operation.to_owned(),
        input: Value::Object(input),
    })
}

/// Understands a JSON request, whose operation is in `X-Amz-Target`.
///
/// # Errors
/// When no operation is named, or the body cannot be understood.
pub fn decode_target(service: &Service, target: &str, body: &[u8]) -> Result<Decoded, DecodeError> {
    let name = target.rsplit('.').next().unwrap_or_default();
    if name.is_empty() {
        return Err(DecodeError::NoOperation);
    }
    let known = service
        .operations
        .get(name)
        .ok_or_else(|| DecodeError::UnknownOperation(name.to_owned()))?;
    let body: Value = match body {
        [] => Value::Object(Map::new()),
        body => serde_json::from_slice(body)
            .map_err(|error| DecodeError::Malformed(format!("the request body is not JSON: {error}")))?,
    };
    let input = match &known.input {
        Some(shape) => json::decode(service, shape, &body, "")?,
        None => Value::Object(Map::new()),
    };
    Ok(Decoded {
        operation: name.to_owned(),
        input,
    })
}

type Labels<'a> = Vec<(&'a str, String)>;

fn find<'a>(service: &'a Service, request: &HttpRequest<'_>) -> Option<(&'a str, Labels<'a>)> {
    let fitting = service
        .operations
        .iter()
        .filter(|(_, operation)| *operation.method == *request.method);
    // A fixed segment fits better than a label: `/clusters/x/updates` before `/clusters/x/{anything}`.
    fitting
        .filter_map(|(name, operation)| {
            let template = operation.uri.split('?').next().unwrap_or_default();
            Some((&**name, labels(template, request.path)?))
        })
        .min_by_key(|(_, labels)| labels.len())
}

fn labels<'a>(template: &'a str, path: &str) -> Option<Labels<'a>> {
    let mut template = template.trim_end_matches('/').split('/');
    let mut path = path.trim_end_matches('/').split('/');
    let mut labels = Vec::new();
    loop {
        match (template.next(), path.next()) {
            (None, None) => return Some(labels),
            (Some(expected), Some(segment)) => match expected
                .strip_prefix('{')
                .and_then(|label| label.strip_suffix('}'))
            {
                Some(label) if !segment.is_empty() => labels.push((label.trim_end_matches('+'), decode_text(segment))),
                Some(_) => return None,
                None if expected == segment => {}
                None => return None,
            },
            _ => return None,
        }
    }
}

fn elsewhere(
    service: &Service,
    shape: &str,
    labels: &Labels<'_>,
    query: &str,
    input: &mut Map<String, Value>,
) -> Result<(), DecodeError> {
    let parameters = super::query::parameters(query.as_bytes());
    for (name, member) in &service.shape(shape).members.0 {
        let wire = wire_name(name, member);
        let texts: Vec<&str> = match member.location {
            Some(Location::Uri) => labels
                .iter()
                .filter(|(label, _)| *label == wire)
                .map(|(_, text)| text.as_str())
                .collect(),
            Some(Location::Querystring) => parameters
                .iter()
                .filter(|(key, _)| key == wire)
                .map(|(_, text)| text.as_str())
                .collect(),
            _ => continue,
        };
        if let [first, ..] = texts[..] {
            let target = service.shape(&member.shape);
            let value = match &target.member {
                Some(element) if target.kind == Kind::List => {
                    let element = service.shape(&element.shape).kind;
                    texts
                        .iter()
                        .map(|text| scalar(element, text, name))
                        .collect::<Result<Value, _>>()?
                }
                _ => scalar(target.kind, first, name)?,
            };
            input.insert(name.to_string(), value);
        }
    }
    Ok(())
}

/// A value that was written as text.
///
/// # Errors
/// When the text is not of that kind.
pub fn scalar(kind: Kind, text: &str, path: &str) -> Result<Value, DecodeError> {
    let wrong = |wanted: &str| DecodeError::WrongType {
        path: path.to_owned(),
        message: format!("{text:?} can not be converted to {wanted}"),
    };
    match kind {
        Kind::Integer | Kind::Long => text
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_not_whole| wrong("an integer")),
        Kind::Float | Kind::Double => text
            .parse::<f64>()
            .map(Value::from)
            .map_err(|_no_number| wrong("a number")),
        Kind::Boolean => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(wrong("a boolean")),
        },
        _ => Ok(Value::from(text)),
    }
}

fn decode_text(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
