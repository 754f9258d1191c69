//! Signature Version 4, made: for requests, and for the presigned URL that is a cluster's bearer token.
//!
//! Source: "Create a signed AWS API request" of the IAM user guide.

use aws_types::region_files::Credentials;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// What AWS leaves unencoded.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How long a presigned URL says that it lives; a cluster takes it for 15 minutes in any case.
const TOKEN_EXPIRES: u32 = 60;

/// Text as it stands in a query or path segment.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

/// A request that is to be signed.
pub struct Unsigned<'a> {
    /// For example `eks`.
    pub service: &'a str,
    /// For example `ap-northeast-2`.
    pub region: &'a str,
    /// In capitals.
    pub method: &'a str,
    /// `host:port`.
    pub host: &'a str,
    /// Encoded.
    pub path: &'a str,
    /// Names and values, not encoded.
    pub query: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
}

/// The headers that prove who sends it: `x-amz-date` and `authorization`.
pub fn headers(request: &Unsigned<'_>, keys: &Credentials, now: Timestamp) -> [(&'static str, String); 2] {
    let date = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let canonical_headers = format!("host:{}\nx-amz-date:{date}\n", request.host);
    let signed = "host;x-amz-date";
    let payload = hex::encode(Sha256::digest(request.body));
    let query = canonical_query(request.query);
    // The path is encoded once more than it is sent, for every service but S3.
    let path: String = request.path.split('/').map(encode).collect::<Vec<_>>().join("/");
    let canonical = format!(
        "{}\n{path}\n{query}\n{canonical_headers}\n{signed}\n{payload}",
        request.method
    );
    let scope = format!("{}/{}/{}/aws4_request", &date[..8], request.region, request.service);
    let signature = sign(&keys.secret_access_key, &scope, &date, &canonical);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
        keys.access_key_id
    );
    [("x-amz-date", date), ("authorization", authorization)]
}

/// The bearer token for a cluster: what `aws eks get-token` makes.
pub fn token(cluster: &str, region: &str, keys: &Credentials, now: Timestamp) -> String {
    let host = format!("sts.{region}.amazonaws.com");
    let date = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = format!("{}/{region}/sts/aws4_request", &date[..8]);
    let signed = "host;x-k8s-aws-id";
    let pairs = [
        ("Action", "GetCallerIdentity".to_owned()),
        ("Version", "2011-06-15".to_owned()),
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
        ("X-Amz-Credential", format!("{}/{scope}", keys.access_key_id)),
        ("X-Amz-Date", date.clone()),
        ("X-Amz-Expires", TOKEN_EXPIRES.to_string()),
        ("X-Amz-SignedHeaders", signed.to_owned()),
    ];
    let query = canonical_query(&pairs.map(|(name, value)| (name.to_owned(), value)));
    let payload = hex::encode(Sha256::digest(b""));
    let canonical = format!("GET\n/\n{query}\nhost:{host}\nx-k8s-aws-id:{cluster}\n\n{signed}\n{payload}");
    let signature = sign(&keys.secret_access_key, &scope, &date, &canonical);
    let url = format!("https://{host}/?{query}&X-Amz-Signature={signature}");
    format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url))
}

/// Pairs as they are signed and sent: encoded and sorted.
pub fn canonical_query(pairs: &[(String, String)]) -> String {
    let mut encoded: Vec<(String, String)> = pairs
        .iter()
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    encoded.sort();
    encoded
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("&")
}

fn sign(secret: &str, scope: &str, date: &str, canonical: &str) -> String {
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex::encode(Sha256::digest(canonical.as_bytes()))
    );
    let key = scope
        .split('/')
        .fold(format!("AWS4{secret}").into_bytes(), |key, part| keyed(&key, part));
    hex::encode(keyed(&key, &to_sign))
}

fn keyed(key: &[u8], data: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests;
