//! The NAT gateway: what leaves the VPC is accepted inside and dialled again from the host's own namespace.
//!
//! A packet rule (set by the network agent) sends every connection to an address outside the VPC here; the kernel
//! remembers where it wanted to go. Another hands over every datagram, with its destination. No packet of a pod ever
//! reaches an interface of the host.
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use supervision::Supervisor;
use tokio::net::{TcpListener, TcpStream};

use crate::fabric::{Fabric, FabricError};

mod datagrams;

pub use datagrams::DATAGRAM_MARK;

/// Where the NAT gateway listens inside every fabric.
pub const NAT_GATEWAY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(169, 254, 1, 3), 15001);

/// How long a connection to the outside may take to come about; then the pod's side is reset.
const DIAL_LIMIT: Duration = Duration::from_secs(60);

/// What a NAT gateway has carried since the process started.
#[derive(Clone, Debug, Default)]
pub struct NatCounters {
    inner: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    connections: AtomicU64,
    datagram_flows: AtomicU64,
    failed: AtomicU64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
}

impl NatCounters {
    /// Connections that were carried.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.inner.connections.load(Ordering::Relaxed)
    }

    /// Flows of datagrams that were carried.
    #[must_use]
    pub fn datagram_flows(&self) -> u64 {
        self.inner.datagram_flows.load(Ordering::Relaxed)
    }

    /// Connections that the outside refused, and datagrams that could not be carried.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.inner.failed.load(Ordering::Relaxed)
    }

    /// Bytes from the VPC to the outside, of connections that have ended and of all datagrams.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.inner.bytes_out.load(Ordering::Relaxed)
    }

    /// Bytes from the outside to the VPC, of connections that have ended and of all datagrams.
    #[must_use]
    pub fn bytes_in(&self) -> u64 {
        self.inner.bytes_in.load(Ordering::Relaxed)
    }

    fn began(&self) {
        self.inner.datagram_flows.fetch_add(1, Ordering::Relaxed);
    }

    fn failed_one(&self) {
        self.inner.failed.fetch_add(1, Ordering::Relaxed);
    }

    fn sent(&self, bytes: usize) {
        self.inner.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn received(&self, bytes: usize) {
        self.inner.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Fabric {
    /// Starts the NAT gateway's data path. The rules that send connections and datagrams here are the packet filter's.
    ///
    /// # Errors
    /// When its address cannot be had.
    pub async fn serve_nat(&self, supervisor: &Supervisor) -> Result<(), FabricError> {
        self.add_local_address(*NAT_GATEWAY.ip()).await?;
        let listener = self.listen_tcp(SocketAddr::V4(NAT_GATEWAY)).await?;
        let counters = self.nat_counters().clone();
        let scope = supervisor.child(format!("nat-{}", self.vpc_id()));
        let connections = scope.clone();
        scope.spawn_until_cancelled("accept", accept(listener, counters, connections));
        datagrams::serve(self, &scope).await
    }
}

async fn accept(listener: TcpListener, counters: NatCounters, connections: Supervisor) {
    loop {
        match listener.accept().await {
            Ok((inside, _)) => {
                let counters = counters.clone();
                connections.spawn_until_cancelled("connection", async move { carry(inside, &counters).await });
            }
            Err(error) => {
                // Out of file descriptors, usually: others must end before the next can begin.
                tracing::warn!(%error, "NAT gateway cannot accept");
                supervision::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn carry(mut inside: TcpStream, counters: &NatCounters) {
    match connect_outside(&inside).await {
        Ok(mut outside) => {
            counters.inner.connections.fetch_add(1, Ordering::Relaxed);
            // Either side may break off at any time; what was carried until then is not known here and not counted.
            if let Ok((out, back)) = tokio::io::copy_bidirectional(&mut inside, &mut outside).await {
                counters.inner.bytes_out.fetch_add(out, Ordering::Relaxed);
                counters.inner.bytes_in.fetch_add(back, Ordering::Relaxed);
            }
        }
        Err(error) => {
            counters.failed_one();
            tracing::debug!(%error, "NAT gateway: connection not carried");
            // The pod is connected to us already: a reset is the nearest to a refusal that it can still get.
            if let Err(error) = inside.set_zero_linger() {
                tracing::debug!(%error, "NAT gateway: no reset");
            }
        }
    }
}

async fn connect_outside(inside: &TcpStream) -> io::Result<TcpStream> {
    let wanted = getsockopt(inside, sockopt::OriginalDst)?;
    let address = Ipv4Addr::from(u32::from_be(wanted.sin_addr.s_addr));
    let wanted = SocketAddrV4::new(address, u16::from_be(wanted.sin_port));
    if wanted == NAT_GATEWAY {
        return Err(io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            "dialled the NAT gateway itself",
        ));
    }
    let limit = tokio::time::timeout(DIAL_LIMIT, TcpStream::connect(SocketAddr::V4(wanted)));
    let outside = limit
        .await
        .map_err(|elapsed| io::Error::new(io::ErrorKind::TimedOut, elapsed))??;
    outside.set_nodelay(true)?;
    inside.set_nodelay(true)?;
    Ok(outside)
}
