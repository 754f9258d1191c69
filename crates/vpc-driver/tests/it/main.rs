//! Real namespaces, links and packets: fabrics, instances and pods.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers fail as its assertions do"
)]
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use supervision::Supervisor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vpc_driver::{Fabric, FabricError, InstanceLink, MachineNamespace, PodAddresses};
use world::{World, fabric_spec, v4};

/// A listener on every address of a namespace that answers with its name and the peer's address.
fn serve(namespace: &world::Namespace, port: u16, name: &'static str) {
    namespace.run(move || {
        let listener = std::net::TcpListener::bind(("0.0.0.0", port)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let answer = format!("{name} {}", stream.peer_addr().unwrap().ip());
                std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
            }
        });
    });
}

async fn ask(fabric: &Fabric, address: Ipv4Addr, port: u16) -> Result<String, String> {
    let dialled = tokio::time::timeout(Duration::from_secs(10), fabric.dial(SocketAddr::from((address, port)))).await;
    let mut stream = dialled
        .map_err(|elapsed| elapsed.to_string())?
        .map_err(|error| supervision::error_chain(&error))?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .map_err(|error| error.to_string())?;
    Ok(answer)
}

fn ask_from(namespace: &world::Namespace, address: Ipv4Addr, port: u16) -> Result<String, String> {
    namespace.run(move || {
        let limit = Duration::from_secs(5);
        let to = SocketAddr::from((address, port));
        let mut stream = std::net::TcpStream::connect_timeout(&to, limit).map_err(|error| error.kind().to_string())?;
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).map_err(|error| error.to_string())?;
        Ok(answer)
    })
}

#[tokio::test]
async fn pods_nodes_and_the_fabric_reach_each_other() {
    if !world::available() {
        return;
    }
    let world = World::new("10.0.0.0/16").await;
    let (one, two) = (
        world.machine(v4("10.0.0.10")).await,
        world.machine(v4("10.0.32.10")).await,
    );
    let (a, b, c) = (one.pod("a").await, one.pod("b").await, two.pod("c").await);
    serve(&a.namespace, 8080, "a");
    serve(&b.namespace, 8080, "b");
    serve(&c.namespace, 8080, "c");
    serve(&one.namespace, 10250, "node");
    let (ip_a, ip_b, ip_c) = (a.addresses.address, b.addresses.address, c.addresses.address);

    assert_eq!(
        ask_from(&a.namespace, ip_b, 8080).unwrap(),
        format!("b {ip_a}"),
        "same machine, source kept"
    );
    assert_eq!(
        ask_from(&a.namespace, ip_c, 8080).unwrap(),
        format!("c {ip_a}"),
        "other machine, source kept"
    );
    assert_eq!(
        ask_from(&c.namespace, v4("10.0.0.10"), 10250).unwrap(),
        format!("node {ip_c}")
    );
    assert_eq!(
        ask_from(&two.namespace, ip_a, 8080).unwrap(),
        "a 10.0.32.10",
        "node to a pod elsewhere"
    );
    assert_eq!(
        ask_from(&one.namespace, ip_a, 8080).unwrap(),
        "a 10.0.0.10",
        "node to its own pod"
    );
    let from_fabric = ask(&world.fabric, ip_c, 8080).await.unwrap();
    assert!(
        from_fabric.starts_with("c 10.0.") || from_fabric.starts_with("c 169.254."),
        "{from_fabric}"
    );
}

