//! The canonical request: the one spelling of a request that signer and verifier agree on.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Presented, Request};

/// SHA-256 of nothing.
pub const EMPTY_PAYLOAD_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// RFC 3986: everything but letters, digits, `-`, `.`, `_` and `~` is encoded.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &STRICT.remove(b'/');

/// The canonical request with the payload's digest (or its stand-in) as the last line.
pub(super) fn request(request: &Request<'_>, presented: &Presented, payload: &str) -> String {
    let headers: String = presented
        .signed_headers
        .iter()
        .map(|name| format!("{name}:{}\n", header_value(request, name)))
        .collect();
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{payload}",
        request.method,
        path(request.path, &presented.service),
        query(request.query),
        presented.signed_headers.join(";")
    )
}

/// S3 signs the path as it is sent; every other service normalises it and encodes it once more.
fn path(raw: &str, service: &str) -> String {
    if service == "s3" {
        let decoded = percent_decode_str(raw).decode_utf8_lossy();
        return utf8_percent_encode(&decoded, PATH).to_string();
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in raw.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    let mut normal = format!("/{}", segments.join("/"));
    if raw.ends_with('/') && !normal.ends_with('/') {
        normal.push('/');
    }
    utf8_percent_encode(&normal, PATH).to_string()
}

fn query(raw: &str) -> String {
    let mut pairs: Vec<(String, String)> = decode_query(raw)
        .iter()
        .filter(|(key, _)| key != "X-Amz-Signature")
        .map(|(key, value)| {
            (
                utf8_percent_encode(key, STRICT).to_string(),
                utf8_percent_encode(value, STRICT).to_string(),
            )
        })
        .collect();
    pairs.sort();
    pairs
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join("&")
}

/// The decoded pairs of a query string, in order; `+` is a space.
#[must_use]
pub fn decode_query(raw: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced: Cow<'_, str> = if text.contains('+') {
            text.replace('+', " ").into()
        } else {
            text.into()
        };
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    raw.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect()
}

/// Values of one name joined with commas, each trimmed and with runs of spaces folded.
fn header_value(request: &Request<'_>, name: &str) -> String {
    let values = request.headers.iter().filter(|(key, _)| key == name);
    values
        .map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(",")
}
