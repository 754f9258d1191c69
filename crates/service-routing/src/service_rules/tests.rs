//! Services in, tables out.
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::*;
use crate::endpoints::NodeView;

fn service(name: &str, spec: &str) -> Service {
    let text = format!(r#"{{"metadata":{{"namespace":"default","name":"{name}"}},"spec":{spec}}}"#);
    serde_json::from_str(&text).unwrap()
}

/// One slice of a Service with a port `http` on 8080; endpoints as `address node conditions…`.
fn slice(service: &str, port: &str, endpoints: &[&str]) -> EndpointSlice {
    let endpoints: Vec<String> = endpoints
        .iter()
        .map(|endpoint| {
            let words: Vec<&str> = endpoint.split(' ').collect();
            let has = |word: &str| words.contains(&word);
            let (ready, serving, terminating) = (!has("unready") && !has("terminating"), !has("unready"), has("terminating"));
            let zone = words.iter().find_map(|word| word.strip_prefix("zone="));
            let hints = zone.map(|zone| format!(r#","hints":{{"forZones":[{{"name":"{zone}"}}]}}"#)).unwrap_or_default();
            format!(
                r#"{{"addresses":["{}"],"nodeName":"{}","conditions":{{"ready":{ready},"serving":{serving},"terminating":{terminating}}}{hints}}}"#,
                words[0], words[1]
            )
        })
        .collect();
    let text = format!(
        r#"{{"metadata":{{"namespace":"default","name":"{service}-1","labels":{{"kubernetes.io/service-name":"{service}"}}}},
        "addressType":"IPv4","ports":[{port}],"endpoints":[{}]}}"#,
        endpoints.join(",")
    );
    serde_json::from_str(&text).unwrap()
}

const HTTP: &str = r#"{"name":"http","port":8080,"protocol":"TCP"}"#;
const DNS: &str = r#"{"name":"dns","port":53,"protocol":"UDP"}"#;

fn node() -> NodeView {
    NodeView {
        name: "n1".into(),
        zone: Some("a".into()),
    }
}

fn table(services: &[Service], slices: &[EndpointSlice]) -> Table {
    service_table(services, &SliceIndex::new(slices), &node())
}

/// The elements of all sets and the chains that are not on every node.
fn particular(table: &Table) -> String {
    let base = empty_table();
    let mut shown = table.clone();
    shown.sets.retain(|_, set| !set.elements.is_empty());
    shown.chains.retain(|name, _| !base.chains.contains_key(name));
    shown.to_string()
}

#[test]
fn base_chains_are_constant() {
    insta::assert_snapshot!(empty_table().to_string());
}

#[test]
fn cluster_ip_with_two_endpoints() {
    let web = service(
        "web",
        r#"{"clusterIP":"10.100.0.50","clusterIPs":["10.100.0.50"],"ports":[{"name":"http","port":80}]}"#,
    );
    let slices = [slice(
        "web",
        HTTP,
        &["10.0.0.11 n1", "10.0.32.11 n2", "10.0.32.12 n2 unready"],
    )];
    insta::assert_snapshot!(particular(&table(&[web], &slices)));
}

#[test]
fn node_port_local_with_affinity() {
    let spec = r#"{"type":"NodePort","clusterIP":"10.100.0.51","externalTrafficPolicy":"Local","sessionAffinity":"ClientIP",
        "ports":[{"name":"http","port":80,"nodePort":30080}]}"#;
    let slices = [slice("web", HTTP, &["10.0.0.11 n1", "10.0.32.11 n2"])];
    insta::assert_snapshot!(particular(&table(&[service("web", spec)], &slices)));
}

#[test]
fn load_balancer_service_masquerades_its_node_port_and_external_address() {
    let spec = r#"{"type":"LoadBalancer","clusterIP":"10.100.0.52","externalIPs":["198.51.100.7"],
        "ports":[{"name":"http","port":80,"nodePort":30081}]}"#;
    let slices = [slice("web", HTTP, &["10.0.32.11 n2"])];
    insta::assert_snapshot!(particular(&table(&[service("web", spec)], &slices)));
}

