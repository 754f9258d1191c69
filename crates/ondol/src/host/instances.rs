//! Instances: directories, machines, and their links to the VPC.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws_api::host::{HostError, HostErrorKind, InstanceRef, InstanceSpec, InstanceState, ObservedInstance};
use aws_types::InstanceId;
use machine_driver::cgroup::{Limits, MachineGroup};
use machine_driver::{Machine, MachineSpec};
use vpc_driver::{InstanceLink, MachineNamespace};

use super::network::Network;
use super::{LocalHost, failed};
use crate::machine::MachineConfig;

/// The file in a machine's directory that says which instance it is.
pub(crate) const INSTANCE: &str = "instance.json";

impl LocalHost {
    /// Starts an instance, or takes up one that runs.
    pub(super) async fn launch(&self, spec: InstanceSpec) -> Result<(), HostError> {
        if self.simulated {
            return self.simulate(&spec).await;
        }
        let object = spec.id.to_string();
        let directory = self.home.machine(&spec.id);
        let running = Machine::find(&directory).map_err(failed("find the machine", &object))?;
        let machine = match running {
            Some(machine) => machine,
            None if directory.join(INSTANCE).exists() => return Err(lost(&object)),
            None => self.start_machine(&spec, &directory).await?,
        };
        self.connect(&spec, &machine).await?;
        self.watch(&spec, machine);
        self.tell(&spec, InstanceState::Running, None);
        Ok(())
    }

    async fn start_machine(&self, spec: &InstanceSpec, directory: &Path) -> Result<Machine, HostError> {
        let object = spec.id.to_string();
        let cluster = self.cluster(&spec.cluster)?;
        let limits = limits_of(spec)?;
        fs::create_dir_all(directory).map_err(failed("make the directory", &object))?;
        let group = format!("{}/{}", self.tag, spec.id);
        let config = MachineConfig::of(self, &cluster, spec, &limits, MachineGroup::named(&group).path())?;
        write_json(&directory.join("config.json"), &config).map_err(failed("write the configuration", &object))?;
        // Written last: from now on the id is used up, whatever becomes of the machine.
        write_json(&directory.join(INSTANCE), spec).map_err(failed("write the record", &object))?;
        let launch = MachineSpec {
            directory: directory.to_path_buf(),
            program: std::env::current_exe().map_err(failed("find the program", &object))?,
            arguments: vec!["machine".to_owned(), directory.display().to_string()],
            host_name: spec.node_name.clone(),
            group,
            limits,
        };
        let namespace = match &cluster.network {
            Network::Vpc(fabric) => Some(fabric.netns_fd()),
            Network::Simulated(_) => None,
        };
        machine_driver::launch(&launch, namespace)
            .await
            .map_err(failed("start the machine", &object))
    }

    async fn connect(&self, spec: &InstanceSpec, machine: &Machine) -> Result<(), HostError> {
        let object = spec.id.to_string();
        let cluster = self.cluster(&spec.cluster)?;
        let Network::Vpc(fabric) = &cluster.network else {
            return Ok(());
        };
        let pid = i32::try_from(machine.pid).map_err(failed("name the process", &object))?;
        let link = InstanceLink {
            eni_id: spec.eni.to_string(),
            address: spec.address,
            namespace: MachineNamespace::Process(pid),
            pod_addresses: spec.pod_addresses.clone(),
        };
        fabric
            .attach_instance(link)
            .await
            .map_err(failed("connect to the VPC", &object))
    }

    /// Tells the region when the machine ends, whoever ended it.
    fn watch(&self, spec: &InstanceSpec, machine: Machine) {
        if !self.watched().insert(spec.id.clone()) {
            return;
        }
        let (host, spec) = (self.clone(), spec.clone());
        self.supervisor
            .spawn_until_cancelled(format!("watch {}", spec.id), async move {
                let reason = match machine.exited().await {
                    Ok(()) => "its first process ended".to_owned(),
                    Err(error) => supervision::error_chain(&error),
                };
                host.watched().remove(&spec.id);
                host.tell(&spec, InstanceState::Terminated, Some(reason));
            });
    }

    pub(super) fn tell(&self, spec: &InstanceSpec, state: InstanceState, reason: Option<String>) {
        let instance = InstanceRef {
            cluster: spec.cluster.clone(),
            id: spec.id.clone(),
        };
        // Nobody listens before the region has opened; it looks for itself then.
        self.events
            .send(ObservedInstance {
                instance,
                state,
                reason,
            })
            .ok();
    }

