//! The CRI configuration of a pod's sandbox and of its containers: a pure function of the pod and what was prepared for it.

use std::collections::HashMap;
use std::path::PathBuf;

use cri_api::v1 as cri;
use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext};
use pod_lifecycle::dns::{self, Resolver};
use pod_lifecycle::plan::fingerprint;
use pod_lifecycle::resources::{self, QosClass};
use pod_lifecycle::spec;

use crate::config::Config;
use crate::runtime::{annotation, label};

mod mounts;

/// A container that cannot be described to the runtime: CreateContainerConfigError with this text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ConfigError {
    #[error("container has runAsNonRoot and image will run as root (pod: {pod:?}, container: {container})")]
    RunsAsRoot { pod: String, container: String },
    #[error("container's runAsUser breaks non-root policy (pod: {pod:?}, container: {container})")]
    RunAsUserRoot { pod: String, container: String },
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root (pod: {pod:?}, container: {container})"
    )]
    UserNotNumeric {
        user: String,
        pod: String,
        container: String,
    },
    #[error("cannot find volume {volume:?} to mount into container {container:?}")]
    Volume { volume: String, container: String },
    #[error("subPath {0:?} must be a relative path without '..'")]
    SubPath(String),
}

/// Where the agent keeps a pod's things.
pub(crate) struct PodPaths {
    /// `<root>/pods/<uid>`
    pub(crate) dir: PathBuf,
    /// `<pod log dir>/<namespace>_<name>_<uid>`
    pub(crate) logs: PathBuf,
}

impl PodPaths {
    pub(crate) fn of(config: &Config, pod: &Pod) -> Self {
        let meta = &pod.metadata;
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let uid = text(&meta.uid);
        let logs = format!("{}_{}_{uid}", text(&meta.namespace), text(&meta.name));
        Self {
            dir: config.root_dir.join("pods").join(&uid),
            logs: config.pod_log_dir.join(logs),
        }
    }

    /// The file mounted at /etc/hosts.
    pub(crate) fn hosts(&self) -> PathBuf {
        self.dir.join("etc-hosts")
    }
}

/// What a container's description needs beside the pod.
pub(crate) struct Prepared<'a> {
    pub(crate) paths: &'a PodPaths,
    /// Host directory (or file, for hostPath) of each volume.
    pub(crate) volumes: &'a HashMap<String, PathBuf>,
    /// The environment, in order.
    pub(crate) variables: Vec<(String, String)>,
    /// Of the image, for runAsNonRoot.
    pub(crate) image: &'a cri::Image,
    /// The file that takes the termination message.
    pub(crate) message_file: PathBuf,
    /// The image by the name that the runtime is to use.
    pub(crate) image_ref: String,
    /// The image by the name that statuses show.
    pub(crate) image_name: String,
    /// Memory of the machine.
    pub(crate) node_memory: i64,
}

fn labels(pod: &Pod) -> HashMap<String, String> {
    let meta = &pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let mut labels: HashMap<String, String> = meta.labels.clone().unwrap_or_default().into_iter().collect();
    labels.insert(label::POD_NAME.to_owned(), text(&meta.name));
    labels.insert(label::POD_NAMESPACE.to_owned(), text(&meta.namespace));
    labels.insert(label::POD_UID.to_owned(), text(&meta.uid));
    labels
}

/// The cgroup of a pod below the runtime's parent, as upstream's cgroupfs driver names it.
pub(crate) fn cgroup_parent(spec: &PodSpec, uid: &str) -> String {
    match resources::qos_class(spec) {
        QosClass::Guaranteed => format!("/kubepods/pod{uid}"),
        QosClass::Burstable => format!("/kubepods/burstable/pod{uid}"),
        QosClass::BestEffort => format!("/kubepods/besteffort/pod{uid}"),
    }
}

