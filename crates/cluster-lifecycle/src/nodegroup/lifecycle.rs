//! How a node group answers to what is asked of it and to what is seen of its instances.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_types::InstanceId;
use jiff::Timestamp;

use super::{
    Instance, Issue, Nodegroup, NodegroupStatus, PendingUpdate, Phase, Relabel, Scaling, Taint, Unavailable, balance,
};
use crate::Refusal;

/// How long an instance may take to join before EKS says `NodeCreationFailure`.
pub const JOIN_LIMIT: Duration = Duration::from_secs(20 * 60);

/// The id of an update's record, and EKS's error code and message if it failed.
pub type FinishedUpdate = (String, Result<(), (String, String)>);

/// What happens to a node group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// What is seen now.
    Observed(Observation),
    /// The instance's machine runs.
    Launched(InstanceId),
    /// The instance cannot be launched, and trying again cannot help.
    LaunchFailed {
        /// Which.
        instance: InstanceId,
        /// Why.
        message: String,
    },
    /// There is no room for more instances.
    NoAddresses {
        /// Which subnet, and what is missing.
        message: String,
    },
    /// The instance is empty, or its time to become so is over.
    Drained(InstanceId),
    /// Nothing of the instance is left.
    Gone(InstanceId),
    /// The labels and taints of all nodes are those of the group.
    Relabelled,
    /// `UpdateNodegroupConfig`.
    Configure(ConfigChange),
    /// `UpdateNodegroupVersion`.
    ChangeVersion(VersionChange),
    /// Pods of the instance did not leave in time.
    EvictionFailed {
        /// Which.
        instance: InstanceId,
        /// Which pods are left.
        message: String,
    },
    /// `TerminateInstances`: it ends at once.
    Terminate(InstanceId),
    /// The instance's interface has these security groups from now on.
    Secure {
        /// Which.
        instance: InstanceId,
        /// The groups by id.
        groups: Vec<String>,
    },
    /// Auto Scaling's sizes, maybe with an instance that goes.
    Resize {
        /// The sizes.
        scaling: Scaling,
        /// The instance.
        end: Option<InstanceId>,
    },
    /// `DeleteNodegroup`.
    Delete,
}

/// What `UpdateNodegroupVersion` changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionChange {
    /// The record's id.
    pub update_id: String,
    /// The Kubernetes version after the change.
    pub version: String,
    /// The release after the change.
    pub release: String,
    /// Whether pods that do not leave in time hold nothing up.
    pub force: bool,
    /// When.
    pub now: Timestamp,
}

/// What is seen of a group's instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// When.
    pub now: Timestamp,
    /// Instances whose machine runs; `None` when the host could not be asked, and nothing may be concluded.
    pub running: Option<BTreeSet<InstanceId>>,
    /// Instances whose node is Ready; `None` when the API server could not be asked.
    pub ready: Option<BTreeSet<InstanceId>>,
}

/// What `UpdateNodegroupConfig` changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// The record's id.
    pub update_id: String,
    /// New sizes.
    pub scaling: Option<Scaling>,
    /// Labels after the change.
    pub labels: Option<BTreeMap<String, String>>,
    /// Taints after the change.
    pub taints: Option<Vec<Taint>>,
    /// New update configuration.
    pub max_unavailable: Option<Unavailable>,
    /// When.
    pub now: Timestamp,
}

