//! The two strategies: rolling update and recreate.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube_types::int_or_string::{Rounding, scaled};

use super::Rollout;
use crate::pod;
use crate::replica_set::replicas;

impl Rollout<'_> {
    /// One step of a rolling update: first the new set grows, then old ones shrink.
    pub(super) fn roll(&mut self) {
        self.ensure_new_set();
        let grew = self.size_new_set();
        if !grew && !self.shrink_old_sets() && self.is_complete() {
            self.clean_up();
        }
        self.sync_rollout_status();
    }

    /// One step of a recreation: old sets go to zero, their pods end, the new set comes.
    pub(super) fn recreate(&mut self) {
        self.reuse_new_set();
        let active: Vec<usize> = (0..self.old.len())
            .filter(|index| replicas(&self.old[*index]) > 0)
            .collect();
        if !active.is_empty() {
            active.into_iter().for_each(|index| self.resize_old(index, 0));
        } else if !self.old_pods_run() {
            self.ensure_new_set();
            let grew = self.size_new_set();
            if !grew && self.is_complete() {
                self.clean_up();
            }
        }
        self.sync_rollout_status();
    }

    /// The number of replicas asked for.
    pub(super) fn wanted(&self) -> i32 {
        self.spec().replicas.unwrap_or(1)
    }

    /// How many pods may be there beyond the wanted number during a rolling update.
    pub(super) fn max_surge(&self) -> i32 {
        self.fenceposts().0
    }

    /// How many of the wanted pods may be missing during a rolling update.
    pub(super) fn max_unavailable(&self) -> i32 {
        if super::is_recreate(self.deployment) || self.wanted() == 0 {
            return 0;
        }
        self.fenceposts().1.min(self.wanted())
    }

    /// The size the new set may have now. Source of the rule: `NewRSNewReplicas`.
    pub(super) fn new_set_size(&self) -> i32 {
        let Some(new) = &self.new else { return 0 };
        if super::is_recreate(self.deployment) {
            return self.wanted();
        }
        let present: i32 = self.sets().map(replicas).sum();
        let most = self.wanted() + self.max_surge();
        if present >= most {
            return replicas(new);
        }
        replicas(new) + (most - present).min(self.wanted() - replicas(new))
    }

    /// Gives the new set its size; true when that changed it.
    fn size_new_set(&mut self) -> bool {
        let Some(new) = &self.new else { return false };
        let present = replicas(new);
        let size = if present > self.wanted() {
            self.wanted()
        } else {
            self.new_set_size()
        };
        if present == size {
            return false;
        }
        self.resize_new(size);
        true
    }

    /// Makes old sets smaller, unhealthy pods first, as far as enough pods stay available; true when any changed.
    /// Source of the rule: `reconcileOldReplicaSets`.
    fn shrink_old_sets(&mut self) -> bool {
        if self.old.iter().map(replicas).sum::<i32>() == 0 {
            return false;
        }
        let present: i32 = self.sets().map(replicas).sum();
        let least = self.wanted() - self.max_unavailable();
        let new_unavailable = self.new.as_ref().map_or(0, |new| replicas(new) - available(new));
        let most = present - least - new_unavailable;
        if most <= 0 {
            return false;
        }
        let unhealthy = self.shrink_unhealthy(most);
        let healthy = self.shrink_healthy(least);
        unhealthy || healthy
    }

    fn shrink_unhealthy(&mut self, most: i32) -> bool {
        let mut removed = 0;
        for index in 0..self.old.len() {
            let set = &self.old[index];
            let surplus = (replicas(set) - available(set)).min(most - removed);
            if surplus > 0 {
                let size = replicas(set) - surplus;
                self.resize_old(index, size);
                removed += surplus;
            }
        }
        removed > 0
    }

    fn shrink_healthy(&mut self, least: i32) -> bool {
        let available_now: i32 = self.sets().map(available).sum();
        let most = available_now - least;
        let mut removed = 0;
        for index in 0..self.old.len() {
            let surplus = replicas(&self.old[index]).min(most - removed);
            if surplus > 0 {
                let size = replicas(&self.old[index]) - surplus;
                self.resize_old(index, size);
                removed += surplus;
            }
        }
        removed > 0
    }

    fn old_pods_run(&self) -> bool {
        let of_old = self.old.iter().filter_map(|set| set.metadata.uid.as_deref());
        let mut pods = of_old.flat_map(|uid| self.world.pods.controlled_by(uid));
        self.old
            .iter()
            .any(|set| set.status.as_ref().is_some_and(|status| status.replicas > 0))
            || pods.any(|pod| !pod::is_terminal(pod))
    }

    /// Surge and unavailability as numbers; never both zero, or nothing could move. Source of the rule: `ResolveFenceposts`.
    fn fenceposts(&self) -> (i32, i32) {
        if super::is_recreate(self.deployment) {
            return (0, 0);
        }
        let rolling = self
            .spec()
            .strategy
            .as_ref()
            .and_then(|strategy| strategy.rolling_update.as_ref());
        let resolve = |value: Option<&IntOrString>, rounding| {
            // Validation lets only numbers and percentages in; the default holds for what is absent.
            value
                .map_or(Ok(0), |value| scaled(value, self.wanted(), rounding))
                .unwrap_or(0)
        };
        let surge = resolve(rolling.and_then(|rolling| rolling.max_surge.as_ref()), Rounding::Up);
        let unavailable = resolve(
            rolling.and_then(|rolling| rolling.max_unavailable.as_ref()),
            Rounding::Down,
        );
        if surge == 0 && unavailable == 0 {
            (0, 1)
        } else {
            (surge, unavailable)
        }
    }
}

/// Pods of the set that have been ready for long enough.
pub(super) fn available(set: &ReplicaSet) -> i32 {
    set.status
        .as_ref()
        .and_then(|status| status.available_replicas)
        .unwrap_or(0)
}
