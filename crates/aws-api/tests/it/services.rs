//! The smaller services.

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_keys_logs_and_load_balancers_are_as_aws_has_them() {
    Fixture::start().await.python("services.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_rules_repositories_and_what_an_account_is_told_are_as_aws_has_them() {
    Fixture::start().await.python("queues.py").await;
}
