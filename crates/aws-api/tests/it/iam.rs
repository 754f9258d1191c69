//! IAM and STS: what policies allow, whoever asks.

use serde_json::json;

use crate::fixture::{Fixture, tool};
use crate::issuer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_decide_every_call() {
    Fixture::start().await.python("iam.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_account_s_token_is_worth_a_role_that_trusts_it_and_no_other() {
    if tool("python").is_none() {
        return;
    }
    let fixture = Fixture::start().await;
    fixture.python("web_identity_setup.py").await;
    let cluster = aws_types::ClusterName::new("demo").unwrap();
    let issuer = fixture.running().region.issuer(&cluster).unwrap();
    let now = clock::Clock::now(&clock::SystemClock).as_second();
    let token = |sub: &str, aud: &str, exp: i64| {
        issuer::sign(&json!({"iss": issuer, "sub": sub, "aud": [aud], "exp": exp, "iat": now, "nbf": now}))
    };
    let app = "system:serviceaccount:default:app";
    let mut forged = token(app, "sts.amazonaws.com", now + 600);
    forged.truncate(forged.len() - 6);
    forged.push_str("AAAAAA");
    let tokens = json!({
        "good": token(app, "sts.amazonaws.com", now + 600),
        "other": token("system:serviceaccount:default:other", "sts.amazonaws.com", now + 600),
        "audience": token(app, "example.com", now + 600),
        "expired": token(app, "sts.amazonaws.com", now - 1),
        "forged": forged,
    });
    fixture.python_with("web_identity.py", &tokens.to_string()).await;
}
