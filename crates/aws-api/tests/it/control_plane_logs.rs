//! What clusters' control planes write into CloudWatch Logs.

use aws_api::LogKind;
use aws_types::ClusterName;

use crate::fixture::Fixture;

const SCRIPT: &str = "control_plane_logs.py";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_planes_write_what_a_cluster_has_switched_on_and_the_newest_is_kept() {
    let fixture = Fixture::start().await;
    let cluster = ClusterName::new("demo").unwrap();
    fixture.python_with(SCRIPT, "make").await;
    let region = &fixture.running().region;
    region.log(&cluster, LogKind::Api, "the first line".to_owned());
    region.log(&cluster, LogKind::Scheduler, "unheard".to_owned());
    let refused = region.authenticate_eks_token(&cluster, "k8s-aws-v1.broken").await;
    assert!(refused.is_err());
    fixture.python_with(SCRIPT, "written").await;
    region.log(&cluster, LogKind::Api, "unheard".to_owned());
    region.log(&cluster, LogKind::Scheduler, "scheduled a pod".to_owned());
    for number in 0..30 {
        region.log(&cluster, LogKind::Audit, format!("{number} {}", "x".repeat(200_000)));
    }
    region.log(&cluster, LogKind::Audit, "the-last-line".to_owned());
    fixture.python_with(SCRIPT, "bounded").await;
}
