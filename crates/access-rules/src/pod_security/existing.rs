//! What is said of the pods that are there already, when their namespace asks for more than before.
//!
//! Source: `EvaluatePodsInNamespace` and `prioritizePods` of `k8s.io/pod-security-admission/admission`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::PodSpec;

use super::Standard;

/// At most so many pods are looked at.
pub const MOST_EXISTING_PODS: usize = 3000;

/// A pod as far as it is looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct ExistingPod {
    /// Its name.
    pub name: String,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its spec.
    pub spec: PodSpec,
}

/// One pod of each controller, and those without one, before the others that are probably like it.
#[must_use]
pub fn one_of_each_controller_first<P>(pods: Vec<P>, controller: impl Fn(&P) -> Option<String>) -> Vec<P> {
    let mut seen = BTreeSet::new();
    let (mut first, others): (Vec<P>, Vec<P>) = pods
        .into_iter()
        .partition(|pod| controller(pod).is_none_or(|uid| seen.insert(uid)));
    first.extend(others);
    first
}

impl Standard {
    /// The warnings of a namespace of `total` pods that now asks for this standard and of whose pods these were looked at.
    #[must_use]
    pub fn warnings_of_existing(&self, namespace: &str, pods: &[ExistingPod], total: usize) -> Vec<String> {
        let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for pod in pods {
            if let Some(violations) = self.violations(&pod.annotations, &pod.spec) {
                found.entry(violations.reasons()).or_default().push(&pod.name);
            }
        }
        let mut warnings = Vec::new();
        if pods.len() < total {
            warnings.push(format!(
                "new PodSecurity enforce level only checked against the first {} of {total} existing pods",
                pods.len()
            ));
        }
        if !found.is_empty() {
            warnings.push(format!(
                "existing pods in namespace \"{namespace}\" violate the new PodSecurity enforce level \"{self}\""
            ));
        }
        let mut lines: Vec<String> = found.iter().map(|(reasons, names)| line(reasons, names)).collect();
        // By the names of the pods, with which they begin.
        lines.sort();
        warnings.extend(lines);
        warnings
    }
}

/// The pods that break the same rules: the first by name, and how many others.
fn line(reasons: &str, names: &[&str]) -> String {
    let first = names.iter().min().copied().unwrap_or_default();
    match names.len() - 1 {
        0 => format!("{first}: {reasons}"),
        1 => format!("{first} (and 1 other pod): {reasons}"),
        others => format!("{first} (and {others} other pods): {reasons}"),
    }
}
