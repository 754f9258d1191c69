//! The rules of kube-proxy, on two machines with pods behind them.
use std::collections::BTreeMap;
use std::io::ErrorKind;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use packet_filter::PacketFilter;
use service_routing::endpoints::{NodeView, SliceIndex};
use service_routing::service_rules::{service_table, stale_flows};

use crate::world::{self, Machine, Pod, World, v4};
use crate::{ask, serve};

fn service(name: &str, spec: &str) -> Service {
    let text = format!(r#"{{"metadata":{{"namespace":"default","name":"{name}"}},"spec":{spec}}}"#);
    serde_json::from_str(&text).unwrap()
}

fn slice(service: &str, port: &str, endpoints: &[(&Pod, &str)]) -> EndpointSlice {
    let each = endpoints.iter().map(|(pod, node)| {
        format!(
            r#"{{"addresses":["{}"],"nodeName":"{node}","conditions":{{"ready":true}}}}"#,
            pod.addresses.address
        )
    });
    let text = format!(
        r#"{{"metadata":{{"namespace":"default","labels":{{"kubernetes.io/service-name":"{service}"}}}},
        "addressType":"IPv4","ports":[{port}],"endpoints":[{}]}}"#,
        each.collect::<Vec<_>>().join(",")
    );
    serde_json::from_str(&text).unwrap()
}

const TCP: &str = r#"{"name":"http","port":8080,"protocol":"TCP"}"#;
const UDP: &str = r#"{"name":"dns","port":5353,"protocol":"UDP"}"#;

/// kube-proxy on a machine, without the API server.
struct Proxy {
    node: NodeView,
    filter: Option<PacketFilter>,
}

impl Proxy {
    fn new(node: &str) -> Self {
        Self {
            node: NodeView {
                name: node.into(),
                zone: None,
            },
            filter: None,
        }
    }

    fn set(&mut self, machine: &Machine, services: &[Service], slices: &[EndpointSlice]) {
        let table = service_table(services, &SliceIndex::new(slices), &self.node);
        let filter = self.filter.take();
        let filter = machine.namespace.run(move || {
            let mut filter = filter.unwrap_or_else(|| PacketFilter::open().unwrap());
            let stale = filter
                .applied()
                .map(|before| stale_flows(before, &table))
                .unwrap_or_default();
            filter.apply(table).unwrap();
            packet_filter::forget_flows(&stale).unwrap();
            filter
        });
        self.filter = Some(filter);
    }
}

/// Who answers how often.
fn tally(answers: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    answers.fold(BTreeMap::new(), |mut tally, answer| {
        *tally.entry(answer.split(' ').next().unwrap().to_owned()).or_default() += 1;
        tally
    })
}

/// Two machines with kube-proxy, and Services on pods `a` (first machine) and `c` (second); `b` is a client.
struct Cluster {
    _world: World,
    one: Machine,
    two: Machine,
    a: Pod,
    b: Pod,
    c: Pod,
}

const WEB: &str = "10.100.0.50";
const STICKY: &str = "10.100.0.51";
const NONE: &str = "10.100.0.52";
const LOCAL: &str = "10.100.0.53";

