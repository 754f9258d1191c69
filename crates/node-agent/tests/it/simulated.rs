//! Simulated nodes: nothing on disk, nobody asked, and taken up again from what the API server knows.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use crate::cluster::Cluster;
use crate::{phase, ready, wait_for};

fn container_id(pod: &Pod) -> String {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    statuses.and_then(|statuses| statuses[0].container_id.clone()).unwrap()
}

#[tokio::test]
async fn a_simulated_node_takes_its_pods_up_again_from_the_api() {
    let mut cluster = Cluster::start().await;
    let node = cluster.simulate(&[]).await;
    let spec = r#"{"initContainers":[{"name":"init","image":"a"}],"volumes":[{"name":"v","emptyDir":{"medium":"Memory"}}],
        "containers":[{"name":"c","image":"a","readinessProbe":{"httpGet":{"port":1}},
            "lifecycle":{"postStart":{"exec":{"command":["x"]}}},"volumeMounts":[{"name":"v","mountPath":"/v"}]}]}"#;
    cluster.create_pod("web", spec).await;
    let before = wait_for(&cluster, "web", "pod ready", ready).await;
    let address = before.status.as_ref().unwrap().pod_ip.clone();
    assert!(node.stop(Duration::from_secs(30)).await.is_clean());
    let node = cluster.simulate(std::slice::from_ref(&before)).await;
    // A second pod has to have another address and shows that the node works.
    cluster
        .create_pod(
            "job",
            r#"{"restartPolicy":"Never","containers":[{"name":"c","image":"a"}]}"#,
        )
        .await;
    let job = wait_for(&cluster, "job", "pod ended", |pod| phase(pod) == "Succeeded").await;
    assert_ne!(job.status.as_ref().unwrap().pod_ip, address);
    let after = wait_for(&cluster, "web", "pod ready", ready).await;
    assert_eq!(container_id(&after), container_id(&before));
    assert_eq!(after.status, before.status, "nothing was written");
    assert!(!cluster.has_files());
    node.stop(Duration::from_secs(30)).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_pod_that_refers_to_what_is_not_there_waits_on_a_simulated_node_too() {
    let mut cluster = Cluster::start().await;
    let node = cluster.simulate(&[]).await;
    let spec = r#"{"volumes":[{"name":"v","configMap":{"name":"absent"}}],
        "containers":[{"name":"c","image":"a","volumeMounts":[{"name":"v","mountPath":"/v"}]}]}"#;
    cluster.create_pod("web", spec).await;
    let wanted = "FailedMount: MountVolume.SetUp failed for volume \"v\" : configmap \"absent\" not found";
    crate::wait_for_event(&cluster, "web", wanted).await;
    node.stop(Duration::from_secs(30)).await;
    cluster.stop().await;
}
