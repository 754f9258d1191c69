//! What `balancers` promises, as tests.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::TargetStream;

/// Dials on this machine what a fabric would dial in a VPC.
struct Local;

impl Dialer for Local {
    fn dial(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn TargetStream>>> {
        async move { Ok(Box::new(TcpStream::connect(to).await?) as Box<dyn TargetStream>) }.boxed()
    }
}

/// A server that answers every request with its name.
async fn target(name: &'static str, tasks: &Supervisor) -> SocketAddrV4 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
        panic!("an IPv4 address")
    };
    tasks.spawn_until_cancelled(name, async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            let forwarded = String::from_utf8_lossy(&request[..read]).contains("x-forwarded-for: 127.0.0.1");
            let body = format!("{name} {forwarded}");
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

async fn get(address: SocketAddr, host: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer))
        .await
        .unwrap();
    // A connection that is closed with our request unread is reset, which is an answer too.
    match read {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
    answer
}

fn desired(host_name: &str, targets: Vec<SocketAddrV4>) -> BTreeMap<ObjectKey, Desired> {
    let one = Desired {
        service: "default/web".into(),
        host_name: host_name.into(),
        ports: BTreeMap::from([(18080, targets)]),
    };
    BTreeMap::from([(ObjectKey::namespaced("default", "web"), one)])
}

#[tokio::test]
async fn traffic_goes_to_ready_targets_in_turn_by_address_and_by_name_and_stops_with_them() {
    let tasks = Supervisor::new("test");
    let (one, two) = (target("one", &tasks).await, target("two", &tasks).await);
    let all = LoadBalancers::start(Options {
        http_port: 0,
        supervisor: tasks.clone(),
    })
    .await
    .unwrap();
    let (dialer, cluster): (Arc<dyn Dialer>, _) = (Arc::new(Local), tasks.child("cluster"));
    let name = "a1-1.ap-northeast-2.elb.localhost";
    all.apply("c", desired(name, vec![one, two]), &dialer, &cluster);

    let status = all.status();
    let own = status[0].listeners[0].address.unwrap();
    assert!(
        own.ip().is_loopback() && own.port() == 18080 && own.ip() != Ipv4Addr::LOCALHOST,
        "{own}"
    );
    let http = SocketAddr::from((Ipv4Addr::LOCALHOST, all.http_port()));
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(get(http, &format!("{}:80", name.to_uppercase())).await);
    }
    assert!(
        answers.iter().any(|answer| answer.ends_with("one true"))
            && answers.iter().any(|answer| answer.ends_with("two true")),
        "{answers:?}"
    );
    assert!(
        get(own, "whatever").await.ends_with("false"),
        "the L4 path adds nothing"
    );

    // A target that is gone but still listed is passed over.
    let nobody = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
    all.apply("c", desired(name, vec![nobody, two]), &dialer, &cluster);
    for _ in 0..2 {
        assert!(get(http, name).await.ends_with("two true"));
    }

    all.apply("c", desired(name, vec![]), &dialer, &cluster);
    assert!(get(http, name).await.starts_with("HTTP/1.1 503"));
    assert_eq!(get(own, name).await, "", "no target: closed at once");
    assert!(get(http, "other.elb.localhost").await.starts_with("HTTP/1.1 404"));

    all.apply("c", BTreeMap::new(), &dialer, &cluster);
    assert!(get(http, name).await.starts_with("HTTP/1.1 404"));
    assert_eq!(all.status(), []);
    let closed = supervision::wait_until(
        "listener closed",
        Duration::from_secs(10),
        async || match TcpStream::connect(own).await {
            Err(_) => Ok(()),
            Ok(_) => Err("it accepts"),
        },
    );
    closed.await.unwrap();
    assert!(tasks.drain(Duration::from_secs(5)).await.is_clean());
}
