//! Tables on classes, shares, quotas and scores.

use super::*;

fn pod(containers: &[&str]) -> PodSpec {
    let parse = |text: &&str| {
        let json = format!(r#"{{"name":"c","resources":{text}}}"#);
        serde_json::from_str(&json).unwrap()
    };
    PodSpec {
        containers: containers.iter().map(parse).collect(),
        ..PodSpec::default()
    }
}

const FULL: &str = r#"{"requests":{"cpu":"1","memory":"1Gi"},"limits":{"cpu":"1000m","memory":"1024Mi"}}"#;
const LIMITS_ONLY: &str = r#"{"limits":{"cpu":"500m","memory":"64Mi"}}"#;
const SOME: &str = r#"{"requests":{"cpu":"250m","memory":"1Gi"}}"#;

#[test]
fn classes_and_oom_scores() {
    let node = 4 << 30;
    for (containers, class, score) in [
        (&[FULL, LIMITS_ONLY][..], QosClass::Guaranteed, -997),
        (&[SOME, FULL], QosClass::Burstable, 750),
        (&["{}", SOME], QosClass::Burstable, 999),
        (&["{}"], QosClass::BestEffort, 1000),
    ] {
        let spec = pod(containers);
        assert_eq!(qos_class(&spec), class, "{containers:?}");
        assert_eq!(oom_score_adj(&spec, &spec.containers[0], node), score, "{containers:?}");
    }
}

#[test]
fn kernel_values() {
    let spec = pod(&[LIMITS_ONLY, SOME, "{}"]);
    let values = |index: usize| {
        let limits = container_limits(&spec, &spec.containers[index], 4 << 30);
        (limits.cpu_quota, limits.cpu_shares, limits.memory_bytes)
    };
    assert_eq!(values(0), (50_000, 512, 64 << 20));
    assert_eq!(values(1), (0, 256, 0));
    assert_eq!(values(2), (0, 2, 0));
    assert_eq!(cpu_quota(5), 1000);
}

#[test]
fn a_pod_asks_for_the_larger_of_initialization_and_work() {
    let mut spec = pod(&[SOME, SOME]);
    assert_eq!(pod_request(&spec, "cpu"), 500);
    let mut init = pod(&[FULL, SOME]).containers;
    spec.init_containers = Some(init.clone());
    assert_eq!(pod_request(&spec, "cpu"), 1000);
    init[0].restart_policy = Some("Always".into());
    spec.init_containers = Some(init);
    assert_eq!(pod_request(&spec, "cpu"), 1500);
}
