//! Pod sandboxes: made, stopped, removed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use cri_api::v1::{self, ContainerEventType, NamespaceMode};

use super::state::Sandbox;
use super::{Runtime, RuntimeError};
use crate::config::PodNetworkRequest;
use crate::namespaces::{NamespaceFiles, PodNamespaces};
use crate::record::{self, SandboxRecord};
use crate::shim_client::ShimClient;
use crate::wire::{Action, Shutdown};

/// What a sandbox gets of its own.
pub fn wanted_namespaces(config: &v1::PodSandboxConfig) -> PodNamespaces {
    let linux = config.linux.clone().unwrap_or_default();
    let options = linux
        .security_context
        .and_then(|security| security.namespace_options)
        .unwrap_or_default();
    PodNamespaces {
        network: options.network() != NamespaceMode::Node,
        ipc: options.ipc() != NamespaceMode::Node,
        hostname: hostname(config),
        sysctls: linux.sysctls.into_iter().collect(),
    }
}

fn hostname(config: &v1::PodSandboxConfig) -> String {
    if config.hostname.is_empty() {
        nix::unistd::gethostname()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    } else {
        config.hostname.clone()
    }
}

/// The cgroup that holds a sandbox's containers, relative to the runtime's own.
pub fn pod_cgroup(record: &SandboxRecord) -> String {
    let linux = record.config.clone().unwrap_or_default().linux.unwrap_or_default();
    let asked = linux.cgroup_parent.trim_matches('/').to_owned();
    let harmless = !asked.is_empty()
        && asked
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..");
    if harmless { asked } else { format!("pod-{}", record.id) }
}

impl Runtime {
    /// The namespace files of a sandbox.
    pub(super) fn namespaces(&self, sandbox_id: &str) -> NamespaceFiles {
        NamespaceFiles::new(self.layout.sandbox_run(sandbox_id))
    }

    /// The network namespace of a sandbox; `None` when that is the machine's.
    pub fn network_namespace(&self, sandbox_id: &str) -> Result<Option<fs::File>, RuntimeError> {
        let config = self.state().sandbox(sandbox_id)?.config();
        if !wanted_namespaces(&config).network {
            return Ok(None);
        }
        let path = self.namespaces(sandbox_id).network();
        let opened = fs::File::open(&path);
        opened.map(Some).map_err(|source| RuntimeError::Streams {
            what: path.display().to_string(),
            source,
        })
    }

    /// Makes a sandbox; returns its identifier.
    pub async fn run_sandbox(
        &self,
        config: v1::PodSandboxConfig,
        runtime_handler: String,
    ) -> Result<String, RuntimeError> {
        if config.metadata.is_none() {
            return Err(RuntimeError::Missing("sandbox metadata"));
        }
        let id = self.new_id();
        let mut sandbox_record = SandboxRecord {
            id: id.clone(),
            config: Some(config),
            created_at: self.now(),
            runtime_handler,
            ..SandboxRecord::default()
        };
        record::write(&self.layout.sandbox_record(&id), &sandbox_record)?;
        let built = self.build_sandbox(&sandbox_record).await;
        let (ips, shim) = match built {
            Ok(built) => built,
            Err(error) => {
                if let Err(second) = self.take_down(&sandbox_record, None).await {
                    tracing::warn!(error = %supervision::error_chain(&second), sandbox = id, "a failed sandbox is not wholly taken down");
                }
                remove_file(self.layout.sandbox_record(&id))?;
                return Err(error);
            }
        };
        sandbox_record.ips = ips;
        sandbox_record.ready = true;
        record::write(&self.layout.sandbox_record(&id), &sandbox_record)?;
        let mut sandbox = Sandbox::new(sandbox_record, true);
        sandbox.shim = Some(shim);
        self.state().sandboxes.insert(id.clone(), sandbox);
        self.emit(ContainerEventType::ContainerCreatedEvent, &id, &id);
        self.emit(ContainerEventType::ContainerStartedEvent, &id, &id);
        Ok(id)
    }

