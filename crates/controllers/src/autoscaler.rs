//! How many replicas a HorizontalPodAutoscaler wants, from what its pods use, and the status that says so.
//!
//! The target, its pods and their metrics are handed in; what was recommended and done before is a [`History`] that the
//! caller keeps from one decision to the next. Source: `controller/podautoscaler`.

mod behavior;
mod replicas;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition,
    HorizontalPodAutoscalerSpec, HorizontalPodAutoscalerStatus, MetricSpec, MetricStatus, MetricTarget,
    MetricValueStatus, ResourceMetricStatus,
};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_types::quantity::{Amount, Format};
use plan::{EventRecord, object_reference, whole_seconds};

pub use behavior::History;
use replicas::{Proposal, Sample};

/// Upstream's name of the controller.
pub const NAME: &str = "horizontal-pod-autoscaler";

/// What a pod's containers use, and when that was measured.
#[derive(Clone, Debug, Default)]
pub struct PodUsage {
    /// When the window ended; `None` when it is not known.
    pub until: Option<Timestamp>,
    /// Length of the window in seconds.
    pub window: f64,
    /// By container: resource to thousandths.
    pub containers: BTreeMap<String, BTreeMap<String, i64>>,
}

/// What an autoscaler sees.
#[derive(Debug)]
pub struct Observed {
    /// The target's scale, or why there is none: `spec.replicas` and `status.replicas`.
    pub scale: Result<(i32, i32), String>,
    /// The pods of the target's selector.
    pub pods: Vec<Arc<Pod>>,
    /// Usage by the name of the pod, or why it is not to be had.
    pub usage: Result<BTreeMap<String, PodUsage>, String>,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub struct Decision {
    /// The replicas that the target shall have; `None` when it has them.
    pub rescale: Option<(i32, String)>,
    /// The status as it is then, unless rescaling fails.
    pub status: HorizontalPodAutoscalerStatus,
    /// What to tell.
    pub events: Vec<EventRecord>,
}

/// The words of a decision on their way into the status.
struct Draft<'a> {
    autoscaler: &'a HorizontalPodAutoscaler,
    status: HorizontalPodAutoscalerStatus,
    events: Vec<EventRecord>,
    now: Timestamp,
}

impl Draft<'_> {
    fn say(&mut self, kind: &str, holds: bool, reason: &str, message: impl Into<String>) {
        set_condition(&mut self.status, kind, holds, reason, message.into(), self.now);
    }

    fn warn(&mut self, reason: &'static str, message: impl Into<String>) {
        let about = object_reference(self.autoscaler);
        self.events.push(EventRecord::warning(about, reason, message));
    }

    fn done(self, rescale: Option<(i32, String)>) -> Decision {
        Decision {
            rescale,
            status: self.status,
            events: self.events,
        }
    }
}

/// Decides for one autoscaler, and remembers in `history` what was recommended.
pub fn decide(
    autoscaler: &HorizontalPodAutoscaler,
    observed: &Observed,
    history: &mut History,
    now: Timestamp,
) -> Decision {
    let spec = autoscaler.spec.clone();
    let mut draft = Draft {
        autoscaler,
        status: autoscaler.status.clone().unwrap_or_default(),
        events: Vec::new(),
        now,
    };
    draft.status.observed_generation = autoscaler.metadata.generation;
    let (current, present) = match &observed.scale {
        Ok(scale) => *scale,
        Err(problem) => {
            draft.warn("FailedGetScale", problem.clone());
            let message = format!("the HPA controller was unable to get the target's current scale: {problem}");
            draft.say("AbleToScale", false, "FailedGetScale", message);
            return draft.done(None);
        }
    };
    draft.status.current_replicas = Some(present);
    let message = "the HPA controller was able to get the target's current scale";
    draft.say("AbleToScale", true, "SucceededGetScale", message);
    history.begin(current, now);
    let Some((desired, reason)) = desired(&mut draft, &spec, observed, current, history) else {
        draft.status.desired_replicas = autoscaler.status.as_ref().map_or(0, |status| status.desired_replicas);
        return draft.done(None);
    };
    draft.status.desired_replicas = desired;
    if desired == current {
        return draft.done(None);
    }
    let message = format!("the HPA controller was able to update the target scale to {desired}");
    draft.say("AbleToScale", true, "SucceededRescale", message);
    draft.status.last_scale_time = Some(whole_seconds(now));
    let message = format!("New size: {desired}; reason: {reason}");
    let event = EventRecord::normal(object_reference(autoscaler), "SuccessfulRescale", message);
    draft.events.push(event);
    draft.done(Some((desired, reason)))
}

