//! Keeps one pod of a DaemonSet on every node that it is meant for.

mod history;
mod placement;
mod rolling;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube_types::ObjectKey;
use kube_types::selector::LabelSelector;
use plan::{
    Change, Controller, EventRecord, Kind, Observation, Plan, Step, World, controller_of, controller_reference,
    object_reference,
};

use crate::claim::{Claim, claim, matches};
use crate::pod::{self, Availability};

/// Label and annotation that tell from which revision of the template a pod was made.
pub(crate) const REVISION_HASH: &str = "controller-revision-hash";

/// The DaemonSet controller.
pub struct DaemonSets;

impl Controller for DaemonSets {
    type Root = DaemonSet;
    const NAME: &'static str = "daemonset-controller";
    const WATCHES: &'static [Kind] = &[Kind::Pod, Kind::Node, Kind::ControllerRevision];

    fn roots_of(&self, changed: Observation<'_>, world: &World) -> Vec<ObjectKey> {
        let metadata = changed.metadata();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        match (changed, controller_of(metadata)) {
            (Observation::Node(_), _) => world.daemon_sets.keys().cloned().collect(),
            (_, Some(owner)) if owner.kind == "DaemonSet" => vec![ObjectKey::namespaced(namespace, &owner.name)],
            (Observation::Pod(_), None) => {
                let sets = world.daemon_sets.in_namespace(namespace);
                let selecting = sets.filter(|set| selector(set).is_some_and(|selector| matches(&selector, metadata)));
                selecting.map(|set| ObjectKey::of(set.as_ref())).collect()
            }
            _ => Vec::new(),
        }
    }

    fn plan(&self, set: &DaemonSet, world: &World, now: Timestamp) -> Plan {
        let Some(selector) = selector(set).filter(|selector| !selector.is_everything()) else {
            let message = "This daemon set is selecting all pods. A non-empty selector is required.";
            let event = EventRecord::warning(object_reference(set), "SelectingAll", message);
            return Plan {
                events: vec![event],
                ..Plan::default()
            };
        };
        let Claim { owned, steps } = claim::<DaemonSet, Pod>(set, &selector, world);
        let mut plan = Plan {
            steps,
            ..Plan::default()
        };
        let revision = history::present(set, world);
        plan.steps.extend(revision.step);
        let state = State {
            set,
            hash: revision.hash,
            by_node: by_node(&owned),
            world,
            now,
        };
        if set.metadata.deletion_timestamp.is_none() {
            let managed = state.manage();
            let settled = managed.is_empty();
            plan.steps.extend(managed);
            if settled {
                plan.steps.extend(state.update());
            }
            plan.steps.extend(history::clean_up(set, &state.hash, &owned, world));
        }
        let (status, next_available) = state.status();
        if set.status.as_ref() != Some(&status) {
            let mut told = set.clone();
            told.status = Some(status);
            plan.then(Change::update_status(told));
        }
        if let Some(delay) = next_available {
            plan.look_again(delay);
        }
        plan
    }
}

/// What one decision is made from.
struct State<'a> {
    set: &'a DaemonSet,
    /// Hash of the present template.
    hash: String,
    by_node: BTreeMap<String, Vec<Arc<Pod>>>,
    world: &'a World,
    now: Timestamp,
}

