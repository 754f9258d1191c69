//! One load balancer: where its traffic may go now, and how it gets there.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

/// How long a target may take to accept a connection.
const DIAL: Duration = Duration::from_secs(3);

/// A connection to a target.
pub trait TargetStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> TargetStream for T {}

/// Connects to addresses inside a cluster's VPC.
pub trait Dialer: Send + Sync {
    /// Opens a TCP connection.
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn TargetStream>>>;
}

/// What a balancer is to be, as its service and the endpoints say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Desired {
    /// Namespace and name of the service.
    pub service: String,
    /// The name under which it answers.
    pub host_name: String,
    /// Ready targets by TCP port.
    pub ports: BTreeMap<u16, Vec<SocketAddrV4>>,
}

/// A balancer that serves. Its targets change under it.
pub(crate) struct Balancer {
    pub host_name: String,
    pub service: String,
    targets: ArcSwap<BTreeMap<u16, Vec<SocketAddrV4>>>,
    dialer: Arc<dyn Dialer>,
    next: AtomicUsize,
}

/// A balancer as others may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerStatus {
    /// The cluster that asked for it.
    pub cluster: String,
    /// Namespace and name of the Service.
    pub service: String,
    /// The name under which it answers by HTTP.
    pub host_name: String,
    /// Its own listeners.
    pub listeners: Vec<ListenerStatus>,
}

/// A listener of a balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerStatus {
    /// The service's port.
    pub port: u16,
    /// Where it accepts connections on this machine; `None` while no address can be had.
    pub address: Option<SocketAddr>,
    /// Targets that get traffic now.
    pub ready_targets: usize,
}

impl Balancer {
    pub fn new(desired: &Desired, dialer: Arc<dyn Dialer>) -> Self {
        Self {
            host_name: desired.host_name.clone(),
            service: desired.service.clone(),
            targets: ArcSwap::from_pointee(desired.ports.clone()),
            dialer,
            next: AtomicUsize::new(0),
        }
    }

    /// Changes the targets. Connections that are open stay with theirs, which is how a target drains.
    pub fn set_targets(&self, ports: BTreeMap<u16, Vec<SocketAddrV4>>) {
        self.targets.store(Arc::new(ports));
    }

    /// How many targets a port has.
    pub fn ready(&self, port: u16) -> usize {
        self.targets.load().get(&port).map_or(0, Vec::len)
    }

    /// The port that HTTP by host name goes to: 80, or the first one.
    pub fn http_port(&self) -> Option<u16> {
        let targets = self.targets.load();
        targets
            .contains_key(&80)
            .then_some(80)
            .or_else(|| targets.keys().next().copied())
    }

    /// Connects to a ready target of a port, each in turn; one that does not accept is passed over. `None` when no target is ready.
    pub async fn connect(&self, port: u16) -> io::Result<Option<Box<dyn TargetStream>>> {
        let targets = self.targets.load_full();
        let Some(targets) = targets.get(&port).filter(|targets| !targets.is_empty()) else {
            return Ok(None);
        };
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let mut last_error = None;
        for index in 0..targets.len() {
            let target = targets[(first + index) % targets.len()];
            match tokio::time::timeout(DIAL, self.dialer.dial(SocketAddr::V4(target))).await {
                Ok(Ok(stream)) => return Ok(Some(stream)),
                Ok(Err(error)) => last_error = Some(io::Error::new(error.kind(), format!("{target}: {error}"))),
                Err(elapsed) => {
                    last_error = Some(io::Error::new(io::ErrorKind::TimedOut, format!("{target}: {elapsed}")))
                }
            }
        }
        Err(last_error.unwrap_or_else(|| io::Error::other("no target was tried")))
    }
}
