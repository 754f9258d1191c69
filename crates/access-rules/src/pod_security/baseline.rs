//! The level baseline.

use super::{Found, Level, Pod, named, plural, quoted};

const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SELINUX_TYPES: &[&str] = &[
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// In the order of the rules' names; some give way to stricter ones of the level restricted.
pub(super) fn check(pod: &Pod<'_>, level: Level, found: &mut Found) {
    app_armor(pod, found);
    if level == Level::Baseline {
        capabilities(pod, found);
    }
    host_namespaces(pod, found);
    if level == Level::Baseline {
        host_path(pod, found);
    }
    host_ports(pod, found);
    host_probes(pod, found);
    let privileged = pod.containers_with(|one| one.security.is_some_and(|s| s.privileged == Some(true)));
    if !privileged.is_empty() {
        let detail = format!("{} must not set securityContext.privileged=true", named(&privileged));
        found.push(("privileged", detail));
    }
    proc_mount(pod, found);
    selinux(pod, found);
    if level == Level::Baseline {
        seccomp(pod, found);
    }
    sysctls(pod, found);
    windows(pod, found);
}

fn app_armor(pod: &Pod<'_>, found: &mut Found) {
    let allowed = |value: &str| matches!(value, "" | "runtime/default") || value.starts_with("localhost/");
    let mut wrong: Vec<String> = pod
        .annotations
        .iter()
        .filter(|(key, value)| key.starts_with(APPARMOR) && !allowed(value))
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    let profile = |profile: Option<&k8s_openapi::api::core::v1::AppArmorProfile>| {
        profile.is_some_and(|profile| profile.type_ == "Unconfined")
    };
    let of_pod = pod
        .spec
        .security_context
        .as_ref()
        .and_then(|s| s.app_armor_profile.as_ref());
    if profile(of_pod) {
        wrong.push("pod must not set AppArmor profile type to \"Unconfined\"".to_owned());
    }
    let containers = pod.containers_with(|one| profile(one.security.and_then(|s| s.app_armor_profile.as_ref())));
    if !containers.is_empty() {
        wrong.push(format!(
            "{} must not set AppArmor profile type to \"Unconfined\"",
            named(&containers)
        ));
    }
    if !wrong.is_empty() {
        let reason = plural(wrong.len(), "forbidden AppArmor profile", "forbidden AppArmor profiles");
        found.push((reason, wrong.join(", ")));
    }
}

fn capabilities(pod: &Pod<'_>, found: &mut Found) {
    let mut added: Vec<String> = Vec::new();
    let wrong = pod.containers_with(|one| {
        let add = one.capabilities().and_then(|c| c.add.as_deref()).unwrap_or_default();
        add.iter().any(|name| !CAPABILITIES.contains(&name.as_str()))
    });
    for container in &pod.containers {
        let add = container.capabilities().and_then(|c| c.add.clone()).unwrap_or_default();
        added.extend(add.into_iter().filter(|name| !CAPABILITIES.contains(&name.as_str())));
    }
    added.sort();
    if !wrong.is_empty() {
        let detail = format!(
            "{} must not include {} in securityContext.capabilities.add",
            named(&wrong),
            quoted(&added)
        );
        found.push(("non-default capabilities", detail));
    }
}

fn host_namespaces(pod: &Pod<'_>, found: &mut Found) {
    let spec = pod.spec;
    let set = [
        ("hostNetwork=true", spec.host_network),
        ("hostPID=true", spec.host_pid),
        ("hostIPC=true", spec.host_ipc),
    ];
    let set: Vec<&str> = set
        .iter()
        .filter(|(_, on)| *on == Some(true))
        .map(|(name, _)| *name)
        .collect();
    if !set.is_empty() {
        found.push(("host namespaces", set.join(", ")));
    }
}

fn host_path(pod: &Pod<'_>, found: &mut Found) {
    let volumes = pod.spec.volumes.iter().flatten();
    let names: Vec<&str> = volumes
        .filter(|v| v.host_path.is_some())
        .map(|v| v.name.as_str())
        .collect();
    if !names.is_empty() {
        let detail = format!("{} {}", plural(names.len(), "volume", "volumes"), quoted(&names));
        found.push(("hostPath volumes", detail));
    }
}

fn host_ports(pod: &Pod<'_>, found: &mut Found) {
    let uses = |port: &k8s_openapi::api::core::v1::ContainerPort| port.host_port.filter(|port| *port != 0);
    let names = pod.containers_with(|one| one.ports.iter().any(|port| uses(port).is_some()));
    let mut ports: Vec<i32> = pod
        .containers
        .iter()
        .flat_map(|one| one.ports)
        .filter_map(uses)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    if names.is_empty() {
        return;
    }
    let shown: Vec<String> = ports.iter().map(ToString::to_string).collect();
    let detail = format!(
        "{} {} {} {}",
        named(&names),
        plural(names.len(), "uses", "use"),
        plural(ports.len(), "hostPort", "hostPorts"),
        shown.join(", ")
    );
    found.push(("hostPort", detail));
}

fn host_probes(pod: &Pod<'_>, found: &mut Found) {
    let set = |host: Option<&String>| host.is_some_and(|host| !host.is_empty());
    let names = pod.containers_with(|one| {
        let handlers = one.lifecycle.map(|l| [&l.post_start, &l.pre_stop]);
        let of_lifecycle = handlers.into_iter().flatten().flatten().any(|handler| {
            set(handler.http_get.as_ref().and_then(|get| get.host.as_ref()))
                || set(handler.tcp_socket.as_ref().and_then(|tcp| tcp.host.as_ref()))
        });
        of_lifecycle
            || one.probes.iter().any(|probe| {
                set(probe.http_get.as_ref().and_then(|get| get.host.as_ref()))
                    || set(probe.tcp_socket.as_ref().and_then(|tcp| tcp.host.as_ref()))
            })
    });
    if !names.is_empty() {
        found.push((
            "probe or lifecycle host",
            format!("{} must not set a host", named(&names)),
        ));
    }
}

fn proc_mount(pod: &Pod<'_>, found: &mut Found) {
    if pod.spec.host_users == Some(false) {
        return;
    }
    let of = |one: &super::Container<'_>| one.security.and_then(|s| s.proc_mount.clone());
    let names = pod.containers_with(|one| of(one).is_some_and(|mount| mount != "Default"));
    let kinds: Vec<String> = pod
        .containers
        .iter()
        .filter_map(of)
        .filter(|mount| mount != "Default")
        .collect();
    if !names.is_empty() {
        let detail = format!(
            "{} must not set securityContext.procMount to {}",
            named(&names),
            quoted(&kinds)
        );
        found.push(("procMount", detail));
    }
}

fn selinux(pod: &Pod<'_>, found: &mut Found) {
    type Options = k8s_openapi::api::core::v1::SELinuxOptions;
    let wrong = |options: Option<&Options>| {
        options.is_some_and(|options| {
            !SELINUX_TYPES.contains(&options.type_.as_deref().unwrap_or_default())
                || options.user.as_deref().is_some_and(|user| !user.is_empty())
                || options.role.as_deref().is_some_and(|role| !role.is_empty())
        })
    };
    let of_pod = pod
        .spec
        .security_context
        .as_ref()
        .and_then(|s| s.se_linux_options.as_ref());
    let names = pod.containers_with(|one| wrong(one.security.and_then(|s| s.se_linux_options.as_ref())));
    let mut setters = Vec::new();
    if wrong(of_pod) {
        setters.push("pod".to_owned());
    }
    if !names.is_empty() {
        setters.push(named(&names));
    }
    if !setters.is_empty() {
        let detail = format!("{} set forbidden securityContext.seLinuxOptions", setters.join(" and "));
        found.push(("seLinuxOptions", detail));
    }
}

fn seccomp(pod: &Pod<'_>, found: &mut Found) {
    type Profile = k8s_openapi::api::core::v1::SeccompProfile;
    let wrong = |profile: Option<&Profile>| profile.is_some_and(|profile| profile.type_ == "Unconfined");
    let of_pod = pod
        .spec
        .security_context
        .as_ref()
        .and_then(|s| s.seccomp_profile.as_ref());
    let names = pod.containers_with(|one| wrong(one.security.and_then(|s| s.seccomp_profile.as_ref())));
    let mut setters = Vec::new();
    if wrong(of_pod) {
        setters.push("pod".to_owned());
    }
    if !names.is_empty() {
        setters.push(named(&names));
    }
    if !setters.is_empty() {
        let setters = setters.join(" and ");
        let detail = format!("{setters} must not set securityContext.seccompProfile.type to \"Unconfined\"");
        found.push(("seccompProfile", detail));
    }
}

fn sysctls(pod: &Pod<'_>, found: &mut Found) {
    let set = pod
        .spec
        .security_context
        .iter()
        .flat_map(|s| s.sysctls.iter().flatten());
    let names: Vec<&str> = set
        .map(|one| one.name.as_str())
        .filter(|name| !SYSCTLS.contains(name))
        .collect();
    if !names.is_empty() {
        found.push(("forbidden sysctls", names.join(", ")));
    }
}

fn windows(pod: &Pod<'_>, found: &mut Found) {
    type Options = k8s_openapi::api::core::v1::WindowsSecurityContextOptions;
    let wrong = |options: Option<&Options>| options.is_some_and(|options| options.host_process == Some(true));
    let of_pod = pod
        .spec
        .security_context
        .as_ref()
        .and_then(|s| s.windows_options.as_ref());
    let names = pod.containers_with(|one| wrong(one.security.and_then(|s| s.windows_options.as_ref())));
    let mut setters = Vec::new();
    if wrong(of_pod) {
        setters.push("pod".to_owned());
    }
    if !names.is_empty() {
        setters.push(named(&names));
    }
    if !setters.is_empty() {
        let setters = setters.join(" and ");
        let detail = format!("{setters} must not set securityContext.windowsOptions.hostProcess=true");
        found.push(("hostProcess", detail));
    }
}
