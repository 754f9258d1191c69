//! The status of a deployment and how its rollout gets on.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus, ReplicaSet};
use plan::{set_condition, since, whole_seconds, without_condition};

use super::Rollout;
use super::rollout::available;
use crate::replica_set::replicas;

const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const REPLICA_FAILURE: &str = "ReplicaFailure";
const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";

/// A deadline that is never reached, which upstream takes for none.
const NO_DEADLINE: i32 = i32::MAX;

impl Rollout<'_> {
    /// Is the rollout held?
    pub(super) fn paused(&self) -> bool {
        self.spec().paused.unwrap_or(false)
    }

    /// Are all wanted pods of the present template there, available, and no others?
    pub(super) fn is_complete(&self) -> bool {
        complete(&self.present_status(), self.wanted()) && self.observed_generation()
    }

    /// The status without a judgement on progress: while paused, scaled, or deleted.
    pub(super) fn sync_status(&mut self) {
        let mut status = self.present_status();
        self.note_pause(&mut status);
        self.status = Some(status);
    }

    /// The status with a judgement on progress. Source of the rule: `syncRolloutStatus`.
    pub(super) fn sync_rollout_status(&mut self) {
        let mut status = self.present_status();
        self.note_pause(&mut status);
        let deadline = self
            .spec()
            .progress_deadline_seconds
            .filter(|deadline| *deadline != NO_DEADLINE);
        match deadline {
            Some(deadline) => self.note_progress(&mut status, deadline),
            None => edit_conditions(&mut status, |conditions| without_condition(conditions, PROGRESSING)),
        }
        let failure = self.replica_failure();
        edit_conditions(&mut status, |conditions| match failure {
            Some(failure) => set_condition(conditions, failure),
            None => without_condition(conditions, REPLICA_FAILURE),
        });
        self.status = Some(status);
    }

    fn present_status(&self) -> DeploymentStatus {
        let old = self.deployment.status.clone().unwrap_or_default();
        let actual = |set: &ReplicaSet| set.status.as_ref().map_or(0, |status| status.replicas);
        let ready = |set: &ReplicaSet| {
            set.status
                .as_ref()
                .and_then(|status| status.ready_replicas)
                .unwrap_or(0)
        };
        let terminating = |set: &ReplicaSet| set.status.as_ref().and_then(|status| status.terminating_replicas);
        let available_now: i32 = self.sets().map(available).sum();
        let total: i32 = self.sets().map(replicas).sum();
        let nonzero = |number: i32| (number != 0).then_some(number);
        let mut status = DeploymentStatus {
            observed_generation: self.deployment.metadata.generation,
            replicas: nonzero(self.sets().map(actual).sum()),
            updated_replicas: nonzero(self.new.as_ref().map_or(0, actual)),
            ready_replicas: nonzero(self.sets().map(ready).sum()),
            available_replicas: nonzero(available_now),
            unavailable_replicas: nonzero((total - available_now).max(0)),
            terminating_replicas: Some(self.sets().filter_map(terminating).sum()),
            collision_count: if self.collided {
                Some(old.collision_count.unwrap_or(0) + 1)
            } else {
                old.collision_count
            },
            conditions: old.conditions,
        };
        let enough = available_now >= self.wanted() - self.max_unavailable();
        let condition = if enough {
            self.condition(
                AVAILABLE,
                "True",
                "MinimumReplicasAvailable",
                "Deployment has minimum availability.".into(),
            )
        } else {
            let message = "Deployment does not have minimum availability.".into();
            self.condition(AVAILABLE, "False", "MinimumReplicasUnavailable", message)
        };
        edit_conditions(&mut status, |conditions| set_condition(conditions, condition));
        status
    }

    fn note_pause(&self, status: &mut DeploymentStatus) {
        if self
            .spec()
            .progress_deadline_seconds
            .is_none_or(|deadline| deadline == NO_DEADLINE)
        {
            return;
        }
        let reason = progressing(status)
            .and_then(|condition| condition.reason.clone())
            .unwrap_or_default();
        if reason == TIMED_OUT {
            return;
        }
        let condition = match (self.paused(), reason == PAUSED) {
            (true, false) => self.condition(PROGRESSING, "Unknown", PAUSED, "Deployment is paused".into()),
            (false, true) => self.condition(
                PROGRESSING,
                "Unknown",
                "DeploymentResumed",
                "Deployment is resumed".into(),
            ),
            (true, true) | (false, false) => return,
        };
        edit_conditions(status, |conditions| set_condition(conditions, condition));
    }

    fn note_progress(&mut self, status: &mut DeploymentStatus, deadline: i32) {
        let current = progressing(status).cloned();
        let reason = current
            .as_ref()
            .and_then(|condition| condition.reason.clone())
            .unwrap_or_default();
        let settled = status.replicas == status.updated_replicas && reason == NEW_SET_AVAILABLE;
        if settled {
            return;
        }
        let subject = match &self.new {
            Some(new) => format!("ReplicaSet \"{}\"", new.metadata.name.as_deref().unwrap_or_default()),
            None => format!(
                "Deployment \"{}\"",
                self.deployment.metadata.name.as_deref().unwrap_or_default()
            ),
        };
        let old = self.deployment.status.clone().unwrap_or_default();
        if complete(status, self.wanted()) {
            let message = format!("{subject} has successfully progressed.");
            let condition = self.condition(PROGRESSING, "True", NEW_SET_AVAILABLE, message);
            edit_conditions(status, |conditions| set_condition(conditions, condition));
        } else if advanced(&old, status) || current.is_none() {
            let created = current
                .is_none()
                .then(|| format!("Created new replica set {}", subject_name(&subject)));
            let message = created.unwrap_or_else(|| format!("{subject} is progressing."));
            let reason = if current.is_none() {
                "NewReplicaSetCreated"
            } else {
                "ReplicaSetUpdated"
            };
            let mut condition = self.condition(PROGRESSING, "True", reason, message);
            // Each advance moves the time that the deadline counts from, even when nothing else in the condition changes.
            if let Some(current) = current.filter(|current| current.status == "True") {
                condition.last_transition_time = current.last_transition_time;
            }
            edit_conditions(status, |conditions| {
                without_condition(conditions, PROGRESSING);
                conditions.push(condition);
            });
        } else if let Some(left) = self.time_left(current.as_ref(), deadline) {
            self.look_again_in = Some(left);
        } else {
            let condition = self.condition(
                PROGRESSING,
                "False",
                TIMED_OUT,
                format!("{subject} has timed out progressing."),
            );
            edit_conditions(status, |conditions| set_condition(conditions, condition));
        }
        if self.look_again_in.is_none() && !complete(status, self.wanted()) {
            self.look_again_in = self.time_left(progressing(status), deadline);
        }
    }

    /// Time until the deadline, counted from the last advance; nothing when it has passed.
    fn time_left(&self, condition: Option<&DeploymentCondition>, deadline: i32) -> Option<Duration> {
        let condition = condition.filter(|condition| condition.reason.as_deref() != Some(TIMED_OUT))?;
        let from = condition
            .last_update_time
            .as_ref()
            .or(condition.last_transition_time.as_ref())?;
        let deadline = Duration::from_secs(u64::try_from(deadline).unwrap_or(0));
        let left = deadline.checked_sub(since(from, self.now))?;
        // One second more, as upstream: times are whole seconds, and looking a moment early would decide nothing.
        (!left.is_zero()).then(|| left + Duration::from_secs(1))
    }

    fn replica_failure(&self) -> Option<DeploymentCondition> {
        let sets = self.new.iter().chain(&self.old);
        let mut conditions = sets
            .filter_map(|set| set.status.as_ref()?.conditions.as_ref())
            .flatten();
        let failure = conditions.find(|condition| condition.type_ == REPLICA_FAILURE)?;
        Some(DeploymentCondition {
            type_: failure.type_.clone(),
            status: failure.status.clone(),
            reason: failure.reason.clone(),
            message: failure.message.clone(),
            last_transition_time: failure.last_transition_time.clone(),
            last_update_time: failure.last_transition_time.clone(),
        })
    }

    fn observed_generation(&self) -> bool {
        let observed = self
            .deployment
            .status
            .as_ref()
            .and_then(|status| status.observed_generation);
        observed >= self.deployment.metadata.generation
    }

    fn condition(&self, kind: &str, status: &str, reason: &str, message: String) -> DeploymentCondition {
        DeploymentCondition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: Some(whole_seconds(self.now)),
            last_update_time: Some(whole_seconds(self.now)),
        }
    }
}