#[test]
fn without_endpoints_refuse_and_with_hidden_ones_drop() {
    let none = service(
        "none",
        r#"{"type":"NodePort","clusterIP":"10.100.0.53","ports":[{"name":"http","port":80,"nodePort":30082}]}"#,
    );
    let hidden = service(
        "hidden",
        r#"{"type":"NodePort","clusterIP":"10.100.0.54","internalTrafficPolicy":"Local","externalTrafficPolicy":"Local",
        "ports":[{"name":"http","port":80,"nodePort":30083}]}"#,
    );
    let slices = [slice("hidden", HTTP, &["10.0.32.11 n2"])];
    insta::assert_snapshot!(particular(&table(&[none, hidden], &slices)));
}

#[test]
fn terminating_endpoints_serve_only_when_no_other_does() {
    let web = || {
        service(
            "web",
            r#"{"clusterIP":"10.100.0.50","ports":[{"name":"http","port":80}]}"#,
        )
    };
    let count = |endpoints: &[&str]| {
        let table = table(&[web()], &[slice("web", HTTP, endpoints)]);
        table.sets["service-endpoints"]
            .elements
            .values()
            .cloned()
            .collect::<Vec<_>>()
    };
    let ready = count(&["10.0.0.11 n1 terminating", "10.0.0.12 n1"]);
    assert_eq!(
        ready,
        [Data::Values(vec![
            Value::Address("10.0.0.12".parse().unwrap()),
            Value::Port(8080)
        ])]
    );
    let fallback = count(&["10.0.0.11 n1 terminating", "10.0.0.12 n1 unready"]);
    assert_eq!(
        fallback,
        [Data::Values(vec![
            Value::Address("10.0.0.11".parse().unwrap()),
            Value::Port(8080)
        ])]
    );
}

#[test]
fn hints_apply_only_when_all_endpoints_have_them_and_one_is_for_the_zone() {
    let web = || {
        service(
            "web",
            r#"{"clusterIP":"10.100.0.50","ports":[{"name":"http","port":80}]}"#,
        )
    };
    let count = |endpoints: &[&str]| {
        let table = table(&[web()], &[slice("web", HTTP, endpoints)]);
        table.sets["service-endpoints"].elements.len()
    };
    assert_eq!(count(&["10.0.0.11 n1 zone=a", "10.0.32.11 n2 zone=b"]), 1);
    assert_eq!(count(&["10.0.0.11 n1 zone=a", "10.0.32.11 n2"]), 2);
    assert_eq!(count(&["10.0.0.11 n1 zone=c", "10.0.32.11 n2 zone=b"]), 2);
}

#[test]
fn headless_external_and_foreign_services_have_no_rules() {
    let mut foreign = service("foreign", r#"{"clusterIP":"10.100.0.57","ports":[{"port":80}]}"#);
    foreign.metadata.labels = Some(
        [(
            "service.kubernetes.io/service-proxy-name".to_owned(),
            "other".to_owned(),
        )]
        .into(),
    );
    let services = [
        service(
            "headless",
            r#"{"clusterIP":"None","clusterIPs":["None"],"ports":[{"port":80}]}"#,
        ),
        service("external", r#"{"type":"ExternalName","externalName":"example.com"}"#),
        foreign,
    ];
    assert_eq!(table(&services, &[]), empty_table());
}

#[test]
fn udp_flows_of_lost_endpoints_and_of_services_that_get_their_first_are_stale() {
    let dns = || {
        service(
            "dns",
            r#"{"type":"NodePort","clusterIP":"10.100.0.10","ports":[{"name":"dns","port":53,"protocol":"UDP","nodePort":30053}]}"#,
        )
    };
    let with = |endpoints: &[&str]| table(&[dns()], &[slice("dns", DNS, endpoints)]);
    let (none, two, one) = (
        with(&[]),
        with(&["10.0.0.11 n1", "10.0.0.12 n1"]),
        with(&["10.0.0.12 n1"]),
    );
    let address = Some("10.100.0.10".parse().unwrap());
    let gone = Some("10.0.0.11:53".parse().unwrap());
    assert_eq!(
        stale_flows(&two, &one),
        [
            StaleFlow {
                address: None,
                port: 30053,
                endpoint: gone
            },
            StaleFlow {
                address,
                port: 53,
                endpoint: gone
            },
        ]
    );
    assert_eq!(
        stale_flows(&none, &two),
        [
            StaleFlow {
                address: None,
                port: 30053,
                endpoint: None
            },
            StaleFlow {
                address,
                port: 53,
                endpoint: None
            },
        ]
    );
    assert_eq!(stale_flows(&one, &one), []);
}
