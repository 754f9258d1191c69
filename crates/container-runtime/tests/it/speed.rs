//! How long a pod takes, and what its shim costs.

use std::time::Instant;

use cri_api::v1;

use super::machine::{Machine, Pod};

#[tokio::test]
async fn a_pod_is_up_in_milliseconds_and_its_shim_is_small() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let mut times = Vec::new();
    for round in 0..15 {
        let began = Instant::now();
        let pod = machine.pod(&format!("quick-{round}")).await;
        let made = began.elapsed();
        pod.run(&mut machine, Pod::script("sleeps", "sleep 1000")).await;
        times.push((began.elapsed(), made));
    }
    times.sort_unstable();
    let (median, sandbox) = times[times.len() / 2];
    println!(
        "RunPodSandbox + CreateContainer + StartContainer: median {median:?} (sandbox {sandbox:?}), fastest {:?}, slowest {:?}",
        times[0].0, times[14].0
    );
    for shim in machine.shims().into_iter().take(1) {
        let rollup = std::fs::read_to_string(format!("/proc/{shim}/smaps_rollup")).unwrap();
        let figures: Vec<&str> = rollup
            .lines()
            .filter(|line| {
                ["Rss:", "Pss:", "Private_Dirty:", "Private_Clean:"]
                    .iter()
                    .any(|name| line.starts_with(name))
            })
            .collect();
        println!("shim of this debug test binary: {}", figures.join(", "));
        let threads = std::fs::read_dir(format!("/proc/{shim}/task")).unwrap().count();
        assert_eq!(threads, 1);
    }
    let began = Instant::now();
    for sandbox in machine
        .client
        .list_pod_sandbox(v1::ListPodSandboxRequest::default())
        .await
        .unwrap()
        .into_inner()
        .items
    {
        machine
            .client
            .remove_pod_sandbox(v1::RemovePodSandboxRequest {
                pod_sandbox_id: sandbox.id,
            })
            .await
            .unwrap();
    }
    println!("removal: {:?} for each pod", began.elapsed() / 15);
}
