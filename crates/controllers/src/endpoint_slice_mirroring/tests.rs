//! Endpoints kept by hand, and the slices that follow them.

use k8s_openapi::api::core::v1::Service;

use super::*;
use crate::simulation::Simulation;

fn service(selector: &str) -> Service {
    let text =
        format!(r#"{{"metadata":{{"namespace":"shop","name":"db"}},"spec":{{{selector}"ports":[{{"port":5432}}]}}}}"#);
    serde_json::from_str(&text).unwrap()
}

fn endpoints(metadata: &str) -> Endpoints {
    let text = format!(
        r#"{{"metadata":{{"namespace":"shop","name":"db"{metadata}}},"subsets":[
            {{"addresses":[{{"ip":"192.0.2.1","hostname":"one"}},{{"ip":"2001:db8::1"}}],"notReadyAddresses":[{{"ip":"192.0.2.2"}}],
              "ports":[{{"name":"sql","port":5432,"protocol":"TCP"}}]}}]}}"#
    );
    serde_json::from_str(&text).unwrap()
}

fn simulation(service: Service, endpoints: Endpoints) -> Simulation {
    let mut simulation = Simulation::new(vec![Box::new(EndpointSliceMirroring)]);
    simulation.create(service);
    simulation.create(endpoints);
    simulation.settle(5);
    simulation
}

/// `IPv4 sql:5432 192.0.2.1+ 192.0.2.2-` for each slice.
fn slices(simulation: &Simulation) -> Vec<String> {
    let mut texts: Vec<String> = simulation
        .world
        .endpoint_slices
        .all()
        .map(|slice| {
            let port = &slice.ports.as_ref().unwrap()[0];
            let endpoints = slice.endpoints.iter().flatten().map(|endpoint| {
                let ready = endpoint.conditions.as_ref().unwrap().ready == Some(true);
                format!("{}{}", endpoint.addresses[0], if ready { "+" } else { "-" })
            });
            let endpoints: Vec<String> = endpoints.collect();
            let name = port.name.as_deref().unwrap_or_default();
            format!(
                "{} {name}:{} {}",
                slice.address_type,
                port.port.unwrap(),
                endpoints.join(" ")
            )
        })
        .collect();
    texts.sort();
    texts
}

#[test]
fn endpoints_without_a_selector_are_mirrored_by_family_and_follow_changes() {
    let labelled =
        r#","labels":{"team":"a"},"annotations":{"note":"1","kubectl.kubernetes.io/last-applied-configuration":"{}"}"#;
    let mut simulation = simulation(service(""), endpoints(labelled));
    assert_eq!(
        slices(&simulation),
        ["IPv4 sql:5432 192.0.2.1+ 192.0.2.2-", "IPv6 sql:5432 2001:db8::1+"]
    );
    let slice = simulation.world.endpoint_slices.all().next().unwrap();
    let labels = slice.metadata.labels.as_ref().unwrap();
    assert_eq!(
        (
            labels[SERVICE].as_str(),
            labels[MANAGED_BY].as_str(),
            labels["team"].as_str()
        ),
        ("db", MANAGER, "a")
    );
    let annotations = slice.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations.keys().collect::<Vec<_>>(), ["note"]);
    assert_eq!(slice.endpoints.as_ref().unwrap()[0].hostname.as_deref(), Some("one"));
    simulation.edit::<Endpoints>("shop", "db", false, |endpoints| {
        endpoints.subsets.as_mut().unwrap()[0]
            .addresses
            .as_mut()
            .unwrap()
            .truncate(1);
    });
    simulation.settle(5);
    assert_eq!(slices(&simulation), ["IPv4 sql:5432 192.0.2.1+ 192.0.2.2-"]);
}

#[test]
fn what_pods_make_and_what_says_no_is_not_mirrored() {
    let selected = simulation(service(r#""selector":{"app":"db"},"#), endpoints(""));
    assert!(slices(&selected).is_empty());
    let skipped = simulation(
        service(""),
        endpoints(r#","labels":{"endpointslice.kubernetes.io/skip-mirror":"true"}"#),
    );
    assert!(slices(&skipped).is_empty());
    let mut changed = simulation(service(""), endpoints(""));
    changed.edit::<Endpoints>("shop", "db", false, |endpoints| {
        endpoints.metadata.annotations = Some([(LEADER.to_owned(), "me".to_owned())].into());
    });
    changed.settle(5);
    assert!(slices(&changed).is_empty());
}
