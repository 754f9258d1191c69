//! The PodStatus that follows from what runs, exactly as upstream's kubelet would report it.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, Pod, PodCondition, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::observed::Observed;
use crate::plan::{self, Memory};
use crate::{resources, spec};

mod conditions;
mod containers;
mod phase;

/// What the status needs beside the pod and what runs.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// What the agent remembers.
    pub memory: &'a Memory,
    /// Addresses of the machine, the primary one first.
    pub host_ips: &'a [IpAddr],
    /// `ondol`, the scheme of container ids.
    pub runtime: &'a str,
    /// Now.
    pub now: Timestamp,
    /// The pod runs nothing any more and never will: its containers' states are final.
    pub ended: bool,
}

/// Generates the status. `pod.status` is the last one known (ours or the API's); what others own in it (foreign
/// conditions, the nominated node) is kept.
pub fn generate(pod: &Pod, observed: &Observed, context: &Context<'_>) -> PodStatus {
    let old = pod.status.clone().unwrap_or_default();
    let Some(pod_spec) = &pod.spec else { return old };
    let mut status = PodStatus {
        qos_class: old
            .qos_class
            .clone()
            .or_else(|| Some(resources::qos_class(pod_spec).to_string())),
        start_time: old
            .start_time
            .clone()
            .or_else(|| Some(Time(whole_seconds(context.now)))),
        observed_generation: pod.metadata.generation,
        message: old.message.clone(),
        reason: old.reason.clone(),
        nominated_node_name: old.nominated_node_name.clone(),
        resource_claim_statuses: old.resource_claim_statuses.clone(),
        resize: old.resize.clone(),
        ..PodStatus::default()
    };
    containers::fill(pod_spec, &old, observed, context, &mut status);
    let initialized = conditions::is_initialized(pod_spec, &status);
    let computed = phase::of(pod_spec, &status, context.ended, initialized);
    status.phase = Some(phase::settle(&old, context, computed).to_owned());
    if let Some(stopped) = &context.memory.stopped {
        status.reason = Some(stopped.reason.clone());
        status.message = Some(stopped.message.clone());
    }
    addresses(pod, observed, context, &old, &mut status);
    let sandbox_ready = plan::usable_sandbox(pod_spec, observed).is_some();
    status.conditions = Some(conditions::generate(pod, &old, &status, sandbox_ready, context.now));
    status
}

fn addresses(pod: &Pod, observed: &Observed, context: &Context<'_>, old: &PodStatus, status: &mut PodStatus) {
    let host = |ip: &IpAddr| ip.to_string();
    status.host_ip = context.host_ips.first().map(host);
    status.host_ips = Some(context.host_ips.iter().map(|ip| HostIP { ip: host(ip) }).collect());
    let on_host = pod.spec.as_ref().is_some_and(spec::host_network);
    let ips: Vec<String> = if on_host {
        context.host_ips.iter().map(host).collect()
    } else {
        observed
            .sandbox()
            .map(|sandbox| sandbox.ips.iter().map(host).collect())
            .unwrap_or_default()
    };
    // The address of a pod that has ended stays in its status, as upstream's does.
    let ips = if ips.is_empty() {
        old.pod_ips.iter().flatten().map(|pod_ip| pod_ip.ip.clone()).collect()
    } else {
        ips
    };
    status.pod_ip = ips.first().cloned();
    status.pod_ips = (!ips.is_empty()).then(|| ips.into_iter().map(|ip| PodIP { ip }).collect());
}

/// `metav1.Time` has whole seconds: what is sent must compare equal to what comes back.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// A condition of a status.
pub fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == kind)
}

/// Whether two statuses are the same to everyone who reads them.
pub fn same(left: &PodStatus, right: &PodStatus) -> bool {
    left == right
}

#[cfg(test)]
mod tests;
