//! Restarts and losses: what was acknowledged is finished by the next process, what was lost is replaced.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use aws_api::host::{HostErrorKind, InstanceState};
use aws_types::InstanceId;
use aws_types::status::RegionStatus;
use supervision::wait_until;

use crate::fixture::{Fixture, get, tool};

const LIMIT: Duration = Duration::from_secs(120);

async fn status(fixture: &Fixture) -> RegionStatus {
    let text = get(&fixture.running().endpoint, "/_ondol/status").await;
    serde_json::from_str(&text).unwrap()
}

/// Waits until clusters and groups have these statuses, `demo=ACTIVE workers=ACTIVE`.
async fn wait_for(fixture: &Fixture, wanted: &str) {
    let seen = wait_until(wanted, LIMIT, || async {
        let status = status(fixture).await;
        let shown: Vec<String> = status
            .clusters
            .iter()
            .flat_map(|cluster| {
                let groups = cluster
                    .nodegroups
                    .iter()
                    .map(|group| format!("{}={}", group.name, group.status));
                std::iter::once(format!("{}={}", cluster.name, cluster.status)).chain(groups)
            })
            .collect();
        let shown = shown.join(" ");
        if shown == wanted { Ok(()) } else { Err(shown) }
    });
    seen.await.unwrap();
}

fn running(fixture: &Fixture) -> BTreeSet<InstanceId> {
    let world = fixture.host().world();
    let running = world
        .instances
        .values()
        .filter(|(_, state)| *state == InstanceState::Running);
    running.map(|(spec, _)| spec.id.clone()).collect()
}

/// The addresses that running instances and their pods have.
fn addresses(fixture: &Fixture) -> BTreeSet<Ipv4Addr> {
    let world = fixture.host().world();
    let running = world
        .instances
        .values()
        .filter(|(_, state)| *state == InstanceState::Running);
    let all = running.flat_map(|(spec, _)| spec.pod_addresses.iter().chain([&spec.address]));
    all.copied().collect()
}

async fn wait_for_instances(fixture: &Fixture, count: usize) {
    let seen = wait_until("that many instances", LIMIT, || async {
        let running = running(fixture);
        if running.len() == count {
            Ok(())
        } else {
            Err(format!("{running:?}"))
        }
    });
    seen.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_was_being_made_is_finished_after_a_restart() {
    if tool("python").is_none() {
        return;
    }
    let mut fixture = Fixture::start().await;
    fixture.host().world().control_plane_hangs = true;
    fixture.python("create.py").await;
    wait_for(&fixture, "demo=CREATING").await;
    fixture.restart().await;
    wait_for(&fixture, "demo=CREATING").await;
    fixture.host().world().control_plane_hangs = false;
    fixture.restart().await;
    wait_for(&fixture, "demo=ACTIVE").await;
    assert_eq!(fixture.host().world().control_planes.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_instances_are_replaced_also_those_lost_while_no_region_ran() {
    if tool("python").is_none() {
        return;
    }
    let mut fixture = Fixture::start().await;
    fixture.python("create.py").await;
    wait_for(&fixture, "demo=ACTIVE").await;
    fixture.python("create_nodegroup.py").await;
    wait_for(&fixture, "demo=ACTIVE workers=ACTIVE").await;
    let before = running(&fixture);
    assert_eq!(before.len(), 2);
    assert_eq!(addresses(&fixture).len(), 2 * 16, "no address is given twice");

    let lost = before.first().unwrap();
    fixture.host().lose(lost);
    wait_until("the lost instance is replaced", LIMIT, || async {
        let now = running(&fixture);
        if now.len() == 2 && !now.contains(lost) {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await
    .unwrap();

    // The other one of those that were in service: the new one may still be on its way, and would be launched again.
    let unseen = before.last().unwrap();
    fixture.host().world().instances.remove(unseen);
    fixture.restart().await;
    wait_for_instances(&fixture, 2).await;
    assert!(!running(&fixture).contains(unseen));
    wait_for(&fixture, "demo=ACTIVE workers=ACTIVE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_have_no_address_that_those_had_which_they_replace() {
    if tool("python").is_none() {
        return;
    }
    let mut fixture = Fixture::start().await;
    fixture.python("create.py").await;
    wait_for(&fixture, "demo=ACTIVE").await;
    fixture.python("create_nodegroup.py").await;
    wait_for(&fixture, "demo=ACTIVE workers=ACTIVE").await;
    let (before, instances) = (addresses(&fixture), running(&fixture));
    // One is replaced by this region process, the other by the next one, which goes on where this one stopped.
    fixture.host().lose(instances.first().unwrap());
    wait_for_instances(&fixture, 2).await;
    fixture.restart().await;
    fixture.host().lose(instances.last().unwrap());
    wait_for_instances(&fixture, 2).await;
    let after = addresses(&fixture);
    assert!(after.is_disjoint(&before), "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_the_host_become_eks_statuses() {
    if tool("python").is_none() {
        return;
    }
    let fixture = Fixture::start().await;
    fixture.host().world().control_plane_error = Some(HostErrorKind::Permanent);
    fixture.python("create.py").await;
    wait_for(&fixture, "demo=FAILED").await;
    fixture.host().world().control_plane_error = None;
    fixture.python("delete.py").await;
    wait_for(&fixture, "").await;
    fixture.python("create.py").await;
    wait_for(&fixture, "demo=ACTIVE").await;
    fixture.host().world().launch_error = Some(HostErrorKind::Permanent);
    fixture.python("create_nodegroup.py").await;
    wait_for(&fixture, "demo=ACTIVE workers=CREATE_FAILED").await;
    assert!(running(&fixture).is_empty());
}
