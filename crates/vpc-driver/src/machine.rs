//! The part of the VPC that is inside a machine: which pod has which of the ENI's addresses, and the pod's link.
//!
//! Does what the VPC CNI plugin and its address daemon do on a node: `/32` addresses, a veth per pod, the gateway
//! 169.254.1.1 with a fixed hardware address, a strict reverse-path check on each pod's link (a pod can send from its
//! own address only), and 30 seconds of rest for an address that a pod gave back.
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clock::Clock;
use thiserror::Error;

use crate::links::{self, LOOPBACK, Link, VethEnd};
use crate::namespace::{self, NamespaceError, NamespaceThread};
use crate::netlink::{Message, NetlinkError, RouteSocket};
use crate::sysctl::{self, SysctlError};
use crate::{GATEWAY, GATEWAY_MAC};

mod pool;

pub use pool::{AddressPool, Allocation, PodPort, PoolError, PoolRecord, PoolStatus};

/// How pod links are called in a machine, as the VPC CNI calls them.
pub const POD_LINK_PREFIX: &str = "eni";

/// Name of the link inside a pod.
const POD_INTERFACE: &str = "eth0";

/// What a machine has to give to its pods.
#[derive(Clone)]
pub struct MachineNetworkSpec {
    /// Where the hand-out of addresses is recorded; survives the process.
    pub state_dir: PathBuf,
    /// The machine's network namespace: `/proc/self/ns/net` for a process that lives in it.
    pub namespace: PathBuf,
    /// The ENI's secondary addresses.
    pub pod_addresses: Vec<Ipv4Addr>,
    /// Tells when an address has rested long enough.
    pub clock: Arc<dyn Clock>,
}

/// A pod sandbox that is to be connected.
#[derive(Clone, Debug)]
pub struct PodAttachment {
    /// The sandbox's id, by which it is detached again.
    pub sandbox_id: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid.
    pub uid: String,
    /// The file that leads to the pod's network namespace.
    pub netns_path: PathBuf,
    /// Ports of the machine that are to lead to it. They are remembered here; rules are the packet filter's.
    pub host_ports: Vec<PodPort>,
}

/// What a connected pod got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodAddresses {
    /// The pod's address.
    pub address: Ipv4Addr,
    /// Its gateway.
    pub gateway: Ipv4Addr,
    /// The link's name in the machine.
    pub link: String,
}

