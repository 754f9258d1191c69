//! Replacing instances by those of another release: new ones come before old ones go, and disruption budgets are honoured.
//!
//! EKS adds up to twice the number of zones; here as many as may be unavailable, since machines share one host.

use aws_types::InstanceId;

use super::{
    Instance, Issue, Nodegroup, NodegroupStatus, PendingUpdate, Phase, Roll, Scaling, Unavailable, VersionChange,
};
use crate::Refusal;

impl Nodegroup {
    pub(super) fn change_version(&mut self, change: VersionChange) -> Result<(), Refusal> {
        if !matches!(self.status, NodegroupStatus::Active | NodegroupStatus::Degraded) {
            let message = format!(
                "Nodegroup cannot be updated as it is currently not in Active State, it is {}",
                self.status.name()
            );
            return Err(self.named(Refusal::in_use(message)));
        }
        // Instances of before releases were kept run what the group ran.
        let release_before = self.release_version.clone();
        for instance in self.instances.iter_mut().filter(|instance| instance.release.is_empty()) {
            instance.release.clone_from(&release_before);
        }
        let roll = Roll {
            force: change.force,
            version_before: self.version.clone(),
            release_before,
        };
        self.version = change.version;
        self.release_version = change.release;
        self.modified_at = change.now;
        self.status = NodegroupStatus::Updating;
        self.update = Some(PendingUpdate {
            id: change.update_id,
            relabel: None,
            roll: Some(roll),
        });
        Ok(())
    }

    pub(super) fn resize(&mut self, scaling: Scaling, end: Option<InstanceId>) {
        self.scaling = scaling;
        if let Some(id) = end {
            let in_service = self
                .instances
                .iter()
                .any(|known| known.id == id && known.phase == Phase::InService);
            self.set_phase(
                &id,
                if in_service {
                    Phase::Draining
                } else {
                    Phase::Terminating
                },
            );
        }
        self.shrink();
    }

    /// How many instances there should be now: while old ones wait to be replaced, a few more than desired, and never
    /// more than there are to replace.
    pub(super) fn wanted(&self) -> usize {
        let desired = self.scaling.desired as usize;
        if !self.is_rolling() {
            return desired;
        }
        let waiting = self.counted().filter(|instance| self.is_old(instance)).count();
        desired + self.surge().min(waiting)
    }

    /// Whether instances of older releases are still to be replaced.
    pub(super) fn is_rolling(&self) -> bool {
        let rolls = self.update.as_ref().is_some_and(|update| update.roll.is_some());
        rolls && self.instances.iter().any(|instance| self.is_old(instance))
    }

    fn is_old(&self, instance: &Instance) -> bool {
        instance.release != self.release_version
    }

    fn surge(&self) -> usize {
        let desired = self.scaling.desired;
        let most = match self.max_unavailable {
            Unavailable::Count(count) => count,
            Unavailable::Percentage(share) => (desired * share / 100).max(1),
        };
        most.min(desired.max(1)) as usize
    }

    /// Empties as many old instances as there are more than desired in service.
    pub(super) fn roll_on(&mut self) {
        if self.status != NodegroupStatus::Updating || !self.is_rolling() {
            return;
        }
        let in_service = self
            .instances
            .iter()
            .filter(|instance| instance.phase == Phase::InService)
            .count();
        let spare = in_service.saturating_sub(self.scaling.desired as usize);
        let mut old: Vec<(jiff::Timestamp, InstanceId)> = self
            .instances
            .iter()
            .filter(|instance| instance.phase == Phase::InService && self.is_old(instance))
            .map(|instance| (instance.launched_at, instance.id.clone()))
            .collect();
        old.sort();
        // One that never joined is not worth waiting for.
        let unborn: Vec<InstanceId> = self
            .instances
            .iter()
            .filter(|instance| matches!(instance.phase, Phase::Launching | Phase::Joining) && self.is_old(instance))
            .map(|instance| instance.id.clone())
            .collect();
        for id in unborn {
            self.set_phase(&id, Phase::Terminating);
        }
        for (_, id) in old.into_iter().take(spare) {
            self.set_phase(&id, Phase::Draining);
        }
    }

    /// Without `force`, pods that do not leave end the update, and the group goes on as it is.
    pub(super) fn eviction_failed(&mut self, instance: &InstanceId, message: String) {
        let roll = self.update.as_ref().and_then(|update| update.roll.clone());
        let Some(roll) = roll.filter(|roll| !roll.force) else {
            self.advance(instance, Phase::Draining, Phase::Terminating);
            return;
        };
        self.advance(instance, Phase::Draining, Phase::InService);
        self.version = roll.version_before;
        self.release_version = roll.release_before;
        if let Some(update) = &mut self.update {
            update.roll = None;
        }
        self.issues.push(Issue {
            code: "PodEvictionFailure".to_owned(),
            message,
            resource_ids: vec![instance.to_string()],
        });
        self.shrink();
    }
}
