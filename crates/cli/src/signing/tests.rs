//! What is signed here is what the checking side accepts.

use access_rules::eks_token::EksToken;
use access_rules::sigv4::{Presented, Request, payload_sha256};
use aws_types::AccountId;

use super::*;

fn keys() -> Credentials {
    Credentials {
        account_id: AccountId::new("000000000000").unwrap(),
        user_name: "admin".to_owned(),
        access_key_id: "AKIAEXAMPLEEXAMPLE00".to_owned(),
        secret_access_key: "secret".to_owned(),
    }
}

#[test]
fn a_signed_request_verifies() {
    let now: Timestamp = "2026-11-23T05:00:00Z".parse().unwrap();
    let query = [("b".to_owned(), "x y/z".to_owned()), ("a".to_owned(), "1".to_owned())];
    let path = "/clusters/demo/access-entries/arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx";
    let request = Unsigned {
        service: "eks",
        region: "ap-northeast-2",
        method: "POST",
        host: "127.0.0.1:4566",
        path,
        query: &query,
        body: b"{}",
    };
    let mut sent: Vec<(String, String)> = headers(&request, &keys(), now)
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
    sent.push(("host".to_owned(), "127.0.0.1:4566".to_owned()));
    let payload = payload_sha256(b"{}");
    let query = canonical_query(&query);
    let received = Request {
        method: "POST",
        path,
        query: &query,
        headers: &sent,
        payload_sha256: &payload,
    };
    let presented = Presented::read(&received).unwrap();
    assert_eq!(presented.verify(&received, "secret", now), Ok(()));
    assert!(presented.verify(&received, "other", now).is_err());
}

#[test]
fn a_token_verifies_for_its_cluster_only() {
    let now: Timestamp = "2026-11-23T05:00:00Z".parse().unwrap();
    let token = EksToken::parse(&token("demo", "ap-northeast-2", &keys(), now)).unwrap();
    assert_eq!(token.verify("demo", "secret", now), Ok(()));
    assert!(token.verify("other", "secret", now).is_err());
    assert!(
        token
            .verify("demo", "secret", now + jiff::SignedDuration::from_mins(16))
            .is_err()
    );
}
