//! The checks of the level baseline.
//!
//! Source: `k8s.io/pod-security-admission/policy/check_*.go`.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    AppArmorProfile, LifecycleHandler, Probe, SELinuxOptions, SeccompProfile, WindowsSecurityContextOptions,
};

use super::checks::Finding;
use super::pod::{Container, Pod, Setters, annotation, containers, plural, quoted};

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

/// The first version in which a type is allowed.
const SELINUX_TYPES: &[(u64, &str)] = &[
    (0, ""),
    (0, "container_t"),
    (0, "container_init_t"),
    (0, "container_kvm_t"),
    (31, "container_engine_t"),
];

/// The first version in which a sysctl is allowed.
const SYSCTLS: &[(u64, &str)] = &[
    (0, "kernel.shm_rmid_forced"),
    (0, "net.ipv4.ip_local_port_range"),
    (0, "net.ipv4.tcp_syncookies"),
    (0, "net.ipv4.ping_group_range"),
    (0, "net.ipv4.ip_unprivileged_port_start"),
    (27, "net.ipv4.ip_local_reserved_ports"),
    (29, "net.ipv4.tcp_keepalive_time"),
    (29, "net.ipv4.tcp_fin_timeout"),
    (29, "net.ipv4.tcp_keepalive_intvl"),
    (29, "net.ipv4.tcp_keepalive_probes"),
    (32, "net.ipv4.tcp_rmem"),
    (32, "net.ipv4.tcp_wmem"),
];

const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER_ANNOTATION: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// Whether a list allows something in a version.
fn allows(list: &[(u64, &str)], version: u64, name: &str) -> bool {
    list.iter()
        .any(|(since, allowed)| *since <= version && *allowed == name)
}

pub(super) fn app_armor(pod: &Pod<'_>) -> Option<Finding> {
    let wrong = |profile: &AppArmorProfile| {
        let allowed = matches!(profile.type_.as_str(), "RuntimeDefault" | "Localhost");
        (!allowed).then(|| [profile.type_.clone()])
    };
    let setters = Setters::find(
        pod,
        |s| s.app_armor_profile.as_ref().and_then(wrong),
        |s| s.app_armor_profile.as_ref().and_then(wrong),
    );
    let allowed = |value: &str| matches!(value, "" | "runtime/default") || value.starts_with("localhost/");
    let annotated = pod
        .annotations
        .iter()
        .filter(|(key, value)| key.starts_with(APPARMOR_ANNOTATION) && !allowed(value));
    let annotations: BTreeSet<String> = annotated.map(|(key, value)| annotation(key, value)).collect();
    let mut named = setters.named();
    if !annotations.is_empty() {
        named.push(plural(annotations.len(), "annotation", "annotations").to_owned());
    }
    // The values of fields come before annotations, each sorted by itself.
    let values: Vec<String> = setters.values.into_iter().chain(annotations).collect();
    (!named.is_empty()).then(|| Finding {
        reason: plural(
            values.len(),
            "forbidden AppArmor profile",
            "forbidden AppArmor profiles",
        ),
        detail: format!(
            "{} must not set AppArmor profile type to {}",
            named.join(" and "),
            quoted(&values)
        ),
    })
}

pub(super) fn capabilities(pod: &Pod<'_>) -> Option<Finding> {
    added_capabilities(pod, CAPABILITIES).map(|detail| Finding {
        reason: "non-default capabilities",
        detail,
    })
}

/// What is said of containers that add other capabilities than those.
pub(super) fn added_capabilities(pod: &Pod<'_>, allowed: &[&str]) -> Option<String> {
    let wrong = |one: &Container<'_>| -> Vec<String> {
        let added = one.capabilities().and_then(|c| c.add.as_deref()).unwrap_or_default();
        let wrong = added.iter().filter(|name| !allowed.contains(&name.as_str()));
        wrong.cloned().collect()
    };
    let names = pod.containers_with(|one| !wrong(one).is_empty());
    let added: BTreeSet<String> = pod.containers.iter().flat_map(wrong).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} must not include {} in securityContext.capabilities.add",
            containers(&names),
            quoted(&added)
        )
    })
}

pub(super) fn host_namespaces(pod: &Pod<'_>) -> Option<Finding> {
    let spec = pod.spec;
    let all = [
        ("hostNetwork=true", spec.host_network),
        ("hostPID=true", spec.host_pid),
        ("hostIPC=true", spec.host_ipc),
    ];
    let set = all.into_iter().filter(|(_, on)| *on == Some(true));
    let shown: Vec<&str> = set.map(|(name, _)| name).collect();
    (!shown.is_empty()).then(|| Finding {
        reason: "host namespaces",
        detail: shown.join(", "),
    })
}

