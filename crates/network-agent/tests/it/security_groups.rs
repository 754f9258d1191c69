//! Security groups, with real packets between machines of a VPC.
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use network_agent::security_groups::SecurityFilter;
use network_agent::vpc::{VpcOptions, serve as serve_vpc};
use service_routing::security_groups::{Group, Peer, Permission, SecurityGroups, Traffic};
use supervision::Supervisor;
use tokio::io::AsyncReadExt;

use crate::world::{self, Machine, Namespace, Pod, World, v4};
use crate::{ask, serve};

/// The API server's address in the VPC.
const API: &str = "10.0.0.5";

fn permission(peer: &str, traffic: Traffic) -> Permission {
    let peer = match peer.parse() {
        Ok(range) => Peer::Range(range),
        Err(_no_range) => Peer::Group(peer.to_owned()),
    };
    Permission { peer, traffic }
}

fn tcp(port: u16) -> Traffic {
    Traffic::Ports {
        protocol: 6,
        first: port,
        last: port,
    }
}

/// Two machines, each in a group of its own, with a pod on each.
struct Vpc {
    world: World,
    one: Machine,
    two: Machine,
    a: Pod,
    c: Pod,
    filter: SecurityFilter,
    groups: SecurityGroups,
}

impl Vpc {
    async fn new() -> Self {
        let world = World::new("10.0.0.0/16").await;
        let (one, two) = (
            world.machine(v4("10.0.0.10")).await,
            world.machine(v4("10.0.32.10")).await,
        );
        let (a, c) = (one.pod("a").await, two.pod("c").await);
        let filter = SecurityFilter::new(world.fabric.clone());
        let mut groups = SecurityGroups {
            resolver: Some(v4("10.0.0.2")),
            control_plane: [v4(API)].into(),
            ..SecurityGroups::default()
        };
        for (id, machine) in [("sg-one", Some(&one)), ("sg-two", Some(&two)), ("sg-api", None)] {
            let addresses = machine.map(|machine| [&[machine.address], machine.pod_addresses.as_slice()].concat());
            for address in addresses.unwrap_or_else(|| vec![v4(API)]) {
                groups.members.insert(address, [id.to_owned()].into());
            }
            let egress = [permission("0.0.0.0/0", Traffic::All)].into();
            let group = Group {
                ingress: BTreeSet::new(),
                egress,
            };
            groups.groups.insert(id.to_owned(), group);
        }
        Self {
            world,
            one,
            two,
            a,
            c,
            filter,
            groups,
        }
    }

    /// Changes the rules of a group, in the fabric at once.
    async fn change(&mut self, group: &str, change: impl FnOnce(&mut Group)) {
        change(self.groups.groups.get_mut(group).unwrap());
        self.filter.apply(self.groups.clone()).await.unwrap();
    }
}

/// A server that says everything back until the client ends.
fn echo(namespace: &Namespace, port: u16) {
    namespace.run(move || {
        let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut line = [0; 64];
                    while let Ok(read @ 1..) = stream.read(&mut line) {
                        stream.write_all(&line[..read]).unwrap();
                    }
                });
            }
        });
    });
}