impl Nodegroup {
    /// The group after an event; `None` when it is gone.
    ///
    /// # Errors
    /// The refusal that EKS gives when the state does not allow what was asked.
    pub fn step(mut self, input: Input) -> Result<Option<Self>, Refusal> {
        match input {
            Input::Observed(observation) => self.observe(&observation),
            Input::Launched(id) => self.advance(&id, Phase::Launching, Phase::Joining),
            Input::LaunchFailed { instance, message } => {
                self.set_phase(&instance, Phase::Terminating);
                self.fail("AsgInstanceLaunchFailures", message, vec![instance.to_string()]);
            }
            Input::NoAddresses { message } => {
                let subnets = self.subnets.iter().map(|subnet| subnet.id.to_string()).collect();
                self.fail("InsufficientFreeAddresses", message, subnets);
            }
            Input::Drained(id) => self.advance(&id, Phase::Draining, Phase::Terminating),
            Input::Gone(id) => {
                self.instances
                    .retain(|instance| instance.id != id || instance.phase != Phase::Terminating);
                if self.status == NodegroupStatus::Deleting && self.instances.is_empty() {
                    return Ok(None);
                }
            }
            Input::Relabelled => {
                if let Some(update) = &mut self.update {
                    update.relabel = None;
                }
            }
            Input::Configure(change) => self.configure(change)?,
            Input::ChangeVersion(change) => self.change_version(change)?,
            Input::EvictionFailed { instance, message } => self.eviction_failed(&instance, message),
            Input::Terminate(id) => self.set_phase(&id, Phase::Terminating),
            Input::Secure { instance, groups } => {
                if let Some(found) = self.instances.iter_mut().find(|found| found.id == instance) {
                    found.security_groups = groups;
                }
            }
            Input::Resize { scaling, end } => self.resize(scaling, end),
            Input::Delete => return self.delete(),
        }
        self.settle();
        Ok(Some(self))
    }

    /// Allowed in every state, so that a group which cannot become ready can always be removed.
    fn delete(mut self) -> Result<Option<Self>, Refusal> {
        self.status = NodegroupStatus::Deleting;
        self.scaling = Scaling {
            min: 0,
            max: self.scaling.max,
            desired: 0,
        };
        for instance in &mut self.instances {
            instance.phase = match instance.phase {
                Phase::InService | Phase::Draining => Phase::Draining,
                Phase::Launching | Phase::Joining | Phase::Terminating => Phase::Terminating,
            };
        }
        Ok((!self.instances.is_empty()).then_some(self))
    }

    /// Takes the update whose outcome is decided.
    pub fn take_finished_update(&mut self) -> Option<FinishedUpdate> {
        let outcome = match self.status {
            NodegroupStatus::Active if self.issues.iter().any(|issue| issue.code == "PodEvictionFailure") => {
                let failed = self.issues.iter().position(|issue| issue.code == "PodEvictionFailure");
                let message = failed
                    .map(|place| self.issues.remove(place).message)
                    .unwrap_or_default();
                Err(("PodEvictionFailure".to_owned(), message))
            }
            NodegroupStatus::Active => Ok(()),
            NodegroupStatus::Updating => return None,
            status => {
                let issue = self.issues.last().map(|issue| issue.message.clone());
                let message = issue.unwrap_or_else(|| format!("nodegroup is {}", status.name()));
                Err(("NodeCreationFailure".to_owned(), message))
            }
        };
        self.update.take().map(|update| (update.id, outcome))
    }

    fn configure(&mut self, change: ConfigChange) -> Result<(), Refusal> {
        if !matches!(self.status, NodegroupStatus::Active | NodegroupStatus::Degraded) {
            let message = format!(
                "Nodegroup cannot be updated as it is currently not in Active State, it is {}",
                self.status.name()
            );
            return Err(self.named(Refusal::in_use(message)));
        }
        let before = Relabel {
            labels: self.labels.clone(),
            taints: self.taints.clone(),
        };
        let relabels = change.labels.is_some() || change.taints.is_some();
        self.labels = change.labels.unwrap_or_else(|| before.labels.clone());
        self.taints = change.taints.unwrap_or_else(|| before.taints.clone());
        self.scaling = change.scaling.unwrap_or(self.scaling);
        self.max_unavailable = change.max_unavailable.unwrap_or(self.max_unavailable);
        self.modified_at = change.now;
        self.status = NodegroupStatus::Updating;
        self.update = Some(PendingUpdate {
            id: change.update_id,
            relabel: relabels.then_some(before),
            roll: None,
        });
        self.shrink();
        Ok(())
    }

