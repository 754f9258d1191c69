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
    let read = tokio::time::timeout(Duration::from_secs(60), stream.read_to_string(&mut answer))
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
        ..Desired::default()
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

/// A world with one balancer, called `NAME`, that is changed by each test as it needs.
struct World {
    all: LoadBalancers,
    dialer: Arc<dyn Dialer>,
    tasks: Supervisor,
}

const NAME: &str = "b2-2.ap-northeast-2.elb.localhost";

impl World {
    async fn new(limits: Limits) -> Self {
        let tasks = Supervisor::new("test");
        let options = Options {
            http_port: 0,
            supervisor: tasks.clone(),
        };
        Self {
            all: LoadBalancers::start_with(options, limits).await.unwrap(),
            dialer: Arc::new(Local),
            tasks,
        }
    }

    fn apply(&self, change: impl FnOnce(&mut Desired)) {
        let mut all = desired(NAME, Vec::new());
        let one = all.values_mut().next().unwrap();
        one.ports.clear();
        change(one);
        self.all.apply("c", all, &self.dialer, &self.tasks);
    }

    fn http(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.all.http_port()))
    }

    fn own(&self, port: u16) -> SocketAddr {
        let status = self.all.status();
        let listener = status[0]
            .listeners
            .iter()
            .find(|listener| listener.port == port)
            .unwrap();
        listener.address.unwrap()
    }

    async fn end(self) {
        assert!(self.tasks.drain(Duration::from_secs(10)).await.is_clean());
    }
}