/// The sandbox of a pod.
pub(crate) fn sandbox(
    pod: &Pod,
    config: &Config,
    paths: &PodPaths,
    host: &Resolver,
    attempt: u32,
) -> cri::PodSandboxConfig {
    let spec = pod.spec.clone().unwrap_or_default();
    let meta = &pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let resolver = dns::resolver(pod, &config.cluster_dns, &config.cluster_domain, host);
    let on_host = spec::host_network(&spec);
    cri::PodSandboxConfig {
        metadata: Some(cri::PodSandboxMetadata {
            name: text(&meta.name),
            uid: text(&meta.uid),
            namespace: text(&meta.namespace),
            attempt,
        }),
        hostname: if on_host {
            String::new()
        } else {
            dns::kernel_hostname(pod, &config.cluster_domain)
        },
        log_directory: paths.logs.to_string_lossy().into_owned(),
        dns_config: Some(cri::DnsConfig {
            servers: resolver.servers,
            searches: resolver.searches,
            options: resolver.options,
        }),
        port_mappings: if on_host { Vec::new() } else { port_mappings(&spec) },
        labels: labels(pod),
        annotations: meta.annotations.clone().unwrap_or_default().into_iter().collect(),
        linux: Some(linux_sandbox(&spec, &text(&meta.uid))),
    }
}

fn linux_sandbox(spec: &PodSpec, uid: &str) -> cri::LinuxPodSandboxConfig {
    let context = spec.security_context.clone().unwrap_or_default();
    let sysctls = context
        .sysctls
        .iter()
        .flatten()
        .map(|sysctl| (sysctl.name.clone(), sysctl.value.clone()));
    let id = |value: Option<i64>| value.map(|value| cri::Int64Value { value });
    let cpu: i64 = resources::pod_request(spec, "cpu");
    let limits = |name| {
        let all: Option<i64> = spec
            .containers
            .iter()
            .map(|container| resources::limit(container, name))
            .sum();
        all.unwrap_or(0)
    };
    cri::LinuxPodSandboxConfig {
        cgroup_parent: cgroup_parent(spec, uid),
        security_context: Some(cri::LinuxSandboxSecurityContext {
            namespace_options: Some(namespaces(spec)),
            run_as_user: id(context.run_as_user),
            run_as_group: id(context.run_as_group),
            supplemental_groups: groups(&context),
            privileged: spec
                .containers
                .iter()
                .chain(spec::init_containers(spec))
                .any(is_privileged),
            seccomp: Some(cri::SecurityProfile {
                profile_type: cri::security_profile::ProfileType::RuntimeDefault.into(),
                localhost_ref: String::new(),
            }),
            ..Default::default()
        }),
        sysctls: sysctls.collect(),
        overhead: None,
        resources: Some(cri::LinuxContainerResources {
            cpu_period: 100_000,
            cpu_quota: resources::cpu_quota(limits("cpu")),
            cpu_shares: resources::cpu_shares(cpu),
            memory_limit_in_bytes: limits("memory"),
            ..Default::default()
        }),
    }
}

fn is_privileged(container: &Container) -> bool {
    container
        .security_context
        .as_ref()
        .is_some_and(|context| context.privileged == Some(true))
}

fn namespaces(spec: &PodSpec) -> cri::NamespaceOption {
    let node_if = |flag: Option<bool>| {
        if flag == Some(true) {
            cri::NamespaceMode::Node
        } else {
            cri::NamespaceMode::Pod
        }
    };
    let pid = match (spec.host_pid, spec.share_process_namespace) {
        (Some(true), _) => cri::NamespaceMode::Node,
        (_, Some(true)) => cri::NamespaceMode::Pod,
        _ => cri::NamespaceMode::Container,
    };
    cri::NamespaceOption {
        network: node_if(spec.host_network).into(),
        pid: pid.into(),
        ipc: node_if(spec.host_ipc).into(),
        ..Default::default()
    }
}

