//! One VPC: a network namespace of its own, the thread that lives in it, and what hangs on it.
//!
//! The kernel's links and routes are the only state. Every operation looks at what is there and puts right what
//! differs, so it may be repeated at any moment: after a crash, after a restart, twice.
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::Ipv4Net;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

use crate::links::{self, LOOPBACK};
use crate::namespace::{self, NamespaceError, NamespaceThread};
use crate::nat::NatCounters;
use crate::netlink::{NetlinkError, RouteSocket};
use crate::sockets;
use crate::sysctl::{self, SysctlError};

mod instance;

pub use instance::{AttachedInstance, InstanceLink, MachineNamespace};

/// What a VPC is to be.
#[derive(Clone, Debug)]
pub struct FabricSpec {
    /// The VPC's id, `vpc-…`.
    pub vpc_id: String,
    /// Its address ranges, the primary one first.
    pub cidrs: Vec<Ipv4Net>,
    /// Addresses that the fabric itself answers on: API server endpoints, the resolver, the metadata service.
    pub local_addresses: Vec<Ipv4Addr>,
}

/// Why a fabric operation failed.
#[derive(Debug, Error)]
pub enum FabricError {
    /// The namespace or its thread.
    #[error("network namespace of {vpc_id}")]
    Namespace {
        /// The VPC.
        vpc_id: String,
        /// The cause.
        #[source]
        source: NamespaceError,
    },
    /// A link, address, route or neighbour was refused.
    #[error("network of {subject}")]
    Netlink {
        /// The VPC or ENI.
        subject: String,
        /// The cause.
        #[source]
        source: NetlinkError,
    },
    /// A sysctl was refused.
    #[error("sysctls of {subject}")]
    Sysctl {
        /// The VPC or ENI.
        subject: String,
        /// The cause.
        #[source]
        source: SysctlError,
    },
    /// The namespace belongs to another VPC, or to none.
    #[error("network namespace {path} is not the fabric of {vpc_id}: it is marked {found:?}")]
    NotThisVpc {
        /// Where it was found.
        path: String,
        /// The VPC that was wanted.
        vpc_id: String,
        /// The mark on its loopback interface.
        found: Option<String>,
    },
    /// A socket inside the VPC could not be made.
    #[error("{action} {address} in {vpc_id}")]
    Socket {
        /// `listen on`, `bind` or `dial`.
        action: &'static str,
        /// The address inside the VPC.
        address: SocketAddr,
        /// The VPC.
        vpc_id: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl From<FabricError> for io::Error {
    /// Keeps the kind, so that a refused connection inside the VPC is one to whoever dialled.
    fn from(error: FabricError) -> Self {
        match &error {
            FabricError::Socket { source, .. } => Self::new(source.kind(), error),
            _ => Self::other(error),
        }
    }
}

/// A VPC's network. A cheap handle; the namespace lives as long as a handle, a machine or an open file holds it.
#[derive(Clone)]
pub struct Fabric {
    inner: Arc<Inner>,
}

struct Inner {
    spec: FabricSpec,
    thread: NamespaceThread,
    /// Made in the fabric; one at a time, since answers come back on the same socket.
    route: Mutex<RouteSocket>,
    nat: NatCounters,
}

impl Fabric {
    /// Makes a new, empty fabric.
    ///
    /// # Errors
    /// Without the privilege to make network namespaces (run as root or inside a user namespace).
    pub async fn create(spec: FabricSpec) -> Result<Self, FabricError> {
        let thread = NamespaceThread::create(&spec.vpc_id);
        let thread = thread.map_err(|source| FabricError::Namespace {
            vpc_id: spec.vpc_id.clone(),
            source,
        })?;
        Self::from_thread(spec, thread).await
    }

    /// Takes up a fabric that exists, found through a file that leads to its namespace (`/proc/<pid>/fd/<n>` of a
    /// machine that holds it).
    ///
    /// # Errors
    /// When the file is not the namespace of this VPC's fabric.
    pub async fn reopen(spec: FabricSpec, path: &Path) -> Result<Self, FabricError> {
        let namespace_error = |source| FabricError::Namespace {
            vpc_id: spec.vpc_id.clone(),
            source,
        };
        let namespace = namespace::open(path).map_err(namespace_error)?;
        let thread = NamespaceThread::enter(&spec.vpc_id, namespace).map_err(namespace_error)?;
        let mark = thread.run(read_mark).await.map_err(namespace_error)?;
        let found = mark.map_err(|source| FabricError::Netlink {
            subject: spec.vpc_id.clone(),
            source,
        })?;
        if found.as_deref() != Some(spec.vpc_id.as_str()) {
            let path = path.display().to_string();
            return Err(FabricError::NotThisVpc {
                path,
                vpc_id: spec.vpc_id.clone(),
                found,
            });
        }
        Self::from_thread(spec, thread).await
    }

    /// Takes up the fabric that one of these processes holds open, or makes a new one when none does.
    ///
    /// # Errors
    /// When a new fabric is needed and cannot be made.
    pub async fn reopen_or_create(spec: FabricSpec, holders: &[i32]) -> Result<Self, FabricError> {
        for path in holders.iter().flat_map(|pid| namespace_files(*pid)) {
            match Self::reopen(spec.clone(), &path).await {
                Ok(fabric) => return Ok(fabric),
                Err(error) => tracing::debug!(path = %path.display(), %error, "not the fabric"),
            }
        }
        Self::create(spec).await
    }

    async fn from_thread(spec: FabricSpec, thread: NamespaceThread) -> Result<Self, FabricError> {
        let (vpc_id, addresses) = (spec.vpc_id.clone(), spec.local_addresses.clone());
        let prepared = thread.run(move || prepare(&vpc_id, &addresses)).await;
        let route = prepared.map_err(|source| FabricError::Namespace {
            vpc_id: spec.vpc_id.clone(),
            source,
        })??;
        let nat = NatCounters::default();
        Ok(Self {
            inner: Arc::new(Inner {
                spec,
                thread,
                route: Mutex::new(route),
                nat,
            }),
        })
    }

    /// The VPC's id.
    #[must_use]
    pub fn vpc_id(&self) -> &str {
        &self.inner.spec.vpc_id
    }

    /// The VPC's address ranges.
    #[must_use]
    pub fn cidrs(&self) -> &[Ipv4Net] {
        &self.inner.spec.cidrs
    }

    /// The namespace, for machines that are to keep it alive.
    #[must_use]
    pub fn netns_fd(&self) -> BorrowedFd<'_> {
        self.inner.thread.namespace()
    }

    /// What the NAT gateway of this VPC has carried.
    #[must_use]
    pub fn nat_counters(&self) -> &NatCounters {
        &self.inner.nat
    }

    /// Adds an address that the fabric answers on.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub async fn add_local_address(&self, address: Ipv4Addr) -> Result<(), FabricError> {
        self.apply(vec![links::put_address(LOOPBACK, address)])
    }