/// A connection made in a namespace, for any thread.
fn connect(namespace: &Namespace, address: Ipv4Addr, port: u16) -> TcpStream {
    namespace.run(move || {
        let stream = TcpStream::connect_timeout(&SocketAddr::from((address, port)), Duration::from_secs(30)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    })
}

fn say(stream: &mut TcpStream, word: &[u8]) {
    stream.write_all(word).unwrap();
    let mut back = vec![0; word.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, word);
}

#[tokio::test]
async fn what_no_rule_allows_vanishes_and_what_was_open_goes_on() {
    if !world::available() {
        return;
    }
    let mut vpc = Vpc::new().await;
    let to = vpc.c.addresses.address;
    serve(&vpc.c.namespace, 8080, "c");
    echo(&vpc.c.namespace, 9000);
    assert!(
        ask(&vpc.a.namespace, to, 8080).is_ok(),
        "a VPC whose groups are not known yet"
    );

    vpc.change("sg-two", |_| {}).await;
    assert_eq!(
        ask(&vpc.a.namespace, to, 8080),
        Err(ErrorKind::TimedOut),
        "no rule lets anybody in"
    );

    let from_one = permission("sg-one", Traffic::Protocol(6));
    vpc.change("sg-two", |two| {
        two.ingress.insert(from_one.clone());
    })
    .await;
    let answer = ask(&vpc.a.namespace, to, 8080).unwrap();
    assert_eq!(
        answer,
        format!("c {}", vpc.a.addresses.address),
        "as members of the group, pods too"
    );
    assert!(ask(&vpc.one.namespace, to, 8080).is_ok());

    // A rule that goes takes no connection along, in neither direction; new ones do not come about.
    let mut open = connect(&vpc.a.namespace, to, 9000);
    say(&mut open, b"before");
    vpc.change("sg-two", |two| two.ingress.clear()).await;
    say(&mut open, b"after");
    assert_eq!(ask(&vpc.a.namespace, to, 9000), Err(ErrorKind::TimedOut));
    vpc.change("sg-two", |two| {
        two.ingress = [permission("10.0.0.0/24", tcp(8080))].into()
    })
    .await;
    assert!(ask(&vpc.a.namespace, to, 8080).is_ok(), "by range and port");
    assert_eq!(
        ask(&vpc.a.namespace, to, 9000),
        Err(ErrorKind::TimedOut),
        "not by another port"
    );
    say(&mut open, b"still");
}

// The resolver answers on the test's own runtime, while the client waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_for_what_leaves_hold_for_the_vpc_and_the_outside() {
    if !world::available() {
        return;
    }
    let Some(host) = world::host_address() else { return };
    let mut vpc = Vpc::new().await;
    let supervisor = Supervisor::new("test");
    let options = VpcOptions {
        region: "ap-northeast-2".into(),
        addresses: None,
    };
    serve_vpc(vpc.world.fabric.clone(), options, &supervisor).await.unwrap();
    serve(&vpc.c.namespace, 8080, "c");
    let outside = TcpListener::bind((host, 0)).unwrap();
    let port = outside.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in outside.incoming() {
            stream.unwrap().write_all(b"outside").unwrap();
        }
    });
    vpc.change("sg-two", |two| {
        two.ingress.insert(permission("0.0.0.0/0", Traffic::All));
    })
    .await;
    let ask_outside = move |namespace: &Namespace| ask(namespace, host, port);
    let pod = vpc.a.namespace.clone();
    let answer = tokio::task::spawn_blocking(move || ask_outside(&pod)).await.unwrap();
    assert_eq!(answer.as_deref(), Ok("outside"));

    vpc.change("sg-one", |one| one.egress = [permission("sg-two", tcp(8080))].into())
        .await;
    assert!(ask(&vpc.a.namespace, vpc.c.addresses.address, 8080).is_ok());
    let pod = vpc.a.namespace.clone();
    let answer = tokio::task::spawn_blocking(move || ask(&pod, host, port))
        .await
        .unwrap();
    assert_eq!(answer, Err(ErrorKind::TimedOut), "before the NAT gateway took it");
    vpc.change("sg-one", |one| one.egress.clear()).await;
    assert_eq!(
        ask(&vpc.a.namespace, vpc.c.addresses.address, 8080),
        Err(ErrorKind::TimedOut)
    );

    // What AWS lets nobody filter: the resolver, and link-local addresses.
    let answers = vpc.a.namespace.run(|| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0cip-10-0-0-10\x0eap-northeast-2\x07compute\x08internal\x00\x00\x01\x00\x01";
        socket.send_to(question, "10.0.0.2:53").unwrap();
        socket.recv(&mut [0; 512])
    });
    assert!(answers.is_ok(), "{answers:?}");
    supervisor.drain(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn the_control_plane_speaks_as_a_member_of_its_groups() {
    if !world::available() {
        return;
    }
    let mut vpc = Vpc::new().await;
    let node = vpc.one.address;
    serve(&vpc.one.namespace, 10250, "node");
    let api = vpc
        .world
        .fabric
        .listen_tcp(SocketAddr::from((v4(API), 443)))
        .await
        .unwrap();
    let supervisor = Supervisor::new("test");
    supervisor.spawn_until_cancelled("api", async move { while api.accept().await.is_ok() {} });
    vpc.change("sg-one", |one| one.ingress = [permission("sg-api", tcp(10250))].into())
        .await;
    let dial = async |vpc: &Vpc, limit| {
        let to = SocketAddr::from((node, 10250));
        let dialled = tokio::time::timeout(limit, vpc.world.fabric.dial_as(v4(API), to)).await;
        let mut stream = dialled.ok()?.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        Some(said)
    };
    assert_eq!(dial(&vpc, Duration::from_secs(30)).await, Some(format!("node {API}")));
    vpc.change("sg-one", |one| one.ingress.clear()).await;
    assert_eq!(dial(&vpc, Duration::from_secs(1)).await, None);
    // Whoever else speaks in the region's name, such as a load balancer, is in no group.
    let balancer = vpc
        .world
        .fabric
        .dial_as(v4("10.0.0.2"), SocketAddr::from((node, 10250)));
    assert!(balancer.await.is_ok());

    // Nodes reach the API server by its public endpoint; others need the cluster's groups.
    let (one, two) = (vpc.one.namespace.clone(), vpc.two.namespace.clone());
    vpc.groups.public_endpoints = [(vpc.one.address, v4(API))].into();
    vpc.change("sg-api", |_| {}).await;
    let reaches = |namespace: &Namespace| {
        namespace.run(|| TcpStream::connect_timeout(&SocketAddr::from((v4(API), 443)), Duration::from_secs(3)).is_ok())
    };
    assert!(reaches(&one));
    assert!(!reaches(&two) && !reaches(&vpc.a.namespace));
    vpc.change("sg-api", |api| api.ingress = [permission("sg-two", tcp(443))].into())
        .await;
    assert!(reaches(&two));
    supervisor.drain(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn an_instance_that_comes_is_filtered_and_disturbs_nobody() {
    if !world::available() {
        return;
    }
    let mut vpc = Vpc::new().await;
    let to = vpc.c.addresses.address;
    echo(&vpc.c.namespace, 9000);
    vpc.change("sg-two", |two| {
        two.ingress = [permission("sg-one", Traffic::All)].into()
    })
    .await;
    let mut open = connect(&vpc.a.namespace, to, 9000);
    let late = v4("10.0.64.10");
    vpc.groups
        .members
        .insert(late, ["sg-two".to_owned(), "sg-late".to_owned()].into());
    vpc.change("sg-two", |_| {}).await;
    let machine = vpc.world.machine(late).await;
    serve(&machine.namespace, 8080, "late");
    assert!(ask(&vpc.a.namespace, late, 8080).is_ok(), "a group of two lets in");
    assert_eq!(
        ask(&machine.namespace, to, 9000),
        Err(ErrorKind::TimedOut),
        "it is not in the group that is let in"
    );
    say(&mut open, b"undisturbed");
    vpc.groups.members.insert(late, ["sg-one".to_owned()].into());
    vpc.change("sg-two", |_| {}).await;
    let mut moved = connect(&machine.namespace, to, 9000);
    say(&mut moved, b"moved");
    assert_eq!(ask(&vpc.a.namespace, late, 8080), Err(ErrorKind::TimedOut));
}
