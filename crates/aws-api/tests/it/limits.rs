//! Quotas and how long lists come.

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_hold_until_more_is_given_and_long_lists_come_in_pages() {
    Fixture::start().await.python("limits.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_call_too_often_are_told_so_and_patient_ones_get_through() {
    Fixture::start_throttled().await.python("throttling.py").await;
}
