//! What pods request and nodes have, as numbers that can be compared.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube_types::quantity::Amount;

/// CPU that a container without a request counts for when nodes are compared, in thousandths.
const UNSTATED_MILLI_CPU: i64 = 100;
/// Memory that a container without a request counts for when nodes are compared, in bytes.
const UNSTATED_MEMORY: i64 = 200 * 1024 * 1024;

/// Amounts of resources: CPU in thousandths, everything else in units (bytes for memory).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources(BTreeMap<String, i64>);

impl Resources {
    /// Reads a resource list; what is no quantity counts as nothing, since validation keeps such out.
    pub fn from_list(list: Option<&BTreeMap<String, Quantity>>) -> Self {
        Self(
            list.into_iter()
                .flatten()
                .map(|(name, quantity)| (name.clone(), number(name, quantity)))
                .collect(),
        )
    }

    /// The amount of one resource.
    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Every resource with its amount, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(name, amount)| (name.as_str(), *amount))
    }

    /// Sets one resource.
    pub fn set(&mut self, name: &str, amount: i64) {
        self.0.insert(name.to_owned(), amount);
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            *self.0.entry(name.clone()).or_insert(0) += amount;
        }
    }

    /// Takes `other` away.
    pub fn subtract(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            *self.0.entry(name.clone()).or_insert(0) -= amount;
        }
    }

    /// Raises each resource to what `other` has of it.
    fn raise_to(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            let own = self.0.entry(name.clone()).or_insert(0);
            *own = (*own).max(*amount);
        }
    }
}

/// What a pod needs at the same time. Source of the rule: `PodRequests` of component-helpers.
///
/// Ordinary containers and restartable init containers together, or the init container that needs most, with those
/// restartable ones that started before it; then the pod's overhead. A request for the whole pod takes their place.
pub fn requests(pod: &Pod) -> Resources {
    of_pod(pod, |container| stated(container.resources.as_ref()))
}

/// As [`requests`], with a usual amount of CPU and memory for containers that state none: for comparing nodes.
pub fn requests_for_score(pod: &Pod) -> Resources {
    of_pod(pod, |container| {
        let mut own = stated(container.resources.as_ref());
        for (name, usual) in [("cpu", UNSTATED_MILLI_CPU), ("memory", UNSTATED_MEMORY)] {
            if !own.0.contains_key(name) {
                own.set(name, usual);
            }
        }
        own
    })
}

fn of_pod(pod: &Pod, of_container: impl Fn(&Container) -> Resources) -> Resources {
    let Some(spec) = &pod.spec else {
        return Resources::default();
    };
    let mut total = Resources::default();
    for container in &spec.containers {
        total.add(&of_container(container));
    }
    let mut restartable = Resources::default();
    let mut most_at_init = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let own = of_container(container);
        if container.restart_policy.as_deref() == Some("Always") {
            total.add(&own);
            restartable.add(&own);
            most_at_init.raise_to(&restartable);
        } else {
            let mut at_once = restartable.clone();
            at_once.add(&own);
            most_at_init.raise_to(&at_once);
        }
    }
    total.raise_to(&most_at_init);
    for (name, amount) in stated(spec.resources.as_ref()).0 {
        total.set(&name, amount);
    }
    total.add(&Resources::from_list(spec.overhead.as_ref()));
    total
}

/// Requests as admission leaves them: a limit without a request stands for both.
fn stated(requirements: Option<&ResourceRequirements>) -> Resources {
    let mut own = Resources::from_list(requirements.and_then(|requirements| requirements.limits.as_ref()));
    let requests = Resources::from_list(requirements.and_then(|requirements| requirements.requests.as_ref()));
    own.0.extend(requests.0);
    own
}

fn number(name: &str, quantity: &Quantity) -> i64 {
    let amount = Amount::try_from(quantity).unwrap_or_default();
    if name == "cpu" { amount.milli() } else { amount.value() }
}