/// The replicas that there shall be, and why; `None` when it cannot be said.
fn desired(
    draft: &mut Draft<'_>,
    spec: &HorizontalPodAutoscalerSpec,
    observed: &Observed,
    current: i32,
    history: &mut History,
) -> Option<(i32, String)> {
    let least = spec.min_replicas.unwrap_or(1);
    if current == 0 && least != 0 {
        let message = "scaling is disabled since the replica count of the target is zero";
        draft.say("ScalingActive", false, "ScalingDisabled", message);
        return Some((0, String::new()));
    }
    if current > spec.max_replicas {
        let reason = "Current number of replicas above Spec.MaxReplicas";
        return Some((spec.max_replicas, reason.to_owned()));
    }
    if current < least {
        return Some((least, "Current number of replicas below Spec.MinReplicas".to_owned()));
    }
    let (proposed, metric) = by_metrics(draft, spec, observed, current)?;
    let reason = match proposed.cmp(&current) {
        std::cmp::Ordering::Greater => format!("{metric} above target"),
        std::cmp::Ordering::Less => "All metrics below target".to_owned(),
        std::cmp::Ordering::Equal => String::new(),
    };
    let limits = behavior::Limits::of(spec);
    let limited = behavior::normalize(&limits, history, current, proposed, draft.now);
    let (holds, why, message) = limited.able;
    draft.say("AbleToScale", holds, why, message);
    let (holds, why, message) = limited.limited;
    draft.say("ScalingLimited", holds, why, message);
    Some((limited.replicas, reason))
}

/// The status and events when the target could not be rescaled.
pub fn refused(autoscaler: &HorizontalPodAutoscaler, decision: Decision, problem: &str, now: Timestamp) -> Decision {
    let old = autoscaler.status.as_ref();
    let mut draft = Draft {
        autoscaler,
        status: decision.status,
        events: Vec::new(),
        now,
    };
    draft.status.last_scale_time = old.and_then(|old| old.last_scale_time.clone());
    draft.status.desired_replicas = old.map_or(0, |old| old.desired_replicas);
    let desired = decision.rescale.as_ref().map_or(0, |(replicas, _)| *replicas);
    let reason = decision.rescale.map(|(_, reason)| reason).unwrap_or_default();
    draft.warn(
        "FailedRescale",
        format!("New size: {desired}; reason: {reason}; error: {problem}"),
    );
    let message = format!("the HPA controller was unable to update the target scale: {problem}");
    draft.say("AbleToScale", false, "FailedUpdateScale", message);
    draft.done(None)
}

