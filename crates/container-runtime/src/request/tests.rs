//! What is asked and what the image says come together as other runtimes bring them together.

use super::*;

fn image() -> ImageRootfs {
    ImageRootfs {
        lower_dirs: vec!["/l/1".into()],
        entrypoint: vec!["/entry".to_owned()],
        command: vec!["cmd".to_owned()],
        environment: vec!["A=image".to_owned(), "B=image".to_owned()],
        working_dir: "srv".to_owned(),
        stop_signal: "SIGQUIT".to_owned(),
        ..ImageRootfs::default()
    }
}

fn planned(config: &v1::ContainerConfig) -> Result<ContainerPlan, RequestError> {
    let around = Surroundings {
        hostname: "web-0".to_owned(),
        ..Surroundings::default()
    };
    plan(config, &image(), &Accounts::default(), around)
}

fn secured(security: v1::LinuxContainerSecurityContext) -> v1::ContainerConfig {
    let linux = v1::LinuxContainerConfig {
        security_context: Some(security),
        resources: None,
    };
    v1::ContainerConfig {
        linux: Some(linux),
        ..Default::default()
    }
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn command_and_arguments_follow_the_table_of_kubernetes() {
    let cases: [(&[&str], &[&str], &[&str]); 4] = [
        (&[], &[], &["/entry", "cmd"]),
        (&[], &["a"], &["/entry", "a"]),
        (&["/c"], &[], &["/c"]),
        (&["/c"], &["a"], &["/c", "a"]),
    ];
    for (command, args, expected) in cases {
        let config = v1::ContainerConfig {
            command: strings(command),
            args: strings(args),
            ..Default::default()
        };
        assert_eq!(planned(&config).unwrap().launch.args, expected);
    }
    let bare = plan(
        &v1::ContainerConfig::default(),
        &ImageRootfs::default(),
        &Accounts::default(),
        Surroundings::default(),
    );
    assert_eq!(bare.err(), Some(RequestError::NoCommand));
}

#[test]
fn the_request_sets_variables_over_the_image() {
    let envs = vec![
        v1::KeyValue {
            key: "B".to_owned(),
            value: b"asked".to_vec(),
        },
        v1::KeyValue {
            key: "C".to_owned(),
            value: vec![0xff],
        },
    ];
    let plan = planned(&v1::ContainerConfig {
        envs,
        tty: true,
        ..Default::default()
    })
    .unwrap();
    let shown: Vec<String> = plan
        .launch
        .environment
        .iter()
        .map(|entry| String::from_utf8_lossy(entry).into_owned())
        .collect();
    assert_eq!(
        shown[1..],
        [
            "HOSTNAME=web-0",
            "HOME=/",
            "TERM=xterm",
            "A=image",
            "B=asked",
            "C=\u{fffd}"
        ]
    );
    assert_eq!(plan.launch.working_dir, "/srv");
    assert_eq!(plan.stop_signal, libc::SIGQUIT);
}

#[test]
fn capabilities_are_added_and_dropped() {
    let cases: [(&[&str], &[&str], u64); 6] = [
        (&[], &[], 0xa804_25fb),
        (&[], &["ALL"], 0),
        (&["NET_BIND_SERVICE"], &["ALL"], 1 << 10),
        (&["NET_ADMIN"], &[], 0xa804_25fb | 1 << 12),
        (&[], &["CAP_MKNOD"], 0xa804_25fb & !(1 << 27)),
        (&["ALL"], &["SYS_ADMIN"], ((1 << 41) - 1) & !(1 << 21)),
    ];
    for (add, drop, expected) in cases {
        let capabilities = v1::Capability {
            add_capabilities: strings(add),
            drop_capabilities: strings(drop),
            ..Default::default()
        };
        let security = v1::LinuxContainerSecurityContext {
            capabilities: Some(capabilities),
            ..Default::default()
        };
        assert_eq!(
            planned(&secured(security)).unwrap().launch.capabilities,
            expected,
            "{add:?} {drop:?}"
        );
    }
}

#[test]
fn only_the_default_profile_filters() {
    let with = |profile_type: ProfileType, privileged| {
        let seccomp = v1::SecurityProfile {
            profile_type: profile_type as i32,
            localhost_ref: "mine".to_owned(),
        };
        planned(&secured(v1::LinuxContainerSecurityContext {
            seccomp: Some(seccomp),
            privileged,
            ..Default::default()
        }))
    };
    assert!(with(ProfileType::RuntimeDefault, false).unwrap().launch.seccomp);
    assert!(!with(ProfileType::RuntimeDefault, true).unwrap().launch.seccomp);
    assert!(!with(ProfileType::Unconfined, false).unwrap().launch.seccomp);
    assert_eq!(
        with(ProfileType::Localhost, false).err(),
        Some(RequestError::SeccompProfile("mine".to_owned()))
    );
    assert!(!planned(&v1::ContainerConfig::default()).unwrap().launch.seccomp);
}

#[test]
fn outer_mounts_come_first_and_requests_replace_the_pods_files() {
    let mount = |host: &str, container: &str| v1::Mount {
        host_path: host.to_owned(),
        container_path: container.to_owned(),
        ..Default::default()
    };
    let config = v1::ContainerConfig {
        mounts: vec![
            mount("/b", "/data/inner"),
            mount("/a", "/data"),
            mount("/h", "/etc/hosts"),
        ],
        ..Default::default()
    };
    let files = [("/etc/hosts", "/run/hosts"), ("/etc/resolv.conf", "/run/resolv.conf")]
        .map(|(to, from)| (to.to_owned(), from.to_owned()));
    let targets: Vec<_> = mounts(&config, &files, false)
        .unwrap()
        .into_iter()
        .map(|mount| (mount.target, mount.source))
        .collect();
    let expected = [
        ("/data", "/a"),
        ("/data/inner", "/b"),
        ("/etc/hosts", "/h"),
        ("/etc/resolv.conf", "/run/resolv.conf"),
    ];
    assert_eq!(targets, expected.map(|(to, from)| (to.to_owned(), from.to_owned())));
    let relative = v1::ContainerConfig {
        mounts: vec![mount("a", "/b")],
        ..Default::default()
    };
    assert!(matches!(planned(&relative).err(), Some(RequestError::MountPath { .. })));
}
