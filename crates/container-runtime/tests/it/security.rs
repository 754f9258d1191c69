//! What a container may not do, and what it shares.

use cri_api::v1;

use super::machine::{Machine, Pod};

fn secured(
    config: v1::ContainerConfig,
    change: impl FnOnce(&mut v1::LinuxContainerSecurityContext),
) -> v1::ContainerConfig {
    let mut config = config;
    change(
        config
            .linux
            .get_or_insert_default()
            .security_context
            .get_or_insert_default(),
    );
    config
}

#[tokio::test]
async fn users_capabilities_and_filters_are_as_asked() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("secure").await;
    let facts = "id -u; id -g; id -G; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; chmod 700 /tmp/x; echo hi > /dev/stdout";
    let config = secured(Pod::script("user", facts), |security| {
        security.run_as_user = Some(v1::Int64Value { value: 1000 });
        security.run_as_group = Some(v1::Int64Value { value: 3000 });
        security.supplemental_groups = vec![2000];
        security.no_new_privs = true;
        security.seccomp = Some(v1::SecurityProfile::default());
        security.capabilities = Some(v1::Capability {
            drop_capabilities: vec!["ALL".to_owned()],
            ..Default::default()
        });
    });
    let (_, log) = pod.script_to_end(&mut machine, config).await;
    for line in [
        "F 1000",
        "F 3000",
        "F 3000 2000",
        "F CapEff:\t0000000000000000",
        "F NoNewPrivs:\t1",
        "F Seccomp:\t2",
        "F hi",
    ] {
        assert!(
            log.contains(&format!("stdout {line}\n")),
            "{line:?} is missing in\n{log}"
        );
    }

    let filtered = "grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp; echo mount=$?; unshare -m true; echo unshare=$?; mknod /tmp/d b 7 0; cat /tmp/d; echo device=$?";
    let config = secured(Pod::script("filter", filtered), |security| {
        security.seccomp = Some(v1::SecurityProfile::default());
        security.capabilities = Some(v1::Capability {
            add_capabilities: vec!["MKNOD".to_owned()],
            ..Default::default()
        });
    });
    let (_, log) = pod.script_to_end(&mut machine, config).await;
    for line in ["Seccomp:\t2", "mount=1", "unshare=1", "device=1"] {
        assert!(
            log.contains(&format!("stdout F {line}\n")),
            "{line:?} is missing in\n{log}"
        );
    }

    let mut config = secured(
        Pod::script("image", "id -un; id -Gn; echo $HOME; grep CapEff /proc/self/status"),
        |_| (),
    );
    config.image.as_mut().unwrap().image = "busybox:www".to_owned();
    let (_, log) = pod.script_to_end(&mut machine, config).await;
    assert_eq!(
        log,
        "stdout F www\nstdout F www logs\nstdout F /var\nstdout F CapEff:\t0000000000000000\n"
    );
}

#[tokio::test]
async fn paths_are_read_only_masked_and_mounted_as_asked() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let pod = machine.pod("paths").await;
    let volume = machine.directory.path().join("volume");
    std::fs::create_dir(&volume).unwrap();
    std::fs::write(volume.join("file"), "text\n").unwrap();
    let script = "touch /root/x; echo root=$?; touch /data/y; echo data=$?; cat /ro/file; touch /ro/z; echo ro=$?; cat /deep/er/file; \
        ls /sys/firmware | wc -l; echo > /proc/sys/kernel/domainname; echo sys=$?; df /dev/shm | tail -1 | grep -c 65536; cat /etc/hostname; exit 0";
    let mut config = secured(Pod::script("paths", script), |security| {
        security.readonly_rootfs = true;
        security.masked_paths = vec![
            "/proc/scsi".to_owned(),
            "/sys/firmware".to_owned(),
            "/not/there".to_owned(),
        ];
        security.readonly_paths = vec!["/proc/sys".to_owned()];
    });
    let mount = |to: &str, from: &std::path::Path, readonly| v1::Mount {
        container_path: to.to_owned(),
        host_path: from.display().to_string(),
        readonly,
        ..Default::default()
    };
    config.mounts = vec![
        mount("/data", &volume, false),
        mount("/ro", &volume, true),
        mount("/deep/er/file", &volume.join("file"), false),
    ];
    let (_, log) = pod.script_to_end(&mut machine, config).await;
    let told: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("stdout F ")).collect();
    assert_eq!(
        told,
        ["root=1", "data=0", "text", "ro=1", "text", "0", "sys=1", "1", "paths"],
        "{log}"
    );
    assert!(volume.join("y").exists());
}