/// Why a pod has no network.
#[derive(Debug, Error)]
pub enum MachineNetworkError {
    /// No address could be handed out or recorded.
    #[error("address for sandbox {sandbox_id}")]
    Pool {
        /// The sandbox.
        sandbox_id: String,
        /// The cause.
        #[source]
        source: PoolError,
    },
    /// The record of addresses could not be opened.
    #[error("open the address pool in {dir}")]
    OpenPool {
        /// The folder.
        dir: String,
        /// The cause.
        #[source]
        source: PoolError,
    },
    /// The pod's network namespace could not be entered.
    #[error("network namespace of sandbox {sandbox_id}")]
    Namespace {
        /// The sandbox.
        sandbox_id: String,
        /// The cause.
        #[source]
        source: NamespaceError,
    },
    /// A link, address or route was refused.
    #[error("link of sandbox {sandbox_id}")]
    Netlink {
        /// The sandbox.
        sandbox_id: String,
        /// The cause.
        #[source]
        source: NetlinkError,
    },
    /// A sysctl was refused.
    #[error("sysctls of sandbox {sandbox_id}")]
    Sysctl {
        /// The sandbox.
        sandbox_id: String,
        /// The cause.
        #[source]
        source: SysctlError,
    },
    /// The machine's own namespace could not be opened.
    #[error("open the machine's network namespace")]
    OwnNamespace(#[source] NamespaceError),
    /// The machine's netlink socket could not be opened.
    #[error("netlink socket of the machine")]
    OwnSocket(#[source] NetlinkError),
}

/// Connects pods to a machine. A cheap handle.
#[derive(Clone)]
pub struct MachineNetwork {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Mutex<AddressPool>,
    /// Netlink, sysctls and small files block for about a millisecond: too long for a runtime with one thread.
    thread: NamespaceThread,
    route: Mutex<RouteSocket>,
}

impl MachineNetwork {
    /// Opens a machine's network.
    ///
    /// # Errors
    /// When the record of addresses is unreadable or held by another process, or netlink is not available.
    pub async fn open(spec: MachineNetworkSpec) -> Result<Self, MachineNetworkError> {
        let pool = AddressPool::open(&spec.state_dir, spec.pod_addresses, spec.clock);
        let dir = spec.state_dir.display().to_string();
        let pool = pool.map_err(|source| MachineNetworkError::OpenPool { dir, source })?;
        let namespace = namespace::open(&spec.namespace).map_err(MachineNetworkError::OwnNamespace)?;
        let thread = NamespaceThread::enter("pod-network", namespace).map_err(MachineNetworkError::OwnNamespace)?;
        let route = thread
            .run(RouteSocket::open)
            .await
            .map_err(MachineNetworkError::OwnNamespace)?;
        let route = Mutex::new(route.map_err(MachineNetworkError::OwnSocket)?);
        Ok(Self {
            inner: Arc::new(Inner {
                pool: Mutex::new(pool),
                thread,
                route,
            }),
        })
    }

    /// Gives a sandbox an address and a link. Repeating it gives the same address and repairs the link.
    ///
    /// # Errors
    /// When no address is left, the namespace is gone or the kernel refuses; nothing is left behind then.
    pub async fn attach(&self, pod: PodAttachment) -> Result<PodAddresses, MachineNetworkError> {
        self.on_thread(move |network| network.attach_now(&pod)).await
    }

    /// Takes a sandbox's link and address away; one that has none is no error.
    ///
    /// # Errors
    /// When the kernel refuses or the record cannot be written.
    pub async fn detach(&self, sandbox_id: &str) -> Result<(), MachineNetworkError> {
        let sandbox_id = sandbox_id.to_owned();
        self.on_thread(move |network| network.detach_now(&sandbox_id)).await
    }

    /// Takes away what belongs to no sandbox of `live`: addresses, and links of which nobody knows. Returns the
    /// sandboxes that were removed.
    ///
    /// # Errors
    /// When the kernel refuses or the record cannot be written.
    pub async fn reconcile(&self, live: &[String]) -> Result<Vec<String>, MachineNetworkError> {
        let live = live.to_vec();
        self.on_thread(move |network| network.reconcile_now(&live)).await
    }

    /// The address of a sandbox, if it has one.
    #[must_use]
    pub fn address_of(&self, sandbox_id: &str) -> Option<Ipv4Addr> {
        self.pool().allocation(sandbox_id).map(|allocation| allocation.address)
    }

    /// Every port of the machine that is to lead to a pod, with the pod's address.
    #[must_use]
    pub fn host_ports(&self) -> Vec<(Ipv4Addr, PodPort)> {
        let all = self.pool().allocations().into_values();
        all.flat_map(|one| one.host_ports.into_iter().map(move |port| (one.address, port)))
            .collect()
    }

    /// How many addresses there are, are given out, and rest.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        self.pool().status()
    }

    async fn on_thread<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<R, MachineNetworkError> + Send + 'static,
    ) -> Result<R, MachineNetworkError> {
        let network = self.clone();
        self.inner
            .thread
            .run(move || work(&network))
            .await
            .map_err(MachineNetworkError::OwnNamespace)?
    }

    fn attach_now(&self, pod: &PodAttachment) -> Result<PodAddresses, MachineNetworkError> {
        let sandbox_id = &pod.sandbox_id;
        let link = link_name(sandbox_id);
        // Recorded before it is made: a crash in between leaves an allocation that `reconcile` takes back.
        let taken = self.pool().take(pod, &link);
        let taken = taken.map_err(|source| MachineNetworkError::Pool {
            sandbox_id: sandbox_id.clone(),
            source,
        })?;
        let addresses = PodAddresses {
            address: taken,
            gateway: GATEWAY,
            link,
        };
        match self.connect(pod, &addresses) {
            Ok(()) => Ok(addresses),
            Err(error) => {
                if let Err(undo) = self.detach_now(sandbox_id) {
                    tracing::warn!(
                        error = &undo as &dyn std::error::Error,
                        sandbox_id,
                        "half-made pod link is left"
                    );
                }
                Err(error)
            }
        }
    }

