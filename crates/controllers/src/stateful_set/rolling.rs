//! Replacing pods of an old revision, the highest number first.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube_types::int_or_string::{Rounding, scaled};
use plan::Step;

use super::State;
use super::pods::revision_of;
use crate::pod;

impl State<'_> {
    /// The pods to delete so that they come back from the new template. Source of the rule:
    /// `updateStatefulSetAfterInvariantEstablished`.
    pub(super) fn roll(&self) -> Vec<Step> {
        if self.is_on_delete() {
            return Vec::new();
        }
        let partition = usize::try_from(self.partition()).unwrap_or(0);
        let most = self.max_unavailable();
        let present: Vec<(usize, &Pod)> = self
            .replicas
            .iter()
            .enumerate()
            .filter_map(|(index, (_, pod))| Some((index, pod.as_deref()?)))
            .collect();
        let is_well = |pod: &Pod| self.is_available(pod) && !pod::is_deleting(pod);
        let is_old = |pod: &Pod| revision_of(pod) != Some(self.update.0.as_str());
        let mut steps = Vec::new();
        let mut unavailable = present.iter().filter(|(_, pod)| !is_well(pod)).count();
        for (_, pod) in present.iter().rev().filter(|(index, _)| *index >= partition) {
            if is_old(pod) && !pod::is_deleting(pod) {
                // One that does not serve anyway costs nothing more.
                let cost = usize::from(is_well(pod));
                if cost > 0 && unavailable >= most {
                    break;
                }
                unavailable += cost;
                steps.push(self.deletion(pod));
                if most == 1 {
                    break;
                }
            } else if !is_well(pod) && most == 1 {
                break;
            }
        }
        steps
    }

    fn is_on_delete(&self) -> bool {
        let strategy = self.set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
        strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete")
    }

    /// How many of the first pods keep the current revision.
    pub(super) fn partition(&self) -> i32 {
        let strategy = self.set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        rolling.and_then(|rolling| rolling.partition).unwrap_or(0)
    }

    /// Is a new pod with this number made from the current revision rather than from the new one?
    pub(super) fn is_behind(&self, ordinal: i32) -> bool {
        !self.is_on_delete() && ordinal < super::first_ordinal(self.set).saturating_add(self.partition())
    }

    /// How many pods may be unavailable during an update; at least one.
    fn max_unavailable(&self) -> usize {
        let strategy = self.set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let value = rolling.and_then(|rolling| rolling.max_unavailable.clone());
        let value = value.unwrap_or(IntOrString::Int(1));
        // Validation lets only numbers and percentages in.
        let number = scaled(&value, super::replicas(self.set), Rounding::Up).unwrap_or(1);
        usize::try_from(number).unwrap_or(1).max(1)
    }

    /// Has every pod come to the new revision, so that it becomes the current one?
    pub(super) fn is_rolled_out(&self, updated: i32, ready: i32, replicas: i32) -> bool {
        !self.is_on_delete() && updated == replicas && ready == replicas
    }
}