impl Cluster {
    async fn new() -> Self {
        let world = World::new("10.0.0.0/16").await;
        let (one, two) = (
            world.machine(v4("10.0.0.10")).await,
            world.machine(v4("10.0.32.10")).await,
        );
        let (a, b, c) = (one.pod("a").await, one.pod("b").await, two.pod("c").await);
        serve(&a.namespace, 8080, "a");
        serve(&c.namespace, 8080, "c");
        let with = |name: &str, address: &str, more: &str, port: &str| {
            let spec = format!(
                r#"{{"type":"NodePort","clusterIP":"{address}"{more},"ports":[{{"name":"http","port":80{port}}}]}}"#
            );
            service(name, &spec)
        };
        let local = r#","externalTrafficPolicy":"Local","internalTrafficPolicy":"Local""#;
        let services = [
            with("web", WEB, "", r#","nodePort":30080"#),
            with("sticky", STICKY, r#","sessionAffinity":"ClientIP""#, ""),
            with("none", NONE, "", r#","nodePort":30082"#),
            with("local", LOCAL, local, r#","nodePort":30083"#),
        ];
        let slices = [
            slice("web", TCP, &[(&a, "n1"), (&c, "n2")]),
            slice("sticky", TCP, &[(&a, "n1"), (&c, "n2")]),
            slice("local", TCP, &[(&a, "n1")]),
        ];
        Proxy::new("n1").set(&one, &services, &slices);
        Proxy::new("n2").set(&two, &services, &slices);
        Self {
            _world: world,
            one,
            two,
            a,
            b,
            c,
        }
    }
}

#[tokio::test]
async fn cluster_addresses_spread_keep_the_client_and_keep_to_affinity() {
    if !world::available() {
        return;
    }
    let Cluster { one, a, b, _world, .. } = &Cluster::new().await;
    let web = v4(WEB);
    let spread = tally((0..40).map(|_| ask(&b.namespace, web, 80).unwrap()));
    assert!(spread["a"] > 5 && spread["c"] > 5, "{spread:?}");
    let kept = format!(" {}", b.addresses.address);
    assert!(
        ask(&b.namespace, web, 80).unwrap().ends_with(&kept),
        "the client's address is kept"
    );
    assert!(ask(&one.namespace, web, 80).is_ok(), "from the node itself");
    for _ in 0..10 {
        ask(&a.namespace, web, 80).expect("a pod reaches itself through its Service");
    }
    let first = ask(&b.namespace, v4(STICKY), 80).unwrap();
    for _ in 0..10 {
        assert_eq!(ask(&b.namespace, v4(STICKY), 80).unwrap(), first, "the client stays");
    }
}

#[tokio::test]
async fn what_nobody_serves_is_refused_at_once() {
    if !world::available() {
        return;
    }
    let Cluster { one, b, c, _world, .. } = &Cluster::new().await;
    for (from, whose) in [(&b.namespace, "a pod"), (&one.namespace, "the node")] {
        assert_eq!(
            ask(from, v4(NONE), 80).unwrap_err(),
            ErrorKind::ConnectionRefused,
            "no endpoints, from {whose}"
        );
        assert_eq!(
            ask(from, v4(WEB), 81).unwrap_err(),
            ErrorKind::ConnectionRefused,
            "unknown port, from {whose}"
        );
    }
    assert_eq!(
        ask(&c.namespace, one.address, 30082).unwrap_err(),
        ErrorKind::ConnectionRefused,
        "node port"
    );
}

#[tokio::test]
async fn node_ports_and_local_policies() {
    if !world::available() {
        return;
    }
    let Cluster {
        one, two, b, c, _world, ..
    } = &Cluster::new().await;
    let node_port = tally((0..30).map(|_| ask(&c.namespace, one.address, 30080).unwrap()));
    assert!(node_port["a"] > 3 && node_port["c"] > 3, "{node_port:?}");
    assert!(
        ask(&one.namespace, one.address, 30080).is_ok(),
        "the node's own port, from the node"
    );

    let client = c.addresses.address;
    assert_eq!(
        ask(&c.namespace, one.address, 30083).unwrap(),
        format!("a {client}"),
        "Local keeps the client"
    );
    assert!(
        ask(&b.namespace, two.address, 30083).is_err(),
        "from outside a node without endpoints: dropped"
    );
    assert!(
        ask(&c.namespace, two.address, 30083).unwrap().starts_with("a "),
        "clients inside reach all endpoints"
    );
    assert!(ask(&b.namespace, v4(LOCAL), 80).unwrap().starts_with("a "));
    assert!(
        ask(&c.namespace, v4(LOCAL), 80).is_err(),
        "internal Local without local endpoints: dropped"
    );
}

#[tokio::test]
async fn affinity_survives_other_changes_and_ends_with_its_endpoint() {
    if !world::available() {
        return;
    }
    let world = World::new("10.0.0.0/16").await;
    let machine = world.machine(v4("10.0.0.10")).await;
    let pods = [machine.pod("a").await, machine.pod("b").await, machine.pod("c").await];
    let client = machine.pod("client").await;
    for (pod, name) in pods.iter().zip(["a", "b", "c"]) {
        serve(&pod.namespace, 8080, name);
    }
    let services = [service(
        "s",
        r#"{"clusterIP":"10.100.0.51","sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":60}},
        "ports":[{"name":"http","port":80}]}"#,
    )];
    let mut proxy = Proxy::new("n1");
    let with = |indexes: &[usize]| {
        [slice(
            "s",
            TCP,
            &indexes.iter().map(|index| (&pods[*index], "n1")).collect::<Vec<_>>(),
        )]
    };
    let served_by = || {
        ask(&client.namespace, v4("10.100.0.51"), 80)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    proxy.set(&machine, &services, &with(&[0, 1]));
    let first = served_by();
    for change in [&[0, 1, 2][..], &[0, 1], &[2, 0, 1]] {
        proxy.set(&machine, &services, &with(change));
        assert_eq!(served_by(), first);
    }
    let without = if first == "a" { [1, 2] } else { [0, 2] };
    proxy.set(&machine, &services, &with(&without));
    let second = served_by();
    assert_ne!(second, first);
    assert_eq!(served_by(), second);
}

#[tokio::test]
async fn a_udp_client_is_sent_on_when_its_endpoint_goes() {
    if !world::available() {
        return;
    }
    let world = World::new("10.0.0.0/16").await;
    let machine = world.machine(v4("10.0.0.10")).await;
    let (a, b, client) = (
        machine.pod("a").await,
        machine.pod("b").await,
        machine.pod("client").await,
    );
    for (pod, name) in [(&a, "a"), (&b, "b")] {
        pod.namespace.run(move || {
            let socket = std::net::UdpSocket::bind("0.0.0.0:5353").unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 16];
                while let Ok((_, from)) = socket.recv_from(&mut buffer) {
                    socket.send_to(name.as_bytes(), from).unwrap();
                }
            });
        });
    }
    let services = [service(
        "dns",
        r#"{"clusterIP":"10.100.0.10","ports":[{"name":"dns","port":53,"protocol":"UDP"}]}"#,
    )];
    let mut proxy = Proxy::new("n1");
    proxy.set(&machine, &services, &[slice("dns", UDP, &[(&a, "n1")])]);
    let socket = client.namespace.run(|| std::net::UdpSocket::bind("0.0.0.0:0").unwrap());
    socket
        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .unwrap();
    socket.connect("10.100.0.10:53").unwrap();
    let ask = || {
        socket.send(b"?").unwrap();
        let mut buffer = [0; 16];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(ask(), "a");
    proxy.set(&machine, &services, &[slice("dns", UDP, &[(&b, "n1")])]);
    assert_eq!(ask(), "b", "the same socket");
}