/// The most that any metric asks for, and which; `None` when it cannot be said.
fn by_metrics(
    draft: &mut Draft<'_>,
    spec: &HorizontalPodAutoscalerSpec,
    observed: &Observed,
    current: i32,
) -> Option<(i32, String)> {
    let metrics = spec.metrics.as_deref().unwrap_or_default();
    let mut best: Option<(i32, String)> = None;
    let mut failures: Vec<(&'static str, String)> = Vec::new();
    let mut statuses = Vec::new();
    for metric in metrics {
        match one(metric, observed, current, draft.now) {
            Ok((proposed, name, status)) => {
                statuses.push(status);
                if best.as_ref().is_none_or(|(most, _)| proposed > *most) {
                    best = Some((proposed, name));
                }
            }
            Err((reason, problem)) => {
                draft.warn(reason, problem.clone());
                failures.push((reason, problem));
            }
        }
    }
    draft.status.current_metrics = (!statuses.is_empty()).then_some(statuses);
    let is_enough = best
        .as_ref()
        .is_some_and(|(most, _)| failures.is_empty() || *most >= current);
    if let (false, Some((reason, problem))) = (is_enough, failures.into_iter().next()) {
        let message = format!("the HPA was unable to compute the replica count: {problem}");
        draft.say("ScalingActive", false, reason, message);
        let said = format!(
            "invalid metrics ({} invalid out of {}), first error is: {problem}",
            draft.events.len(),
            metrics.len()
        );
        draft.warn("FailedComputeMetricsReplicas", said);
        return None;
    }
    let (most, name) = best?;
    let message = format!("the HPA was able to successfully calculate a replica count from {name}");
    draft.say("ScalingActive", true, "ValidMetricFound", message);
    Some((most, name))
}

type Failure = (&'static str, String);

/// What one metric asks for: replicas, its name, and its status.
fn one(
    metric: &MetricSpec,
    observed: &Observed,
    current: i32,
    now: Timestamp,
) -> Result<(i32, String, MetricStatus), Failure> {
    let (resource, container, target, reason) = match (&metric.resource, &metric.container_resource) {
        (Some(source), _) => (&source.name, None, &source.target, "FailedGetResourceMetric"),
        (None, Some(source)) => {
            let container = Some(source.container.as_str());
            (
                &source.name,
                container,
                &source.target,
                "FailedGetContainerResourceMetric",
            )
        }
        (None, None) => {
            let problem = format!("metrics of type {:?} are not served in this cluster", metric.type_);
            return Err(("InvalidMetricSourceType", problem));
        }
    };
    let described = if container.is_some() {
        "container resource"
    } else {
        "resource"
    };
    let by_utilization = target.average_utilization;
    let failed = |problem: String| {
        let what = if by_utilization.is_some() {
            "utilization"
        } else {
            "usage"
        };
        (reason, format!("failed to get {resource} {what}: {problem}"))
    };
    let samples = samples(observed, resource, container).map_err(failed)?;
    let proposal = match (by_utilization, average(target)) {
        (Some(percent), _) => {
            replicas::by_utilization(&observed.pods, &samples, resource, container, percent, current, now)
        }
        (None, Some(milli)) => replicas::by_average(&observed.pods, &samples, resource, milli, current, now),
        (None, None) => {
            let problem = "invalid resource metric source: neither a utilization target nor a value target was set";
            return Err((reason, problem.to_owned()));
        }
    };
    let proposal = proposal.map_err(failed)?;
    let name = match by_utilization {
        Some(_) => format!("{resource} {described} utilization (percentage of request)"),
        None => format!("{resource} {described}"),
    };
    Ok((proposal.replicas, name, status(metric, resource, container, &proposal)))
}

fn average(target: &MetricTarget) -> Option<i64> {
    let value = target.average_value.as_ref()?;
    Some(kube_types::quantity::parse(&value.0).ok()?.milli())
}

/// What each pod uses of a resource, by its name.
fn samples(observed: &Observed, resource: &str, container: Option<&str>) -> Result<BTreeMap<String, Sample>, String> {
    let unable = |problem: &str| format!("unable to get metrics for resource {resource}: {problem}");
    let usage = observed.usage.as_ref().map_err(|problem| unable(problem))?;
    if usage.is_empty() {
        return Err(unable("no metrics returned from resource metrics API"));
    }
    let mut samples = BTreeMap::new();
    for (pod, used) in usage {
        let wanted = |name: &&String| container.is_none_or(|container| *name == container);
        let of_container = |name: &String| used.containers.get(name)?.get(resource).copied();
        let amounts: Option<Vec<i64>> = used.containers.keys().filter(wanted).map(of_container).collect();
        match amounts {
            Some(amounts) if !amounts.is_empty() => {
                let sample = Sample {
                    milli: amounts.iter().sum(),
                    until: used.until,
                    window: used.window,
                };
                samples.insert(pod.clone(), sample);
            }
            _ => {}
        }
    }
    match container {
        Some(container) if samples.is_empty() => Err(format!("container {container} not present in metrics for pods")),
        _ => Ok(samples),
    }
}

fn status(metric: &MetricSpec, resource: &str, container: Option<&str>, proposal: &Proposal) -> MetricStatus {
    let amount = Amount::from_milli(proposal.average, Format::DecimalSi).to_quantity();
    let current = MetricValueStatus {
        average_utilization: proposal.utilization,
        average_value: Some(amount),
        value: None,
    };
    let mut status = MetricStatus {
        type_: metric.type_.clone(),
        ..MetricStatus::default()
    };
    match container {
        Some(container) => {
            status.container_resource = Some(ContainerResourceMetricStatus {
                container: container.to_owned(),
                current,
                name: resource.to_owned(),
            });
        }
        None => {
            status.resource = Some(ResourceMetricStatus {
                current,
                name: resource.to_owned(),
            });
        }
    }
    status
}

fn set_condition(
    status: &mut HorizontalPodAutoscalerStatus,
    kind: &str,
    holds: bool,
    reason: &str,
    message: String,
    now: Timestamp,
) {
    let conditions = status.conditions.get_or_insert_default();
    let holds = if holds { "True" } else { "False" };
    let since = |old: Option<&HorizontalPodAutoscalerCondition>| -> Time {
        match old
            .filter(|old| old.status == holds)
            .and_then(|old| old.last_transition_time.clone())
        {
            Some(since) => since,
            None => whole_seconds(now),
        }
    };
    let place = conditions.iter().position(|condition| condition.type_ == kind);
    let condition = HorizontalPodAutoscalerCondition {
        type_: kind.to_owned(),
        status: holds.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(since(place.map(|index| &conditions[index]))),
    };
    match place {
        Some(index) => conditions[index] = condition,
        None => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests;