pub(super) fn host_path(pod: &Pod<'_>) -> Option<Finding> {
    let volumes = pod.spec.volumes.iter().flatten();
    let of_host = volumes.filter(|volume| volume.host_path.is_some());
    let names: Vec<&str> = of_host.map(|volume| volume.name.as_str()).collect();
    (!names.is_empty()).then(|| Finding {
        reason: "hostPath volumes",
        detail: format!("{} {}", plural(names.len(), "volume", "volumes"), quoted(&names)),
    })
}

pub(super) fn host_ports(pod: &Pod<'_>) -> Option<Finding> {
    let used = |one: &Container<'_>| -> Vec<i32> {
        let ports = one.ports.iter().filter_map(|port| port.host_port);
        ports.filter(|port| *port != 0).collect()
    };
    let names = pod.containers_with(|one| !used(one).is_empty());
    // Upstream sorts them as text.
    let ports = pod.containers.iter().flat_map(used).map(|port| port.to_string());
    let ports: BTreeSet<String> = ports.collect();
    (!names.is_empty()).then(|| Finding {
        reason: "hostPort",
        detail: format!(
            "{} {} {} {}",
            containers(&names),
            plural(names.len(), "uses", "use"),
            plural(ports.len(), "hostPort", "hostPorts"),
            ports.into_iter().collect::<Vec<_>>().join(", ")
        ),
    })
}

pub(super) fn host_probes(pod: &Pod<'_>) -> Option<Finding> {
    let mut names = BTreeSet::new();
    let mut hosts = BTreeSet::new();
    for container in &pod.containers {
        let of_probes = container.probes.into_iter().flatten().flat_map(hosts_of_probe);
        let handlers = container
            .lifecycle
            .into_iter()
            .flat_map(|l| [&l.post_start, &l.pre_stop]);
        let set: Vec<&String> = of_probes
            .chain(handlers.flatten().flat_map(hosts_of_handler))
            .filter(|host| !host.is_empty())
            .collect();
        if !set.is_empty() {
            names.insert(container.name);
            hosts.extend(set);
        }
    }
    let names: Vec<&str> = names.into_iter().collect();
    (!names.is_empty()).then(|| Finding {
        reason: "probe or lifecycle host",
        detail: format!(
            "{} {} {} {}",
            containers(&names),
            plural(names.len(), "uses", "use"),
            plural(hosts.len(), "probe or lifecycle host", "probe or lifecycle hosts"),
            quoted(&hosts)
        ),
    })
}

fn hosts_of_probe(probe: &Probe) -> impl Iterator<Item = &String> {
    let http = probe.http_get.as_ref().and_then(|get| get.host.as_ref());
    let tcp = probe.tcp_socket.as_ref().and_then(|tcp| tcp.host.as_ref());
    http.into_iter().chain(tcp)
}

fn hosts_of_handler(handler: &LifecycleHandler) -> impl Iterator<Item = &String> {
    let http = handler.http_get.as_ref().and_then(|get| get.host.as_ref());
    let tcp = handler.tcp_socket.as_ref().and_then(|tcp| tcp.host.as_ref());
    http.into_iter().chain(tcp)
}

pub(super) fn privileged(pod: &Pod<'_>) -> Option<Finding> {
    let names = pod.containers_with(|one| one.security.and_then(|s| s.privileged) == Some(true));
    (!names.is_empty()).then(|| Finding {
        reason: "privileged",
        detail: format!("{} must not set securityContext.privileged=true", containers(&names)),
    })
}

pub(super) fn proc_mount(pod: &Pod<'_>) -> Option<Finding> {
    fn wrong<'c>(one: &Container<'c>) -> Option<&'c String> {
        let mount = one.security?.proc_mount.as_ref()?;
        (mount != "Default").then_some(mount)
    }
    let names = pod.containers_with(|one| wrong(one).is_some());
    let mounts: BTreeSet<&String> = pod.containers.iter().filter_map(wrong).collect();
    (!names.is_empty()).then(|| Finding {
        reason: "procMount",
        detail: format!(
            "{} must not set securityContext.procMount to {}",
            containers(&names),
            quoted(&mounts)
        ),
    })
}

pub(super) fn proc_mount_of_the_nodes_users(pod: &Pod<'_>) -> Option<Finding> {
    if pod.has_users_of_its_own() {
        return None;
    }
    proc_mount(pod)
}

pub(super) fn selinux_1_0(pod: &Pod<'_>) -> Option<Finding> {
    selinux(pod, 0)
}

pub(super) fn selinux_1_31(pod: &Pod<'_>) -> Option<Finding> {
    selinux(pod, 31)
}

