//! One load balancer: where its traffic may go now, and how it gets there.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use ipnet::IpNet;
use service_routing::ruleset::Protocol;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UdpSocket;
use tokio::sync::watch;

use crate::pool::Pool;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Until a target accepts a connection.
    pub dial: Duration,
    /// Until a target begins its answer; AWS's idle timeout.
    pub answer: Duration,
    /// For what goes on with a target that is no longer one; AWS's deregistration delay.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            dial: Duration::from_secs(3),
            answer: Duration::from_secs(60),
            drain: Duration::from_secs(300),
        }
    }
}

/// A connection to a target.
pub trait TargetStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> TargetStream for T {}

/// Connects to addresses inside a cluster's VPC.
pub trait Dialer: Send + Sync {
    /// Opens a TCP connection.
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn TargetStream>>>;

    /// A socket whose datagrams go to this address, and which is given those that come from there.
    fn datagrams(&self, _to: SocketAddr) -> BoxFuture<'_, io::Result<UdpSocket>> {
        std::future::ready(Err(io::ErrorKind::Unsupported.into())).boxed()
    }
}

/// What a balancer is to be, as its service and the endpoints say it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Desired {
    /// Namespace and name of the service.
    pub service: String,
    /// The name under which it answers.
    pub host_name: String,
    /// Ready targets by TCP port.
    pub ports: BTreeMap<u16, Vec<SocketAddrV4>>,
    /// Ready targets by UDP port.
    pub datagrams: BTreeMap<u16, Vec<SocketAddrV4>>,
    /// How long what goes on with a target that is gone may still go on, by TCP port, where that was said.
    pub drains: BTreeMap<u16, Duration>,
    /// Where clients may come from; empty for anywhere.
    pub sources: Vec<IpNet>,
    /// Whether a client stays with its target.
    pub sticky: bool,
}

/// Why there is no connection to a target.
#[derive(Debug, Error)]
pub(crate) enum NoConnection {
    #[error("no ready endpoint")]
    NoTarget,
    #[error("{0} does not accept a connection")]
    TooSlow(SocketAddrV4),
    #[error("{0}")]
    Refused(SocketAddrV4, #[source] io::Error),
}

/// A balancer that serves. What it is to be changes under it.
pub(crate) struct Balancer {
    pub host_name: String,
    pub service: String,
    pub limits: Limits,
    /// Connections that wait for the next request.
    pub pool: Pool,
    desired: watch::Sender<Arc<Desired>>,
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
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The service's port.
    pub port: u16,
    /// Where it accepts connections on this machine; `None` while no address can be had.
    pub address: Option<SocketAddr>,
    /// Targets that get traffic now.
    pub ready_targets: usize,
}

impl Balancer {
    pub fn new(desired: Desired, dialer: Arc<dyn Dialer>, limits: Limits) -> Self {
        Self {
            host_name: desired.host_name.clone(),
            service: desired.service.clone(),
            limits,
            pool: Pool::default(),
            desired: watch::Sender::new(Arc::new(desired)),
            dialer,
            next: AtomicUsize::new(0),
        }
    }

    /// Changes what it is to be. What goes on with a target that is no longer one may end within the drain limit.
    pub fn change(&self, desired: Desired) {
        let desired = Arc::new(desired);
        self.desired.send_replace(Arc::clone(&desired));
        self.pool
            .keep(|target| desired.ports.values().flatten().any(|ready| *ready == target));
    }

    fn desired(&self) -> Arc<Desired> {
        Arc::clone(&self.desired.borrow())
    }

    /// How many targets a port has.
    pub fn ready(&self, protocol: Protocol, port: u16) -> usize {
        let desired = self.desired();
        let targets = match protocol {
            Protocol::Udp => desired.datagrams.get(&port),
            _ => desired.ports.get(&port),
        };
        targets.map_or(0, Vec::len)
    }