fn port_mappings(spec: &PodSpec) -> Vec<cri::PortMapping> {
    let ports = spec
        .containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten());
    let mapped = ports.filter(|port| port.host_port.is_some_and(|port| port > 0));
    let one = |port: &k8s_openapi::api::core::v1::ContainerPort| cri::PortMapping {
        protocol: match port.protocol.as_deref() {
            Some("UDP") => cri::Protocol::Udp,
            Some("SCTP") => cri::Protocol::Sctp,
            _ => cri::Protocol::Tcp,
        }
        .into(),
        container_port: port.container_port,
        host_port: port.host_port.unwrap_or_default(),
        host_ip: port.host_ip.clone().unwrap_or_default(),
    };
    mapped.map(one).collect()
}

fn groups(context: &PodSecurityContext) -> Vec<i64> {
    context
        .fs_group
        .into_iter()
        .chain(context.supplemental_groups.iter().flatten().copied())
        .collect()
}

fn annotations(container: &Container, attempt: u32, message_path: &str) -> HashMap<String, String> {
    let policy = container.termination_message_policy.as_deref().unwrap_or("File");
    HashMap::from([
        (annotation::SPEC_HASH.to_owned(), fingerprint(container)),
        (annotation::RESTART_COUNT.to_owned(), attempt.to_string()),
        (annotation::MESSAGE_PATH.to_owned(), message_path.to_owned()),
        (annotation::MESSAGE_POLICY.to_owned(), policy.to_owned()),
    ])
}

/// One container.
///
/// # Errors
/// When the pod asks for what cannot be: an unknown volume, a root image that must not be root.
pub(crate) fn container(
    pod: &Pod,
    container: &Container,
    attempt: u32,
    prepared: &Prepared<'_>,
) -> Result<cri::ContainerConfig, ConfigError> {
    let spec = pod.spec.clone().unwrap_or_default();
    let (command, args) = pod_lifecycle::environment::command(container, &prepared.variables);
    let message_path = message_path(container);
    let security = security(pod, &spec, container, prepared.image)?;
    let limits = resources::container_limits(&spec, container, prepared.node_memory);
    Ok(cri::ContainerConfig {
        image: Some(cri::ImageSpec {
            image: prepared.image_ref.clone(),
            user_specified_image: prepared.image_name.clone(),
            ..Default::default()
        }),
        command,
        args,
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: prepared
            .variables
            .iter()
            .map(|(key, value)| cri::KeyValue {
                key: key.clone(),
                value: value.clone().into_bytes(),
            })
            .collect(),
        mounts: mounts::of(container, prepared, &message_path)?,
        log_path: format!("{}/{attempt}.log", container.name),
        stdin: container.stdin == Some(true),
        stdin_once: container.stdin_once == Some(true),
        tty: container.tty == Some(true),
        linux: Some(cri::LinuxContainerConfig {
            resources: Some(cri::LinuxContainerResources {
                cpu_period: limits.cpu_period,
                cpu_quota: limits.cpu_quota,
                cpu_shares: limits.cpu_shares,
                memory_limit_in_bytes: limits.memory_bytes,
                oom_score_adj: limits.oom_score_adj,
                ..Default::default()
            }),
            security_context: Some(security),
        }),
        stop_signal: stop_signal(container).into(),
        ..identity(pod, container, attempt)
    })
}

fn message_path(container: &Container) -> String {
    let path = container.termination_message_path.clone();
    path.unwrap_or_else(|| "/dev/termination-log".to_owned())
}

/// What a container is found again by: name, attempt, labels, annotations.
pub(crate) fn identity(pod: &Pod, container: &Container, attempt: u32) -> cri::ContainerConfig {
    let mut labels = labels(pod);
    labels.insert(label::CONTAINER.to_owned(), container.name.clone());
    cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata {
            name: container.name.clone(),
            attempt,
        }),
        labels,
        annotations: annotations(container, attempt, &message_path(container)),
        ..Default::default()
    }
}