fn selinux(pod: &Pod<'_>, version: u64) -> Option<Finding> {
    let set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let wrong = |options: &SELinuxOptions| {
        let kind = options.type_.clone().unwrap_or_default();
        let kind = (!allows(SELINUX_TYPES, version, &kind)).then_some(kind);
        (kind.is_some() || set(&options.user) || set(&options.role)).then_some(kind)
    };
    let setters = Setters::find(
        pod,
        |s| s.se_linux_options.as_ref().and_then(wrong),
        |s| s.se_linux_options.as_ref().and_then(wrong),
    );
    let named = setters.joined()?;
    let of_pod = pod.security().and_then(|s| s.se_linux_options.as_ref());
    let of_containers = pod
        .containers
        .iter()
        .filter_map(|one| one.security?.se_linux_options.as_ref());
    let all: Vec<&SELinuxOptions> = of_pod.into_iter().chain(of_containers).collect();
    let mut data = Vec::new();
    if !setters.values.is_empty() {
        let types = plural(setters.values.len(), "type", "types");
        data.push(format!("{types} {}", quoted(&setters.values)));
    }
    if all.iter().any(|options| set(&options.user)) {
        data.push("user may not be set".to_owned());
    }
    if all.iter().any(|options| set(&options.role)) {
        data.push("role may not be set".to_owned());
    }
    Some(Finding {
        reason: "seLinuxOptions",
        detail: format!(
            "{named} set forbidden securityContext.seLinuxOptions: {}",
            data.join("; ")
        ),
    })
}

/// Before 1.19 profiles were named in annotations, and the fields were not there to be looked at.
pub(super) fn seccomp_annotations(pod: &Pod<'_>) -> Option<Finding> {
    let allowed =
        |value: &str| matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/");
    let of_containers = pod
        .containers
        .iter()
        .map(|one| format!("{SECCOMP_CONTAINER_ANNOTATION}{}", one.name));
    let keys = std::iter::once(SECCOMP_ANNOTATION.to_owned()).chain(of_containers);
    let wrong = keys.filter_map(|key| {
        let value = pod.annotations.get(&key).filter(|value| !allowed(value))?;
        Some(annotation(&key, value))
    });
    let wrong: BTreeSet<String> = wrong.collect();
    (!wrong.is_empty()).then(|| Finding {
        reason: "seccompProfile",
        detail: format!(
            "forbidden {} {}",
            plural(wrong.len(), "annotation", "annotations"),
            wrong.into_iter().collect::<Vec<_>>().join(", ")
        ),
    })
}

pub(super) fn allowed_seccomp(profile: &SeccompProfile) -> bool {
    matches!(profile.type_.as_str(), "RuntimeDefault" | "Localhost")
}

/// Of fields that are set; the level restricted also asks that they are.
pub(super) fn seccomp(pod: &Pod<'_>) -> Option<Finding> {
    let wrong = |profile: &SeccompProfile| (!allowed_seccomp(profile)).then(|| [profile.type_.clone()]);
    let setters = Setters::find(
        pod,
        |s| s.seccomp_profile.as_ref().and_then(wrong),
        |s| s.seccomp_profile.as_ref().and_then(wrong),
    );
    setters.joined().map(|named| Finding {
        reason: "seccompProfile",
        detail: format!(
            "{named} must not set securityContext.seccompProfile.type to {}",
            quoted(&setters.values)
        ),
    })
}

pub(super) fn sysctls_1_0(pod: &Pod<'_>) -> Option<Finding> {
    sysctls(pod, 0)
}

pub(super) fn sysctls_1_27(pod: &Pod<'_>) -> Option<Finding> {
    sysctls(pod, 27)
}

pub(super) fn sysctls_1_29(pod: &Pod<'_>) -> Option<Finding> {
    sysctls(pod, 29)
}

pub(super) fn sysctls_1_32(pod: &Pod<'_>) -> Option<Finding> {
    sysctls(pod, 32)
}

fn sysctls(pod: &Pod<'_>, version: u64) -> Option<Finding> {
    let set = pod.security().into_iter().flat_map(|s| s.sysctls.iter().flatten());
    let wrong = set.filter(|sysctl| !allows(SYSCTLS, version, &sysctl.name));
    let names: Vec<&str> = wrong.map(|sysctl| sysctl.name.as_str()).collect();
    (!names.is_empty()).then(|| Finding {
        reason: "forbidden sysctls",
        detail: names.join(", "),
    })
}

pub(super) fn host_process(pod: &Pod<'_>) -> Option<Finding> {
    let wrong = |options: &WindowsSecurityContextOptions| (options.host_process == Some(true)).then_some([]);
    let setters = Setters::find(
        pod,
        |s| s.windows_options.as_ref().and_then(wrong),
        |s| s.windows_options.as_ref().and_then(wrong),
    );
    setters.joined().map(|named| Finding {
        reason: "hostProcess",
        detail: format!("{named} must not set securityContext.windowsOptions.hostProcess=true"),
    })
}
