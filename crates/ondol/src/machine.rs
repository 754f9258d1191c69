//! The processes of a machine: its first one, its container runtime, its node agent.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aws_api::host::{HostError, InstanceSpec};
use clock::{SystemClock, SystemRandom};
use cri_api::v1;
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Taint;
use machine_driver::cgroup::Limits;
use machine_driver::init::{self, ChildSpec};
use network_agent::host_ports::{HostPorts, HostPortsError};
use serde::{Deserialize, Serialize};
use service_routing::host_ports::HostPort;
use service_routing::ruleset::Protocol;
use supervision::Supervisor;
use vpc_driver::{MachineNetwork, MachineNetworkSpec, PodAttachment, PodPort};

use crate::failure::Failure;
use crate::host::{Cluster, LocalHost, read_json};

/// What vanishes with a machine is here, on its own memory file system.
const RUN: &str = "/run/ondol";

/// Bytes of an instance's root volume, as managed node groups have it unless told otherwise (20 GiB).
const ROOT_VOLUME: u64 = 20 << 30;

/// All that a machine's processes are told. Written by the region process before the machine starts.
#[derive(Serialize, Deserialize)]
pub struct MachineConfig {
    /// The node agent's own configuration.
    agent: node_agent::Config,
    /// Where the API server is, inside the VPC.
    endpoint: String,
    /// Who signed its certificate, PEM.
    authority_pem: String,
    /// The node's identity (`system:node:…`), PEM.
    certificate_pem: String,
    /// Its key, PEM.
    key_pem: String,
    /// The VPC's resolver.
    resolver: Ipv4Addr,
    /// The domain of instances' names.
    search_domain: String,
    /// What pods get their addresses from.
    pod_addresses: Vec<Ipv4Addr>,
    /// The image store.
    images: PathBuf,
    /// The machine's control group, if there is one.
    control_group: Option<PathBuf>,
    /// Who keeps the service rules of a node without kube-proxy's pod: certificate and key, PEM.
    #[serde(default)]
    proxy: Option<(String, String)>,
}

impl MachineConfig {
    /// What an instance's machine is to be told.
    pub(crate) fn of(
        host: &LocalHost,
        cluster: &Cluster,
        spec: &InstanceSpec,
        limits: &Limits,
        control_group: Option<PathBuf>,
    ) -> Result<Self, HostError> {
        let identity = cluster.node_identity(&spec.node_name)?;
        let agent = agent_config(host, cluster, spec, limits)?;
        let region = spec.cluster.region.to_string();
        Ok(Self {
            agent,
            endpoint: cluster.inner_endpoint(),
            authority_pem: cluster.authority_pem().to_owned(),
            certificate_pem: identity.certificate_pem,
            key_pem: identity.key_pem,
            resolver: cluster.resolver(),
            search_domain: service_routing::names::vpc::instance_domain(&region),
            pod_addresses: spec.pod_addresses.clone(),
            images: host.home().images(),
            control_group,
            // A Fargate node has room for its pod only.
            proxy: match spec.size {
                None => None,
                Some(_) => {
                    let identity = cluster.proxy_identity(&spec.node_name)?;
                    Some((identity.certificate_pem, identity.key_pem))
                }
            },
        })
    }

    fn read(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join("config.json");
        let config = read_json(&path).map_err(Failure::of("read the machine's configuration"))?;
        config.ok_or_else(|| {
            Failure::new(
                "read the machine's configuration",
                io::Error::other(format!("{} is missing", path.display())),
            )
        })
    }
}

/// What an instance's node agent is to be told.
pub(crate) fn agent_config(
    host: &LocalHost,
    cluster: &Cluster,
    spec: &InstanceSpec,
    limits: &Limits,
) -> Result<node_agent::Config, HostError> {
    let directory = host.home().machine(&spec.id);
    let serving = cluster.node_serving(spec)?;
    let taints = spec.taints.iter().map(|taint| Taint {
        key: taint.key.clone(),
        value: (!taint.value.is_empty()).then(|| taint.value.clone()),
        effect: taint.effect.clone(),
        time_added: None,
    });
    let enforcement = host.enforcement();
    Ok(node_agent::Config {
        node_name: spec.node_name.clone(),
        instance: instance_of(spec),
        labels: spec.labels.clone(),
        taints: taints.collect(),
        capacity: node_agent::Capacity {
            cpus: limits.processors,
            memory_bytes: limits.memory_bytes,
            ephemeral_storage_bytes: ROOT_VOLUME,
            max_pods: spec.max_pods,
        },
        limits: node_agent::Limits {
            memory: enforcement.memory,
            cpu: enforcement.processors,
            // The Node says itself that they are not.
            reason: enforcement.reason.replacen("limits are not enforced: ", "", 1),
        },
        cluster_dns: vec![IpAddr::V4(cluster.dns_address())],
        cluster_domain: "cluster.local".to_owned(),
        cri_socket: cri_socket(),
        root_dir: directory.join("kubelet"),
        pod_log_dir: directory.join("log-pods"),
        resolv_conf: (!host.is_simulated()).then(resolver_file),
        kubelet_version: match &*spec.kubernetes_version {
            "" => format!("v{}", cluster.git_version()),
            own => format!("v{own}"),
        },
        os_image: format!("Ondol {}", env!("CARGO_PKG_VERSION")),
        serving: Some(node_agent::Serving {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 10250)),
            certificate_pem: serving.certificate_pem,
            key_pem: serving.key_pem,
            client_ca_pem: cluster.authority_pem().to_owned(),
        }),
        simulated: host.is_simulated(),
    })
}

