//! The L4 path: a connection in, a connection to a target, bytes both ways.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use supervision::Supervisor;
use tokio::net::{TcpListener, TcpStream};

use crate::balancer::Balancer;

/// Accepts connections for one port of a balancer until the supervisor is cancelled, which also cuts what is open.
pub(crate) fn serve(listener: TcpListener, balancer: Arc<Balancer>, port: u16, supervisor: &Supervisor) {
    let tasks = supervisor.clone();
    supervisor.spawn_until_cancelled(format!("listener {port}"), async move {
        loop {
            match listener.accept().await {
                Ok((client, from)) => {
                    let balancer = Arc::clone(&balancer);
                    tasks.spawn_until_cancelled(format!("connection from {from}"), async move {
                        pass(client, from, &balancer, port).await
                    });
                }
                // Out of descriptors, or a client that left before it was served: the next one may do better.
                Err(error) => {
                    tracing::warn!(service = balancer.service, port, %error, "a connection could not be accepted");
                    supervision::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    });
}

async fn pass(mut client: TcpStream, from: SocketAddr, balancer: &Balancer, port: u16) {
    match relay(&mut client, from, balancer, port).await {
        Ok(()) => {}
        Err(error) => tracing::debug!(service = balancer.service, port, %from, %error, "connection ended"),
    }
}

/// With no ready target, or for a client that may not connect, the connection is closed at once, as a network load
/// balancer resets it. With a target that is no longer one it goes on for the drain limit.
async fn relay(client: &mut TcpStream, from: SocketAddr, balancer: &Balancer, port: u16) -> io::Result<()> {
    client.set_nodelay(true)?;
    if !balancer.admits(from.ip()) {
        return Err(io::Error::other("clients from there are not admitted"));
    }
    let targets = balancer.targets(port, from.ip());
    let (target, mut stream) = balancer.connect(&targets).await.map_err(io::Error::other)?;
    tokio::select! {
        copied = tokio::io::copy_bidirectional(client, &mut stream) => copied.map(drop),
        () = balancer.drained(port, target) => Err(io::Error::other(format!("{target} is no target any more"))),
    }
}
