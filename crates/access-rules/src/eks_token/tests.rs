//! Tokens made by the AWS SDK's signer, as `aws eks get-token` makes them.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;

use super::*;

const SIGNED_AT: i64 = 1_767_225_600;
const SECRET: &str = "secret";

fn url(endpoint: &str, headers: &[(&str, &str)], parameters: &str) -> String {
    let identity = Credentials::new("AKIA1", SECRET, None, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(60));
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("ap-northeast-2")
        .name("sts")
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(SIGNED_AT as u64))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let url = format!("{endpoint}?{parameters}");
    let signable = SignableRequest::new("GET", &url, headers.iter().copied(), SignableBody::Bytes(b"")).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request = http::Request::builder().uri(&url).body(()).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    request.uri().to_string()
}

fn token(url: &str) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(url))
}

const CALLER: &str = "Action=GetCallerIdentity&Version=2011-06-15";

#[test]
fn tokens_are_bound_to_cluster_secret_and_time() {
    for (endpoint, host) in [
        (
            "https://sts.ap-northeast-2.amazonaws.com/",
            "sts.ap-northeast-2.amazonaws.com",
        ),
        ("http://127.0.0.1:4566/", "127.0.0.1:4566"),
        ("http://localhost:4566/x", "localhost:4566"),
    ] {
        let token = token(&url(endpoint, &[("host", host), ("x-k8s-aws-id", "dev")], CALLER));
        let parsed = EksToken::parse(&token).unwrap();
        assert_eq!(parsed.access_key_id(), "AKIA1");
        let at = |later: i64| Timestamp::from_second(SIGNED_AT + later).unwrap();
        assert_eq!(parsed.verify("dev", SECRET, at(0)), Ok(()), "{endpoint}");
        assert_eq!(parsed.verify("dev", SECRET, at(899)), Ok(()));
        assert!(matches!(
            parsed.verify("dev", SECRET, at(901)),
            Err(EksTokenError::Expired(_))
        ));
        assert!(matches!(
            parsed.verify("dev", SECRET, at(-400)),
            Err(EksTokenError::Expired(_))
        ));
        assert!(matches!(
            parsed.verify("other", SECRET, at(0)),
            Err(EksTokenError::DoesNotMatch { .. })
        ));
        assert!(matches!(
            parsed.verify("dev", "wrong", at(0)),
            Err(EksTokenError::DoesNotMatch { .. })
        ));
        assert!(EksToken::parse(&format!("{token}==")).is_ok(), "padding is tolerated");
    }
}

#[test]
fn malformed_tokens_name_the_broken_rule() {
    let good = url(
        "https://sts.amazonaws.com/",
        &[("host", "sts.amazonaws.com"), ("x-k8s-aws-id", "dev")],
        CALLER,
    );
    for (token, problem) in [
        ("eyJhbGciOi".to_owned(), "missing expected"),
        (format!("{PREFIX}***"), "Invalid symbol"),
        (format!("{PREFIX}{}", "a".repeat(4096)), "too large"),
        (token("ftp://x/?a=b"), "scheme"),
        (token(&format!("{good}&Extra=1")), "non-whitelisted"),
        (token(&format!("{good}&action=GetCallerIdentity")), "multiple values"),
        (
            token(&good.replace("GetCallerIdentity", "AssumeRole")),
            "unexpected action",
        ),
        (token(&good.replace("x-k8s-aws-id", "x-other")), "did not sign"),
        (
            token(&good.replace("X-Amz-Expires=60", "X-Amz-Expires=901")),
            "X-Amz-Expires",
        ),
        (token(&good.replace("%2Fsts%2F", "%2Fec2%2F")), "unexpected service"),
    ] {
        let error = EksToken::parse(&token).unwrap_err().to_string();
        assert!(error.contains(problem), "{error} should name {problem}");
    }
}
