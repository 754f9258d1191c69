//! The node's own check of a pod bound to it: does it fit beside those that are here already?

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use pod_lifecycle::{resources, spec};

use crate::config::Capacity;
use crate::node_resources;

/// Why a pod is refused: its status becomes Failed with these.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// Checks `pod` against what the other `pods` ask for.
pub(crate) fn check(capacity: &Capacity, pod: &Pod, pods: &[Arc<Pod>]) -> Result<(), Refusal> {
    let uid = &pod.metadata.uid;
    let others: Vec<&Arc<Pod>> = pods
        .iter()
        .filter(|other| &other.metadata.uid != uid && !spec::is_terminal(other))
        .collect();
    let asked = |pod: &Pod, name: &str| pod.spec.as_ref().map_or(0, |spec| resources::pod_request(spec, name));
    let used = |name: &str| others.iter().map(|other| asked(other, name)).sum::<i64>();
    let left = node_resources::allocatable(capacity);
    let bytes = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let count = i64::try_from(others.len()).unwrap_or(i64::MAX);
    let rules = [
        ("OutOfpods", "pods", 1, count, i64::from(capacity.max_pods)),
        ("OutOfcpu", "cpu", asked(pod, "cpu"), used("cpu"), left.cpu_milli),
        (
            "OutOfmemory",
            "memory",
            asked(pod, "memory"),
            used("memory"),
            bytes(left.memory_bytes),
        ),
    ];
    for (reason, name, requested, used, capacity) in rules {
        if requested > 0 && used + requested > capacity {
            let message = format!(
                "Pod was rejected: Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
            );
            return Err(Refusal { reason, message });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_that_do_not_fit_are_refused() {
        let pod = |uid: &str, cpu: &str| -> Arc<Pod> {
            let json = format!(
                r#"{{"metadata":{{"uid":"{uid}"}},"spec":{{"containers":[{{"name":"c","resources":{{"requests":{{"cpu":"{cpu}"}}}}}}]}}}}"#
            );
            Arc::new(serde_json::from_str(&json).unwrap())
        };
        let capacity = Capacity {
            cpus: 2,
            memory_bytes: 4 << 30,
            ephemeral_storage_bytes: 20 << 30,
            max_pods: 2,
        };
        let here = [pod("a", "1")];
        assert_eq!(check(&capacity, &pod("b", "900m"), &here), Ok(()));
        let refusal = check(&capacity, &pod("b", "1"), &here).unwrap_err();
        assert_eq!(
            (refusal.reason, refusal.message.as_str()),
            (
                "OutOfcpu",
                "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000, used: 1000, capacity: 1930"
            )
        );
        let full = [pod("a", "0"), pod("b", "0")];
        assert_eq!(check(&capacity, &pod("c", "0"), &full).unwrap_err().reason, "OutOfpods");
    }
}
