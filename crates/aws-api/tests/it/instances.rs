//! Instances that users launch: EC2, fleets, Auto Scaling groups, and the cluster that they join.

use std::time::Duration;

use aws_api::host::InstanceState;

use crate::fixture::{Fixture, tool};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_join_by_their_user_data_once_their_role_may() {
    if tool("python").is_none() {
        return;
    }
    let fixture = Fixture::start().await;
    fixture.python_with("instances.py", "").await;
    let ids = fixture.read("instances.txt");
    let joined = supervision::wait_until("the fleet's nodes join", Duration::from_secs(60), || async {
        let world = fixture.host().world();
        let specs: Vec<_> = world
            .instances
            .values()
            .filter(|(spec, state)| ids.contains(spec.id.as_str()) && *state == InstanceState::Running)
            .map(|(spec, _)| spec.clone())
            .collect();
        if specs.len() == 2 {
            Ok(specs)
        } else {
            Err(format!("{} of 2", specs.len()))
        }
    });
    let specs = joined.await.unwrap();
    for spec in specs {
        assert_eq!(spec.nodegroup, None);
        assert_eq!(spec.max_pods, 11);
        assert_eq!(
            spec.labels.get("karpenter.sh/nodepool").map(String::as_str),
            Some("default")
        );
        assert_eq!(spec.taints[0].key, "karpenter.sh/unregistered");
        assert_eq!(spec.taints[0].effect, "NoExecute");
        assert!(!spec.pod_addresses.is_empty() && spec.node_name.starts_with("ip-172-31-"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volumes_and_interfaces_are_kept_as_their_drivers_expect() {
    Fixture::start().await.python("volumes.py").await;
}
