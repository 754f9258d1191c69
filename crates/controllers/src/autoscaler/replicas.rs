//! From usage to replicas. Source: `replica_calculator.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod, PodCondition};
use kube_types::quantity;

use crate::pod;

/// Nothing is done about less than this.
const TOLERANCE: f64 = 0.1;
/// For so long after a pod's start its CPU may be that of its start. Upstream: `--horizontal-pod-autoscaler-cpu-initialization-period`.
const CPU_START: SignedDuration = SignedDuration::from_secs(300);
/// For so long after a pod's start it may become ready for the first time.
const FIRST_READINESS: SignedDuration = SignedDuration::from_secs(30);

/// What a pod uses.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// In thousandths of the resource's unit.
    pub milli: i64,
    pub until: Option<Timestamp>,
    pub window: f64,
}

/// What a metric asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Proposal {
    pub replicas: i32,
    /// Percent of what is requested, if that is the target.
    pub utilization: Option<i32>,
    /// Thousandths that a pod uses on average.
    pub average: i64,
}

/// Pods by what their usage is worth.
struct Groups {
    ready: usize,
    unready: BTreeSet<String>,
    missing: BTreeSet<String>,
    ignored: BTreeSet<String>,
}

/// So that pods use a percentage of what they request.
pub(super) fn by_utilization(
    pods: &[Arc<Pod>],
    samples: &BTreeMap<String, Sample>,
    resource: &str,
    container: Option<&str>,
    target: i32,
    current: i32,
    now: Timestamp,
) -> Result<Proposal, String> {
    let groups = grouped(pods, samples, resource, now)?;
    let mut used = counted(samples, &groups)?;
    let requests = requests(pods, container, resource)?;
    let ratio_of = |used: &BTreeMap<String, i64>| -> Result<(f64, i32, i64), String> {
        let (mut total, mut requested) = (0_i64, 0_i64);
        for (pod, milli) in used {
            if let Some(request) = requests.get(pod) {
                total += milli;
                requested += request;
            }
        }
        if requested == 0 {
            return Err("no metrics returned matched known pods".to_owned());
        }
        let utilization = i32::try_from(total * 100 / requested).unwrap_or(i32::MAX);
        let average = total / i64::try_from(used.len().max(1)).unwrap_or(1);
        Ok((f64::from(utilization) / f64::from(target), utilization, average))
    };
    let (ratio, utilization, average) = ratio_of(&used)?;
    let request = |pod: &String| requests.get(pod).copied().unwrap_or(0);
    let filled = fill(&groups, &mut used, ratio, |pod| {
        request(pod) * i64::from(target.max(100)) / 100
    });
    let replicas = match filled {
        false => simple(ratio, groups.ready, current),
        true => careful(ratio, ratio_of(&used)?.0, used.len(), current),
    };
    Ok(Proposal {
        replicas,
        utilization: Some(utilization),
        average,
    })
}

/// So that pods use so many thousandths on average.
pub(super) fn by_average(
    pods: &[Arc<Pod>],
    samples: &BTreeMap<String, Sample>,
    resource: &str,
    target: i64,
    current: i32,
    now: Timestamp,
) -> Result<Proposal, String> {
    let groups = grouped(pods, samples, resource, now)?;
    let mut used = counted(samples, &groups)?;
    let ratio_of = |used: &BTreeMap<String, i64>| {
        let total: i64 = used.values().sum();
        let average = total / i64::try_from(used.len().max(1)).unwrap_or(1);
        (average as f64 / target.max(1) as f64, average)
    };
    let (ratio, average) = ratio_of(&used);
    let replicas = match fill(&groups, &mut used, ratio, |_| target) {
        false => simple(ratio, groups.ready, current),
        true => careful(ratio, ratio_of(&used).0, used.len(), current),
    };
    Ok(Proposal {
        replicas,
        utilization: None,
        average,
    })
}

fn ceil(number: f64) -> i32 {
    number.ceil().min(f64::from(i32::MAX)) as i32
}

fn simple(ratio: f64, ready: usize, current: i32) -> i32 {
    if (1.0 - ratio).abs() <= TOLERANCE {
        current
    } else {
        ceil(ratio * ready as f64)
    }
}

/// With pods whose usage is only assumed, a change is made only when they do not turn it around.
fn careful(before: f64, ratio: f64, pods: usize, current: i32) -> i32 {
    let turned = (before < 1.0 && ratio > 1.0) || (before > 1.0 && ratio < 1.0);
    if (1.0 - ratio).abs() <= TOLERANCE || turned {
        return current;
    }
    let replicas = ceil(ratio * pods as f64);
    let wrong_way = (ratio < 1.0 && replicas > current) || (ratio > 1.0 && replicas < current);
    if wrong_way { current } else { replicas }
}