    /// Removes an address from the fabric; one that is not there is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn remove_local_address(&self, address: Ipv4Addr) -> Result<(), FabricError> {
        self.apply(vec![links::delete_address(LOOPBACK, address)])
    }

    /// A listener inside the VPC, on one of the fabric's own addresses.
    ///
    /// # Errors
    /// When the address is not the fabric's or the port is taken.
    pub async fn listen_tcp(&self, address: SocketAddr) -> Result<TcpListener, FabricError> {
        let listener = self.run(move || sockets::listen_tcp(address)).await?;
        listener
            .and_then(TcpListener::from_std)
            .map_err(|source| self.socket_error("listen on", address, source))
    }

    /// A datagram socket inside the VPC, on one of the fabric's own addresses.
    ///
    /// # Errors
    /// When the address is not the fabric's or the port is taken.
    pub async fn bind_udp(&self, address: SocketAddr) -> Result<UdpSocket, FabricError> {
        let socket = self.run(move || sockets::bind_udp(address)).await?;
        socket
            .and_then(UdpSocket::from_std)
            .map_err(|source| self.socket_error("bind", address, source))
    }

    /// Connects to an address inside the VPC: a pod, a node, an ENI.
    ///
    /// # Errors
    /// As a connection attempt from within the VPC would; there is no limit of time but the kernel's.
    pub async fn dial(&self, to: SocketAddr) -> Result<TcpStream, FabricError> {
        let socket = self.run(move || sockets::unconnected_tcp(to)).await?;
        let socket = socket.map_err(|source| self.socket_error("dial", to, source))?;
        let connected = TcpSocket::from_std_stream(socket).connect(to).await;
        connected.map_err(|source| self.socket_error("dial", to, source))
    }

    /// The same as one of the fabric's own addresses, by which security groups know who speaks.
    ///
    /// # Errors
    /// As [`Fabric::dial`], or when the address is not the fabric's.
    pub async fn dial_as(&self, from: Ipv4Addr, to: SocketAddr) -> Result<TcpStream, FabricError> {
        let socket = self.run(move || sockets::tcp_from(from, to)).await?;
        let socket = socket.map_err(|source| self.socket_error("dial", to, source))?;
        let connected = TcpSocket::from_std_stream(socket).connect(to).await;
        connected.map_err(|source| self.socket_error("dial", to, source))
    }

    /// Runs a short job on the fabric's thread: sockets it makes belong to the VPC (packet filter, raw netlink).
    ///
    /// # Errors
    /// When the fabric's thread is gone or the job panicked.
    pub async fn run<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> Result<R, FabricError> {
        let outcome = self.inner.thread.run(job).await;
        outcome.map_err(|source| FabricError::Namespace {
            vpc_id: self.vpc_id().to_owned(),
            source,
        })
    }

    pub(crate) fn socket_error(&self, action: &'static str, address: SocketAddr, source: io::Error) -> FabricError {
        FabricError::Socket {
            action,
            address,
            vpc_id: self.vpc_id().to_owned(),
            source,
        }
    }

    pub(crate) fn apply(&self, messages: Vec<crate::netlink::Message>) -> Result<(), FabricError> {
        self.with_route(|route| route.apply(messages))
    }

    /// Netlink on the fabric's socket; a socket may be used from any thread, and no message takes long.
    fn with_route<R>(&self, work: impl FnOnce(&mut RouteSocket) -> Result<R, NetlinkError>) -> Result<R, FabricError> {
        let mut route = self.inner.route.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut route).map_err(|source| FabricError::Netlink {
            subject: self.vpc_id().to_owned(),
            source,
        })
    }
}

