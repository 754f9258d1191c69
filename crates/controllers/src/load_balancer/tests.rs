//! A Service gets its balancer's name after the finalizer, and loses the finalizer last.

use k8s_openapi::api::core::v1::ServiceSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::*;
use crate::simulation::Simulation;

fn service(kind: &str) -> Service {
    Service {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some("web".into()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            type_: Some(kind.into()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

fn simulation() -> Simulation {
    Simulation::new(vec![Box::new(LoadBalancers {
        region: "ap-northeast-2".into(),
    })])
}

#[test]
fn a_balanced_service_gets_a_finalizer_and_a_name() {
    let mut simulation = simulation();
    simulation.create(service("LoadBalancer"));
    simulation.settle(4);
    let service = simulation.world.services.named("shop", "web").unwrap();
    let uid = service.metadata.uid.as_deref().unwrap();
    assert_eq!(
        ingress(service)[0].hostname.as_deref(),
        Some(load_balancer_hostname(uid, "ap-northeast-2").as_str())
    );
    assert_eq!(
        service.metadata.finalizers.as_deref(),
        Some(&[FINALIZER.to_owned()][..])
    );
    assert_eq!(
        simulation.events,
        [
            "EnsuringLoadBalancer: Ensuring load balancer",
            "EnsuredLoadBalancer: Ensured load balancer"
        ]
    );
}

#[test]
fn a_service_that_goes_or_changes_its_type_lets_go() {
    for edit in [
        (|service: &mut Service| service.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH)))
            as fn(&mut Service),
        |service| service.spec.as_mut().unwrap().type_ = Some("ClusterIP".into()),
    ] {
        let mut simulation = simulation();
        simulation.create(service("LoadBalancer"));
        simulation.settle(4);
        simulation.edit("shop", "web", true, edit);
        simulation.settle(4);
        let service = simulation.world.services.named("shop", "web").unwrap();
        assert_eq!(service.metadata.finalizers.as_deref(), Some(&[][..]));
        assert_eq!(
            simulation.events.last().map(String::as_str),
            Some("DeletedLoadBalancer: Deleted load balancer")
        );
    }
}

#[test]
fn other_services_are_left_alone() {
    let mut classed = service("LoadBalancer");
    classed.spec.as_mut().unwrap().load_balancer_class = Some("service.k8s.aws/nlb".into());
    for service in [service("ClusterIP"), service("NodePort"), classed] {
        let mut simulation = simulation();
        simulation.create(service);
        assert_eq!(simulation.settle(2), 0);
    }
}