/// A server that keeps connections and answers each request with the number of its connection, then does what `after` says.
async fn keeping(tasks: &Supervisor, close_after_answer: bool) -> SocketAddrV4 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
        panic!("an IPv4 address")
    };
    let inner = tasks.clone();
    tasks.spawn_until_cancelled("keeping", async move {
        let mut number = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            number += 1;
            inner.spawn_until_cancelled("kept", async move {
                let mut request = [0; 4096];
                while let Ok(read) = stream.read(&mut request).await {
                    if read == 0 {
                        break;
                    }
                    let body = format!("connection {number}");
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if close_after_answer {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn connections_to_targets_are_kept_and_used_again() {
    let world = World::new(Limits::default()).await;
    let target = keeping(&world.tasks, false).await;
    world.apply(|one| drop(one.ports.insert(18081, vec![target])));
    assert!(get(world.http(), NAME).await.ends_with("connection 1"));
    // The first connection is back in the pool a moment after its answer was read.
    let again = supervision::wait_until("a kept connection", Duration::from_secs(60), async || {
        let answer = get(world.http(), NAME).await;
        if answer.ends_with("connection 1") {
            Ok(())
        } else {
            Err(answer)
        }
    });
    again.await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_kept_connection_that_the_target_closed_costs_no_request() {
    let world = World::new(Limits::default()).await;
    let target = keeping(&world.tasks, true).await;
    world.apply(|one| drop(one.ports.insert(18082, vec![target])));
    for _ in 0..20 {
        let answer = get(world.http(), NAME).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    world.end().await;
}

#[tokio::test]
async fn a_client_may_begin_with_http_2() {
    let world = World::new(Limits::default()).await;
    let target = keeping(&world.tasks, false).await;
    world.apply(|one| drop(one.ports.insert(18083, vec![target])));
    let stream = TcpStream::connect(world.http()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(
        hyper_util::rt::TokioExecutor::new(),
        hyper_util::rt::TokioIo::new(stream),
    )
    .await
    .unwrap();
    world
        .tasks
        .spawn_until_cancelled("client", async move { drop(connection.await) });
    for _ in 0..2 {
        let request = http::Request::get(format!("http://{NAME}/"))
            .body(http_body_util::Empty::<bytes::Bytes>::new())
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), http::StatusCode::OK);
        let body = http_body_util::BodyExt::collect(answer.into_body())
            .await
            .unwrap()
            .to_bytes();
        assert!(body.starts_with(b"connection "), "{body:?}");
    }
    drop(sender);
    world.end().await;
}

#[tokio::test]
async fn failures_have_the_codes_of_aws() {
    let world = World::new(Limits {
        answer: Duration::from_millis(50),
        ..Limits::default()
    })
    .await;
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let SocketAddr::V4(silent_address) = silent.local_addr().unwrap() else {
        panic!("an IPv4 address")
    };
    let nobody = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
    let cases = [
        (vec![], "HTTP/1.1 503"),
        (vec![nobody], "HTTP/1.1 502"),
        (vec![silent_address], "HTTP/1.1 504"),
    ];
    for (targets, expected) in cases {
        world.apply(|one| drop(one.ports.insert(18084, targets.clone())));
        let answer = get(world.http(), NAME).await;
        assert!(answer.starts_with(expected), "{targets:?}: {answer}");
    }
    world.end().await;
}

#[tokio::test]
async fn clients_from_elsewhere_are_not_admitted() {
    let world = World::new(Limits::default()).await;
    let target = keeping(&world.tasks, false).await;
    let cases = [("203.0.113.0/24", false), ("127.0.0.0/8", true)];
    for (range, admitted) in cases {
        world.apply(|one| {
            one.ports.insert(18085, vec![target]);
            one.sources = vec![range.parse().unwrap()];
        });
        let by_name = get(world.http(), NAME).await;
        assert_eq!(by_name.starts_with("HTTP/1.1 200"), admitted, "{range}: {by_name}");
        let mut stream = TcpStream::connect(world.own(18085)).await.unwrap();
        let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut answer = [0; 12];
        let answered = asked.is_ok() && stream.read_exact(&mut answer).await.is_ok();
        assert_eq!(answered, admitted, "{range} by address");
    }
    world.end().await;
}

#[tokio::test]
async fn with_affinity_a_client_stays_with_its_target() {
    let world = World::new(Limits::default()).await;
    let mut targets = Vec::new();
    for name in ["one", "two", "three", "four"] {
        targets.push(target(name, &world.tasks).await);
    }
    let apply = |targets: &[SocketAddrV4]| {
        world.apply(|one| {
            one.ports.insert(18086, targets.to_vec());
            one.sticky = true;
        });
    };
    apply(&targets);
    let first = get(world.own(18086), "x").await;
    for _ in 0..5 {
        assert_eq!(get(world.own(18086), "x").await, first);
    }
    // Another target's end moves nobody; the order in which they are listed says nothing.
    let mut answers = Vec::new();
    for gone in 0..targets.len() {
        let mut rest = targets.clone();
        rest.remove(gone);
        rest.reverse();
        apply(&rest);
        answers.push(get(world.own(18086), "x").await);
    }
    assert_eq!(
        answers.iter().filter(|answer| **answer == first).count(),
        targets.len() - 1
    );
    world.end().await;
}

#[tokio::test]
async fn a_removed_target_drains_and_is_then_cut_off() {
    let world = World::new(Limits {
        drain: Duration::from_millis(1),
        ..Limits::default()
    })
    .await;
    let (goes, stays) = (keeping(&world.tasks, false).await, keeping(&world.tasks, false).await);
    world.apply(|one| {
        one.ports.insert(18087, vec![goes]);
        one.ports.insert(18088, vec![stays]);
    });
    let mut to_gone = TcpStream::connect(world.own(18087)).await.unwrap();
    let mut to_staying = TcpStream::connect(world.own(18088)).await.unwrap();
    let mut buffer = [0; 256];
    for stream in [&mut to_gone, &mut to_staying] {
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
    }
    // The target goes, and with it another port comes: the connection on the port that stays is not touched.
    world.apply(|one| {
        one.ports.insert(18087, vec![]);
        one.ports.insert(18088, vec![stays]);
        one.ports.insert(18089, vec![stays]);
    });
    let cut = tokio::time::timeout(Duration::from_secs(60), to_gone.read(&mut buffer)).await;
    assert!(matches!(cut.unwrap(), Ok(0) | Err(_)), "the connection ends");
    to_staying.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(to_staying.read(&mut buffer).await.unwrap() > 0, "the other goes on");
    world.end().await;
}

#[tokio::test]
async fn a_protocol_may_be_upgraded_through_the_balancer() {
    let world = World::new(Limits::default()).await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
        panic!("an IPv4 address")
    };
    world.tasks.spawn_until_cancelled("echo", async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let read = stream.read(&mut request).await.unwrap();
        let text = String::from_utf8_lossy(&request[..read]).to_lowercase();
        assert!(
            text.contains("connection: upgrade") && text.contains("upgrade: websocket"),
            "{text}"
        );
        let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        drop(tokio::io::copy(&mut reader, &mut writer).await);
    });
    world.apply(|one| drop(one.ports.insert(18090, vec![address])));
    let mut stream = TcpStream::connect(world.http()).await.unwrap();
    let ask = format!("GET /chat HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream.write_all(b"frames").await.unwrap();
    let mut echoed = [0; 6];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"frames");
    drop(stream);
    world.end().await;
}
