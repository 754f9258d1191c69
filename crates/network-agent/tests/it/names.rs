//! Names by UDP and TCP, of a cluster, a VPC and of others.
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use network_agent::dns::{Forwarder, Listeners, Zones, serve};
use network_agent::vpc::{self, VpcAddresses, VpcOptions};
use service_routing::names::{Answer, Record, RecordData, RecordKind};
use supervision::Supervisor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::world::{self, World, v4};

/// `many.<domain>` has 60 addresses, `one.<domain>` one, `alias.<domain>` leads to `one.other`.
struct Fixed(&'static str);

impl Zones for Fixed {
    fn answer(&self, name: &str, kind: RecordKind) -> Answer {
        let lower = name.trim_end_matches('.').to_ascii_lowercase();
        let Some(label) = lower.strip_suffix(self.0).and_then(|label| label.strip_suffix('.')) else {
            return Answer::NotHere;
        };
        let record = |data| Record {
            name: lower.clone(),
            data,
        };
        let address = |last| record(RecordData::Address(Ipv4Addr::new(10, 0, 0, last)));
        let answers: Vec<Record> = match label {
            "one" => vec![address(1)],
            "many" => (1..=60).map(address).collect(),
            "alias" => vec![record(RecordData::Alias("one.other".into()))],
            _ => return Answer::NoSuchName,
        };
        if kind == RecordKind::A {
            Answer::Records {
                answers,
                additional: vec![],
            }
        } else {
            Answer::NoData
        }
    }

    fn domain(&self) -> &str {
        self.0
    }
}

async fn server(zone: &'static str, others: Vec<SocketAddr>, supervisor: &Supervisor) -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).await.unwrap();
    serve(
        Listeners { udp, tcp },
        Arc::new(Fixed(zone)),
        Forwarder::of_servers(others),
        supervisor,
    );
    address
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), kind));
    message
}

async fn by_udp(server: SocketAddr, name: &str, kind: RecordType) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let question = question(name, kind);
    socket.send_to(&question.to_vec().unwrap(), server).await.unwrap();
    let mut buffer = [0; 4096];
    let length = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    let reply = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(reply.metadata.id, question.metadata.id);
    reply
}

async fn by_tcp(server: SocketAddr, name: &str) -> Message {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let bytes = question(name, RecordType::A).to_vec().unwrap();
    stream.write_u16(bytes.len() as u16).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut reply = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut reply).await.unwrap();
    Message::from_vec(&reply).unwrap()
}

fn shown(message: &Message) -> String {
    let records: Vec<String> = message
        .answers
        .iter()
        .map(|record| format!("{} {}", record.name, record.data))
        .collect();
    format!("{} [{}]", message.metadata.response_code, records.join("; "))
}

#[tokio::test]
async fn own_names_forwarded_names_and_aliases() {
    let supervisor = Supervisor::new("test");
    let other = server("other", vec![], &supervisor).await;
    let own = server("own", vec!["127.0.0.1:9".parse().unwrap(), other], &supervisor).await;
    let ask = |name: &'static str, kind| async move { shown(&by_udp(own, name, kind).await) };
    assert_eq!(ask("one.own", RecordType::A).await, "No Error [one.own. 10.0.0.1]");
    assert_eq!(
        ask("ONE.Own", RecordType::A).await,
        "No Error [ONE.Own. 10.0.0.1]",
        "the case is kept"
    );
    assert_eq!(ask("one.own", RecordType::AAAA).await, "No Error []");
    assert_eq!(ask("none.own", RecordType::A).await, "Non-Existent Domain []");
    assert_eq!(
        ask("one.other", RecordType::A).await,
        "No Error [one.other. 10.0.0.1]",
        "the second resolver answers"
    );
    let alias = ask("alias.own", RecordType::A).await;
    assert_eq!(alias, "No Error [alias.own. one.other.; one.other. 10.0.0.1]");
    let nowhere = server("nowhere", vec![], &supervisor).await;
    assert_eq!(
        by_udp(nowhere, "one.other", RecordType::A).await.metadata.response_code,
        ResponseCode::ServFail
    );
    supervisor.drain(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn long_answers_are_cut_by_udp_and_whole_by_tcp() {
    let supervisor = Supervisor::new("test");
    let own = server("own", vec![], &supervisor).await;
    let cut = by_udp(own, "many.own", RecordType::A).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    assert_eq!(by_tcp(own, "many.own").await.answers.len(), 60);
    let (first, second) = (by_tcp(own, "many.own").await, by_tcp(own, "many.own").await);
    assert_ne!(first.answers[0], second.answers[0], "records rotate");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&[7, 7, 1], own).await.unwrap();
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).await.unwrap();
    let refusal = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(
        (refusal.metadata.id, refusal.metadata.response_code),
        (0x0707, ResponseCode::FormErr)
    );
    supervisor.drain(Duration::from_secs(1)).await;
}

