//! Quotas and how long lists come.

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_hold_until_more_is_given_and_long_lists_come_in_pages() {
    Fixture::start().await.python("limits.py").await;
}
