//! The balancers of every cluster: made, changed and closed as the clusters say.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube_types::ObjectKey;
use service_routing::ruleset::Protocol;
use supervision::Supervisor;
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};

use crate::address::loopback_address;
use crate::balancer::{Balancer, BalancerStatus, Desired, Dialer, Limits, ListenerStatus};
use crate::http_port::{self, ByName};
use crate::{datagram, discover, stream};

/// How many addresses are tried before a balancer goes without one.
const ATTEMPTS: u32 = 16;

/// What the balancers are given.
pub struct Options {
    /// The port of HTTP by host name; where it cannot be had, another one is taken. 0 takes any.
    pub http_port: u16,
    /// Parent of their tasks.
    pub supervisor: Supervisor,
}

/// A cluster whose services are to be served.
pub struct ClusterOptions {
    /// The cluster's name.
    pub name: String,
    /// The region, which is in the balancers' names.
    pub region: String,
    /// Reads its services and endpoints.
    pub client: kube::Client,
    /// Reaches its pods.
    pub dialer: Arc<dyn Dialer>,
    /// When it is cancelled the cluster's balancers close.
    pub supervisor: Supervisor,
}

/// Why balancers cannot be served at all.
#[derive(Debug, Error)]
pub enum LoadBalancerError {
    /// Not even a port of the system's choice can be had.
    #[error("listen on 127.0.0.1 for load balancers")]
    Listen(#[source] io::Error),
}

/// All balancers. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct LoadBalancers {
    shared: Arc<Shared>,
}

struct Shared {
    http_port: u16,
    limits: Limits,
    by_name: ByName,
    serving: Mutex<BTreeMap<(String, ObjectKey), Serving>>,
}

/// A balancer with its listeners.
struct Serving {
    balancer: Arc<Balancer>,
    listeners: BTreeMap<(Protocol, u16), Listener>,
    supervisor: Supervisor,
}

/// A listener for one port. What goes on through one of them does not end with another.
struct Listener {
    /// `None` while no address can be had.
    address: Option<SocketAddr>,
    supervisor: Supervisor,
}

impl LoadBalancers {
    /// Opens the HTTP port. Balancers come with their clusters.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(options: Options) -> Result<Self, LoadBalancerError> {
        Self::start_with(options, Limits::default()).await
    }

    async fn start_with(options: Options, limits: Limits) -> Result<Self, LoadBalancerError> {
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, options.http_port)).await {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(port = options.http_port, %error, "the HTTP port of load balancers cannot be had, taking another");
                TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                    .await
                    .map_err(LoadBalancerError::Listen)?
            }
        };
        let http_port = listener.local_addr().map_err(LoadBalancerError::Listen)?.port();
        let by_name = ByName::default();
        http_port::serve(
            listener,
            Arc::clone(&by_name),
            &options.supervisor.child("load balancers"),
        );
        Ok(Self {
            shared: Arc::new(Shared {
                http_port,
                limits,
                by_name,
                serving: Mutex::default(),
            }),
        })
    }

    /// The port of HTTP by host name.
    pub fn http_port(&self) -> u16 {
        self.shared.http_port
    }

    /// Serves a cluster's balancers until its supervisor is cancelled.
    pub fn add_cluster(&self, cluster: ClusterOptions) {
        let ClusterOptions {
            name,
            region,
            client,
            dialer,
            supervisor,
        } = cluster;
        let (all, stopped, tasks) = (self.clone(), supervisor.cancelled(), supervisor.clone());
        let cluster = name.clone();
        supervisor.spawn("load balancers", async move {
            let apply = |desired| all.apply(&cluster, desired, &dialer, &tasks);
            tokio::select! {
                () = discover::follow(client, region, apply) => {}
                () = stopped => {}
            }
            all.forget(&cluster);
        });
    }

    /// Every balancer now.
    pub fn status(&self) -> Vec<BalancerStatus> {
        let serving = self.serving();
        let described = serving.iter().map(|((cluster, _), serving)| BalancerStatus {
            cluster: cluster.clone(),
            service: serving.balancer.service.clone(),
            host_name: serving.balancer.host_name.clone(),
            listeners: serving
                .listeners
                .iter()
                .map(|((protocol, port), listener)| ListenerStatus {
                    protocol: *protocol,
                    port: *port,
                    address: listener.address,
                    ready_targets: serving.balancer.ready(*protocol, *port),
                })
                .collect(),
        });
        described.collect()
    }

    /// Nothing here panics while holding the lock, so a poisoned one still holds sound data.
    fn serving(&self) -> MutexGuard<'_, BTreeMap<(String, ObjectKey), Serving>> {
        self.shared.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the balancers of an owner (a cluster, or a VPC) be these.
    pub(crate) fn apply(
        &self,
        cluster: &str,
        desired: BTreeMap<ObjectKey, Desired>,
        dialer: &Arc<dyn Dialer>,
        tasks: &Supervisor,
    ) {
        let mut serving = self.serving();
        serving.retain(|(of, key), gone| {
            let stays = of != cluster
                || desired
                    .get(key)
                    .is_some_and(|desired| desired.host_name == gone.balancer.host_name);
            if !stays {
                gone.supervisor.cancel();
            }
            stays
        });
        for (key, desired) in desired {
            let entry = serving.entry((cluster.to_owned(), key));
            let one = entry.or_insert_with(|| Serving {
                balancer: Arc::new(Balancer::new(desired.clone(), Arc::clone(dialer), self.shared.limits)),
                listeners: BTreeMap::new(),
                supervisor: tasks.child(format!("load balancer {}", desired.service)),
            });
            one.listen(&desired);
            one.balancer.change(desired);
        }
        self.publish(&serving);
    }

    pub(crate) fn forget(&self, cluster: &str) {
        let mut serving = self.serving();
        serving.retain(|(of, _), gone| {
            if of == cluster {
                gone.supervisor.cancel();
            }
            of != cluster
        });
        self.publish(&serving);
    }

    fn publish(&self, serving: &BTreeMap<(String, ObjectKey), Serving>) {
        let names = serving
            .values()
            .map(|one| (one.balancer.host_name.clone(), Arc::clone(&one.balancer)));
        self.shared.by_name.store(Arc::new(names.collect()));
    }
}