impl AsFd for Fabric {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.netns_fd()
    }
}

/// Brings the namespace of the calling thread into the state of an empty fabric, and opens its netlink socket.
fn prepare(vpc_id: &str, addresses: &[Ipv4Addr]) -> Result<RouteSocket, FabricError> {
    sysctl::make_router().map_err(|source| FabricError::Sysctl {
        subject: vpc_id.to_owned(),
        source,
    })?;
    let netlink_error = |source| FabricError::Netlink {
        subject: vpc_id.to_owned(),
        source,
    };
    let mut route = RouteSocket::open().map_err(netlink_error)?;
    let mut messages = vec![links::up(LOOPBACK), links::set_alias(LOOPBACK, vpc_id)];
    messages.extend(addresses.iter().map(|address| links::put_address(LOOPBACK, *address)));
    route.apply(messages).map_err(netlink_error)?;
    Ok(route)
}

/// The VPC id that a fabric's loopback interface carries.
fn read_mark() -> Result<Option<String>, NetlinkError> {
    let mut route = RouteSocket::open()?;
    Ok(links::find_link(&mut route, "lo")?.and_then(|link| link.alias))
}

/// The open files of a process that are network namespaces.
fn namespace_files(pid: i32) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let is_namespace =
        |path: &PathBuf| std::fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with("net:["));
    paths.filter(is_namespace).collect()
}
