//! Fuzz targets: what a stranger signs or claims to have signed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use access_rules::eks_token::EksToken;
use access_rules::sigv4::{self, Presented, Request};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fuzz::Corpus;

const HEADER: &[u8] = b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/eks/aws4_request, \
    SignedHeaders=host;x-amz-date, Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const QUERY: &[u8] = b"Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256\
    &X-Amz-Credential=AKIDEXAMPLE%2F20260102%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=20260102T030405Z\
    &X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id\
    &X-Amz-Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const WORDS: &[&str] = &[
    "X-Amz-",
    "Credential=",
    "Signature=",
    "SignedHeaders=",
    ";",
    "/",
    "%2F",
    "%",
    "&",
    "=",
    "aws4_request",
    "20260102T030405Z",
    "host",
    "x-k8s-aws-id",
];

/// What is said of a signature, read and verified.
fn judged(request: &Request<'_>) -> String {
    match Presented::read(request) {
        Err(error) => format!("{}: {error}", error.code()),
        Ok(presented) => {
            let now = "2026-01-02T03:04:05Z".parse().unwrap();
            match presented.verify(request, "secret", now) {
                Err(error) => format!("{}: {error}", error.code()),
                Ok(()) => panic!("a signature of nobody was accepted"),
            }
        }
    }
}

#[test]
fn signatures_in_headers_are_answered_and_never_accepted() {
    let corpus = Corpus {
        inputs: &[HEADER],
        words: WORDS,
    };
    fuzz::run("sigv4 header", corpus, |bytes| {
        // The last line is the path, what is before it the header.
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (header, path) = text.split_once('\n').unwrap_or((&text, "/a%20b/../c"));
        let headers = [
            ("host".to_owned(), "eks.us-east-1.amazonaws.com".to_owned()),
            ("x-amz-date".to_owned(), "20260102T030405Z".to_owned()),
            ("authorization".to_owned(), header.to_owned()),
        ];
        judged(&Request {
            method: "GET",
            path,
            query: "a=b&c=%zz",
            headers: &headers,
            payload_sha256: sigv4::EMPTY_PAYLOAD_SHA256,
        })
    });
}

#[test]
fn presigned_queries_are_answered_and_never_accepted() {
    let corpus = Corpus {
        inputs: &[QUERY],
        words: WORDS,
    };
    fuzz::run("sigv4 query", corpus, |bytes| {
        let query = String::from_utf8_lossy(bytes).into_owned();
        let headers = [("host".to_owned(), "sts.us-east-1.amazonaws.com".to_owned())];
        judged(&Request {
            method: "GET",
            path: "/",
            query: &query,
            headers: &headers,
            payload_sha256: sigv4::EMPTY_PAYLOAD_SHA256,
        })
    });
}

#[test]
fn tokens_of_eks_are_answered_and_never_accepted() {
    let url = [b"https://sts.us-east-1.amazonaws.com/?".as_slice(), QUERY].concat();
    let corpus = Corpus {
        inputs: &[&url],
        words: WORDS,
    };
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    fuzz::run("eks token", corpus, |bytes| {
        // Both as the URL inside a token, and as the token itself.
        let raw = EksToken::parse(&String::from_utf8_lossy(bytes)).map(|_| ());
        let encoded = format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(bytes));
        let said = match EksToken::parse(&encoded) {
            Err(error) => error.to_string(),
            Ok(token) => token.verify("cluster", "secret", now).unwrap_err().to_string(),
        };
        format!("{} / {said}", raw.is_ok())
    });
}
