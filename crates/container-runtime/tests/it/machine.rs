//! A machine of a test's own: first process, runtime and shims in fresh namespaces; all of it ends with the test.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cri_api::v1;
use cri_api::v1::runtime_service_client::RuntimeServiceClient;
use supervision::wait_until;
use tonic::Status;
use tonic::transport::Channel;

/// More than anything here takes on a busy computer.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A running machine and a client of its runtime.
pub struct Machine {
    pub client: RuntimeServiceClient<Channel>,
    pub directory: tempfile::TempDir,
    cgroup: Option<String>,
    first: Child,
}

impl Machine {
    /// With cgroups, as root; `None` (after saying why) where that cannot be.
    pub async fn start() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "these tests need root");
            println!("skipped: not root");
            return None;
        }
        let layer = super::image::layer()?;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let cgroup = format!(
            "/ondol-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let mut command = Command::new("/proc/self/exe");
        Some(Self::launch(&mut command, tempfile::tempdir().unwrap(), &layer, Some(cgroup)).await)
    }

    /// `command` is what runs this binary; its role and directory are appended.
    pub async fn launch(
        command: &mut Command,
        directory: tempfile::TempDir,
        layer: &Path,
        cgroup: Option<String>,
    ) -> Self {
        let path = directory.path();
        for name in ["run", "root", "logs"] {
            std::fs::create_dir_all(path.join(name)).unwrap();
        }
        std::fs::write(path.join("layer"), layer.to_str().unwrap()).unwrap();
        std::fs::write(path.join("cgroup"), cgroup.clone().unwrap_or_default()).unwrap();
        let first = command
            .arg("role-machine")
            .arg(path)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let client = RuntimeServiceClient::new(cri_api::connect(&path.join("cri.sock")));
        let mut machine = Self {
            client,
            directory,
            cgroup,
            first,
        };
        machine.wait_served().await;
        machine
    }

    /// Waits until the runtime answers.
    pub async fn wait_served(&mut self) {
        let client = self.client.clone();
        wait_until("the runtime answers", LIMIT, || {
            let mut client = client.clone();
            async move {
                client
                    .version(v1::VersionRequest::default())
                    .await
                    .map_err(|status| status.message().to_owned())
            }
        })
        .await
        .unwrap();
    }

    /// A pod with the defaults.
    pub async fn pod(&mut self, name: &str) -> Pod {
        let config = self.pod_config(name);
        self.pod_with(config).await
    }

    pub fn pod_config(&self, name: &str) -> v1::PodSandboxConfig {
        v1::PodSandboxConfig {
            metadata: Some(v1::PodSandboxMetadata {
                name: name.to_owned(),
                uid: format!("{name}-uid"),
                namespace: "default".to_owned(),
                attempt: 0,
            }),
            hostname: name.to_owned(),
            log_directory: self.directory.path().join("logs").join(name).display().to_string(),
            dns_config: Some(v1::DnsConfig {
                servers: vec!["10.100.0.10".to_owned()],
                searches: vec!["svc.cluster.local".to_owned()],
                options: vec!["ndots:5".to_owned()],
            }),
            linux: Some(v1::LinuxPodSandboxConfig {
                cgroup_parent: format!("/kubepods/pod{name}"),
                security_context: Some(v1::LinuxSandboxSecurityContext {
                    namespace_options: Some(pid_of_its_own()),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    pub async fn pod_with(&mut self, config: v1::PodSandboxConfig) -> Pod {
        let request = v1::RunPodSandboxRequest {
            config: Some(config.clone()),
            ..Default::default()
        };
        let id = self
            .client
            .run_pod_sandbox(request)
            .await
            .unwrap()
            .into_inner()
            .pod_sandbox_id;
        Pod { id, config }
    }

    /// The runtime's process, as the machine numbers it.
    pub fn kill_runtime(&self) {
        let inner = std::fs::read_to_string(self.directory.path().join("runtime.pid")).unwrap();
        let outer = self.outer_pid(inner.parse().unwrap()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(outer), nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    /// The shims' processes, as this computer numbers them.
    pub fn shims(&self) -> Vec<i32> {
        let directory = self.directory.path().display().to_string();
        let command = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        self.processes()
            .into_iter()
            .filter(|pid| command(*pid).contains("role-shim") && command(*pid).contains(&directory))
            .collect()
    }

    fn outer_pid(&self, inner: i32) -> Option<i32> {
        self.processes().into_iter().find(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status
                .lines()
                .find_map(|line| line.strip_prefix("NSpid:"))
                .is_some_and(|pids| pids.split_whitespace().nth(1) == Some(&inner.to_string()))
        })
    }

    /// All processes of the machine, as this computer numbers them.
    pub fn processes(&self) -> Vec<i32> {
        let mut found = Vec::new();
        let mut parents = vec![self.first.id().cast_signed()];
        while let Some(parent) = parents.pop() {
            let children =
                std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
                found.push(child);
                parents.push(child);
            }
        }
        found
    }

    /// Cgroup directories that are left.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let Some(name) = &self.cgroup else { return Vec::new() };
        let roots = std::fs::read_dir("/sys/fs/cgroup")
            .unwrap()
            .filter_map(Result::ok)
            .map(|entry| entry.path().join(name.trim_matches('/')));
        roots
            .chain([Path::new("/sys/fs/cgroup").join(name.trim_matches('/'))])
            .filter(|path| path.exists())
            .collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.first.kill().unwrap();
        self.first.wait().unwrap();
        for cgroup in self.cgroups() {
            remove_tree(&cgroup);
        }
    }
}

/// Cgroup directories are removed one by one, from below; ended processes may take a moment to leave them.
fn remove_tree(directory: &Path) {
    for entry in std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
    {
        remove_tree(&entry.path());
    }
    let began = std::time::Instant::now();
    while std::fs::remove_dir(directory).is_err() && began.elapsed() < LIMIT {
        std::thread::yield_now();
    }
}

/// As the kubelet asks for by default.
pub fn pid_of_its_own() -> v1::NamespaceOption {
    v1::NamespaceOption {
        pid: v1::NamespaceMode::Container as i32,
        ..Default::default()
    }
}

/// A sandbox and what was asked for.
pub struct Pod {
    pub id: String,
    pub config: v1::PodSandboxConfig,
}

impl Pod {
    /// A shell script as a container.
    pub fn script(name: &str, script: &str) -> v1::ContainerConfig {
        v1::ContainerConfig {
            metadata: Some(v1::ContainerMetadata {
                name: name.to_owned(),
                attempt: 0,
            }),
            image: Some(v1::ImageSpec {
                image: "busybox".to_owned(),
                ..Default::default()
            }),
            command: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
            log_path: format!("{name}/0.log"),
            labels: HashMap::from([("name".to_owned(), name.to_owned())]),
            linux: Some(v1::LinuxContainerConfig {
                security_context: Some(v1::LinuxContainerSecurityContext {
                    namespace_options: Some(pid_of_its_own()),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// Creates and starts a container.
    pub async fn run(&self, machine: &mut Machine, config: v1::ContainerConfig) -> String {
        let id = self.create(machine, config).await.unwrap();
        machine
            .client
            .start_container(v1::StartContainerRequest {
                container_id: id.clone(),
            })
            .await
            .unwrap();
        id
    }

    pub async fn create(&self, machine: &mut Machine, config: v1::ContainerConfig) -> Result<String, Status> {
        let request = v1::CreateContainerRequest {
            pod_sandbox_id: self.id.clone(),
            config: Some(config),
            sandbox_config: Some(self.config.clone()),
        };
        Ok(machine
            .client
            .create_container(request)
            .await?
            .into_inner()
            .container_id)
    }

    /// The texts that a container logged, with their streams: `stdout F text`.
    pub fn log(&self, name: &str) -> String {
        let text = std::fs::read_to_string(Path::new(&self.config.log_directory).join(name).join("0.log")).unwrap();
        text.split_terminator('\n')
            .map(|line| format!("{}\n", line.split_once(' ').unwrap().1))
            .collect()
    }

    /// Runs a script to its end; its exit status and its log.
    pub async fn script_to_end(
        &self,
        machine: &mut Machine,
        config: v1::ContainerConfig,
    ) -> (v1::ContainerStatus, String) {
        let name = config.metadata.clone().unwrap().name;
        let id = self.run(machine, config).await;
        let status = machine.wait_exited(&id).await;
        (status, self.log(&name))
    }
}

impl Machine {
    pub async fn status(&mut self, id: &str) -> v1::ContainerStatus {
        let request = v1::ContainerStatusRequest {
            container_id: id.to_owned(),
            ..Default::default()
        };
        self.client
            .container_status(request)
            .await
            .unwrap()
            .into_inner()
            .status
            .unwrap()
    }

    /// Waits until a container has ended.
    pub async fn wait_exited(&mut self, id: &str) -> v1::ContainerStatus {
        let client = self.client.clone();
        wait_until("the container ends", LIMIT, || {
            let mut client = client.clone();
            let request = v1::ContainerStatusRequest {
                container_id: id.to_owned(),
                ..Default::default()
            };
            async move {
                let status = client
                    .container_status(request)
                    .await
                    .map_err(|status| status.message().to_owned())?;
                let status = status.into_inner().status.unwrap();
                if status.state() == v1::ContainerState::ContainerExited {
                    Ok(status)
                } else {
                    Err(status.state().as_str_name().to_owned())
                }
            }
        })
        .await
        .unwrap()
    }

    /// Runs a command in a container: exit code, standard output, standard error.
    pub async fn exec(&mut self, id: &str, script: &str) -> (i32, String, String) {
        let cmd = vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()];
        let request = v1::ExecSyncRequest {
            container_id: id.to_owned(),
            cmd,
            timeout: 20,
        };
        let done = self.client.exec_sync(request).await.unwrap().into_inner();
        (
            done.exit_code,
            String::from_utf8(done.stdout).unwrap(),
            String::from_utf8(done.stderr).unwrap(),
        )
    }
}