/// What the instance metadata service tells a kubelet on EC2.
fn instance_of(spec: &InstanceSpec) -> node_agent::Instance {
    node_agent::Instance {
        instance_id: spec.id.to_string(),
        instance_type: spec.instance_type.clone(),
        region: spec.cluster.region.to_string(),
        zone: spec.subnet.zone.to_string(),
        zone_id: None,
        private_ip: IpAddr::V4(spec.address),
        public_ip: None,
        private_dns_name: spec.node_name.clone(),
        node_group: spec.nodegroup.as_ref().map(ToString::to_string),
        image_id: None,
        capacity_type: None,
    }
}

fn cri_socket() -> PathBuf {
    Path::new(RUN).join("cri.sock")
}

fn resolver_file() -> PathBuf {
    Path::new(RUN).join("resolv.conf")
}

/// `ondol machine <directory>`: process 1 of the machine.
pub fn first_process(directory: &Path) -> Result<(), Failure> {
    let config = MachineConfig::read(directory)?;
    init::prepare().map_err(Failure::of("prepare the machine"))?;
    fs::create_dir_all(RUN).map_err(Failure::of("make /run/ondol"))?;
    write_resolver(&config).map_err(Failure::of("write the resolver's configuration"))?;
    let program = std::env::current_exe().map_err(Failure::of("find the program"))?;
    let child = |name: &'static str| ChildSpec {
        name,
        program: program.clone(),
        arguments: vec![name.to_owned(), directory.display().to_string()],
    };
    let proxy = config.proxy.is_some().then(|| child("machine-proxy"));
    let own = [child("machine-runtime"), child("machine-agent")];
    init::run(own.into_iter().chain(proxy).collect()).map_err(Failure::of("keep the machine's processes alive"))
}

/// Names are resolved by the VPC's resolver; what the host uses is not reachable from here.
fn write_resolver(config: &MachineConfig) -> io::Result<()> {
    let text = format!("search {}\nnameserver {}\n", config.search_domain, config.resolver);
    fs::write(resolver_file(), text)?;
    let system = Path::new("/etc/resolv.conf");
    match fs::read_link(system) {
        // A link into /run, which is the machine's own and empty: what it leads to is made here.
        Ok(target) => {
            let target = Path::new("/etc").join(target);
            let target = normal(&target);
            if target.starts_with("/run") && !target.exists() {
                fs::create_dir_all(target.parent().unwrap_or(Path::new("/run")))?;
                symlink(resolver_file(), target)?;
                return Ok(());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_not_a_link) => {}
    }
    nix::mount::mount(
        Some(&resolver_file()),
        system,
        None::<&str>,
        nix::mount::MsFlags::MS_BIND,
        None::<&str>,
    )?;
    Ok(())
}

/// Takes `..` out of a path by its letters, since what it leads to may not exist.
fn normal(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// The machine's network as its runtime wants it.
struct PodNetwork {
    network: MachineNetwork,
    ports: Mutex<HostPorts>,
}

impl PodNetwork {
    /// With the ports of pods that are there already.
    fn new(network: MachineNetwork) -> Result<Self, HostPortsError> {
        let own = Self {
            network,
            ports: Mutex::default(),
        };
        own.open_ports()?;
        Ok(own)
    }

    /// Makes the machine's ports lead to the pods that want them.
    fn open_ports(&self) -> Result<(), HostPortsError> {
        let wanted = self.network.host_ports().into_iter().filter_map(|(address, port)| {
            let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
            Some(HostPort {
                protocol: protocols.into_iter().find(|known| known.number() == port.protocol)?,
                address: port.host_address,
                port: port.host_port,
                pod: SocketAddrV4::new(address, port.pod_port),
            })
        });
        let wanted = wanted.collect();
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).apply(wanted)
    }
}

/// A pod's ports as CRI writes them. Those of which no packet could speak are left out.
fn pod_port(mapping: &v1::PortMapping) -> Option<PodPort> {
    let protocol = match mapping.protocol() {
        v1::Protocol::Tcp => Protocol::Tcp,
        v1::Protocol::Udp => Protocol::Udp,
        v1::Protocol::Sctp => Protocol::Sctp,
    };
    // 0.0.0.0 is every address, as none is.
    let address: Option<Ipv4Addr> = mapping.host_ip.parse().ok();
    Some(PodPort {
        protocol: protocol.number(),
        host_address: address.filter(|address| !address.is_unspecified()),
        host_port: u16::try_from(mapping.host_port).ok().filter(|port| *port > 0)?,
        pod_port: u16::try_from(mapping.container_port).ok()?,
    })
}

impl container_runtime::PodNetwork for PodNetwork {
    fn attach<'a>(
        &'a self,
        request: container_runtime::PodNetworkRequest<'a>,
    ) -> BoxFuture<'a, Result<container_runtime::PodAddresses, container_runtime::NeighbourError>> {
        let pod = PodAttachment {
            sandbox_id: request.sandbox_id.to_owned(),
            namespace: request.namespace.to_owned(),
            name: request.name.to_owned(),
            uid: request.uid.to_owned(),
            netns_path: request.netns_path.to_path_buf(),
            host_ports: request.ports.iter().filter_map(pod_port).collect(),
        };
        async move {
            let wants_ports = !pod.host_ports.is_empty();
            let attached = self.network.attach(pod).await?;
            if wants_ports {
                self.open_ports()?;
            }
            Ok(container_runtime::PodAddresses {
                ips: vec![IpAddr::V4(attached.address)],
            })
        }
        .boxed()
    }

    fn detach<'a>(&'a self, sandbox_id: &'a str) -> BoxFuture<'a, Result<(), container_runtime::NeighbourError>> {
        async move {
            self.network.detach(sandbox_id).await?;
            // Nothing is done where nothing changed.
            Ok(self.open_ports()?)
        }
        .boxed()
    }

    fn not_ready(&self) -> Option<String> {
        None
    }
}