    /// Ends instances that are more than wanted.
    pub(super) fn shrink(&mut self) {
        let counted: Vec<&Instance> = self.counted().collect();
        let surplus = counted.len().saturating_sub(self.scaling.desired as usize);
        for victim in balance::victims(&counted, surplus) {
            let launched = self
                .instances
                .iter()
                .any(|instance| instance.id == victim && instance.phase == Phase::InService);
            self.set_phase(&victim, if launched { Phase::Draining } else { Phase::Terminating });
        }
    }

    fn observe(&mut self, seen: &Observation) {
        let mut late = Vec::new();
        for instance in &mut self.instances {
            let joined = seen.ready.as_ref().is_some_and(|ready| ready.contains(&instance.id));
            if instance.phase == Phase::Joining && joined {
                instance.phase = Phase::InService;
            }
            let launched = matches!(instance.phase, Phase::Joining | Phase::InService | Phase::Draining);
            let lost = launched
                && seen
                    .running
                    .as_ref()
                    .is_some_and(|running| !running.contains(&instance.id));
            let overdue = instance.phase == Phase::Joining && is_older(instance.launched_at, seen.now, JOIN_LIMIT);
            if overdue {
                late.push(instance.id.to_string());
            }
            if lost || overdue {
                instance.phase = Phase::Terminating;
            }
        }
        if !late.is_empty() {
            self.fail(
                "NodeCreationFailure",
                "Instances failed to join the kubernetes cluster".to_owned(),
                late,
            );
        }
    }

    /// Statuses that follow from the instances.
    fn settle(&mut self) {
        self.roll_on();
        if self.status == NodegroupStatus::Updating && !self.is_rolling() {
            self.shrink();
        }
        let desired = self.scaling.desired as usize;
        let in_service = self
            .instances
            .iter()
            .filter(|instance| instance.phase == Phase::InService)
            .count();
        let counted = self.counted().count();
        let launched = self
            .counted()
            .filter(|instance| instance.phase != Phase::Launching)
            .count();
        match self.status {
            NodegroupStatus::Creating if in_service >= desired => self.status = NodegroupStatus::Active,
            NodegroupStatus::Degraded if in_service >= desired => {
                self.status = NodegroupStatus::Active;
                self.issues.clear();
            }
            NodegroupStatus::Updating => {
                let relabelled = self.update.as_ref().is_none_or(|update| update.relabel.is_none());
                if relabelled && !self.is_rolling() && counted == desired && launched == desired {
                    self.status = NodegroupStatus::Active;
                }
            }
            _ => {}
        }
    }

    fn fail(&mut self, code: &str, message: String, resource_ids: Vec<String>) {
        self.issues.retain(|issue| issue.code != code);
        self.issues.push(Issue {
            code: code.to_owned(),
            message,
            resource_ids,
        });
        self.status = match self.status {
            NodegroupStatus::Creating => NodegroupStatus::CreateFailed,
            NodegroupStatus::Active | NodegroupStatus::Updating => NodegroupStatus::Degraded,
            other => other,
        };
    }

    pub(super) fn advance(&mut self, id: &InstanceId, from: Phase, to: Phase) {
        if let Some(instance) = self
            .instances
            .iter_mut()
            .find(|instance| instance.id == *id && instance.phase == from)
        {
            instance.phase = to;
        }
    }

    pub(super) fn set_phase(&mut self, id: &InstanceId, phase: Phase) {
        if let Some(instance) = self.instances.iter_mut().find(|instance| instance.id == *id) {
            instance.phase = phase;
        }
    }

    pub(super) fn named(&self, refusal: Refusal) -> Refusal {
        refusal
            .of_cluster(self.cluster.as_str())
            .of_nodegroup(self.name.as_str())
    }
}

fn is_older(since: Timestamp, now: Timestamp, limit: Duration) -> bool {
    now.duration_since(since).unsigned_abs() > limit && now > since
}