    /// Makes what the machine holds for a sandbox. The shim starts meanwhile.
    async fn build_sandbox(&self, sandbox: &SandboxRecord) -> Result<(Vec<String>, Arc<ShimClient>), RuntimeError> {
        let directory = self.layout.sandbox_run(&sandbox.id);
        fs::create_dir_all(&directory).map_err(|source| RuntimeError::Directory {
            path: directory.clone(),
            source,
        })?;
        let starting = ShimClient::begin(&self.config, &directory)?;
        let built = self.build_around_shim(sandbox).await;
        starting.listening().await?;
        let shim = ShimClient::connect(
            &sandbox.id,
            &directory,
            self.shim_events.clone(),
            &self.parts.supervisor,
        )?;
        match built {
            Ok(ips) => Ok((ips, shim)),
            Err(error) => {
                // Nobody else knows of it yet.
                if let Err(second) = shim.ask(Action::Shutdown(Shutdown {})).await {
                    tracing::warn!(error = %supervision::error_chain(&second), sandbox = sandbox.id, "a shim is left without a sandbox");
                }
                Err(error)
            }
        }
    }

    async fn build_around_shim(&self, sandbox: &SandboxRecord) -> Result<Vec<String>, RuntimeError> {
        let config = sandbox.config.clone().unwrap_or_default();
        let wanted = wanted_namespaces(&config);
        let files = self.namespaces(&sandbox.id);
        files.make(&wanted)?;
        self.write_pod_files(&sandbox.id, &config, &wanted)?;
        if !config.log_directory.is_empty() {
            let path = PathBuf::from(&config.log_directory);
            fs::create_dir_all(&path).map_err(|source| RuntimeError::Directory { path, source })?;
        }
        // Weights are never wrong at the pod's level; the limits there are the kubelet's own business.
        let asked = config
            .linux
            .clone()
            .and_then(|linux| linux.resources)
            .unwrap_or_default();
        let weights = v1::LinuxContainerResources {
            cpu_shares: asked.cpu_shares,
            ..Default::default()
        };
        self.cgroups.make(&pod_cgroup(sandbox), &weights)?;
        self.attach_network(sandbox, &wanted).await
    }

    async fn attach_network(
        &self,
        sandbox: &SandboxRecord,
        wanted: &PodNamespaces,
    ) -> Result<Vec<String>, RuntimeError> {
        if !wanted.network {
            return Ok(Vec::new());
        }
        let config = sandbox.config.clone().unwrap_or_default();
        let metadata = config.metadata.unwrap_or_default();
        let request = PodNetworkRequest {
            sandbox_id: &sandbox.id,
            namespace: &metadata.namespace,
            name: &metadata.name,
            uid: &metadata.uid,
            netns_path: &self.namespaces(&sandbox.id).network(),
            hostname: &wanted.hostname,
            ports: &config.port_mappings,
        };
        let addresses = self.parts.network.attach(request).await;
        let addresses = addresses.map_err(|source| RuntimeError::Network {
            sandbox_id: sandbox.id.clone(),
            source,
        })?;
        Ok(addresses.ips.iter().map(ToString::to_string).collect())
    }

    /// The files that containers get in /etc unless they mount their own.
    fn write_pod_files(
        &self,
        sandbox_id: &str,
        config: &v1::PodSandboxConfig,
        wanted: &PodNamespaces,
    ) -> Result<(), RuntimeError> {
        let directory = self.layout.sandbox_run(sandbox_id);
        let hosts = if wanted.network {
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n".to_owned()
        } else {
            fs::read_to_string("/etc/hosts").unwrap_or_default()
        };
        let resolver = config.dns_config.as_ref().map_or_else(
            || fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
            resolver_text,
        );
        for (name, text) in [
            ("hosts", hosts),
            ("hostname", format!("{}\n", wanted.hostname)),
            ("resolv.conf", resolver),
        ] {
            let path = directory.join(name);
            fs::write(&path, text).map_err(|source| RuntimeError::Directory { path, source })?;
        }
        Ok(())
    }

    /// Those files, as container path and machine path.
    pub(super) fn pod_files(&self, sandbox_id: &str) -> Vec<(String, String)> {
        let directory = self.layout.sandbox_run(sandbox_id);
        ["hosts", "hostname", "resolv.conf"]
            .map(|name| (format!("/etc/{name}"), directory.join(name).display().to_string()))
            .into()
    }