#[tokio::test]
async fn the_fabric_listens_inside_the_vpc() {
    if !world::available() {
        return;
    }
    let world = World::new("10.0.0.0/16").await;
    let machine = world.machine(v4("10.0.0.10")).await;
    let pod = machine.pod("a").await;
    let listener = world.fabric.listen_tcp("10.0.0.5:443".parse().unwrap()).await.unwrap();
    let server = async {
        let (mut stream, peer) = listener.accept().await.unwrap();
        stream.write_all(format!("api {}", peer.ip()).as_bytes()).await.unwrap();
    };
    let (pod_ns, expected) = (pod.namespace.clone(), format!("api {}", pod.addresses.address));
    let client = tokio::task::spawn_blocking(move || ask_from(&pod_ns, v4("10.0.0.5"), 443));
    let ((), answer) = tokio::join!(server, client);
    assert_eq!(answer.unwrap().unwrap(), expected);
    let refused = world
        .fabric
        .listen_tcp("10.9.9.9:443".parse().unwrap())
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            FabricError::Socket {
                action: "listen on",
                ..
            }
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn two_fabrics_with_the_same_range_cannot_reach_each_other() {
    if !world::available() {
        return;
    }
    let (left, right) = (World::new("10.0.0.0/16").await, World::new("10.0.0.0/16").await);
    let left_machine = left.machine(v4("10.0.0.10")).await;
    let right_machine = right.machine(v4("10.0.32.10")).await;
    let (here, there) = (left_machine.pod("here").await, right_machine.pod("there").await);
    serve(&here.namespace, 8080, "here");
    serve(&there.namespace, 8080, "there");
    assert!(ask_from(&here.namespace, there.addresses.address, 8080).is_err());
    assert!(ask(&left.fabric, there.addresses.address, 8080).await.is_err());
    let answer = ask(&right.fabric, there.addresses.address, 8080).await.unwrap();
    assert!(answer.starts_with("there "), "{answer}");
}

#[tokio::test]
async fn a_pod_cannot_send_from_an_address_that_is_not_its_own() {
    if !world::available() {
        return;
    }
    let world = World::new("10.0.0.0/16").await;
    let machine = world.machine(v4("10.0.0.10")).await;
    let (liar, victim) = (machine.pod("liar").await, machine.pod("victim").await);
    let target = SocketAddr::from((victim.addresses.address, 9000));
    let receiver = victim
        .namespace
        .run(|| std::net::UdpSocket::bind("0.0.0.0:9000").unwrap());
    receiver.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let send = move |from: Ipv4Addr| {
        let socket = std::net::UdpSocket::bind((from, 0)).unwrap();
        socket.send_to(b"hello", target).unwrap();
    };
    let own = liar.addresses.address;
    liar.namespace.run(move || send(own));
    let mut buffer = [0; 16];
    assert_eq!(receiver.recv_from(&mut buffer).unwrap().1.ip(), own);
    receiver.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    world::shell(&liar.namespace, "ip addr add 10.0.0.99/32 dev eth0");
    liar.namespace.run(move || send(v4("10.0.0.99")));
    assert!(
        receiver.recv_from(&mut buffer).is_err(),
        "a forged source must not arrive"
    );
}

#[tokio::test]
async fn attaching_again_changes_nothing_and_repairs_what_is_missing() {
    if !world::available() {
        return;
    }
    let world = World::new("10.0.0.0/16").await;
    let machine = world.machine(v4("10.0.0.10")).await;
    let pod = machine.pod("a").await;
    serve(&pod.namespace, 8080, "a");
    let state = || {
        world::shell(
            &machine.namespace,
            // The kernel lists neighbours in the order of a hash.
            "ip -o link | cut -d: -f1,2; ip -o addr; ip route; ip neigh | sort",
        )
    };
    let before = state();
    world.attach(&machine).await;
    assert_eq!(state(), before);
    world::shell(
        &machine.namespace,
        "ip route del default; ip addr add 10.0.7.7/32 dev eth0",
    );
    world.attach(&machine).await;
    assert_eq!(state(), before);

    // The pod moves its addresses: what is no longer assigned is no longer routed.
    let link = InstanceLink {
        eni_id: machine.eni_id.clone(),
        address: machine.address,
        namespace: MachineNamespace::File(machine.namespace.file()),
        pod_addresses: vec![],
    };
    world.fabric.attach_instance(link).await.unwrap();
    let found = world.fabric.instances().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].eni_id.as_str(), found[0].addresses.as_slice()),
        (machine.eni_id.as_str(), &[machine.address][..])
    );
    assert!(ask(&world.fabric, pod.addresses.address, 8080).await.is_err());
    world.attach(&machine).await;
    assert!(
        ask(&world.fabric, pod.addresses.address, 8080)
            .await
            .unwrap()
            .starts_with("a ")
    );
    world.fabric.detach_instance(&machine.eni_id).await.unwrap();
    world.fabric.detach_instance(&machine.eni_id).await.unwrap();
    assert_eq!(world.fabric.instances().await.unwrap(), []);
}

