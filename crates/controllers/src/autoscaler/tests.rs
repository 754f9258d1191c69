//! Tables on replicas, limits and the words of conditions.

use super::*;

fn autoscaler(spec: &str) -> HorizontalPodAutoscaler {
    let text = format!(
        r#"{{"metadata":{{"name":"web","namespace":"n","generation":1}},
            "spec":{{"scaleTargetRef":{{"kind":"Deployment","name":"web","apiVersion":"apps/v1"}},{spec}}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

const CPU_50: &str = r#""minReplicas":2,"maxReplicas":10,"metrics":[{"type":"Resource","resource":{"name":"cpu",
    "target":{"type":"Utilization","averageUtilization":50}}}]"#;

fn pod(name: &str, phase: &str, ready: &str) -> Arc<Pod> {
    let text = format!(
        r#"{{"metadata":{{"name":"{name}"}},"spec":{{"containers":[{{"name":"c","resources":{{"requests":{{"cpu":"100m"}}}}}}]}},
            "status":{{"phase":"{phase}","startTime":"2026-01-01T00:00:00Z","conditions":[{{"type":"Ready","status":"{ready}",
            "lastTransitionTime":"2026-01-01T00:00:10Z"}}]}}}}"#
    );
    Arc::new(serde_json::from_str(&text).unwrap())
}

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn usage(milli: i64) -> PodUsage {
    PodUsage {
        until: Some(now()),
        window: 15.0,
        containers: BTreeMap::from([("c".to_owned(), BTreeMap::from([("cpu".to_owned(), milli)]))]),
    }
}

/// Ready pods that use so much each.
fn observed(replicas: i32, used: &[i64]) -> Observed {
    let names = (0..used.len()).map(|index| format!("p{index}"));
    Observed {
        scale: Ok((replicas, replicas)),
        pods: names.clone().map(|name| pod(&name, "Running", "True")).collect(),
        usage: Ok(names.zip(used).map(|(name, milli)| (name, usage(*milli))).collect()),
    }
}

fn condition(decision: &Decision, kind: &str) -> (String, String) {
    let conditions = decision.status.conditions.clone().unwrap();
    let found = conditions
        .into_iter()
        .find(|condition| condition.type_ == kind)
        .unwrap();
    (found.status, found.reason.unwrap())
}

fn decided(spec: &str, observed: &Observed, history: &mut History, now: Timestamp) -> Decision {
    decide(&autoscaler(spec), observed, history, now)
}

#[test]
fn replicas_follow_the_use_of_what_is_requested() {
    let rows: &[(&[i64], Option<i32>)] = &[
        (&[100, 100], Some(4)),
        (&[52, 52], None),
        (&[75, 75, 75], Some(5)),
        (&[200, 200], Some(8)),
    ];
    for (used, expected) in rows {
        let seen = observed(i32::try_from(used.len()).unwrap(), used);
        // Fast enough that policies do not matter.
        let fast = format!(
            r#"{CPU_50},"behavior":{{"scaleUp":{{"policies":[{{"type":"Percent","value":900,"periodSeconds":15}}]}}}}"#
        );
        let decision = decided(&fast, &seen, &mut History::default(), now());
        assert_eq!(decision.rescale.map(|(replicas, _)| replicas), *expected, "{used:?}");
    }
}

#[test]
fn conditions_and_events_have_upstreams_words() {
    let mut history = History::default();
    let decision = decided(CPU_50, &observed(2, &[100, 100]), &mut history, now());
    let reason = "cpu resource utilization (percentage of request) above target";
    assert_eq!(decision.rescale, Some((4, reason.to_owned())));
    assert_eq!(
        condition(&decision, "AbleToScale"),
        ("True".into(), "SucceededRescale".into())
    );
    assert_eq!(
        condition(&decision, "ScalingActive"),
        ("True".into(), "ValidMetricFound".into())
    );
    assert_eq!(
        condition(&decision, "ScalingLimited"),
        ("False".into(), "DesiredWithinRange".into())
    );
    assert_eq!(decision.events[0].message, format!("New size: 4; reason: {reason}"));
    let metric = decision.status.current_metrics.as_ref().unwrap()[0]
        .resource
        .clone()
        .unwrap();
    assert_eq!(
        (
            metric.current.average_utilization,
            metric.current.average_value.unwrap().0
        ),
        (Some(100), "100m".to_owned())
    );

    let failed = refused(&autoscaler(CPU_50), decision, "no", now());
    assert_eq!(
        condition(&failed, "AbleToScale"),
        ("False".into(), "FailedUpdateScale".into())
    );
}