fn progressing(status: &DeploymentStatus) -> Option<&DeploymentCondition> {
    status
        .conditions
        .as_ref()?
        .iter()
        .find(|condition| condition.type_ == PROGRESSING)
}

fn edit_conditions(status: &mut DeploymentStatus, edit: impl FnOnce(&mut Vec<DeploymentCondition>)) {
    let mut conditions = status.conditions.take().unwrap_or_default();
    edit(&mut conditions);
    status.conditions = (!conditions.is_empty()).then_some(conditions);
}

/// Source of the rule: `DeploymentComplete`.
fn complete(status: &DeploymentStatus, wanted: i32) -> bool {
    status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas.unwrap_or(0) == wanted
        && status.available_replicas.unwrap_or(0) == wanted
}

/// Source of the rule: `DeploymentProgressing`.
fn advanced(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let number = |field: Option<i32>| field.unwrap_or(0);
    let outdated = |status: &DeploymentStatus| number(status.replicas) - number(status.updated_replicas);
    number(new.updated_replicas) > number(old.updated_replicas)
        || outdated(new) < outdated(old)
        || number(new.ready_replicas) > number(old.ready_replicas)
        || number(new.available_replicas) > number(old.available_replicas)
}

fn subject_name(subject: &str) -> &str {
    subject.split_once(' ').map_or(subject, |(_, name)| name)
}
