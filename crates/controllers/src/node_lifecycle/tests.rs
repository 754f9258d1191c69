//! Silent nodes become unknown, tainted, and lose their pods' traffic, their pods, and at last themselves.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{NodeSpec, NodeStatus, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use plan::AnyController;

use super::*;
use crate::simulation::Simulation;
use crate::{PodGarbage, TaintEviction};

fn node(ready: &str) -> Node {
    Node {
        metadata: ObjectMeta {
            name: Some("a".into()),
            ..ObjectMeta::default()
        },
        spec: Some(NodeSpec::default()),
        status: Some(NodeStatus {
            conditions: Some(vec![NodeCondition {
                type_: "Ready".into(),
                status: ready.into(),
                ..Default::default()
            }]),
            ..NodeStatus::default()
        }),
    }
}

fn simulation() -> Simulation {
    let since = "2026-01-01T00:00:00Z".parse().unwrap();
    let controllers: Vec<Box<dyn AnyController>> = vec![
        Box::new(NodeLifecycle { watching_since: since }),
        Box::new(TaintEviction),
        Box::new(PodGarbage),
    ];
    Simulation::new(controllers)
}

fn renew(simulation: &mut Simulation) {
    let lease = Lease {
        metadata: ObjectMeta {
            namespace: Some("kube-node-lease".into()),
            name: Some("a".into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            renew_time: Some(MicroTime(simulation.now)),
            ..LeaseSpec::default()
        }),
    };
    simulation.create(lease);
}

fn taints(simulation: &Simulation) -> Vec<String> {
    let taints = simulation
        .world
        .nodes
        .cluster("a")
        .unwrap()
        .spec
        .as_ref()
        .unwrap()
        .taints
        .clone();
    taints
        .into_iter()
        .flatten()
        .map(|taint| format!("{}:{}", taint.key, taint.effect))
        .collect()
}

fn pod() -> Pod {
    Pod {
        metadata: ObjectMeta {
            namespace: Some("shop".into()),
            name: Some("web".into()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            node_name: Some("a".into()),
            ..PodSpec::default()
        }),
        status: None,
    }
}

#[test]
fn a_node_is_tainted_until_it_is_ready() {
    let mut simulation = simulation();
    simulation.create(node("False"));
    simulation.settle(4);
    assert_eq!(
        taints(&simulation),
        [
            "node.kubernetes.io/not-ready:NoSchedule",
            "node.kubernetes.io/not-ready:NoExecute"
        ]
    );
    let mut ready = simulation.world.nodes.cluster("a").unwrap().as_ref().clone();
    ready.status.as_mut().unwrap().conditions.as_mut().unwrap()[0].status = "True".into();
    simulation.world.nodes.insert(std::sync::Arc::new(ready));
    simulation.settle(4);
    assert!(taints(&simulation).is_empty());
}

#[test]
fn a_node_that_renews_its_lease_stays_and_a_silent_one_is_given_up() {
    let mut simulation = simulation();
    simulation.create(node("True"));
    simulation.create(pod());
    simulation.make_ready(|_| true);
    simulation.advance(39);
    renew(&mut simulation);
    simulation.advance(39);
    assert_eq!(simulation.settle(4), 0);
    simulation.advance(1);
    simulation.settle(6);
    let ready = condition(simulation.world.nodes.cluster("a").unwrap(), "Ready")
        .unwrap()
        .clone();
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_deref()),
        ("Unknown", Some("NodeStatusUnknown"))
    );
    assert_eq!(
        taints(&simulation),
        [
            "node.kubernetes.io/unreachable:NoSchedule",
            "node.kubernetes.io/unreachable:NoExecute"
        ]
    );
    let pod = simulation.world.pods.named("shop", "web").unwrap();
    assert!(!crate::pod::is_ready(pod), "it gets no traffic");
    assert!(crate::pod::is_deleting(pod), "it does not tolerate the taint");
    assert!(
        simulation
            .events
            .contains(&"TaintManagerEviction: Marking for deletion Pod shop/web".to_owned())
    );
}

#[test]
fn pods_of_a_node_that_is_gone_fail_and_go() {
    let mut simulation = simulation();
    simulation.create(pod());
    simulation.settle(4);
    assert!(
        !crate::pod::is_deleting(simulation.world.pods.named("shop", "web").unwrap()),
        "the node may be seen later"
    );
    simulation.advance(41);
    let pod = simulation.world.pods.named("shop", "web").unwrap().clone();
    let plan = Controller::plan(&PodGarbage, &pod, &simulation.world, simulation.now);
    let Change::UpdateStatus(plan::AnyObject::Pod(told)) = &plan.steps[0].change else {
        panic!("{plan:?}")
    };
    assert_eq!(told.status.as_ref().unwrap().phase.as_deref(), Some("Failed"));
    assert!(matches!(
        plan.steps[1].change,
        Change::Delete {
            grace_seconds: Some(0),
            ..
        }
    ));
}
