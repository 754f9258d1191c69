//! A container's life: run, exit, logs, limits, removal.

use cri_api::v1;
use supervision::wait_until;

use super::machine::{LIMIT, Machine, Pod};

#[tokio::test]
async fn exit_codes_and_reasons_are_reported() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("exits").await;
    for (name, script, code, reason) in [
        ("zero", "exit 0", 0, "Completed"),
        ("seven", "exit 7", 7, "Error"),
        ("killed", "kill -9 $$; sh -c 'kill -9 1'; exit 137", 137, "Error"),
    ] {
        let (status, _) = pod.script_to_end(&mut machine, Pod::script(name, script)).await;
        assert_eq!((status.exit_code, status.reason.as_str()), (code, reason), "{name}");
        assert!(status.created_at <= status.started_at && status.started_at <= status.finished_at);
    }
}

#[tokio::test]
async fn logs_have_both_streams_and_the_environment_is_as_asked() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("logs").await;
    let mut config = Pod::script(
        "talk",
        "echo out; echo err >&2; echo $GREETING $HOSTNAME $(pwd); hostname; cat /etc/resolv.conf; printf unfinished",
    );
    config.envs = vec![v1::KeyValue {
        key: "GREETING".to_owned(),
        value: b"hello".to_vec(),
    }];
    config.working_dir = "/made/for/it".to_owned();
    let (status, log) = pod.script_to_end(&mut machine, config).await;
    assert_eq!(status.exit_code, 0, "{log}");
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    let mut expected = [
        "stderr F err",
        "stdout F out",
        "stdout F hello logs /made/for/it",
        "stdout F logs",
        "stdout F search svc.cluster.local",
        "stdout F nameserver 10.100.0.10",
        "stdout F options ndots:5",
        "stdout P unfinished",
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_program_that_is_missing_is_a_start_error() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("missing").await;
    let config = v1::ContainerConfig {
        command: vec!["nothing-like-this".to_owned()],
        ..Pod::script("missing", "")
    };
    let id = pod.create(&mut machine, config).await.unwrap();
    let error = machine
        .client
        .start_container(v1::StartContainerRequest {
            container_id: id.clone(),
        })
        .await
        .unwrap_err();
    assert!(
        error
            .message()
            .contains("exec: \"nothing-like-this\": executable file not found in $PATH"),
        "{error}"
    );
    let status = machine.status(&id).await;
    assert_eq!(
        (status.state(), status.exit_code, status.reason.as_str()),
        (v1::ContainerState::ContainerExited, 128, "StartError")
    );
    assert!(
        status.message.contains("executable file not found"),
        "{}",
        status.message
    );

    let absent = v1::ContainerConfig {
        image: Some(v1::ImageSpec {
            image: "absent".to_owned(),
            ..Default::default()
        }),
        ..Pod::script("absent", "")
    };
    let error = pod.create(&mut machine, absent).await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (tonic::Code::NotFound, "image \"absent\" not found")
    );
}

#[tokio::test]
async fn more_memory_than_allowed_is_reported_as_oom() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("oom").await;
    let mut config = Pod::script("greedy", "exec tail /dev/zero");
    let resources = v1::LinuxContainerResources {
        memory_limit_in_bytes: 64 << 20,
        cpu_shares: 512,
        ..Default::default()
    };
    config.linux.as_mut().unwrap().resources = Some(resources);
    let id = pod.run(&mut machine, config).await;
    let status = machine.wait_exited(&id).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "OOMKilled"));
}

#[tokio::test]
async fn usage_is_measured_and_limits_change_while_it_runs() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("stats").await;
    let id = pod.run(&mut machine, Pod::script("busy", "while :; do :; done")).await;
    let client = machine.client.clone();
    let stats = wait_until("some processor time", LIMIT, || {
        let mut client = client.clone();
        let request = v1::ContainerStatsRequest {
            container_id: id.clone(),
        };
        async move {
            let stats = client
                .container_stats(request)
                .await
                .unwrap()
                .into_inner()
                .stats
                .unwrap();
            let used = stats.cpu.as_ref().unwrap().usage_core_nano_seconds.unwrap().value;
            if used > 20_000_000 {
                Ok(stats)
            } else {
                Err(format!("{used} ns"))
            }
        }
    })
    .await
    .unwrap();
    assert!(stats.memory.unwrap().working_set_bytes.unwrap().value > 0);
    let linux = Some(v1::LinuxContainerResources {
        memory_limit_in_bytes: 32 << 20,
        ..Default::default()
    });
    let update = v1::UpdateContainerResourcesRequest {
        container_id: id.clone(),
        linux,
        ..Default::default()
    };
    machine.client.update_container_resources(update).await.unwrap();
    let shown = machine.status(&id).await.resources.unwrap().linux.unwrap();
    assert_eq!(shown.memory_limit_in_bytes, 32 << 20);
    let (code, limit, _) = machine
        .exec(
            &id,
            "cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max",
        )
        .await;
    assert_eq!((code, limit.trim()), (0, "33554432"));
}