/// Assumes the worst of pods without metrics: much when fewer pods are thought of, nothing when more are. Says whether
/// anything was assumed.
fn fill(groups: &Groups, used: &mut BTreeMap<String, i64>, ratio: f64, much: impl Fn(&String) -> i64) -> bool {
    let unready_count = !groups.unready.is_empty() && ratio > 1.0;
    if !unready_count && groups.missing.is_empty() {
        return false;
    }
    for pod in &groups.missing {
        if ratio < 1.0 {
            used.insert(pod.clone(), much(pod));
        } else if ratio > 1.0 {
            used.insert(pod.clone(), 0);
        }
    }
    if unready_count {
        used.extend(groups.unready.iter().map(|pod| (pod.clone(), 0)));
    }
    true
}

fn grouped(
    pods: &[Arc<Pod>],
    samples: &BTreeMap<String, Sample>,
    resource: &str,
    now: Timestamp,
) -> Result<Groups, String> {
    if pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let mut groups = Groups {
        ready: 0,
        unready: BTreeSet::new(),
        missing: BTreeSet::new(),
        ignored: BTreeSet::new(),
    };
    for pod in pods {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref())
            .unwrap_or_default();
        let group = if pod::is_deleting(pod) || phase == "Failed" {
            &mut groups.ignored
        } else if phase == "Pending" {
            &mut groups.unready
        } else {
            match samples.get(&name) {
                None => &mut groups.missing,
                Some(sample) if resource == "cpu" && is_starting(pod, sample, now) => &mut groups.unready,
                Some(_) => {
                    groups.ready += 1;
                    continue;
                }
            }
        };
        group.insert(name);
    }
    Ok(groups)
}

/// Whether a pod's CPU says nothing of its work yet.
fn is_starting(pod: &Pod, sample: &Sample, now: Timestamp) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let ready = conditions.and_then(|all| all.iter().find(|condition| condition.type_ == "Ready"));
    let started = status.and_then(|status| status.start_time.as_ref());
    let (Some(ready), Some(started)) = (ready, started) else {
        return true;
    };
    let is_false = ready.status == "False";
    let changed = |ready: &PodCondition| ready.last_transition_time.as_ref().map(|time| time.0);
    if started.0 + CPU_START > now {
        let window = SignedDuration::try_from_secs_f64(sample.window).unwrap_or_default();
        let early = changed(ready)
            .zip(sample.until)
            .is_some_and(|(changed, until)| until < changed + window);
        return is_false || early;
    }
    is_false && changed(ready).is_some_and(|changed| started.0 + FIRST_READINESS > changed)
}

/// The usage that counts.
fn counted(samples: &BTreeMap<String, Sample>, groups: &Groups) -> Result<BTreeMap<String, i64>, String> {
    let counts = |pod: &String| !groups.ignored.contains(pod) && !groups.unready.contains(pod);
    let used: BTreeMap<String, i64> = samples
        .iter()
        .filter(|(pod, _)| counts(pod))
        .map(|(pod, sample)| (pod.clone(), sample.milli))
        .collect();
    if used.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    Ok(used)
}

/// What pods request, in thousandths.
fn requests(pods: &[Arc<Pod>], container: Option<&str>, resource: &str) -> Result<BTreeMap<String, i64>, String> {
    let mut requests = BTreeMap::new();
    for pod in pods {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let spec = pod.spec.clone().unwrap_or_default();
        let sidecars = spec.init_containers.unwrap_or_default();
        let sidecars = sidecars
            .into_iter()
            .filter(|one| one.restart_policy.as_deref() == Some("Always"));
        let mut sum = 0;
        for one in spec.containers.into_iter().chain(sidecars) {
            if container.is_some_and(|container| container != one.name) {
                continue;
            }
            let requested = requested(&one, resource);
            sum += requested
                .ok_or_else(|| format!("missing request for {resource} in container {} of Pod {name}", one.name))?;
        }
        requests.insert(name, sum);
    }
    Ok(requests)
}

fn requested(container: &Container, resource: &str) -> Option<i64> {
    let requests = container.resources.as_ref()?.requests.as_ref()?;
    Some(quantity::parse(&requests.get(resource)?.0).ok()?.milli())
}
