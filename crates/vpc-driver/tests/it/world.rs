//! Namespaces for tests: a VPC with machines and pods whose namespaces are held by threads of the test.
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};

use clock::SystemClock;
use nix::sched::{CloneFlags, setns, unshare};
use vpc_driver::{
    Fabric, FabricSpec, InstanceLink, MachineNamespace, MachineNetwork, MachineNetworkSpec, PodAddresses, PodAttachment,
};

pub fn v4(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// Whether namespaces can be made here. In CI they must be.
pub fn available() -> bool {
    let made = std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET)).join().unwrap();
    match made {
        Ok(()) => true,
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: no network namespace can be made: {error}");
            false
        }
        Err(error) => panic!("no network namespace can be made: {error}"),
    }
}

/// Whether the nft program is here, which only some tests use to check.
pub fn has_nft() -> bool {
    Command::new("nft").arg("--version").output().is_ok()
}

/// An address of the host itself that is not loopback, if it has one. Nothing is sent.
pub fn host_address() -> Option<Ipv4Addr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").ok()?;
    match socket.local_addr().unwrap().ip() {
        std::net::IpAddr::V4(address) => Some(address),
        std::net::IpAddr::V6(_) => None,
    }
}

/// Runs nft in the calling thread's namespace.
pub fn nft(commands: &str) {
    let output = Command::new("nft").arg(commands).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A shell command in a namespace; its output.
pub fn shell(namespace: &Namespace, command: &str) -> String {
    let command = command.to_owned();
    namespace.run(move || {
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert!(
            output.status.success(),
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    })
}

/// A network namespace of its own.
#[derive(Clone)]
pub struct Namespace(Arc<OwnedFd>);

impl Namespace {
    pub fn new() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            OwnedFd::from(std::fs::File::open("/proc/thread-self/ns/net").unwrap())
        };
        Self(Arc::new(std::thread::spawn(make).join().unwrap()))
    }

    pub fn file(&self) -> OwnedFd {
        self.0.try_clone().unwrap()
    }

    pub fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        let file = self.file();
        let (answer, outcome) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            setns(file.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
            answer.send(job()).unwrap();
        });
        let result = outcome.recv();
        thread.join().unwrap();
        result.unwrap()
    }

    pub fn path(&self) -> String {
        format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            std::os::fd::AsRawFd::as_raw_fd(&*self.0)
        )
    }
}

pub fn fabric_spec(vpc_id: &str, cidr: &str) -> FabricSpec {
    FabricSpec {
        vpc_id: vpc_id.into(),
        cidrs: vec![cidr.parse().unwrap()],
        local_addresses: vec![v4("10.0.0.5"), v4("10.0.0.2")],
    }
}

static NEXT: AtomicU32 = AtomicU32::new(1);

fn next() -> u32 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// One VPC.
pub struct World {
    pub fabric: Fabric,
}

impl World {
    pub async fn new(cidr: &str) -> Self {
        let vpc_id = format!("vpc-{:017x}", next());
        Self {
            fabric: Fabric::create(fabric_spec(&vpc_id, cidr)).await.unwrap(),
        }
    }

    pub async fn machine(&self, address: Ipv4Addr) -> Machine {
        self.machine_with(address, 5).await
    }

    pub async fn machine_with(&self, address: Ipv4Addr, pods: u32) -> Machine {
        let pod_addresses: Vec<_> = (1..=pods)
            .map(|offset| Ipv4Addr::from(u32::from(address) + offset))
            .collect();
        let namespace = Namespace::new();
        let dir = tempfile::tempdir().unwrap();
        let spec = MachineNetworkSpec {
            state_dir: dir.path().to_owned(),
            namespace: namespace.path().into(),
            pod_addresses: pod_addresses.clone(),
            clock: Arc::new(SystemClock),
        };
        let network = MachineNetwork::open(spec).await.unwrap();
        let eni_id = format!("eni-{:017x}", next());
        let machine = Machine {
            eni_id,
            address,
            pod_addresses,
            namespace,
            network,
            _dir: dir,
        };
        self.attach(&machine).await;
        machine
    }

    pub async fn attach(&self, machine: &Machine) {
        self.fabric.attach_instance(machine.link()).await.unwrap();
    }
}

/// One instance.
pub struct Machine {
    pub eni_id: String,
    pub address: Ipv4Addr,
    pub pod_addresses: Vec<Ipv4Addr>,
    pub namespace: Namespace,
    pub network: MachineNetwork,
    _dir: tempfile::TempDir,
}

/// One pod.
pub struct Pod {
    pub namespace: Namespace,
    pub addresses: PodAddresses,
}

impl Machine {
    pub fn link(&self) -> InstanceLink {
        InstanceLink {
            eni_id: self.eni_id.clone(),
            address: self.address,
            namespace: MachineNamespace::File(self.namespace.file()),
            pod_addresses: self.pod_addresses.clone(),
        }
    }

    pub fn attachment(&self, sandbox_id: &str, namespace: &Namespace) -> PodAttachment {
        PodAttachment {
            sandbox_id: sandbox_id.into(),
            namespace: "default".into(),
            name: sandbox_id.into(),
            uid: format!("uid-{sandbox_id}"),
            netns_path: namespace.path().into(),
            host_ports: Vec::new(),
        }
    }

    pub async fn pod(&self, sandbox_id: &str) -> Pod {
        let namespace = Namespace::new();
        let addresses = self
            .network
            .attach(self.attachment(sandbox_id, &namespace))
            .await
            .unwrap();
        Pod { namespace, addresses }
    }
}