#[tokio::test]
async fn a_fabric_is_found_again_or_built_anew() {
    if !world::available() {
        return;
    }
    let world = World::new("10.0.0.0/16").await;
    let machine = world.machine(v4("10.0.0.10")).await;
    let pod = machine.pod("a").await;
    serve(&pod.namespace, 8080, "a");
    let spec = fabric_spec(world.fabric.vpc_id(), "10.0.0.0/16");
    let own = i32::try_from(std::process::id()).unwrap();
    let again = Fabric::reopen_or_create(spec.clone(), &[own]).await.unwrap();
    assert_eq!(again.instances().await.unwrap().len(), 1, "the same fabric");
    assert!(ask(&again, pod.addresses.address, 8080).await.is_ok());

    let other = fabric_spec("vpc-other", "10.0.0.0/16");
    let path = format!("/proc/{own}/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&again.netns_fd()));
    let refused = Fabric::reopen(other, path.as_ref()).await.err().unwrap();
    assert!(matches!(refused, FabricError::NotThisVpc { .. }), "{refused}");

    // All holders die: a new fabric, and the machine is attached again although its old eth0 may still linger.
    let rebuilt = Fabric::create(spec).await.unwrap();
    rebuilt.attach_instance(machine.link()).await.unwrap();
    assert!(
        ask(&rebuilt, pod.addresses.address, 8080)
            .await
            .unwrap()
            .starts_with("a ")
    );
}

#[tokio::test]
async fn the_nat_gateway_carries_connections_to_the_host() {
    if !world::available() || !world::has_nft() {
        return;
    }
    let world = World::new("10.0.0.0/16").await;
    let supervisor = Supervisor::new("test");
    world.fabric.serve_nat(&supervisor).await.unwrap();
    // The rule is the packet filter's; this crate only carries, so the test sets the rule with the nft program.
    let Some(host) = world::host_address() else { return };
    let outside = tokio::net::TcpListener::bind((host, 0)).await.unwrap();
    let port = outside.local_addr().unwrap().port();
    let machine = world.machine(v4("10.0.0.10")).await;
    let pod = machine.pod("a").await;
    let rule = format!(
        "add table ip t; add chain ip t pre {{ type nat hook prerouting priority -100; }}; \
         add rule ip t pre ip daddr {host} meta l4proto tcp dnat to 169.254.1.3:15001"
    );
    world.fabric.run(move || world::nft(&rule)).await.unwrap();
    let server = async {
        let (mut stream, peer) = outside.accept().await.unwrap();
        stream
            .write_all(format!("outside {}", peer.ip()).as_bytes())
            .await
            .unwrap();
    };
    let pod_ns = pod.namespace.clone();
    let client = tokio::task::spawn_blocking(move || ask_from(&pod_ns, host, port));
    let ((), answer) = tokio::join!(server, client);
    assert_eq!(
        answer.unwrap().unwrap(),
        format!("outside {host}"),
        "the outside sees the host"
    );
    let counters = world.fabric.nat_counters().clone();
    let counted = || async {
        if counters.bytes_in() > 0 {
            Ok(())
        } else {
            Err("nothing counted")
        }
    };
    supervision::wait_until("the connection's bytes", Duration::from_secs(10), counted)
        .await
        .unwrap();
    assert_eq!((counters.connections(), counters.failed()), (1, 0));
    drop(outside);
    let (pod_ns, closed) = (pod.namespace.clone(), move |ns| ask_from(&ns, host, port));
    let refused = tokio::task::spawn_blocking(move || closed(pod_ns)).await.unwrap();
    assert!(refused.is_err(), "{refused:?}");
    supervisor.drain(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn leftovers_are_taken_away_and_addresses_come_back() {
    if !world::available() {
        return;
    }
    let world = World::new("10.0.0.0/16").await;
    let machine = world.machine(v4("10.0.0.10")).await;
    let (kept, gone) = (machine.pod("kept").await, machine.pod("gone").await);
    serve(&kept.namespace, 8080, "kept");
    world::shell(
        &machine.namespace,
        "ip link add eni00000000bad type veth peer name other",
    );
    let removed = machine.network.reconcile(&["kept".to_owned()]).await.unwrap();
    assert_eq!(removed, ["gone"]);
    let links = world::shell(&machine.namespace, "ip -br link");
    assert!(
        links.contains(&kept.addresses.link) && !links.contains(&gone.addresses.link),
        "{links}"
    );
    assert!(!links.contains("eni00000000bad"), "{links}");
    assert_eq!(machine.network.status().assigned, 1);
    assert!(ask(&world.fabric, kept.addresses.address, 8080).await.is_ok());
    let PodAddresses { address, .. } = machine
        .network
        .attach(machine.attachment("kept", &kept.namespace))
        .await
        .unwrap();
    assert_eq!(address, kept.addresses.address);
}

#[tokio::test]
async fn fifty_pods_have_links_and_addresses_of_their_own() {
    if !world::available() {
        return;
    }
    let world = World::new("10.0.0.0/16").await;
    let machine = world.machine_with(v4("10.0.0.10"), 60).await;
    let mut seen = std::collections::BTreeSet::new();
    for index in 0..50 {
        let namespace = world::Namespace::new();
        let attachment = machine.attachment(&format!("pod-{index}"), &namespace);
        let attached = machine.network.attach(attachment).await.unwrap();
        assert!(
            seen.insert(attached.address) && !attached.link.is_empty(),
            "{attached:?}"
        );
    }
}
