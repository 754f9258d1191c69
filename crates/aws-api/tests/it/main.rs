//! The region's endpoint, driven by the real AWS clients.
#![allow(clippy::unwrap_used, reason = "a failed step is the test's failure")]

mod accounts;
mod cloudformation;
mod control_plane_logs;
mod eks;
mod fake_host;
mod fargate;
mod fixture;
mod healing;
mod iam;
mod instances;
mod issuer;
mod limits;
mod security;
mod services;
mod settings;
mod signatures;
mod tokens;

use fixture::Fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_live_and_go_under_boto3() {
    Fixture::start().await.python("lifecycle.py").await;
}
