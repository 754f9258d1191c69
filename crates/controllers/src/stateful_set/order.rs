//! Which pods are begun, ended or replaced now, and which wait for others.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use plan::{Change, EventRecord, Step, object_reference};

use super::{State, claims, pods};
use crate::pod;

/// Whether what comes later may be looked at in the same decision.
enum Flow {
    GoOn,
    Wait,
}

impl State<'_> {
    /// The steps that may be taken now: missing pods first, then surplus ones, then the update.
    pub(super) fn manage(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (ordinal, pod) in &self.replicas {
            let flow = match pod {
                Some(pod) => self.keep(pod, &mut steps),
                None => self.begin(*ordinal, &mut steps),
            };
            if matches!(flow, Flow::Wait) {
                return steps;
            }
        }
        if !steps.is_empty() {
            // With parallel management everything that is missing is made at once, and nothing else before it is there.
            return steps;
        }
        for pod in &self.condemned {
            steps.extend(claims::corrections(self, pod, true));
        }
        for pod in &self.condemned {
            if matches!(self.end(pod, &mut steps), Flow::Wait) {
                return steps;
            }
        }
        if steps.is_empty() {
            steps.extend(self.roll());
        }
        steps
    }

    fn begin(&self, ordinal: i32, steps: &mut Vec<Step>) -> Flow {
        let pod = pods::make(self, ordinal);
        steps.extend(claims::missing(self, &pod));
        let name = pod.metadata.name.clone().unwrap_or_default();
        steps.push(self.about(Change::create(pod), "create", &format!("Pod {name}")));
        self.in_order()
    }

    /// A pod that should be there: replaced when it has ended, waited for while it is not available.
    fn keep(&self, pod: &Arc<Pod>, steps: &mut Vec<Step>) -> Flow {
        if pod::is_terminal(pod) {
            if !pod::is_deleting(pod) {
                steps.push(self.replacement(pod));
            }
            return Flow::Wait;
        }
        if pod::phase(pod) != "Running" {
            steps.extend(claims::missing(self, pod));
        }
        let is_settled = !pod::is_deleting(pod) && self.is_available(pod);
        if !is_settled && self.is_ordered() {
            return Flow::Wait;
        }
        steps.extend(pods::correction(self, pod));
        steps.extend(claims::corrections(self, pod, false));
        Flow::GoOn
    }

    /// Deletes a pod that has ended; the next decision makes another.
    fn replacement(&self, pod: &Pod) -> Step {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let set = format!(
            "{}/{}",
            self.set.metadata.namespace.as_deref().unwrap_or_default(),
            self.set.metadata.name.as_deref().unwrap_or_default()
        );
        let subject = object_reference(self.set);
        let event = if pod::phase(pod) == "Failed" {
            let message = format!("StatefulSet {set} is recreating failed Pod {name}");
            EventRecord::warning(subject, "RecreatingFailedPod", message)
        } else {
            let message = format!("StatefulSet {set} is recreating terminated Pod {name}");
            EventRecord::normal(subject, "RecreatingTerminatedPod", message)
        };
        self.deletion(pod).succeeding_with(event)
    }

    /// A pod that should not be there. With ordered management it goes when those above it are gone and all others are well.
    fn end(&self, pod: &Arc<Pod>, steps: &mut Vec<Step>) -> Flow {
        if pod::is_deleting(pod) {
            return self.in_order();
        }
        if self.is_ordered() && !self.is_available(pod) && !self.is_first_unhealthy(pod) {
            return Flow::Wait;
        }
        steps.push(self.deletion(pod));
        self.in_order()
    }

    /// Of all pods that are not well the one with the lowest number; it may be ended, since nothing is gained by waiting for it.
    fn is_first_unhealthy(&self, pod: &Pod) -> bool {
        let number = |pod: &Pod| pods::parent(pod).map_or(i32::MAX, |(_, number)| number);
        let unwell = self
            .owned
            .iter()
            .filter(|pod| pod::is_deleting(pod) || !self.is_available(pod));
        let first = unwell.min_by_key(|pod| number(pod));
        first.is_some_and(|first| first.metadata.uid == pod.metadata.uid)
    }

    fn in_order(&self) -> Flow {
        if self.is_ordered() { Flow::Wait } else { Flow::GoOn }
    }
}
