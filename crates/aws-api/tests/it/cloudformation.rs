//! CloudFormation: stacks as eksctl submits them, from nothing to nodes and back to nothing.

use crate::fixture::Fixture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stacks_make_clusters_and_take_them_down_again() {
    Fixture::start().await.python("cloudformation.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stacks_that_are_interrupted_go_back_and_leave_nothing() {
    let fixture = Fixture::start().await;
    fixture.host().world().control_plane_hangs = true;
    fixture.python("interrupted.py").await;
    fixture.host().world().control_plane_hangs = false;
    fixture.python("interrupted_after.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stacks_make_what_karpenter_and_self_managed_nodes_need() {
    Fixture::start().await.python("templates.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_are_read_from_buckets_and_stacks_are_made_of_stacks() {
    Fixture::start().await.python("nested.py").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stacks_make_the_roles_and_access_entries_of_eksctl() {
    Fixture::start().await.python("eksctl_stacks.py").await;
}