#[tokio::test]
async fn stop_asks_first_and_kills_after_the_grace() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("stop").await;
    let polite = pod
        .run(
            &mut machine,
            Pod::script(
                "polite",
                "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done",
            ),
        )
        .await;
    let deaf = pod
        .run(
            &mut machine,
            Pod::script("deaf", "trap '' TERM; echo up; while :; do sleep 0.05; done"),
        )
        .await;
    for name in ["polite", "deaf"] {
        wait_until("it is up", LIMIT, || async {
            if pod.log(name).contains("up") {
                Ok(())
            } else {
                Err("silent")
            }
        })
        .await
        .unwrap();
    }
    for (id, timeout, code) in [(polite, 20, 3), (deaf, 1, 137)] {
        machine
            .client
            .stop_container(v1::StopContainerRequest {
                container_id: id.clone(),
                timeout,
            })
            .await
            .unwrap();
        assert_eq!(machine.status(&id).await.exit_code, code);
    }
    assert_eq!(pod.log("polite"), "stdout F up\nstdout F bye\n");
}

#[tokio::test]
async fn removal_leaves_nothing() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("gone").await;
    let id = pod
        .run(&mut machine, Pod::script("runs", "sleep 1000 & sleep 1000"))
        .await;
    assert_eq!(machine.shims().len(), 1);
    machine
        .client
        .stop_pod_sandbox(v1::StopPodSandboxRequest {
            pod_sandbox_id: pod.id.clone(),
        })
        .await
        .unwrap();
    assert_eq!(machine.status(&id).await.exit_code, 137);
    machine
        .client
        .remove_pod_sandbox(v1::RemovePodSandboxRequest {
            pod_sandbox_id: pod.id.clone(),
        })
        .await
        .unwrap();
    // Both are said again by a kubelet that was restarted.
    machine
        .client
        .stop_pod_sandbox(v1::StopPodSandboxRequest {
            pod_sandbox_id: pod.id.clone(),
        })
        .await
        .unwrap();
    machine
        .client
        .remove_pod_sandbox(v1::RemovePodSandboxRequest {
            pod_sandbox_id: pod.id.clone(),
        })
        .await
        .unwrap();
    machine
        .client
        .remove_container(v1::RemoveContainerRequest { container_id: id })
        .await
        .unwrap();
    wait_until("the shim ends", LIMIT, || async {
        if machine.shims().is_empty() {
            Ok(())
        } else {
            Err(format!("{:?}", machine.shims()))
        }
    })
    .await
    .unwrap();
    // Process 1 and the runtime are left.
    wait_until("the processes end", LIMIT, || async {
        if machine.processes().len() == 2 {
            Ok(())
        } else {
            Err(format!("{:?}", machine.processes()))
        }
    })
    .await
    .unwrap();
    let root = machine.directory.path().join("root");
    for directory in ["sandboxes", "containers"] {
        assert_eq!(
            std::fs::read_dir(root.join(directory)).unwrap().count(),
            0,
            "{directory}"
        );
    }
    for cgroup in machine.cgroups() {
        assert!(!cgroup.join("kubepods/podgone").exists(), "{}", cgroup.display());
    }
    let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", machine.processes()[0])).unwrap();
    assert!(!mounts.contains(&pod.id), "{mounts}");
}

#[tokio::test]
async fn events_tell_the_life_of_pod_and_container() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let mut events = machine
        .client
        .get_container_events(v1::GetEventsRequest {})
        .await
        .unwrap()
        .into_inner();
    let pod = machine.pod("events").await;
    let id = pod.run(&mut machine, Pod::script("short", "exit 5")).await;
    machine.wait_exited(&id).await;
    machine
        .client
        .remove_container(v1::RemoveContainerRequest {
            container_id: id.clone(),
        })
        .await
        .unwrap();
    let mut seen = Vec::new();
    while seen.len() < 6 {
        let event = events.message().await.unwrap().unwrap();
        let whose = if event.container_id == pod.id {
            "pod"
        } else {
            "container"
        };
        seen.push(format!("{whose} {}", event.container_event_type().as_str_name()));
        if event.container_event_type() == v1::ContainerEventType::ContainerStoppedEvent {
            assert_eq!(event.containers_statuses[0].exit_code, 5);
            assert_eq!(event.pod_sandbox_status.unwrap().network.unwrap().ip, "10.0.0.5");
        }
    }
    let expected = [
        "pod CONTAINER_CREATED_EVENT",
        "pod CONTAINER_STARTED_EVENT",
        "container CONTAINER_CREATED_EVENT",
        "container CONTAINER_STARTED_EVENT",
        "container CONTAINER_STOPPED_EVENT",
        "container CONTAINER_DELETED_EVENT",
    ];
    assert_eq!(seen, expected);
}