    /// The port that HTTP by host name goes to: 80, or the first one.
    pub fn http_port(&self) -> Option<u16> {
        let desired = self.desired();
        let first = desired.ports.keys().next().copied();
        desired.ports.contains_key(&80).then_some(80).or(first)
    }

    /// May this client connect?
    pub fn admits(&self, client: IpAddr) -> bool {
        let sources = &self.desired().sources;
        sources.is_empty() || sources.iter().any(|source| source.contains(&client))
    }

    /// The targets of a port in the order in which this client's traffic tries them.
    pub fn targets(&self, port: u16, client: IpAddr) -> Vec<SocketAddrV4> {
        let desired = self.desired();
        self.in_order(&desired, desired.ports.get(&port).cloned().unwrap_or_default(), client)
    }

    /// The target that a client's new flow of datagrams goes to.
    pub fn datagram_target(&self, port: u16, client: IpAddr) -> Option<SocketAddrV4> {
        let desired = self.desired();
        let targets = desired.datagrams.get(&port).cloned().unwrap_or_default();
        self.in_order(&desired, targets, client).first().copied()
    }

    /// Does a port of datagrams have this target now?
    pub fn has_datagrams(&self, port: u16, target: SocketAddrV4) -> bool {
        let desired = self.desired();
        desired
            .datagrams
            .get(&port)
            .is_some_and(|targets| targets.contains(&target))
    }

    /// A socket for datagrams to a target.
    pub async fn datagrams_to(&self, target: SocketAddrV4) -> io::Result<UdpSocket> {
        self.dialer.datagrams(SocketAddr::V4(target)).await
    }

    fn in_order(&self, desired: &Desired, mut targets: Vec<SocketAddrV4>, client: IpAddr) -> Vec<SocketAddrV4> {
        if targets.is_empty() {
            return targets;
        }
        if desired.sticky {
            // The highest hash wins, so that a client moves only when its own target goes (rendezvous hashing).
            targets.sort_by_key(|target| std::cmp::Reverse(affinity(client, *target)));
        } else {
            let first = self.next.fetch_add(1, Ordering::Relaxed) % targets.len();
            targets.rotate_left(first);
        }
        targets
    }

    /// Connects to the first of these targets that accepts.
    pub async fn connect(
        &self,
        targets: &[SocketAddrV4],
    ) -> Result<(SocketAddrV4, Box<dyn TargetStream>), NoConnection> {
        let mut failure = NoConnection::NoTarget;
        for target in targets {
            match tokio::time::timeout(self.limits.dial, self.dialer.dial(SocketAddr::V4(*target))).await {
                Ok(Ok(stream)) => return Ok((*target, stream)),
                Ok(Err(error)) => failure = NoConnection::Refused(*target, error),
                Err(_elapsed) => failure = NoConnection::TooSlow(*target),
            }
        }
        Err(failure)
    }

    /// Is this a target now?
    pub fn has(&self, port: u16, target: SocketAddrV4) -> bool {
        is_target(&self.desired(), port, target)
    }

    /// Ends when what goes on with a target must: it has not been one for as long as the drain limit.
    pub async fn drained(&self, port: u16, target: SocketAddrV4) {
        let mut desired = self.desired.subscribe();
        loop {
            let gone = desired.wait_for(|desired| !is_target(desired, port, target));
            if gone.await.is_err() {
                return;
            }
            let back = desired.wait_for(|desired| is_target(desired, port, target));
            let limit = self.desired().drains.get(&port).copied().unwrap_or(self.limits.drain);
            match tokio::time::timeout(limit, back).await {
                Ok(Ok(_back)) => {}
                _ => return,
            }
        }
    }
}

fn is_target(desired: &Desired, port: u16, target: SocketAddrV4) -> bool {
    desired
        .ports
        .get(&port)
        .is_some_and(|targets| targets.contains(&target))
}

/// How much a client belongs to a target; the same in one process, which is as long as connections live.
fn affinity(client: IpAddr, target: SocketAddrV4) -> u64 {
    let mut hasher = DefaultHasher::new();
    (client, target).hash(&mut hasher);
    hasher.finish()
}