    /// Ends an instance and removes everything of it.
    pub(super) async fn terminate(&self, instance: InstanceRef) -> Result<(), HostError> {
        let object = instance.id.to_string();
        let directory = self.home.machine(&instance.id);
        if let Some(machine) = Machine::find(&directory).map_err(failed("find the machine", &object))? {
            machine.terminate().await.map_err(failed("end the machine", &object))?;
        }
        let spec: Option<InstanceSpec> =
            read_json(&directory.join(INSTANCE)).map_err(failed("read the record", &object))?;
        // A control plane that is there but does not run yet has the Node of the instance: forgetting that would leave it to a later instance.
        let has_cluster = |spec: &&InstanceSpec| {
            let cluster = &spec.cluster;
            self.home.cluster(cluster).exists()
        };
        if let Some(spec) = spec.as_ref().filter(has_cluster) {
            let cluster = self.cluster(&spec.cluster)?;
            match &cluster.network {
                Network::Vpc(fabric) => fabric
                    .detach_instance(spec.eni.as_str())
                    .await
                    .map_err(failed("disconnect from the VPC", &object))?,
                Network::Simulated(_) => cluster.end_simulated(spec).await,
            }
            cluster
                .delete_node(&spec.node_name)
                .await
                .map_err(failed("delete the Node", &object))?;
        }
        self.remove_group(instance.id.as_str()).await?;
        match fs::remove_dir_all(&directory) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("remove the directory", &object)(error)),
        }
    }

    /// The kernel takes a moment to empty a group after its last process was killed.
    async fn remove_group(&self, instance: &str) -> Result<(), HostError> {
        let group = MachineGroup::named(&format!("{}/{instance}", self.tag));
        let removed = supervision::wait_until("control group removed", super::PATIENCE, async || {
            group.remove().map_err(|error| supervision::error_chain(&error))
        });
        removed.await.map_err(failed("remove the control group", instance))
    }

    /// Those of the instances that run, by looking at their directories and processes.
    pub(super) fn running_of(&self, instances: BTreeSet<InstanceId>) -> Result<BTreeSet<InstanceId>, HostError> {
        let mut running = BTreeSet::new();
        for id in instances {
            let directory = self.home.machine(&id);
            // A directory without a record is a launch that was cut off before the id was used up; a simulated instance is its
            // record, and lives until it is terminated.
            let runs = directory.join(INSTANCE).exists()
                && (self.simulated
                    || Machine::find(&directory)
                        .map_err(failed("find the machine", id.as_str()))?
                        .is_some());
            if runs {
                running.insert(id);
            }
        }
        Ok(running)
    }

    /// The first processes of all machines that run.
    pub(super) fn machine_pids(&self) -> Result<Vec<u32>, HostError> {
        let mut pids = Vec::new();
        for directory in self.machine_directories()? {
            let found =
                Machine::find(&directory).map_err(failed("find the machine", &directory.display().to_string()))?;
            pids.extend(found.map(|machine| machine.pid));
        }
        Ok(pids)
    }

    pub(super) fn machine_directories(&self) -> Result<Vec<PathBuf>, HostError> {
        let machines = self.home.machines();
        let entries = match fs::read_dir(&machines) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("list", &machines.display().to_string())(error)),
        };
        let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
        let mut paths = paths.map_err(failed("list", &machines.display().to_string()))?;
        paths.sort();
        Ok(paths)
    }
}

/// How big an instance is.
pub(super) fn limits_of(spec: &InstanceSpec) -> Result<Limits, HostError> {
    if let Some(size) = spec.size {
        return Ok(Limits {
            processors: size.millicpus.div_ceil(1000),
            memory_bytes: u64::from(size.memory_mib) << 20,
        });
    }
    let shape = aws_types::instance_type::find(&spec.instance_type);
    let unknown = || HostError {
        kind: HostErrorKind::Permanent,
        ..failed("size the machine", spec.id.as_str())(format!("unknown instance type {:?}", spec.instance_type))
    };
    let shape = shape.ok_or_else(unknown)?;
    Ok(Limits {
        processors: shape.vcpus,
        memory_bytes: shape.memory_mib << 20,
    })
}

fn lost(object: &str) -> HostError {
    HostError {
        kind: HostErrorKind::InstanceLost,
        step: "start the machine",
        object: object.to_owned(),
        source: "the instance ran before and is gone".into(),
    }
}

/// Replaces a file whole.
pub(crate) fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let partial = path.with_extension("partial");
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&partial)?;
    file.write_all(&serde_json::to_vec_pretty(value)?)?;
    file.sync_all()?;
    fs::rename(&partial, path)
}

/// Reads a file that may not be there.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
