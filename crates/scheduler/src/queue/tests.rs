//! Who is next, who waits for what, and for how long.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodSchedulingGate, PodSpec};

use super::*;

fn pod(name: &str, priority: i32) -> PodInfo {
    let mut pod = Pod {
        spec: Some(PodSpec {
            priority: Some(priority),
            ..PodSpec::default()
        }),
        ..Pod::default()
    };
    pod.metadata.name = Some(name.to_owned());
    pod.metadata.uid = Some(name.to_owned());
    PodInfo::new(Arc::new(pod))
}

fn pop(queue: &mut Queue, now: Instant) -> Option<String> {
    queue.pop(now).map(|waiting| waiting.pod.uid().to_owned())
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn important_pods_come_first_then_those_that_came_first() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    for (name, priority) in [("a", 0), ("b", 0), ("system", 2_000_000_000), ("c", -1)] {
        queue.put(pod(name, priority), now);
    }
    let order: Vec<String> = std::iter::from_fn(|| pop(&mut queue, now)).collect();
    assert_eq!(order, ["system", "a", "b", "c"]);
    assert_eq!(queue.counts(), Counts::default());
}

#[test]
fn a_pod_that_does_not_fit_waits_for_what_its_plugins_care_for() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(pod("a", 0), now);
    let waiting = queue.pop(now).unwrap();
    queue.unschedulable(waiting, ["NodeResourcesFit"].into(), now);
    let later = now + ms(50);
    queue.wake(ClusterChange::Claim, later);
    queue.wake(ClusterChange::NodeLabels, later);
    assert_eq!(pop(&mut queue, later), None);
    queue.wake(ClusterChange::PodRemoved, later);
    assert_eq!(pop(&mut queue, later).as_deref(), Some("a"));
}

#[test]
fn a_pod_without_any_node_waits_for_one() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(pod("a", 0), now);
    let waiting = queue.pop(now).unwrap();
    queue.unschedulable(waiting, BTreeSet::new(), now);
    queue.wake(ClusterChange::PodRemoved, now + ms(50));
    assert_eq!(pop(&mut queue, now + ms(50)), None);
    queue.wake(ClusterChange::NodeAdded, now + ms(50));
    assert_eq!(pop(&mut queue, now + ms(50)).as_deref(), Some("a"));
}

#[test]
fn a_pod_that_is_woken_too_soon_pauses_first_and_longer_each_time() {
    let (mut queue, mut now) = (Queue::default(), Instant::now());
    queue.put(pod("a", 0), now);
    for expected in [20, 40, 80, 160] {
        let waiting = queue.pop(now).unwrap();
        queue.unschedulable(waiting, ["NodeResourcesFit"].into(), now);
        queue.wake(ClusterChange::NodeAdded, now);
        assert_eq!(queue.next_due(), Some(now + ms(expected)));
        assert_eq!(pop(&mut queue, now + ms(expected - 1)), None);
        now += ms(expected);
    }
    assert_eq!(pause(30), LONGEST_PAUSE);
}

#[test]
fn a_failed_attempt_is_repeated_without_any_occurrence() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(pod("a", 0), now);
    let waiting = queue.pop(now).unwrap();
    queue.retry(waiting, now);
    assert_eq!(pop(&mut queue, now), None);
    assert_eq!(pop(&mut queue, now + ms(20)).as_deref(), Some("a"));
}

#[test]
fn a_pod_that_nothing_wakes_is_not_forgotten() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(pod("a", 0), now);
    let waiting = queue.pop(now).unwrap();
    queue.unschedulable(waiting, ["NodeAffinity"].into(), now);
    assert_eq!(queue.next_due(), Some(now + FORGOTTEN_AFTER));
    assert_eq!(pop(&mut queue, now + FORGOTTEN_AFTER).as_deref(), Some("a"));
}

#[test]
fn a_gate_holds_a_pod_until_it_is_gone() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    let mut gated = pod("a", 0).pod.as_ref().clone();
    gated.spec.as_mut().unwrap().scheduling_gates = Some(vec![PodSchedulingGate {
        name: "quota".to_owned(),
    }]);
    queue.put(PodInfo::new(Arc::new(gated)), now);
    queue.wake(ClusterChange::NodeAdded, now);
    assert_eq!(pop(&mut queue, now + FORGOTTEN_AFTER), None);
    assert_eq!(queue.counts().gated, 1);
    queue.put(pod("a", 0), now);
    assert_eq!(pop(&mut queue, now).as_deref(), Some("a"));
}

#[test]
fn a_change_of_the_pod_itself_is_a_reason_to_look_again_and_its_status_is_not() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.put(pod("a", 0), now);
    let waiting = queue.pop(now).unwrap();
    assert!(
        !queue.refresh(pod("a", 0)),
        "a pod that is being decided on is not in the queue"
    );
    queue.unschedulable(waiting, ["NodeAffinity"].into(), now);
    assert!(queue.refresh(pod("a", 0)));
    assert_eq!(pop(&mut queue, now + ms(50)), None);
    queue.put(pod("a", 0), now + ms(50));
    assert_eq!(pop(&mut queue, now + ms(50)).as_deref(), Some("a"));
    queue.put(pod("b", 0), now);
    queue.remove("b");
    assert_eq!(pop(&mut queue, now), None);
}