struct Balancers;

impl VpcAddresses for Balancers {
    fn addresses(&self, name: &str) -> Vec<Ipv4Addr> {
        if name == "a1.ap-northeast-2.elb.localhost" {
            vec![v4("169.254.2.1")]
        } else {
            vec![]
        }
    }
}

#[tokio::test]
async fn a_pod_asks_the_vpc_and_reaches_the_outside() {
    if !world::available() {
        return;
    }
    let Some(host) = world::host_address() else { return };
    let supervisor = Supervisor::new("test");
    let world = World::new("10.0.0.0/16").await;
    let options = VpcOptions {
        region: "ap-northeast-2".into(),
        addresses: Some(Arc::new(Balancers)),
    };
    vpc::serve(world.fabric.clone(), options, &supervisor).await.unwrap();
    let machine = world.machine(v4("10.0.0.10")).await;
    let pod = machine.pod("a").await;

    let in_pod = pod.namespace.clone();
    let ask = move |name: &'static str| {
        let socket = in_pod.run(|| std::net::UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_nonblocking(true).unwrap();
        let socket = UdpSocket::from_std(socket).unwrap();
        async move {
            let question = question(name, RecordType::A).to_vec().unwrap();
            socket.send_to(&question, "10.0.0.2:53").await.unwrap();
            let mut buffer = [0; 512];
            let length = tokio::time::timeout(Duration::from_secs(60), socket.recv(&mut buffer))
                .await
                .unwrap()
                .unwrap();
            shown(&Message::from_vec(&buffer[..length]).unwrap())
        }
    };
    let instance = "ip-10-0-0-10.ap-northeast-2.compute.internal";
    assert_eq!(ask(instance).await, format!("No Error [{instance}. 10.0.0.10]"));
    let balancer = "a1.ap-northeast-2.elb.localhost";
    assert_eq!(ask(balancer).await, format!("No Error [{balancer}. 169.254.2.1]"));

    datagrams_pass_both_ways(&pod.namespace, host).await;
    assert_eq!(world.fabric.nat_counters().datagram_flows(), 1);

    let outside = TcpListener::bind((host, 0)).await.unwrap();
    let port = outside.local_addr().unwrap().port();
    let client = tokio::task::spawn_blocking(move || crate::ask(&pod.namespace, host, port));
    let (mut stream, peer) = outside.accept().await.unwrap();
    stream
        .write_all(format!("outside {}", peer.ip()).as_bytes())
        .await
        .unwrap();
    drop(stream);
    assert_eq!(
        client.await.unwrap().unwrap(),
        format!("outside {host}"),
        "through the NAT gateway"
    );
    supervisor.drain(Duration::from_secs(1)).await;
}

/// Several datagrams of one pod's socket to one address of the host, each answered.
async fn datagrams_pass_both_ways(pod: &world::Namespace, host: Ipv4Addr) {
    let outside = UdpSocket::bind((host, 0)).await.unwrap();
    let to = outside.local_addr().unwrap();
    let (in_pod, words) = (pod.clone(), ["one", "two", "three"]);
    let client = tokio::task::spawn_blocking(move || {
        let socket = in_pod.run(move || std::net::UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        words.map(|word| {
            socket.send_to(word.as_bytes(), to).unwrap();
            let mut buffer = [0; 64];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            (String::from_utf8_lossy(&buffer[..length]).into_owned(), from)
        })
    });
    let mut peers = std::collections::BTreeSet::new();
    for _ in words {
        let mut buffer = [0; 64];
        let (length, peer) = outside.recv_from(&mut buffer).await.unwrap();
        peers.insert(peer);
        outside.send_to(&buffer[..length], peer).await.unwrap();
    }
    assert_eq!(
        client.await.unwrap(),
        words.map(|word| (word.to_owned(), to)),
        "each is answered by whom it asked"
    );
    assert_eq!(peers.len(), 1, "one flow: {peers:?}");
}
