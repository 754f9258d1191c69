//! Verification against the AWS SDK's own signer.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;

use super::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SIGNED_AT: i64 = 1_767_225_600;

/// Signs with the SDK and returns the request as it would arrive.
struct Signed {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn signed(
    service: &str,
    method: &str,
    url: &str,
    body: &[u8],
    place: SignatureLocation,
    token: Option<&str>,
) -> Signed {
    let credentials = Credentials::new("AKIDEXAMPLE", SECRET, token.map(str::to_owned), None, "test");
    let identity = credentials.into();
    let mut settings = SigningSettings::default();
    settings.signature_location = place;
    if place == SignatureLocation::QueryParams {
        settings.expires_in = Some(Duration::from_secs(60));
    }
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("ap-northeast-2")
        .name(service)
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(SIGNED_AT as u64))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let mut headers = vec![
        ("host".to_owned(), "eks.local:4566".to_owned()),
        ("x-two".to_owned(), "  a   b ".to_owned()),
    ];
    let pairs: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let signable = SignableRequest::new(method, url, pairs.into_iter(), SignableBody::Bytes(body)).unwrap();
    let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
    let mut request = http::Request::builder().method(method).uri(url).body(()).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    for (name, value) in request.headers() {
        headers.push((name.as_str().to_owned(), value.to_str().unwrap().to_owned()));
    }
    Signed {
        method: method.to_owned(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers,
        body: body.to_vec(),
    }
}

impl Signed {
    fn check(&self, secret: &str, later: i64) -> Result<Presented, SignatureError> {
        let digest = payload_sha256(&self.body);
        let request = Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            payload_sha256: &digest,
        };
        let presented = Presented::read(&request)?;
        presented.verify(&request, secret, Timestamp::from_second(SIGNED_AT + later).unwrap())?;
        Ok(presented)
    }
}

#[test]
fn the_sdks_signatures_are_accepted_and_changed_requests_refused() {
    for (service, method, url, body) in [
        ("eks", "GET", "http://eks.local:4566/clusters/a", b"".as_slice()),
        (
            "eks",
            "GET",
            "http://eks.local:4566/clusters/a/access-entries/arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx",
            b"",
        ),
        ("eks", "POST", "http://eks.local:4566/clusters", b"{\"name\":\"a\"}"),
        (
            "ec2",
            "POST",
            "http://eks.local:4566/",
            b"Action=DescribeInstances&Version=2016-11-15",
        ),
        (
            "iam",
            "GET",
            "http://eks.local:4566/?Action=ListUsers&Empty=&Path=%2Fa%20b&A=2&A=1",
            b"",
        ),
        ("sts", "GET", "http://eks.local:4566/a//b/../c/?x=y", b""),
    ] {
        for place in [SignatureLocation::Headers, SignatureLocation::QueryParams] {
            for token in [None, Some("temporary/token+=")] {
                let signed = signed(service, method, url, body, place, token);
                let presented = signed
                    .check(SECRET, 0)
                    .unwrap_or_else(|error| panic!("{service} {url}: {error:?}"));
                assert_eq!(
                    (presented.service.as_str(), presented.region.as_str()),
                    (service, "ap-northeast-2")
                );
                assert_eq!(presented.session_token.as_deref(), token);
                let refused = |result: Result<Presented, SignatureError>| {
                    assert!(
                        matches!(result, Err(SignatureError::DoesNotMatch { .. })),
                        "{url}: {result:?}"
                    );
                };
                refused(signed.check("another secret", 0));
                let mut host = Signed {
                    headers: signed.headers.clone(),
                    ..signed
                };
                host.headers[0].1 = "elsewhere".to_owned();
                refused(host.check(SECRET, 0));
                host.headers[0].1 = "eks.local:4566".to_owned();
                host.query.push_str("&more=1");
                refused(host.check(SECRET, 0));
            }
        }
    }
}

#[test]
fn another_body_is_refused() {
    let mut request = signed(
        "eks",
        "POST",
        "http://eks.local/clusters",
        b"{}",
        SignatureLocation::Headers,
        None,
    );
    request.body = b"{ }".to_vec();
    assert!(request.check(SECRET, 0).is_err());
}

#[test]
fn time_is_checked_by_skew_and_by_expiry() {
    let header = signed(
        "eks",
        "GET",
        "http://eks.local/clusters",
        b"",
        SignatureLocation::Headers,
        None,
    );
    assert!(header.check(SECRET, 299).is_ok());
    assert_eq!(
        header.check(SECRET, 301).unwrap_err().to_string(),
        "Signature expired: 20260101T000000Z is now earlier than 20260101T000001Z (20260101T000501Z - 5 min.)"
    );
    assert_eq!(
        header.check(SECRET, -301).unwrap_err().to_string(),
        "Signature not yet current: 20260101T000000Z is still later than 20251231T235959Z (20251231T235459Z + 5 min.)"
    );
    let presigned = signed(
        "eks",
        "GET",
        "http://eks.local/clusters",
        b"",
        SignatureLocation::QueryParams,
        None,
    );
    assert!(presigned.check(SECRET, 59).is_ok());
    assert!(matches!(
        presigned.check(SECRET, 61),
        Err(SignatureError::Expired { .. })
    ));
}

#[test]
fn malformed_signatures_are_named() {
    let check = |authorization: Option<&str>, query: &str| {
        let mut headers = vec![
            ("host".to_owned(), "h".to_owned()),
            ("x-amz-date".to_owned(), "20260101T000000Z".to_owned()),
        ];
        headers.extend(authorization.map(|value| ("authorization".to_owned(), value.to_owned())));
        let request = Request {
            method: "GET",
            path: "/",
            query,
            headers: &headers,
            payload_sha256: EMPTY_PAYLOAD_SHA256,
        };
        Presented::read(&request).unwrap_err()
    };
    assert_eq!(check(None, "").code(), "MissingAuthenticationToken");
    let error = check(Some("AWS4-HMAC-SHA256 Credential=a/20260101/r/s/aws4_request"), "");
    assert!(error.to_string().starts_with(
        "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders'"
    ));
    assert_eq!(
        check(Some("AWS4-ECDSA-P256-SHA256 Credential=a"), "").code(),
        "IncompleteSignature"
    );
    let short = "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00";
    assert_eq!(check(Some(short), "").code(), "IncompleteSignature");
    let day = "AWS4-HMAC-SHA256 Credential=a/20260102/r/s/aws4_request, SignedHeaders=host, Signature=00";
    assert_eq!(check(Some(day), "").code(), "SignatureDoesNotMatch");
    assert_eq!(
        check(None, "X-Amz-Algorithm=AWS4-HMAC-SHA256").code(),
        "IncompleteSignature"
    );
}
