//! Ports of a machine that lead to its pods, from other machines, from the machine, and from the pod itself.
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex};

use network_agent::host_ports::HostPorts;
use service_routing::host_ports::HostPort;
use service_routing::ruleset::Protocol;

use crate::world::{self, World, v4};
use crate::{ask, serve};

#[tokio::test]
async fn a_port_of_the_machine_leads_to_the_pod_while_it_is_there() {
    if !world::available() {
        return;
    }
    let world = World::new("10.0.0.0/16").await;
    let (one, two) = (
        world.machine(v4("10.0.0.10")).await,
        world.machine(v4("10.0.32.10")).await,
    );
    let (a, b, c) = (one.pod("a").await, one.pod("b").await, two.pod("c").await);
    serve(&a.namespace, 80, "a");
    serve(&b.namespace, 80, "b");
    let port = |address: Option<&str>, port, pod: &world::Pod| HostPort {
        protocol: Protocol::Tcp,
        address: address.map(v4),
        port,
        pod: SocketAddrV4::new(pod.addresses.address, 80),
    };
    let ports = Arc::new(Mutex::new(HostPorts::default()));
    let apply = |wanted: &[HostPort]| {
        let (ports, wanted): (_, BTreeSet<HostPort>) = (Arc::clone(&ports), wanted.iter().copied().collect());
        one.namespace.run(move || ports.lock().unwrap().apply(wanted).unwrap());
    };
    let node = one.address;
    apply(&[]);
    assert_eq!(ask(&c.namespace, node, 8080), Err(ErrorKind::ConnectionRefused));
    let of_a = port(None, 8080, &a);
    apply(&[
        of_a,
        port(Some("10.0.0.10"), 8081, &b),
        port(Some("10.0.0.99"), 8082, &b),
    ]);
    let answer = ask(&c.namespace, node, 8080).unwrap();
    assert_eq!(
        answer,
        format!("a {}", c.addresses.address),
        "the client's address is kept"
    );
    assert!(
        ask(&one.namespace, node, 8080).unwrap().starts_with("a "),
        "from the node itself"
    );
    assert!(
        ask(&b.namespace, node, 8080).unwrap().starts_with("a "),
        "from another pod of the node"
    );
    assert!(ask(&a.namespace, node, 8080).unwrap().starts_with("a "), "from itself");
    assert!(
        ask(&c.namespace, node, 8081).unwrap().starts_with("b "),
        "of that address"
    );
    assert_eq!(
        ask(&c.namespace, node, 8082),
        Err(ErrorKind::ConnectionRefused),
        "of another address"
    );
    apply(&[port(None, 8080, &b)]);
    assert!(ask(&c.namespace, node, 8080).unwrap().starts_with("b "));
    apply(&[]);
    assert_eq!(ask(&c.namespace, node, 8080), Err(ErrorKind::ConnectionRefused));
}
