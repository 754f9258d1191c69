//! From what CRI asks, the image says and the sandbox has, to the [`Launch`] that a shim carries out.

use cri_api::v1::{self, NamespaceMode, SupplementalGroupsPolicy, security_profile::ProfileType};

use crate::config::ImageRootfs;
use crate::launch::{DEFAULT_CAPABILITIES, all_capabilities, capability_number};
use crate::record::{Launch, LaunchCgroup, LaunchDevice, LaunchMount, PidNamespace};
use crate::signal;
use crate::user::{Accounts, Identity, UserError, Wanted};

/// Where programs are looked for when nobody says (the value of containerd and runc).
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a request cannot be carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Neither the request nor the image names a program.
    #[error("no command specified")]
    NoCommand,
    /// The user is not in the image.
    #[error(transparent)]
    User(#[from] UserError),
    /// No such capability.
    #[error("unknown capability {0:?}")]
    UnknownCapability(String),
    /// A filter from a file.
    #[error("seccomp profile {0:?}: profiles from files are not supported yet")]
    SeccompProfile(String),
    /// A profile of a security module that is not used here.
    #[error("apparmor profile {0:?}: apparmor is not supported")]
    AppArmorProfile(String),
    /// An image as a volume.
    #[error("mount {0}: image volumes are not supported yet")]
    ImageVolume(String),
    /// A mount needs both ends.
    #[error("mount of {host_path:?} on {container_path:?}: both paths must be absolute")]
    MountPath {
        /// In the machine.
        host_path: String,
        /// In the container.
        container_path: String,
    },
    /// Names of devices in an outside registry.
    #[error("CDI device {0:?}: container device interface is not supported yet")]
    CdiDevice(String),
    /// A user namespace for the pod.
    #[error("user namespaces for pods are not supported yet")]
    UserNamespace,
    /// Not a signal.
    #[error("unknown stop signal {0:?}")]
    StopSignal(String),
}

/// What the sandbox has.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Files of the namespaces; empty = the machine's.
    pub network_namespace: String,
    /// As above.
    pub ipc_namespace: String,
    /// As above.
    pub uts_namespace: String,
    /// Directory that becomes /dev/shm.
    pub shared_memory: String,
    /// `HOSTNAME`.
    pub hostname: String,
    /// Files that a container gets unless the request mounts its own: path in the container and in the machine.
    pub files: Vec<(String, String)>,
    /// Cgroups to join.
    pub cgroups: Vec<LaunchCgroup>,
    /// The machine is in a user namespace.
    pub user_namespace: bool,
    /// Log file, or empty.
    pub log_path: String,
}

/// Everything a container was asked to be.
pub struct ContainerPlan {
    /// For the shim.
    pub launch: Launch,
    /// Who it runs as, as CRI says it.
    pub user: v1::LinuxContainerUser,
    /// The signal that asks it to end.
    pub stop_signal: i32,
}

/// Plans a container; looks up nothing but the image's accounts, which are given.
pub fn plan(
    config: &v1::ContainerConfig,
    image: &ImageRootfs,
    accounts: &Accounts,
    around: Surroundings,
) -> Result<ContainerPlan, RequestError> {
    let linux = config.linux.clone().unwrap_or_default();
    let security = linux.security_context.unwrap_or_default();
    let resources = linux.resources.unwrap_or_default();
    let identity = identity(&security, image, accounts)?;
    let (capabilities, ambient_capabilities) = capabilities(&security)?;
    refuse_unsupported(config, &security)?;
    let namespaces = security.namespace_options.clone().unwrap_or_default();
    let launch = Launch {
        args: arguments(config, image)?,
        environment: environment(config, image, &identity, &around.hostname),
        working_dir: working_dir(config, image),
        uid: identity.uid,
        gid: identity.gid,
        groups: identity.groups.clone(),
        capabilities,
        ambient_capabilities,
        no_new_privileges: security.no_new_privs,
        seccomp: !security.privileged && profile(security.seccomp.as_ref()) == Some(ProfileType::RuntimeDefault),
        privileged: security.privileged,
        read_only_rootfs: security.readonly_rootfs,
        masked_paths: security.masked_paths.clone(),
        read_only_paths: security.readonly_paths.clone(),
        mounts: mounts(config, &around.files, security.readonly_rootfs)?,
        devices: config
            .devices
            .iter()
            .map(|device| LaunchDevice {
                source: device.host_path.clone(),
                target: device.container_path.clone(),
            })
            .collect(),
        lower_dirs: image
            .lower_dirs
            .iter()
            .map(|layer| layer.display().to_string())
            .collect(),
        user_namespace: around.user_namespace,
        network_namespace: around.network_namespace,
        ipc_namespace: around.ipc_namespace,
        uts_namespace: around.uts_namespace,
        pid_namespace: pid_namespace(namespaces.pid()) as i32,
        target_container: namespaces.target_id,
        shared_memory: around.shared_memory,
        cgroups: around.cgroups,
        oom_score_adj: i32::try_from(resources.oom_score_adj).unwrap_or(0),
        terminal: config.tty,
        stdin: config.stdin,
        stdin_once: config.stdin_once,
        log_path: around.log_path,
    };
    let user = v1::LinuxContainerUser {
        uid: i64::from(identity.uid),
        gid: i64::from(identity.gid),
        supplemental_groups: identity.groups.into_iter().map(i64::from).collect(),
    };
    Ok(ContainerPlan {
        launch,
        user,
        stop_signal: stop_signal(config, image)?,
    })
}

