//! Kills: of the runtime, of a shim, of everything.

use cri_api::v1;
use supervision::wait_until;

use super::machine::{LIMIT, Machine, Pod};

#[tokio::test]
async fn a_killed_runtime_finds_everything_again() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("kept").await;
    let runs = pod
        .run(
            &mut machine,
            Pod::script("runs", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done"),
        )
        .await;
    let waits = pod
        .run(
            &mut machine,
            Pod::script(
                "waits",
                "while ! test -e /dev/shm/go; do sleep 0.02; done; echo gone; exit 9",
            ),
        )
        .await;
    let created = pod
        .create(&mut machine, Pod::script("created", "exit 4"))
        .await
        .unwrap();
    let before = machine.status(&runs).await;

    machine.kill_runtime();
    // While no runtime runs, one container ends and another goes on writing.
    let process = container_process(&machine, "while ! test").await;
    std::fs::write(format!("/proc/{process}/root/dev/shm/go"), "").unwrap();
    wait_until("the container ends", LIMIT, || async {
        if pod.log("waits").contains("gone") {
            Ok(())
        } else {
            Err("not yet")
        }
    })
    .await
    .unwrap();
    machine.wait_served().await;

    let after = machine.status(&runs).await;
    assert_eq!(
        (after.state(), after.started_at),
        (v1::ContainerState::ContainerRunning, before.started_at)
    );
    assert_eq!(machine.wait_exited(&waits).await.exit_code, 9);
    let written = pod.log("runs").lines().count();
    wait_until("it goes on writing", LIMIT, || async {
        if pod.log("runs").lines().count() > written {
            Ok(())
        } else {
            Err("silent")
        }
    })
    .await
    .unwrap();
    assert_eq!(
        machine.exec(&runs, "echo $((6*7))").await,
        (0, "42\n".to_owned(), String::new())
    );
    machine
        .client
        .start_container(v1::StartContainerRequest {
            container_id: created.clone(),
        })
        .await
        .unwrap();
    assert_eq!(machine.wait_exited(&created).await.exit_code, 4);
    machine
        .client
        .remove_pod_sandbox(v1::RemovePodSandboxRequest {
            pod_sandbox_id: pod.id.clone(),
        })
        .await
        .unwrap();
    assert!(
        machine
            .client
            .list_containers(v1::ListContainersRequest::default())
            .await
            .unwrap()
            .into_inner()
            .containers
            .is_empty()
    );
}

#[tokio::test]
async fn a_killed_shim_takes_its_containers_along_and_is_replaced() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("orphan").await;
    let id = pod
        .run(&mut machine, Pod::script("runs", "sleep 1000 & sleep 1000; exit 0"))
        .await;
    let process = container_process(&machine, "sleep 1000 &").await;
    let [shim] = machine.shims()[..] else {
        panic!("one shim is expected")
    };
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL).unwrap();
    let status = machine.wait_exited(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "Error"));
    assert!(status.message.contains("shim"), "{}", status.message);
    wait_until("its processes end", LIMIT, || async {
        if command(process).contains("sleep") {
            Err(command(process))
        } else {
            Ok(())
        }
    })
    .await
    .unwrap();
    // The pod keeps its network and address; its next container gets a new shim.
    let (status, _) = pod.script_to_end(&mut machine, Pod::script("again", "exit 6")).await;
    assert_eq!(status.exit_code, 6);
}

#[tokio::test]
async fn a_shim_that_is_killed_while_a_runtime_finds_it_again_is_noticed() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("both").await;
    for round in 0..12u32 {
        let script = format!("echo {round}; sleep 1000; exit 0");
        let id = pod.run(&mut machine, Pod::script(&format!("c{round}"), &script)).await;
        let [shim] = machine.shims()[..] else {
            panic!("one shim is expected")
        };
        machine.kill_runtime();
        // The second kill comes at another moment of the next runtime's beginning each time.
        let pause = std::time::Duration::from_millis(u64::from(round) * 5);
        tokio::time::timeout(pause, std::future::pending::<()>())
            .await
            .unwrap_err();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL).unwrap();
        machine.wait_served().await;
        let status = machine.wait_exited(&id).await;
        assert_eq!(status.exit_code, 137, "round {round}");
    }
    let (status, _) = pod.script_to_end(&mut machine, Pod::script("again", "exit 6")).await;
    assert_eq!(status.exit_code, 6);
}

#[tokio::test]
async fn a_container_that_its_sandbox_s_shim_does_not_know_has_ended() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("replaced").await;
    let lost = pod.run(&mut machine, Pod::script("lost", "sleep 1000; exit 0")).await;
    let [shim] = machine.shims()[..] else {
        panic!("one shim is expected")
    };
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL).unwrap();
    machine.wait_exited(&lost).await;
    let runs = pod.run(&mut machine, Pod::script("runs", "sleep 1000; exit 0")).await;
    // As if the runtime had been killed after it replaced the shim and before it wrote down what the first one took along.
    let containers = machine.directory.path().join("root/containers");
    std::fs::remove_file(containers.join(&lost).join("exited.pb")).unwrap();
    machine.kill_runtime();
    machine.wait_served().await;
    assert_eq!(machine.wait_exited(&lost).await.exit_code, 137);
    assert_eq!(
        machine.status(&runs).await.state(),
        v1::ContainerState::ContainerRunning
    );
}

#[tokio::test]
async fn runtimes_that_are_killed_again_and_again_lose_nothing() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("shaken").await;
    let steady = pod
        .run(&mut machine, Pod::script("steady", "while :; do sleep 0.1; done"))
        .await;
    for round in 0..12u32 {
        let pod_config = machine.pod_config(&format!("pod-{round}"));
        let mut client = machine.client.clone();
        let work = async move {
            let request = v1::RunPodSandboxRequest {
                config: Some(pod_config),
                ..Default::default()
            };
            let id = client.run_pod_sandbox(request).await?.into_inner().pod_sandbox_id;
            client
                .remove_pod_sandbox(v1::RemovePodSandboxRequest { pod_sandbox_id: id })
                .await
        };
        // The kill comes at another moment of the work each time.
        let turns = tokio::time::timeout(std::time::Duration::from_millis(u64::from(round) * 4), work).await;
        machine.kill_runtime();
        machine.wait_served().await;
        drop(turns);
        assert_eq!(
            machine.status(&steady).await.state(),
            v1::ContainerState::ContainerRunning,
            "round {round}"
        );
    }
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
    wait_until("only process 1 and the runtime are left", LIMIT, || async {
        if machine.processes().len() == 2 {
            Ok(())
        } else {
            Err(format!(
                "{:?}",
                machine.processes().into_iter().map(command).collect::<Vec<_>>()
            ))
        }
    })
    .await
    .unwrap();
    assert_eq!(
        std::fs::read_dir(machine.directory.path().join("root/containers"))
            .unwrap()
            .count(),
        0
    );
}

fn command(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
        .unwrap_or_default()
        .replace('\0', " ")
}

/// The kernel's list of a process's children may miss one while others come and go, so it is read until it does not.
async fn container_process(machine: &Machine, script: &str) -> i32 {
    wait_until("the container's process is seen", LIMIT, || async {
        let processes = machine.processes();
        processes
            .iter()
            .copied()
            .find(|pid| command(*pid).contains(script))
            .ok_or_else(|| format!("{processes:?}"))
    })
    .await
    .unwrap()
}
