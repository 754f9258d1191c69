//! The NAT gateway's UDP: one flow for each client and outside address, forgotten after a while without a word.
//!
//! A flow is a pair of connected sockets. The one inside carries the outside's own address, so that the client is
//! answered by whom it asked; the kernel gives it the flow's later datagrams without asking the gateway again.
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg};
use supervision::Supervisor;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{NAT_GATEWAY, NatCounters};
use crate::fabric::{Fabric, FabricError};
use crate::links;
use crate::sockets;

/// The packet mark by which a fabric knows datagrams for its gateway.
pub const DATAGRAM_MARK: u32 = 1;

/// AWS's NAT gateway forgets a flow after this long without a datagram.
const IDLE: Duration = Duration::from_secs(350);
/// A question and its answer, as in DNS, need not be remembered longer.
const ANSWERED: Duration = Duration::from_secs(30);
/// Flows of one VPC at a time; each costs two descriptors.
const MOST_FLOWS: usize = 2048;
/// The largest datagram.
const DATAGRAM: usize = 65_535;

/// Who speaks to whom.
type FlowKey = (SocketAddrV4, SocketAddrV4);

/// The sockets to the outside of the flows that exist.
type Flows = Arc<Mutex<HashMap<FlowKey, Arc<UdpSocket>>>>;

struct Gateway {
    fabric: Fabric,
    flows: Flows,
    counters: NatCounters,
    scope: Supervisor,
}

/// Starts to carry datagrams. The rule that hands them to the gateway's socket is the packet filter's.
pub(super) async fn serve(fabric: &Fabric, scope: &Supervisor) -> Result<(), FabricError> {
    fabric.apply(links::deliver_marked(DATAGRAM_MARK))?;
    let made = fabric.run(|| sockets::transparent_udp(NAT_GATEWAY)).await?;
    let socket = made
        .and_then(UdpSocket::from_std)
        .map_err(|source| fabric.socket_error("bind", SocketAddr::V4(NAT_GATEWAY), source))?;
    let gateway = Gateway {
        fabric: fabric.clone(),
        flows: Flows::default(),
        counters: fabric.nat_counters().clone(),
        scope: scope.clone(),
    };
    scope.spawn_until_cancelled("datagrams", gateway.receive(socket));
    Ok(())
}

impl Gateway {
    async fn receive(self, socket: UdpSocket) {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            match next_datagram(&socket, &mut buffer).await {
                Ok((flow, length)) => self.carry(flow, &buffer[..length]).await,
                Err(error) => {
                    tracing::warn!(%error, "NAT gateway cannot receive");
                    supervision::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// Sends a datagram out by its flow, which it may begin.
    async fn carry(&self, flow: FlowKey, datagram: &[u8]) {
        let known = self.lock().get(&flow).cloned();
        let outside = match known {
            Some(outside) => outside,
            None => match self.begin(flow).await {
                Ok(outside) => outside,
                Err(error) => {
                    self.counters.failed_one();
                    tracing::debug!(%error, to = %flow.1, "NAT gateway: datagram not carried");
                    return;
                }
            },
        };
        match outside.send(datagram).await {
            Ok(sent) => self.counters.sent(sent),
            // The outside said that nobody listens, or cannot be reached. UDP's sender need not be told.
            Err(error) => tracing::debug!(%error, to = %flow.1, "NAT gateway: datagram not sent"),
        }
    }

    async fn begin(&self, flow: FlowKey) -> io::Result<Arc<UdpSocket>> {
        if flow.1 == NAT_GATEWAY {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                "sent to the NAT gateway itself",
            ));
        }
        if self.lock().len() >= MOST_FLOWS {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!("{MOST_FLOWS} flows are open"),
            ));
        }
        let outside = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        outside.connect(flow.1).await?;
        let (client, server) = flow;
        let inside = self
            .fabric
            .run(move || sockets::connected_udp_as(server, client))
            .await?;
        let inside = UdpSocket::from_std(inside?)?;
        let outside = Arc::new(outside);
        self.lock().insert(flow, outside.clone());
        self.counters.began();
        let (flows, counters, carried) = (self.flows.clone(), self.counters.clone(), outside.clone());
        self.scope.spawn_until_cancelled("flow", async move {
            let ended = exchange(&inside, &carried, &counters).await;
            tracing::trace!(?ended, %client, %server, "NAT gateway: flow ended");
            flows.lock().unwrap_or_else(PoisonError::into_inner).remove(&flow);
        });
        Ok(outside)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<FlowKey, Arc<UdpSocket>>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Copies both ways until neither side has spoken for a while; an error of either side ends the flow, as the next
/// datagram begins a new one.
async fn exchange(inside: &UdpSocket, outside: &UdpSocket, counters: &NatCounters) -> io::Result<()> {
    let (mut from_inside, mut from_outside) = (vec![0; DATAGRAM], vec![0; DATAGRAM]);
    let (mut answered, mut conversing) = (false, false);
    loop {
        let patience = if answered && !conversing { ANSWERED } else { IDLE };
        let next = async {
            tokio::select! {
                received = inside.recv(&mut from_inside) => received.map(|length| (true, length)),
                received = outside.recv(&mut from_outside) => received.map(|length| (false, length)),
            }
        };
        match timeout(patience, next).await {
            Err(_elapsed) => return Ok(()),
            Ok(received) => match received? {
                (true, length) => {
                    conversing |= answered;
                    counters.sent(outside.send(&from_inside[..length]).await?);
                }
                (false, length) => {
                    // The client has its answer; if it goes on to speak, this is a conversation.
                    answered = true;
                    counters.received(inside.send(&from_outside[..length]).await?);
                }
            },
        }
    }
}

/// The next datagram, who sent it, and where it wanted to go.
async fn next_datagram(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(FlowKey, usize)> {
    socket
        .async_io(Interest::READABLE, || {
            let mut space = nix::cmsg_space!(libc::sockaddr_in);
            let mut parts = [io::IoSliceMut::new(buffer)];
            let message =
                recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_DONTWAIT)?;
            let wanted = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::Ipv4OrigDstAddr(address) => Some(SocketAddrV4::from(SockaddrIn::from(address))),
                _ => None,
            });
            let missing = || io::Error::new(io::ErrorKind::InvalidData, "a datagram without its addresses");
            let client = message.address.map(SocketAddrV4::from).ok_or_else(missing)?;
            Ok(((client, wanted.ok_or_else(missing)?), message.bytes))
        })
        .await
}