fn stop_signal(container: &Container) -> cri::Signal {
    let name = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.stop_signal.as_deref());
    name.and_then(|name| cri::Signal::from_str_name(&format!("SIGNAL_{name}")))
        .unwrap_or(cri::Signal::RuntimeDefault)
}

fn security(
    pod: &Pod,
    spec: &PodSpec,
    container: &Container,
    image: &cri::Image,
) -> Result<cri::LinuxContainerSecurityContext, ConfigError> {
    let of_pod = spec.security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let user = own.run_as_user.or(of_pod.run_as_user);
    if own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true) {
        check_non_root(pod, container, user, image)?;
    }
    let id = |value: Option<i64>| value.map(|value| cri::Int64Value { value });
    let privileged = own.privileged == Some(true);
    let capabilities = own.capabilities.clone().unwrap_or_default();
    let unmasked = privileged || own.proc_mount.as_deref() == Some("Unmasked");
    let paths = |list: &[&str]| {
        if unmasked {
            Vec::new()
        } else {
            list.iter().map(|p| (*p).to_owned()).collect()
        }
    };
    Ok(cri::LinuxContainerSecurityContext {
        capabilities: Some(cri::Capability {
            add_capabilities: capabilities.add.unwrap_or_default(),
            drop_capabilities: capabilities.drop.unwrap_or_default(),
            add_ambient_capabilities: Vec::new(),
        }),
        privileged,
        namespace_options: Some(namespaces(spec)),
        run_as_user: id(user),
        run_as_username: String::new(),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: groups(&of_pod),
        no_new_privs: !own.allow_privilege_escalation.unwrap_or(true),
        run_as_group: id(own.run_as_group.or(of_pod.run_as_group)),
        masked_paths: paths(MASKED),
        readonly_paths: paths(READ_ONLY),
        seccomp: Some(seccomp(&own, &of_pod, privileged)),
        supplemental_groups_policy: match of_pod.supplemental_groups_policy.as_deref() {
            Some("Strict") => cri::SupplementalGroupsPolicy::Strict,
            _ => cri::SupplementalGroupsPolicy::Merge,
        }
        .into(),
        ..Default::default()
    })
}

/// Upstream's defaults (pkg/securitycontext).
const MASKED: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn seccomp(own: &SecurityContext, of_pod: &PodSecurityContext, privileged: bool) -> cri::SecurityProfile {
    use cri::security_profile::ProfileType;
    let chosen: Option<&SeccompProfile> = own.seccomp_profile.as_ref().or(of_pod.seccomp_profile.as_ref());
    let kind = match chosen.map(|profile| profile.type_.as_str()) {
        Some("RuntimeDefault") if !privileged => ProfileType::RuntimeDefault,
        Some("Localhost") if !privileged => ProfileType::Localhost,
        _ => ProfileType::Unconfined,
    };
    let localhost_ref = chosen
        .and_then(|profile| profile.localhost_profile.clone())
        .unwrap_or_default();
    cri::SecurityProfile {
        profile_type: kind.into(),
        localhost_ref,
    }
}

fn check_non_root(pod: &Pod, container: &Container, user: Option<i64>, image: &cri::Image) -> Result<(), ConfigError> {
    let (pod, container) = (spec::describe(pod), container.name.clone());
    match (user, &image.uid) {
        (Some(0), _) => Err(ConfigError::RunAsUserRoot { pod, container }),
        (Some(_), _) => Ok(()),
        (None, Some(uid)) if uid.value == 0 => Err(ConfigError::RunsAsRoot { pod, container }),
        (None, None) if !image.username.is_empty() => Err(ConfigError::UserNotNumeric {
            user: image.username.clone(),
            pod,
            container,
        }),
        (None, None) => Err(ConfigError::RunsAsRoot { pod, container }),
        (None, Some(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
