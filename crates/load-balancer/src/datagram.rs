//! The UDP path: a client's datagrams go to one target for as long as the flow goes on.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use supervision::Supervisor;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::balancer::Balancer;

/// How long a flow may be silent; AWS's limit for UDP.
const IDLE: Duration = Duration::from_secs(120);
/// The longest datagram.
const LONGEST: usize = 65_535;
/// Flows at a time, and datagrams of one that wait.
const MOST_FLOWS: usize = 4096;
const WAITING: usize = 64;

/// A client's way to a target.
struct Flow {
    target: SocketAddrV4,
    datagrams: mpsc::Sender<Vec<u8>>,
}

/// Takes datagrams for one port of a balancer until the supervisor is cancelled.
pub(crate) fn serve(socket: UdpSocket, balancer: Arc<Balancer>, port: u16, supervisor: &Supervisor) {
    let tasks = supervisor.clone();
    supervisor.spawn_until_cancelled(format!("datagrams {port}"), async move {
        let socket = Arc::new(socket);
        let mut flows: HashMap<SocketAddr, Flow> = HashMap::new();
        let mut datagram = vec![0; LONGEST];
        loop {
            match socket.recv_from(&mut datagram).await {
                Ok((length, client)) => {
                    let goes_on = flows.get(&client).is_some_and(|flow| {
                        balancer.has_datagrams(port, flow.target)
                            && !matches!(
                                flow.datagrams.try_send(datagram[..length].to_vec()),
                                Err(mpsc::error::TrySendError::Closed(_))
                            )
                    });
                    if goes_on {
                        continue;
                    }
                    flows.remove(&client);
                    if flows.len() >= MOST_FLOWS {
                        flows.retain(|_, flow| !flow.datagrams.is_closed());
                    }
                    if flows.len() >= MOST_FLOWS || !balancer.admits(client.ip()) {
                        continue;
                    }
                    let Some(target) = balancer.datagram_target(port, client.ip()) else {
                        continue;
                    };
                    let (sender, receiver) = mpsc::channel(WAITING);
                    // It has room for one.
                    sender.try_send(datagram[..length].to_vec()).ok();
                    flows.insert(
                        client,
                        Flow {
                            target,
                            datagrams: sender,
                        },
                    );
                    let (socket, balancer) = (Arc::clone(&socket), Arc::clone(&balancer));
                    tasks.spawn_until_cancelled(format!("flow from {client}"), async move {
                        if let Err(error) = carry(&socket, client, target, receiver, &balancer).await {
                            tracing::debug!(service = balancer.service, %client, %target, %error, "flow ended");
                        }
                    });
                }
                // A client that is gone says so here; the next one may do better.
                Err(error) => {
                    tracing::debug!(service = balancer.service, port, %error, "no datagram");
                    supervision::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    });
}

/// Passes a flow's datagrams both ways until it is silent or forgotten.
async fn carry(
    own: &UdpSocket,
    client: SocketAddr,
    target: SocketAddrV4,
    mut datagrams: mpsc::Receiver<Vec<u8>>,
    balancer: &Balancer,
) -> io::Result<()> {
    let inside = balancer.datagrams_to(target).await?;
    let mut answer = vec![0; LONGEST];
    loop {
        tokio::select! {
            datagram = datagrams.recv() => match datagram {
                Some(datagram) => drop(inside.send(&datagram).await?),
                None => return Ok(()),
            },
            answered = inside.recv(&mut answer) => {
                own.send_to(&answer[..answered?], client).await?;
            }
            () = supervision::sleep(IDLE) => return Ok(()),
        }
    }
}
