//! Signatures that prove nothing and requests that are none.

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_prove_nothing_are_refused_as_aws_does() {
    Fixture::start().await.python("signatures.py").await;
}