    fn connect(&self, pod: &PodAttachment, addresses: &PodAddresses) -> Result<(), MachineNetworkError> {
        let sandbox_id = pod.sandbox_id.clone();
        let namespace_error = |source| MachineNetworkError::Namespace {
            sandbox_id: sandbox_id.clone(),
            source,
        };
        let netlink_error = |source| MachineNetworkError::Netlink {
            sandbox_id: sandbox_id.clone(),
            source,
        };
        let sysctl_error = |source| MachineNetworkError::Sysctl {
            sandbox_id: sandbox_id.clone(),
            source,
        };
        let pod_namespace = namespace::open(&pod.netns_path).map_err(namespace_error)?;
        let machine = self.inner.thread.namespace().try_clone_to_owned().map_err(|source| {
            namespace_error(NamespaceError::Open {
                path: "of the machine".to_owned(),
                source,
            })
        })?;
        let (link, address) = (addresses.link.as_str(), addresses.address);
        // Only the socket is made in the pod; it may be used from here.
        let inside = || (sysctl::make_pod(), RouteSocket::open());
        let (sysctls, socket) = namespace::run_in(pod_namespace, inside).map_err(namespace_error)?;
        sysctls.map_err(sysctl_error)?;
        let mut socket = socket.map_err(netlink_error)?;
        let pair = ensure_pod_link(&mut socket, link, address, &machine).map_err(netlink_error)?;
        // A pod may send from its own address only: strictly, the way back must be the same link.
        sysctl::set(&format!("ipv4/conf/{link}/rp_filter"), "1").map_err(sysctl_error)?;
        let messages = vec![
            links::up(pair.peer),
            links::put_link_route(pair.peer, address),
            links::put_neighbour(pair.peer, address, links::mac_of(address)),
        ];
        self.apply(messages).map_err(netlink_error)?;
        configure_pod(&mut socket, pair.index, address).map_err(netlink_error)?;
        let mut route = self.inner.route.lock().unwrap_or_else(PoisonError::into_inner);
        links::wait_until_operational(&mut route, link).map_err(netlink_error)
    }

    fn detach_now(&self, sandbox_id: &str) -> Result<(), MachineNetworkError> {
        self.apply(vec![links::delete_link(&link_name(sandbox_id))])
            .map_err(|source| MachineNetworkError::Netlink {
                sandbox_id: sandbox_id.to_owned(),
                source,
            })?;
        let released = self.pool().release(sandbox_id);
        released.map_err(|source| MachineNetworkError::Pool {
            sandbox_id: sandbox_id.to_owned(),
            source,
        })
    }

    fn reconcile_now(&self, live: &[String]) -> Result<Vec<String>, MachineNetworkError> {
        let known = self.pool().allocations();
        let stale: Vec<String> = known.into_keys().filter(|id| !live.contains(id)).collect();
        for sandbox_id in &stale {
            self.detach_now(sandbox_id)?;
        }
        let wanted: Vec<String> = live.iter().map(|id| link_name(id)).collect();
        let mut route = self.inner.route.lock().unwrap_or_else(PoisonError::into_inner);
        let cleaned = links::list_links(&mut route).and_then(|found| {
            let unknown = found.into_iter().map(|link| link.name);
            let unknown = unknown.filter(|name| name.starts_with(POD_LINK_PREFIX) && !wanted.contains(name));
            route.apply(unknown.map(|name| links::delete_link(&name)).collect())
        });
        cleaned.map_err(|source| MachineNetworkError::Netlink {
            sandbox_id: "(leftover)".to_owned(),
            source,
        })?;
        Ok(stale)
    }

    fn apply(&self, messages: Vec<Message>) -> Result<(), NetlinkError> {
        self.inner
            .route
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(messages)
    }

    fn pool(&self) -> std::sync::MutexGuard<'_, AddressPool> {
        self.inner.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pod's end of its pair, made if it is not there; by a socket of the pod's namespace.
fn ensure_pod_link(
    pod: &mut RouteSocket,
    link: &str,
    address: Ipv4Addr,
    machine: &OwnedFd,
) -> Result<Link, NetlinkError> {
    if let Some(present) = links::find_link(pod, POD_INTERFACE)? {
        return Ok(present);
    }
    let here = VethEnd {
        name: POD_INTERFACE,
        mac: links::mac_of(address),
        inside: true,
    };
    let there = VethEnd {
        name: link,
        mac: GATEWAY_MAC,
        inside: false,
    };
    pod.apply(vec![links::create_veth(&here, &there, machine.as_fd())])?;
    links::find_link(pod, POD_INTERFACE)?.ok_or(NetlinkError::Malformed)
}

/// Addresses and routes inside the pod; by a socket of the pod's namespace.
fn configure_pod(pod: &mut RouteSocket, index: u32, address: Ipv4Addr) -> Result<(), NetlinkError> {
    let mut messages = vec![
        links::up(LOOPBACK),
        links::up(index),
        links::put_address(index, address),
    ];
    messages.extend(links::default_gateway(index));
    pod.apply(messages)
}

/// The machine's end of a sandbox's link: `eni` and eleven hexadecimal digits, as long as the VPC CNI's.
fn link_name(sandbox_id: &str) -> String {
    let hash = sandbox_id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{POD_LINK_PREFIX}{:011x}", hash >> 20)
}
