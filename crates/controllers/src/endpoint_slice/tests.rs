//! Slices and Endpoints say which pods a Service has, and in which state.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, PodCondition, PodSpec, PodStatus, ServicePort, ServiceSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use plan::AnyController;

use super::*;
use crate::EndpointsObjects;
use crate::simulation::Simulation;

fn service() -> Service {
    Service {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some("web".into()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            selector: Some([("app".to_owned(), "web".to_owned())].into()),
            ports: Some(vec![ServicePort {
                name: Some("http".into()),
                port: 80,
                target_port: Some(IntOrString::String("web".into())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn pod(name: &str, address: &str, port: i32, ready: bool) -> Pod {
    Pod {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some(name.into()),
            labels: Some([("app".to_owned(), "web".to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            node_name: Some("node-1".into()),
            containers: vec![Container {
                ports: Some(vec![ContainerPort {
                    name: Some("web".into()),
                    container_port: port,
                    ..Default::default()
                }]),
                ..Container::default()
            }],
            ..PodSpec::default()
        }),
        status: Some(PodStatus {
            phase: Some("Running".into()),
            pod_ip: (!address.is_empty()).then(|| address.to_owned()),
            conditions: Some(vec![PodCondition {
                type_: "Ready".into(),
                status: if ready { "True" } else { "False" }.into(),
                ..PodCondition::default()
            }]),
            ..PodStatus::default()
        }),
    }
}

fn simulation() -> Simulation {
    let controllers: Vec<Box<dyn AnyController>> = vec![Box::new(EndpointSlices), Box::new(EndpointsObjects)];
    Simulation::new(controllers)
}

/// `port: address(conditions)…` for each slice.
fn shown(simulation: &Simulation) -> Vec<String> {
    let mut shown: Vec<String> = simulation
        .world
        .endpoint_slices
        .all()
        .map(|slice| {
            let ports: Vec<String> = slice
                .ports
                .iter()
                .flatten()
                .filter_map(|port| port.port)
                .map(|port| port.to_string())
                .collect();
            let endpoints = slice.endpoints.iter().flatten().map(|endpoint| {
                let conditions = endpoint.conditions.clone().unwrap_or_default();
                let flag =
                    |condition: Option<bool>, letter: &str| condition.filter(|set| *set).map(|_| letter.to_owned());
                let flags: String = [
                    flag(conditions.ready, "R"),
                    flag(conditions.serving, "S"),
                    flag(conditions.terminating, "T"),
                ]
                .into_iter()
                .flatten()
                .collect();
                format!(" {}({flags})", endpoint.addresses[0])
            });
            format!("{}:{}", ports.join(","), endpoints.collect::<String>())
        })
        .collect();
    shown.sort();
    shown
}

#[test]
fn a_service_without_pods_has_one_empty_slice() {
    let mut simulation = simulation();
    simulation.create(service());
    simulation.settle(4);
    assert_eq!(shown(&simulation), [":"]);
    assert_eq!(simulation.world.endpoints.named("shop", "web").unwrap().subsets, None);
}

#[test]
fn pods_appear_with_their_state_and_split_by_named_port() {
    let mut simulation = simulation();
    simulation.create(service());
    simulation.settle(4);
    simulation.create(pod("a", "10.0.0.1", 8080, true));
    simulation.create(pod("b", "10.0.0.2", 8080, false));
    simulation.create(pod("c", "10.0.0.3", 9090, true));
    simulation.create(pod("starting", "", 8080, false));
    simulation.settle(4);
    assert_eq!(
        shown(&simulation),
        ["8080: 10.0.0.1(RS) 10.0.0.2()", "9090: 10.0.0.3(RS)"]
    );
    let endpoints = simulation.world.endpoints.named("shop", "web").unwrap();
    let subsets = endpoints.subsets.as_ref().unwrap();
    assert_eq!(subsets.len(), 2);
    assert_eq!(subsets[0].addresses.as_ref().unwrap()[0].ip, "10.0.0.1");
    assert_eq!(subsets[0].not_ready_addresses.as_ref().unwrap()[0].ip, "10.0.0.2");
    let target = subsets[0].addresses.as_ref().unwrap()[0].target_ref.as_ref().unwrap();
    assert_eq!(
        (target.kind.as_deref(), target.name.as_deref()),
        (Some("Pod"), Some("a"))
    );
}

#[test]
fn a_pod_that_goes_is_terminating_first_and_leaves_endpoints_at_once() {
    let mut simulation = simulation();
    simulation.create(service());
    simulation.create(pod("a", "10.0.0.1", 8080, true));
    simulation.settle(4);
    simulation.edit::<Pod>("shop", "a", false, |pod| {
        pod.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    });
    simulation.settle(4);
    assert_eq!(shown(&simulation), ["8080: 10.0.0.1(ST)"]);
    assert_eq!(simulation.world.endpoints.named("shop", "web").unwrap().subsets, None);
    simulation.finish_deletions();
    simulation.settle(4);
    assert_eq!(shown(&simulation), [":"]);
}

#[test]
fn pods_that_are_not_ready_are_published_on_demand() {
    let mut simulation = simulation();
    let mut service = service();
    service.spec.as_mut().unwrap().publish_not_ready_addresses = Some(true);
    service.spec.as_mut().unwrap().cluster_ip = Some("None".into());
    simulation.create(service);
    simulation.create(pod("a", "10.0.0.1", 8080, false));
    simulation.settle(4);
    assert_eq!(shown(&simulation), ["8080: 10.0.0.1(RS)"]);
    let slice = simulation.world.endpoint_slices.all().next().unwrap();
    assert!(
        slice
            .metadata
            .labels
            .as_ref()
            .unwrap()
            .contains_key("service.kubernetes.io/headless")
    );
    assert_eq!(slice.metadata.owner_references.as_ref().unwrap()[0].kind, "Service");
}

#[test]
fn a_slice_holds_a_hundred_endpoints_and_few_slices_change() {
    let mut simulation = simulation();
    simulation.create(service());
    for index in 0..150 {
        simulation.create(pod(
            &format!("p{index:03}"),
            &format!("10.0.{}.{}", index / 100, index % 100 + 1),
            8080,
            true,
        ));
    }
    simulation.settle(4);
    let sizes = |simulation: &Simulation| {
        let mut sizes: Vec<usize> = simulation
            .world
            .endpoint_slices
            .all()
            .map(|slice| slice.endpoints.as_ref().unwrap().len())
            .collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(sizes(&simulation), [50, 100]);
    simulation.create(pod("one-more", "10.0.9.9", 8080, true));
    let service = simulation.world.services.named("shop", "web").unwrap().clone();
    let plan = Controller::plan(&EndpointSlices, &service, &simulation.world, simulation.now);
    assert_eq!(plan.steps.len(), 1, "only the slice with room changes");
    simulation.settle(4);
    assert_eq!(sizes(&simulation), [51, 100]);
}

#[test]
fn what_was_made_for_a_service_goes_with_it() {
    let mut simulation = simulation();
    let service = simulation.create(service());
    simulation.settle(4);
    let key = ObjectKey::of(service.as_ref());
    simulation.world.services.remove(&key);
    let plan = |controller: &dyn AnyController| {
        controller
            .plan(&key, &simulation.world, simulation.now)
            .plan
            .steps
            .len()
    };
    assert_eq!((plan(&EndpointSlices), plan(&EndpointsObjects)), (1, 1));
}