impl State<'_> {
    /// Creates missing pods and deletes those that are dead, double or on the wrong node.
    fn manage(&self) -> Vec<Step> {
        let mut creations = Vec::new();
        let mut deletions = Vec::new();
        for node in self.world.nodes.all() {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let pods = self.by_node.get(name).map(Vec::as_slice).unwrap_or_default();
            let (dead, living): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| pod::is_terminal(pod));
            let place = placement::of(self.set, node);
            let going = living.iter().any(|pod| pod::is_deleting(pod));
            if !place.keeps {
                deletions.extend(
                    living
                        .iter()
                        .filter(|pod| !pod::is_deleting(pod))
                        .map(|pod| self.deletion(pod)),
                );
            } else if !living.is_empty() {
                deletions.extend(self.surplus(&living).into_iter().map(|pod| self.deletion(pod)));
            } else if place.starts && dead.is_empty() && !going {
                creations.push(self.creation(node));
            }
            for pod in dead.into_iter().filter(|pod| !pod::is_deleting(pod)) {
                deletions.push(self.death(pod, name));
            }
        }
        // Pods whose node is not known are left to the pod garbage collector.
        deletions.into_iter().chain(creations).collect()
    }

    /// All but the oldest of a node's pods, those on the way out and, during a surge, the second one not counted.
    fn surplus<'b>(&self, living: &[&'b Arc<Pod>]) -> Vec<&'b Arc<Pod>> {
        if rolling::max_surge(self.set, self.world.nodes.len()) > 0 {
            return Vec::new();
        }
        let mut staying: Vec<&Arc<Pod>> = living.iter().copied().filter(|pod| !pod::is_deleting(pod)).collect();
        let assigned = |pod: &Pod| !pod::node_name(pod).is_empty();
        staying.sort_by(|left, right| {
            let age = |pod: &Pod| (pod.metadata.creation_timestamp.clone(), pod.metadata.name.clone());
            assigned(right)
                .cmp(&assigned(left))
                .then_with(|| age(left).cmp(&age(right)))
        });
        staying.into_iter().skip(1).collect()
    }

    fn creation(&self, node: &Node) -> Step {
        let name = self.set.metadata.name.as_deref().unwrap_or_default();
        let namespace = self.set.metadata.namespace.as_deref();
        let template = self
            .set
            .spec
            .as_ref()
            .map(|spec| spec.template.clone())
            .unwrap_or_default();
        let mut pod = pod::from_template(&template, namespace, name, controller_reference(self.set));
        let labels = pod.metadata.labels.get_or_insert_default();
        labels.insert(REVISION_HASH.to_owned(), self.hash.clone());
        placement::pin(
            pod.spec.get_or_insert_default(),
            node.metadata.name.as_deref().unwrap_or_default(),
        );
        let subject = || object_reference(self.set);
        Step::from(Change::create(pod))
            .succeeding_with(EventRecord::normal(
                subject(),
                "SuccessfulCreate",
                "Created pod: {name}",
            ))
            .failing_with(EventRecord::warning(
                subject(),
                "FailedCreate",
                "Error creating: {error}",
            ))
    }

    fn deletion(&self, pod: &Pod) -> Step {
        let subject = || object_reference(self.set);
        Step::from(Change::delete(pod))
            .succeeding_with(EventRecord::normal(
                subject(),
                "SuccessfulDelete",
                "Deleted pod: {name}",
            ))
            .failing_with(EventRecord::warning(
                subject(),
                "FailedDelete",
                "Error deleting: {error}",
            ))
    }

    fn death(&self, pod: &Pod, node: &str) -> Step {
        let name = ObjectKey::of(pod);
        let message = format!("Found failed daemon pod {name} on node {node}, will try to kill it");
        let mut step = self.deletion(pod);
        if pod::phase(pod) == "Failed" {
            step.on_success = Some(EventRecord::warning(
                object_reference(self.set),
                "FailedDaemonPod",
                message,
            ));
        }
        step
    }

    fn status(&self) -> (DaemonSetStatus, Option<std::time::Duration>) {
        let mut status = self.set.status.clone().unwrap_or_default();
        let (mut current, mut desired, mut misscheduled, mut ready, mut available, mut updated) = (0, 0, 0, 0, 0, 0);
        let mut next = None;
        let min_ready = self
            .set
            .spec
            .as_ref()
            .and_then(|spec| spec.min_ready_seconds)
            .unwrap_or(0);
        for node in self.world.nodes.all() {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let pods = self.by_node.get(name).map(Vec::as_slice).unwrap_or_default();
            if !placement::of(self.set, node).starts {
                misscheduled += i32::from(!pods.is_empty());
                continue;
            }
            desired += 1;
            let mut oldest: Vec<&Arc<Pod>> = pods.iter().collect();
            oldest.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
            let Some(pod) = oldest.into_iter().next_back() else {
                continue;
            };
            current += 1;
            updated += i32::from(self.is_current(pod));
            ready += i32::from(pod::is_ready(pod));
            match pod::availability(pod, min_ready, self.now) {
                Availability::Available => available += 1,
                Availability::After(delay) => {
                    next = Some(next.map_or(delay, |next: std::time::Duration| next.min(delay)))
                }
                Availability::NotReady => {}
            }
        }
        let nonzero = |number: i32| (number != 0).then_some(number);
        status.current_number_scheduled = current;
        status.desired_number_scheduled = desired;
        status.number_misscheduled = misscheduled;
        status.number_ready = ready;
        status.number_available = nonzero(available);
        status.number_unavailable = nonzero(desired - available);
        status.updated_number_scheduled = nonzero(updated);
        status.observed_generation = self.set.metadata.generation;
        (status, next)
    }

    /// Was the pod made from the present template?
    fn is_current(&self, pod: &Pod) -> bool {
        pod.metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(REVISION_HASH))
            == Some(&self.hash)
    }
}

fn selector(set: &DaemonSet) -> Option<LabelSelector> {
    LabelSelector::from_typed(&set.spec.as_ref()?.selector).ok()
}

/// The pods by the node that they are on or are meant for.
fn by_node(pods: &[Arc<Pod>]) -> BTreeMap<String, Vec<Arc<Pod>>> {
    let mut nodes: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
    for pod in pods {
        if let Some(node) = placement::target(pod) {
            nodes.entry(node.to_owned()).or_default().push(pod.clone());
        }
    }
    nodes
}

#[cfg(test)]
mod tests;