impl Serving {
    /// Listens on the balancer's own address for each of its ports. A port that could not be had is tried again.
    fn listen(&mut self, desired: &Desired) {
        let of =
            |protocol, ports: &BTreeMap<u16, _>| ports.keys().map(move |port| (protocol, *port)).collect::<Vec<_>>();
        let wanted = [of(Protocol::Tcp, &desired.ports), of(Protocol::Udp, &desired.datagrams)].concat();
        self.listeners.retain(|port, listener| {
            let stays = wanted.contains(port) && listener.address.is_some();
            if !stays {
                listener.supervisor.cancel();
            }
            stays
        });
        for (protocol, port) in wanted {
            let (balancer, parent) = (&self.balancer, &self.supervisor);
            self.listeners.entry((protocol, port)).or_insert_with(|| {
                let supervisor = parent.child(format!("port {port}"));
                let address = match open(protocol, &desired.host_name, port, balancer, &supervisor) {
                    Ok(address) => Some(address),
                    Err(error) => {
                        tracing::warn!(service = desired.service, port, %error, "no address can be had for this port");
                        None
                    }
                };
                Listener { address, supervisor }
            });
        }
    }
}

/// Listens for one port of a balancer, and where.
fn open(
    protocol: Protocol,
    host_name: &str,
    port: u16,
    balancer: &Arc<Balancer>,
    supervisor: &Supervisor,
) -> io::Result<SocketAddr> {
    if protocol == Protocol::Udp {
        let socket = bind(host_name, port, datagram_socket)?;
        let address = socket.local_addr()?;
        datagram::serve(socket, Arc::clone(balancer), port, supervisor);
        return Ok(address);
    }
    let listener = bind(host_name, port, listen)?;
    let address = listener.local_addr()?;
    stream::serve(listener, Arc::clone(balancer), port, supervisor);
    Ok(address)
}

/// Listens on the balancer's address; on another one if somebody else is there; on another port where this one is not permitted.
fn bind<T>(host_name: &str, port: u16, listen: fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = None;
    for attempt in 0..ATTEMPTS {
        let address = loopback_address(host_name, attempt);
        match listen(SocketAddr::from((address, port))) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return listen(SocketAddr::from((address, 0)));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("no address was tried")))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn datagram_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

#[cfg(test)]
mod tests;