    /// Stops a sandbox and what runs in it. One that is not there is stopped.
    pub async fn stop_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let Some((id, turn)) = self.turn_of(id) else {
            return Ok(());
        };
        let _turn = turn.lock().await;
        self.stop_sandbox_in_turn(&id).await
    }

    fn turn_of(&self, id: &str) -> Option<(String, Arc<tokio::sync::Mutex<()>>)> {
        let state = self.state();
        state
            .sandbox(id)
            .ok()
            .map(|sandbox| (sandbox.record.id.clone(), Arc::clone(&sandbox.turn)))
    }

    async fn stop_sandbox_in_turn(&self, id: &str) -> Result<(), RuntimeError> {
        let (mut sandbox_record, shim) = {
            let state = self.state();
            let sandbox = state.sandbox(id)?;
            (sandbox.record.clone(), sandbox.shim.clone())
        };
        let first = !sandbox_record.stopped;
        if first {
            sandbox_record.stopped = true;
            record::write(&self.layout.sandbox_record(id), &sandbox_record)?;
            if let Some(sandbox) = self.state().sandboxes.get_mut(id) {
                sandbox.record = sandbox_record.clone();
            }
        }
        let running: Vec<String> = self
            .state()
            .containers_of(id)
            .filter(|container| container.state() == v1::ContainerState::ContainerRunning)
            .map(|container| container.record.id.clone())
            .collect();
        for container in running {
            self.kill_container(&container).await?;
        }
        self.take_down(&sandbox_record, shim).await?;
        if let Some(sandbox) = self.state().sandboxes.get_mut(id) {
            sandbox.alive = false;
            sandbox.shim = None;
        }
        if first {
            self.emit(ContainerEventType::ContainerStoppedEvent, id, id);
        }
        Ok(())
    }

    /// Takes away everything that the machine holds for a sandbox. May be repeated.
    pub(super) async fn take_down(
        &self,
        sandbox: &SandboxRecord,
        shim: Option<Arc<ShimClient>>,
    ) -> Result<(), RuntimeError> {
        if let Some(shim) = shim
            && let Err(error) = shim.ask(Action::Shutdown(Shutdown {})).await
        {
            tracing::debug!(error = %supervision::error_chain(&error), sandbox = sandbox.id, "the shim has gone already");
        }
        let detached = self.parts.network.detach(&sandbox.id).await;
        detached.map_err(|source| RuntimeError::Network {
            sandbox_id: sandbox.id.clone(),
            source,
        })?;
        self.namespaces(&sandbox.id).release()?;
        if let Err(error) = self.cgroups.remove(&pod_cgroup(sandbox)) {
            // Containers that ended are removed later, and their cgroups with them.
            tracing::debug!(error = %supervision::error_chain(&error), "the pod's cgroup stays for now");
        }
        Ok(())
    }

    /// Removes a sandbox with its containers. One that is not there is removed.
    pub async fn remove_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let Some((id, turn)) = self.turn_of(id) else {
            return Ok(());
        };
        let _turn = turn.lock().await;
        if self.state().sandbox(&id).is_err() {
            return Ok(());
        }
        self.stop_sandbox_in_turn(&id).await?;
        let containers: Vec<String> = self
            .state()
            .containers_of(&id)
            .map(|container| container.record.id.clone())
            .collect();
        for container in containers {
            self.delete_container(&container).await?;
        }
        let sandbox_record = self.state().sandbox(&id)?.record.clone();
        self.cgroups.remove(&pod_cgroup(&sandbox_record))?;
        remove_file(self.layout.sandbox_record(&id))?;
        self.emit(ContainerEventType::ContainerDeletedEvent, &id, &id);
        self.state().sandboxes.remove(&id);
        Ok(())
    }
}

/// resolv.conf(5).
fn resolver_text(dns: &v1::DnsConfig) -> String {
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text.push_str(&format!("search {}\n", dns.searches.join(" ")));
    }
    for server in &dns.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !dns.options.is_empty() {
        text.push_str(&format!("options {}\n", dns.options.join(" ")));
    }
    text
}

pub(super) fn remove_file(path: PathBuf) -> Result<(), RuntimeError> {
    match fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(RuntimeError::Remove { path, source }),
        _ => Ok(()),
    }
}