#[test]
fn what_cannot_be_said_is_said_in_upstreams_words() {
    let mut history = History::default();
    let gone = Observed {
        scale: Err("deployments.apps \"web\" not found".to_owned()),
        ..observed(0, &[])
    };
    let decision = decided(CPU_50, &gone, &mut history, now());
    assert_eq!(
        condition(&decision, "AbleToScale"),
        ("False".into(), "FailedGetScale".into())
    );

    let silent = Observed {
        usage: Ok(BTreeMap::new()),
        ..observed(2, &[1, 1])
    };
    let decision = decided(CPU_50, &silent, &mut history, now());
    assert_eq!(
        condition(&decision, "ScalingActive"),
        ("False".into(), "FailedGetResourceMetric".into())
    );
    assert_eq!(
        decision.events[0].message,
        "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API"
    );
    let off = decided(CPU_50, &observed(0, &[]), &mut history, now());
    assert_eq!(
        condition(&off, "ScalingActive"),
        ("False".into(), "ScalingDisabled".into())
    );
}

#[test]
fn bounds_hold_whatever_metrics_say() {
    let mut history = History::default();
    let above = decided(CPU_50, &observed(12, &[1]), &mut history, now());
    assert_eq!(above.rescale.unwrap().0, 10);
    let below = decided(CPU_50, &observed(1, &[1]), &mut history, now());
    assert_eq!(below.rescale.unwrap().0, 2);
    let most = decided(CPU_50, &observed(9, &[100; 9]), &mut History::default(), now());
    assert_eq!(most.rescale.as_ref().unwrap().0, 10);
    assert_eq!(
        condition(&most, "ScalingLimited"),
        ("True".into(), "TooManyReplicas".into())
    );
}

#[test]
fn scaling_down_waits_for_its_window_and_up_follows_its_policies() {
    let mut history = History::default();
    let busy = decided(CPU_50, &observed(6, &[50; 6]), &mut history, now());
    assert_eq!(busy.rescale, None);
    let soon = now() + std::time::Duration::from_secs(60);
    let held = decided(CPU_50, &observed(6, &[10; 6]), &mut history, soon);
    assert_eq!(held.rescale, None);
    assert_eq!(
        condition(&held, "AbleToScale"),
        ("True".into(), "ScaleDownStabilized".into())
    );
    let later = now() + std::time::Duration::from_secs(400);
    let down = decided(CPU_50, &observed(6, &[10; 6]), &mut history, later);
    assert_eq!(down.rescale, Some((2, "All metrics below target".to_owned())));

    let slow =
        format!(r#"{CPU_50},"behavior":{{"scaleUp":{{"policies":[{{"type":"Pods","value":1,"periodSeconds":60}}]}}}}"#);
    let mut history = History::default();
    let up = decided(&slow, &observed(2, &[200, 200]), &mut history, now());
    assert_eq!(up.rescale.as_ref().unwrap().0, 3);
    assert_eq!(condition(&up, "ScalingLimited"), ("True".into(), "ScaleUpLimit".into()));
    history.rescaled(2, 3, now());
    let again = decided(
        &slow,
        &observed(3, &[200; 3]),
        &mut history,
        now() + std::time::Duration::from_secs(15),
    );
    assert_eq!(again.rescale, None);
    let then = decided(
        &slow,
        &observed(3, &[200; 3]),
        &mut history,
        now() + std::time::Duration::from_secs(61),
    );
    assert_eq!(then.rescale.unwrap().0, 4);
}

#[test]
fn pods_without_metrics_are_taken_for_what_changes_least() {
    let mut seen = observed(4, &[100, 100, 100]);
    seen.pods.push(pod("new", "Pending", "False"));
    let decision = decided(CPU_50, &seen, &mut History::default(), now());
    // Three pods want six; a fourth that uses nothing yet makes it 75 % of what four request.
    assert_eq!(decision.rescale.unwrap().0, 6);
    let mut seen = observed(4, &[10, 10, 10]);
    seen.pods.push(pod("silent", "Running", "True"));
    let decision = decided(CPU_50, &seen, &mut History::default(), now());
    let metric = decision.status.current_metrics.unwrap()[0].resource.clone().unwrap();
    assert_eq!((decision.rescale, metric.current.average_utilization), (None, Some(10)));
}

#[test]
fn containers_and_averages_can_be_the_target() {
    let container = r#""minReplicas":1,"maxReplicas":10,"metrics":[{"type":"ContainerResource","containerResource":
        {"name":"cpu","container":"c","target":{"type":"AverageValue","averageValue":"50m"}}}]"#;
    let decision = decided(container, &observed(2, &[100, 100]), &mut History::default(), now());
    assert_eq!(
        decision.rescale,
        Some((4, "cpu container resource above target".to_owned()))
    );
    let unknown = container.replace("\"container\":\"c\"", "\"container\":\"x\"");
    let decision = decided(&unknown, &observed(2, &[100, 100]), &mut History::default(), now());
    assert_eq!(
        condition(&decision, "ScalingActive"),
        ("False".into(), "FailedGetContainerResourceMetric".into())
    );
    let pods = r#""maxReplicas":3,"metrics":[{"type":"Pods","pods":{"metric":{"name":"x"},"target":{"type":"AverageValue",
        "averageValue":"1"}}}]"#;
    let decision = decided(pods, &observed(2, &[1, 1]), &mut History::default(), now());
    assert_eq!(
        condition(&decision, "ScalingActive"),
        ("False".into(), "InvalidMetricSourceType".into())
    );
}
