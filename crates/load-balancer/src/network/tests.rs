//! Network load balancers between sockets of this machine.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use service_routing::network_balancers::Question;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::*;
use crate::{Options, TargetStream};

/// Dials on this machine what a fabric would dial in a VPC.
struct Local;

impl Dialer for Local {
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn TargetStream>>> {
        async move { Ok(Box::new(TcpStream::connect(to).await?) as Box<dyn TargetStream>) }.boxed()
    }

    fn datagrams(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<UdpSocket>> {
        async move {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            socket.connect(to).await?;
            Ok(socket)
        }
        .boxed()
    }
}

const LIMIT: Duration = Duration::from_secs(60);
const HOST: &str = "net-1.ap-northeast-2.elb.localhost";

/// A page server that answers each request with this status and its name.
async fn pages(name: &'static str, status: &'static str, tasks: &Supervisor) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn_until_cancelled(name, async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            if stream.read(&mut request).await.is_ok() {
                let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{name}");
                stream.write_all(answer.as_bytes()).await.ok();
            }
        }
    });
    port
}

fn target(id: &str, port: u16) -> Target {
    Target {
        id: id.to_owned(),
        port,
        address: Some(Ipv4Addr::LOCALHOST),
    }
}

fn group(targets: &[Target]) -> TargetGroup {
    TargetGroup {
        targets: targets.iter().cloned().collect(),
        check: HealthCheck {
            question: Question::Page {
                path: "/".into(),
                codes: vec![(200, 399)],
            },
            port: None,
            interval: Duration::from_millis(10),
            timeout: Duration::from_secs(30),
            healthy_after: 2,
            unhealthy_after: 2,
        },
        drain: Duration::from_secs(1),
        sticky: false,
    }
}

/// One load balancer with a listener of that protocol for a group.
fn wanted(protocol: Protocol, port: u16, group: TargetGroup) -> VpcBalancers {
    let balancer = NetworkBalancer {
        name: "net".into(),
        host_name: HOST.into(),
        listeners: [((protocol, port), vec!["group".to_owned()])].into(),
    };
    VpcBalancers {
        balancers: [("net".to_owned(), balancer)].into(),
        groups: [("group".to_owned(), group)].into(),
    }
}

async fn start(tasks: &Supervisor) -> (LoadBalancers, NetworkBalancers) {
    let options = Options {
        http_port: 0,
        supervisor: tasks.clone(),
    };
    let all = LoadBalancers::start(options).await.unwrap();
    let network = all.add_network(NetworkOptions {
        vpc: "vpc-1".into(),
        dialer: Arc::new(Local),
        supervisor: tasks.child("vpc-1"),
    });
    (all, network)
}

/// Waits until the listener has that many targets; its address.
async fn ready_targets(all: &LoadBalancers, count: usize) -> SocketAddr {
    let waited = supervision::wait_until("targets", LIMIT, async || {
        let status = all.status();
        let listener = status.first().and_then(|status| status.listeners.first());
        let found = listener.filter(|listener| listener.ready_targets == count);
        found
            .and_then(|listener| listener.address)
            .ok_or_else(|| format!("{status:?}"))
    });
    waited.await.unwrap()
}

async fn page(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer))
        .await
        .unwrap();
    read.map_or_else(|error| error.to_string(), |_| answer)
}

#[tokio::test]
async fn targets_get_traffic_while_their_checks_are_good() {
    let tasks = Supervisor::new("test");
    let (all, network) = start(&tasks).await;
    let (good, bad) = (
        pages("good", "200 OK", &tasks).await,
        pages("bad", "500 No", &tasks).await,
    );
    let both = group(&[target("a", good), target("b", bad)]);
    network.set(wanted(Protocol::Tcp, 18180, both));
    let own = ready_targets(&all, 1).await;
    assert_eq!(own.port(), 18180);
    for _ in 0..3 {
        assert!(page(own).await.ends_with("good"));
    }
    let of_bad = || network.health("group")[&("b".to_owned(), bad)];
    let waited = supervision::wait_until("a verdict", LIMIT, async || {
        if of_bad() == HealthState::Unhealthy(CheckFailure::Code(500)) {
            Ok(())
        } else {
            Err(format!("{:?}", of_bad()))
        }
    });
    waited.await.unwrap();
    assert_eq!(network.health("group")[&("a".to_owned(), good)], HealthState::Healthy);

    // When nobody is well, everybody is asked.
    network.set(wanted(Protocol::Tcp, 18180, group(&[target("b", bad)])));
    let waited = supervision::wait_until("the page of the sick", LIMIT, async || {
        let answer = page(own).await;
        if answer.ends_with("bad") { Ok(()) } else { Err(answer) }
    });
    waited.await.unwrap();
    network.set(VpcBalancers::default());
    let waited = supervision::wait_until("the end", LIMIT, async || {
        if all.status().is_empty() {
            Ok(())
        } else {
            Err("it serves")
        }
    });
    waited.await.unwrap();
    assert!(network.health("group").is_empty());
    assert!(tasks.drain(Duration::from_secs(10)).await.is_clean());
}

#[tokio::test]
async fn datagrams_go_to_a_target_and_back() {
    let tasks = Supervisor::new("test");
    let (all, network) = start(&tasks).await;
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = server.local_addr().unwrap().port();
    tasks.spawn_until_cancelled("echo", async move {
        let mut heard = [0; 64];
        while let Ok((length, from)) = server.recv_from(&mut heard).await {
            server.send_to(&heard[..length], from).await.unwrap();
        }
    });
    let page_port = pages("check", "200 OK", &tasks).await;
    let mut checked = group(&[target("a", port)]);
    checked.check.port = Some(page_port);
    network.set(wanted(Protocol::Udp, 18153, checked));
    let own = ready_targets(&all, 1).await;
    for client in 0..2 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        for word in ["one", "two"] {
            socket.send_to(word.as_bytes(), own).await.unwrap();
            let mut answer = [0; 64];
            let heard = tokio::time::timeout(LIMIT, socket.recv_from(&mut answer))
                .await
                .unwrap();
            let (length, from) = heard.unwrap();
            assert_eq!((&answer[..length], from), (word.as_bytes(), own), "client {client}");
        }
    }
    assert!(tasks.drain(Duration::from_secs(10)).await.is_clean());
}