/// The image store as the runtime wants it.
struct Images(image_store::ImageStore);

impl container_runtime::Images for Images {
    fn rootfs(
        &self,
        reference: &str,
    ) -> Result<Option<container_runtime::ImageRootfs>, container_runtime::NeighbourError> {
        let Some(image) = self.0.resolve(reference)? else {
            return Ok(None);
        };
        Ok(Some(container_runtime::ImageRootfs {
            digest_reference: image.digest_reference().to_owned(),
            lower_dirs: self.0.lower_directories(&image),
            id: image.id,
            entrypoint: image.process.entrypoint,
            command: image.process.command,
            environment: image.process.environment,
            working_dir: image.process.working_directory,
            user: image.process.user,
            stop_signal: image.process.stop_signal,
        }))
    }
}

/// `ondol machine-runtime <directory>`: the CRI server.
pub async fn runtime(directory: &Path, supervisor: &Supervisor) -> Result<(), Failure> {
    let config = MachineConfig::read(directory)?;
    let clock = Arc::new(SystemClock);
    let store = image_store::ImageStore::open(&config.images).map_err(Failure::of("open the image store"))?;
    let network = MachineNetworkSpec {
        state_dir: Path::new(RUN).join("address-pool"),
        namespace: "/proc/self/ns/net".into(),
        pod_addresses: config.pod_addresses,
        clock: clock.clone(),
    };
    let network = MachineNetwork::open(network)
        .await
        .map_err(Failure::of("open the machine's network"))?;
    let parts = container_runtime::Parts {
        images: Arc::new(Images(store.clone())),
        network: Arc::new(PodNetwork::new(network).map_err(Failure::of("open the ports of pods"))?),
        clock: clock.clone(),
        random: Arc::new(SystemRandom),
        supervisor: supervisor.clone(),
    };
    let own = container_runtime::Config {
        root_dir: directory.join("runtime"),
        run_dir: Path::new(RUN).join("runtime"),
        socket: cri_socket(),
        shim_command: vec!["/proc/self/exe".into(), "shim".into()],
        cgroup_parent: config.control_group.map(|path| path.display().to_string()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let images = image_store::ImageService::new(store, clock);
    container_runtime::serve(own, parts, images)
        .await
        .map_err(Failure::of("serve the container runtime"))
}

/// `ondol machine-agent <directory>`: the node agent.
pub async fn agent(directory: &Path, supervisor: &Supervisor) -> Result<(), Failure> {
    let config = MachineConfig::read(directory)?;
    let credentials = kube_client::Credentials::ClientCertificate {
        certificate: config.certificate_pem,
        key: config.key_pem,
    };
    let client = kube_client::https_counted(&config.endpoint, &config.authority_pem, &credentials, "default")
        .map_err(Failure::of("reach the API server"))?;
    let served = node_agent::run(
        config.agent,
        client,
        Arc::new(SystemClock),
        Arc::new(SystemRandom),
        supervisor,
    );
    served.await.map_err(Failure::of("run the node agent"))
}

/// `ondol machine-proxy <directory>`: what kube-proxy does, on nodes that have no room for its pod.
pub async fn proxy(directory: &Path, supervisor: &Supervisor) -> Result<(), Failure> {
    let config = MachineConfig::read(directory)?;
    let (certificate, key) = config.proxy.unwrap_or_default();
    let credentials = kube_client::Credentials::ClientCertificate { certificate, key };
    let client = kube_client::https(&config.endpoint, &config.authority_pem, &credentials, "default")
        .map_err(Failure::of("reach the API server"))?;
    let own = network_agent::proxy::Config {
        node_name: config.agent.node_name,
        ..network_agent::proxy::Config::from_environment()
    };
    network_agent::proxy::run(own, client, supervisor)
        .await
        .map_err(Failure::of("keep the service rules"))
}