/// The request's command replaces the image's entrypoint and with it the image's arguments.
fn arguments(config: &v1::ContainerConfig, image: &ImageRootfs) -> Result<Vec<String>, RequestError> {
    let mut arguments = if config.command.is_empty() {
        image.entrypoint.clone()
    } else {
        config.command.clone()
    };
    if config.args.is_empty() && config.command.is_empty() {
        arguments.extend(image.command.iter().cloned());
    } else {
        arguments.extend(config.args.iter().cloned());
    }
    if arguments.is_empty() {
        Err(RequestError::NoCommand)
    } else {
        Ok(arguments)
    }
}

/// Later entries of the same name replace earlier ones in place.
fn environment(config: &v1::ContainerConfig, image: &ImageRootfs, identity: &Identity, hostname: &str) -> Vec<Vec<u8>> {
    let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut set = |name: &[u8], value: &[u8]| match entries.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value.to_vec(),
        None => entries.push((name.to_vec(), value.to_vec())),
    };
    let mut set_entry = |entry: &str| {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        set(name.as_bytes(), value.as_bytes());
    };
    set_entry(DEFAULT_PATH);
    set_entry(&format!("HOSTNAME={hostname}"));
    set_entry(&format!("HOME={}", identity.home));
    if config.tty {
        set_entry("TERM=xterm");
    }
    image.environment.iter().for_each(|entry| set_entry(entry));
    for variable in &config.envs {
        set(variable.key.as_bytes(), &variable.value);
    }
    entries
        .into_iter()
        .map(|(name, value)| [name, value].join(&b'='))
        .collect()
}

fn working_dir(config: &v1::ContainerConfig, image: &ImageRootfs) -> String {
    let wanted = [&config.working_dir, &image.working_dir]
        .into_iter()
        .find(|path| !path.is_empty());
    wanted.map_or_else(|| "/".to_owned(), |path| format!("/{}", path.trim_start_matches('/')))
}

fn identity(
    security: &v1::LinuxContainerSecurityContext,
    image: &ImageRootfs,
    accounts: &Accounts,
) -> Result<Identity, UserError> {
    accounts.identity(&Wanted {
        uid: security.run_as_user.as_ref().map(|user| user.value),
        name: &security.run_as_username,
        gid: security.run_as_group.as_ref().map(|group| group.value),
        image_user: &image.user,
        groups: &security.supplemental_groups,
        strict: security.supplemental_groups_policy() == SupplementalGroupsPolicy::Strict,
    })
}

/// `ALL` first, then names: dropped ones go last, so dropping `ALL` and adding one leaves one.
fn capabilities(security: &v1::LinuxContainerSecurityContext) -> Result<(u64, u64), RequestError> {
    if security.privileged {
        return Ok((all_capabilities(), 0));
    }
    let wish = security.capabilities.clone().unwrap_or_default();
    let names_all = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case("ALL"));
    let mut set = DEFAULT_CAPABILITIES;
    if names_all(&wish.add_capabilities) {
        set = all_capabilities();
    }
    if names_all(&wish.drop_capabilities) {
        set = 0;
    }
    set |= mask(&wish.add_capabilities)?;
    set &= !mask(&wish.drop_capabilities)?;
    let ambient = mask(&wish.add_ambient_capabilities)?;
    Ok((set | ambient, ambient))
}