#[tokio::test]
async fn containers_of_a_pod_share_what_pods_share() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let mut config = machine.pod_config("shared");
    let linux = config.linux.as_mut().unwrap();
    linux.sysctls = [("net.ipv4.ip_local_port_range".to_owned(), "30000 40000".to_owned())].into();
    let pod = machine.pod_with(config).await;
    let namespaces = "for n in net ipc uts mnt pid cgroup; do readlink /proc/self/ns/$n; done; cat /proc/sys/net/ipv4/ip_local_port_range";
    let first = pod
        .run(
            &mut machine,
            Pod::script("first", "echo from-first > /dev/shm/note; sleep 1000"),
        )
        .await;
    let (_, one, _) = machine.exec(&first, namespaces).await;
    let (_, two) = pod
        .script_to_end(
            &mut machine,
            Pod::script("second", &format!("cat /dev/shm/note; {namespaces}")),
        )
        .await;
    let two: Vec<&str> = two.lines().filter_map(|line| line.strip_prefix("stdout F ")).collect();
    let one: Vec<&str> = one.lines().collect();
    assert_eq!(two[0], "from-first");
    assert_eq!(one[..3], two[1..4], "network, IPC and UTS are the pod's");
    assert!(
        one[3..6].iter().zip(&two[4..7]).all(|(one, two)| one != two),
        "mounts, processes and cgroups are a container's own: {one:?} {two:?}"
    );
    assert_eq!(one[6], "30000\t40000");

    let together = |name: &str, script: &str| {
        secured(Pod::script(name, script), |security| {
            security.namespace_options = Some(v1::NamespaceOption {
                pid: v1::NamespaceMode::Pod as i32,
                ..Default::default()
            });
        })
    };
    pod.run(&mut machine, together("seen", "exec sleep 4242")).await;
    let (_, log) = pod
        .script_to_end(&mut machine, together("sees", "ps -o args | grep -c '^sleep 4242$'"))
        .await;
    assert_eq!(log, "stdout F 1\n");
}

#[tokio::test]
async fn the_machines_namespaces_can_be_asked_for() {
    let Some(mut machine) = Machine::start().await else {
        return;
    };
    let node = v1::NamespaceMode::Node as i32;
    let options = v1::NamespaceOption {
        network: node,
        pid: node,
        ipc: node,
        ..Default::default()
    };
    let mut config = machine.pod_config("host");
    config.hostname = String::new();
    config
        .linux
        .as_mut()
        .unwrap()
        .security_context
        .as_mut()
        .unwrap()
        .namespace_options = Some(options.clone());
    let pod = machine.pod_with(config).await;
    let status = machine
        .client
        .pod_sandbox_status(v1::PodSandboxStatusRequest {
            pod_sandbox_id: pod.id.clone(),
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(status.into_inner().status.unwrap().network.unwrap().ip, "");
    let config = secured(
        Pod::script(
            "host",
            "hostname; for n in net ipc uts pid; do readlink /proc/self/ns/$n; done; echo 1 > /proc/sys/net/ipv4/ip_forward; echo sys=$?; test -e /dev/loop-control -o -e /dev/kmsg; echo devices=$?",
        ),
        |security| {
            security.namespace_options = Some(options);
            security.privileged = true;
        },
    );
    let (_, log) = pod.script_to_end(&mut machine, config).await;
    let first = machine.processes()[0];
    let mut expected = "stdout F machine\n".to_owned();
    for name in ["net", "ipc", "uts", "pid"] {
        expected.push_str(&format!(
            "stdout F {}\n",
            std::fs::read_link(format!("/proc/{first}/ns/{name}"))
                .unwrap()
                .display()
        ));
    }
    assert_eq!(log, format!("{expected}stdout F sys=0\nstdout F devices=0\n"));
}
