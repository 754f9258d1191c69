//! Pod security standards: what a pod may ask for at the levels baseline and restricted of each Kubernetes version, in
//! upstream's words.
//!
//! Source: `k8s.io/pod-security-admission` (`api`, `policy`, and what `admission` decides without looking anything up).

mod baseline;
mod checks;
mod existing;
mod pod;
mod policy;
mod restricted;
#[cfg(test)]
mod tests;
mod update;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;

pub use self::existing::{ExistingPod, MOST_EXISTING_PODS, one_of_each_controller_first};
pub use self::policy::{LabelError, Level, Policy, Standard, Version};
pub use self::update::is_significant_update;

use self::checks::Finding;
use self::pod::Pod;

/// The rules of a standard that a pod breaks; at least one.
///
/// Source: `policy.AggregateCheckResult`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations(Vec<Finding>);

impl Violations {
    /// The names of the rules, as pods that break the same ones are counted together.
    #[must_use]
    pub fn reasons(&self) -> String {
        let reasons: Vec<&str> = self.0.iter().map(|finding| finding.reason).collect();
        reasons.join(", ")
    }

    /// The rules and what in the pod breaks them.
    #[must_use]
    pub fn details(&self) -> String {
        let shown = self.0.iter().map(|finding| match &*finding.detail {
            "" => finding.reason.to_owned(),
            detail => format!("{} ({detail})", finding.reason),
        });
        shown.collect::<Vec<_>>().join(", ")
    }
}

impl Standard {
    /// What a pod breaks of the standard; `None` if nothing. The annotations are those of the pod or of its template.
    #[must_use]
    pub fn violations(&self, annotations: &BTreeMap<String, String>, spec: &PodSpec) -> Option<Violations> {
        let pod = Pod::new(annotations, spec);
        let found: Vec<Finding> = checks::of(*self).filter_map(|check| check(&pod)).collect();
        (!found.is_empty()).then_some(Violations(found))
    }

    /// Upstream's sentence about what a pod breaks, after `violates` or `would violate`.
    #[must_use]
    pub fn sentence(&self, violations: &Violations) -> String {
        format!("PodSecurity \"{self}\": {}", violations.details())
    }
}