fn mask(names: &[String]) -> Result<u64, RequestError> {
    let mut mask = 0;
    for name in names.iter().filter(|name| !name.eq_ignore_ascii_case("ALL")) {
        mask |= 1 << capability_number(name).ok_or_else(|| RequestError::UnknownCapability(name.clone()))?;
    }
    Ok(mask)
}

fn profile(profile: Option<&v1::SecurityProfile>) -> Option<ProfileType> {
    profile.map(v1::SecurityProfile::profile_type)
}

fn refuse_unsupported(
    config: &v1::ContainerConfig,
    security: &v1::LinuxContainerSecurityContext,
) -> Result<(), RequestError> {
    let reference = |profile: Option<&v1::SecurityProfile>| {
        profile.map(|profile| profile.localhost_ref.clone()).unwrap_or_default()
    };
    if !security.privileged && profile(security.seccomp.as_ref()) == Some(ProfileType::Localhost) {
        return Err(RequestError::SeccompProfile(reference(security.seccomp.as_ref())));
    }
    if !security.privileged && profile(security.apparmor.as_ref()) == Some(ProfileType::Localhost) {
        return Err(RequestError::AppArmorProfile(reference(security.apparmor.as_ref())));
    }
    if let Some(mount) = config
        .mounts
        .iter()
        .find(|mount| mount.image.as_ref().is_some_and(|image| !image.image.is_empty()))
    {
        return Err(RequestError::ImageVolume(mount.container_path.clone()));
    }
    if let Some(device) = config.cdi_devices.first() {
        return Err(RequestError::CdiDevice(device.name.clone()));
    }
    let user_namespace = security
        .namespace_options
        .as_ref()
        .and_then(|options| options.userns_options.as_ref());
    if user_namespace.is_some_and(|options| options.mode() == NamespaceMode::Pod) {
        return Err(RequestError::UserNamespace);
    }
    Ok(())
}

/// Outer paths first, so that a mount never hides one that was made before it.
fn mounts(
    config: &v1::ContainerConfig,
    files: &[(String, String)],
    read_only: bool,
) -> Result<Vec<LaunchMount>, RequestError> {
    let mut mounts = Vec::new();
    for mount in &config.mounts {
        if !mount.host_path.starts_with('/') || !mount.container_path.starts_with('/') {
            return Err(RequestError::MountPath {
                host_path: mount.host_path.clone(),
                container_path: mount.container_path.clone(),
            });
        }
        mounts.push(LaunchMount {
            source: mount.host_path.clone(),
            target: mount.container_path.clone(),
            read_only: mount.readonly,
            recursive_read_only: mount.recursive_read_only,
            propagation: mount.propagation,
        });
    }
    let asked: Vec<String> = mounts.iter().map(|mount| mount.target.clone()).collect();
    for (target, source) in files.iter().filter(|(target, _)| !asked.contains(target)) {
        mounts.push(LaunchMount {
            source: source.clone(),
            target: target.clone(),
            read_only,
            ..LaunchMount::default()
        });
    }
    mounts.sort_by_key(|mount| mount.target.split('/').filter(|part| !part.is_empty()).count());
    Ok(mounts)
}

fn pid_namespace(mode: NamespaceMode) -> PidNamespace {
    match mode {
        NamespaceMode::Container => PidNamespace::Own,
        NamespaceMode::Pod => PidNamespace::Pod,
        NamespaceMode::Node => PidNamespace::Machine,
        NamespaceMode::Target => PidNamespace::Target,
    }
}

fn stop_signal(config: &v1::ContainerConfig, image: &ImageRootfs) -> Result<i32, RequestError> {
    if config.stop_signal() != v1::Signal::RuntimeDefault {
        let name = config
            .stop_signal()
            .as_str_name()
            .trim_start_matches("SIGNAL_")
            .to_owned();
        return signal::number(&name).ok_or(RequestError::StopSignal(name));
    }
    if image.stop_signal.is_empty() {
        return Ok(libc::SIGTERM);
    }
    signal::number(&image.stop_signal).ok_or_else(|| RequestError::StopSignal(image.stop_signal.clone()))
}

#[cfg(test)]
mod tests;
