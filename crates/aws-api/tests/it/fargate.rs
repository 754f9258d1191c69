//! Fargate: a node for each pod that a profile took, as long as the pod is there.

use std::time::Duration;

use aws_api::host::{ClusterRef, FargatePod};
use supervision::wait_until;

use crate::fixture::{Fixture, tool};

const LIMIT: Duration = Duration::from_secs(120);

fn pod(cluster: &ClusterRef, uid: &str, millicpus: u64, unsupported: Option<&str>) -> FargatePod {
    FargatePod {
        cluster: cluster.clone(),
        namespace: "serverless".to_owned(),
        name: format!("pod-{uid}"),
        uid: uid.to_owned(),
        profile: "fp".to_owned(),
        millicpus,
        memory_bytes: 300 << 20,
        unsupported: unsupported.map(str::to_owned),
        waits: true,
    }
}

async fn wait_for(fixture: &Fixture, what: &str, seen: impl Fn(&[String], usize) -> bool) {
    let waited = wait_until(what, LIMIT, || async {
        let world = fixture.host().world();
        let (said, nodes) = (world.fargate_said.clone(), world.instances.len());
        if seen(&said, nodes) {
            Ok(())
        } else {
            Err(format!("{said:?}, {nodes} nodes"))
        }
    });
    waited.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pod_of_a_profile_gets_a_node_of_its_size_that_ends_with_it() {
    if tool("python").is_none() {
        return;
    }
    let mut fixture = Fixture::start().await;
    fixture.python("create.py").await;
    fixture.python("fargate_profile.py").await;
    let cluster = fixture.host().world().control_planes.keys().next().unwrap().clone();
    fixture.host().world().fargate_pods = vec![
        pod(&cluster, "1", 0, None),
        pod(&cluster, "2", 20_000, None),
        pod(
            &cluster,
            "3",
            0,
            Some("Pod not supported on Fargate: fields not supported: HostNetwork"),
        ),
    ];
    let bound = |said: &[String], name: &str| {
        said.iter()
            .any(|line| line.starts_with(&format!("{name} on fargate-ip-192-168-")))
    };
    wait_for(&fixture, "the pod bound", |said, nodes| {
        bound(said, "pod-1") && nodes == 1
    })
    .await;
    wait_for(&fixture, "the others refused", |said, _| {
        said.iter()
            .any(|line| line == "pod-2: Your pod's cpu/memory requirements exceed the max Fargate configuration")
            && said
                .iter()
                .any(|line| line == "pod-3: Pod not supported on Fargate: fields not supported: HostNetwork")
    })
    .await;
    {
        let world = fixture.host().world();
        let (spec, _) = world.instances.values().next().unwrap();
        assert_eq!(spec.size.unwrap().shown(), "0.25vCPU 1GB");
        assert_eq!(spec.labels["eks.amazonaws.com/compute-type"], "fargate");
        assert_eq!((spec.max_pods, spec.pod_addresses.len(), spec.taints.len()), (1, 1, 1));
        assert!(
            world
                .fargate_said
                .iter()
                .any(|line| line.ends_with(".ap-northeast-2.compute.internal with 0.25vCPU 1GB"))
        );
    }

    // A restart makes no second node.
    fixture.restart().await;
    fixture.host().world().fargate_pods.push(pod(&cluster, "4", 1000, None));
    wait_for(&fixture, "one more", |said, nodes| bound(said, "pod-4") && nodes == 2).await;
    fixture.host().world().fargate_pods.retain(|pod| pod.uid != "1");
    wait_for(&fixture, "its node gone", |_, nodes| nodes == 1).await;

    // A profile goes with the nodes of its pods.
    fixture.python("fargate_profile_delete.py").await;
    assert!(fixture.host().world().instances.is_empty());
}
