//! The task of one cluster: makes the host do what the cluster's and its node groups' records say, and writes down what
//! came of it.
//!
//! Level-triggered: each pass looks at records and world and starts what is missing. Long calls run as flights beside it,
//! at most one for each thing; what a killed process left half done is simply seen again by the next one.

mod addon;
mod fargate;
mod flight;
mod settings;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_types::{ClusterName, InstanceId, NodegroupName};
use cluster_lifecycle::cluster::{self, Cluster, Work};
use cluster_lifecycle::nodegroup::{Input, Nodegroup, NodegroupStatus, Observation, Phase};
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::allocation::{self, AllocationError};
use crate::eks::nodegroup;
use crate::error::ApiError;
use crate::host::{ControlPlane, HostError, HostErrorKind};
use crate::ledger::{Change, State};
use crate::region::Region;
use flight::{Backoff, Key, Outcome};

/// How often a cluster is looked at when nothing changes; events come sooner.
const IDLE: Duration = Duration::from_secs(5);
/// How often nodes that are about to join are looked at, and after how many such looks the pace slows.
const JOINING: Duration = Duration::from_millis(25);
const JOINING_LOOKS: u32 = 1200;
/// How often a Fargate node that is about to join is looked at.
const FARGATE: Duration = Duration::from_millis(50);
/// Failures in a row after which a cluster that is being made is FAILED, an instance not launchable, a node not drainable.
const MOST_FAILURES: u32 = 6;

/// Works on the cluster until it is gone.
pub async fn run(region: Arc<Region>, name: ClusterName, notify: Arc<Notify>) {
    let (sender, mut outcomes) = mpsc::unbounded_channel();
    let mut driver = Driver {
        region: Arc::clone(&region),
        name: name.clone(),
        sender,
        backoff: Backoff::default(),
        ensured: false,
        looks: 0,
    };
    loop {
        let pause = match driver.pass().await {
            Ok(Some(pause)) => pause,
            Ok(None) => break,
            Err(error) => {
                tracing::error!(cluster = %name, error = supervision::error_chain(&error), "cluster cannot be worked on");
                IDLE
            }
        };
        driver.wait(&notify, &mut outcomes, pause).await;
    }
    region.retire(&name);
}

struct Driver {
    region: Arc<Region>,
    name: ClusterName,
    sender: UnboundedSender<Outcome>,
    backoff: Backoff,
    /// Whether this process has seen the control plane answer.
    ensured: bool,
    /// Looks at joining nodes without a change.
    looks: u32,
}

impl Driver {
    /// Waits for something to do and takes in every outcome that has come.
    async fn wait(&mut self, notify: &Notify, outcomes: &mut UnboundedReceiver<Outcome>, pause: Duration) {
        let first = tokio::select! {
            outcome = outcomes.recv() => outcome,
            () = notify.notified() => None,
            () = supervision::sleep(pause) => None,
        };
        let mut next = first;
        while let Some(outcome) = next {
            if let Err(error) = self.take(outcome).await {
                tracing::error!(cluster = %self.name, error = supervision::error_chain(&error), "an outcome could not be written down");
            }
            next = outcomes.try_recv().ok();
        }
    }

    /// One look at everything; `None` when the cluster is gone.
    async fn pass(&mut self) -> Result<Option<Duration>, ApiError> {
        let (cluster, groups) = self.snapshot();
        let Some(cluster) = cluster else { return Ok(None) };
        match cluster.work() {
            Work::EnsureControlPlane
                if !self.ensured || cluster.upgrade.is_some() || !self.unapplied(&cluster).is_empty() =>
            {
                self.ensure_control_plane(&cluster)
            }
            Work::RemoveControlPlane => self.remove_control_plane(),
            Work::EnsureControlPlane | Work::Nothing => {}
        }
        self.work_on_addons().await?;
        let fargate = self.work_on_fargate(&cluster).await?;
        if groups.is_empty() {
            let usual = if fargate { FARGATE } else { IDLE };
            return Ok(Some(self.backoff.pause(self.region.clock.now(), usual)));
        }
        self.observe(&groups).await?;
        for group in &groups {
            self.allocate(group).await?;
        }
        let (_, groups) = self.snapshot();
        for group in &groups {
            self.start_flights(&cluster, group);
        }
        let pace = self.pace(&groups);
        Ok(Some(if fargate { pace.min(FARGATE) } else { pace }))
    }

    fn snapshot(&self) -> (Option<Cluster>, Vec<Nodegroup>) {
        self.region.ledger.read(|state| {
            let groups = state.nodegroups_of(&self.name).cloned().collect();
            (state.clusters.get(&self.name).cloned(), groups)
        })
    }

    fn pace(&mut self, groups: &[Nodegroup]) -> Duration {
        let joining = groups
            .iter()
            .flat_map(|group| &group.instances)
            .any(|instance| instance.phase == Phase::Joining);
        self.looks = if joining { self.looks.saturating_add(1) } else { 0 };
        let usual = match (joining, self.looks < JOINING_LOOKS) {
            (true, true) => JOINING,
            (true, false) => Duration::from_millis(500),
            _ => IDLE,
        };
        self.backoff.pause(self.region.clock.now(), usual)
    }

    /// Compares the groups with the machines and nodes that are there.
    async fn observe(&mut self, groups: &[Nodegroup]) -> Result<(), ApiError> {
        let phases: BTreeSet<u8> = groups
            .iter()
            .flat_map(|group| &group.instances)
            .map(|instance| instance.phase as u8)
            .collect();
        let launched = [Phase::Joining, Phase::InService, Phase::Draining]
            .iter()
            .any(|phase| phases.contains(&(*phase as u8)));
        let instances = groups.iter().flat_map(|group| &group.instances);
        let instances = instances.map(|instance| instance.id.clone()).collect();
        let running = if launched { self.running(instances).await } else { None };
        let joining = phases.contains(&(Phase::Joining as u8)) && self.ensured;
        let ready = if joining { self.ready().await } else { None };
        for group in groups {
            let observation = Observation {
                now: self.region.clock.now(),
                running: running.clone(),
                ready: ready.clone(),
            };
            self.step(&group.name, Input::Observed(observation)).await?;
        }
        Ok(())
    }

    /// Those of the instances that run; `None` when that cannot be seen.
    async fn running(&self, instances: BTreeSet<InstanceId>) -> Option<BTreeSet<InstanceId>> {
        match self.region.host.running(instances).await {
            Ok(running) => Some(running),
            Err(error) => {
                tracing::warn!(cluster = %self.name, error = supervision::error_chain(&error), "machines cannot be looked at");
                None
            }
        }
    }

    async fn ready(&self) -> Option<BTreeSet<InstanceId>> {
        match self.region.host.nodes(self.region.cluster_ref(&self.name)).await {
            Ok(nodes) => Some(
                nodes
                    .into_iter()
                    .filter(|node| node.ready)
                    .filter_map(|node| node.instance)
                    .collect(),
            ),
            Err(error) => {
                tracing::warn!(cluster = %self.name, error = supervision::error_chain(&error), "nodes cannot be looked at");
                None
            }
        }
    }

    /// Decides and writes down the instances that a group lacks.
    async fn allocate(&mut self, group: &Nodegroup) -> Result<(), ApiError> {
        let key = Key::Allocation(group.name.clone());
        let now = self.region.clock.now();
        if !self.ensured || !self.backoff.is_due(&key, now) {
            return Ok(());
        }
        let (region, name) = (Arc::clone(&self.region), (self.name.clone(), group.name.clone()));
        let decided = self.region.ledger.change(|state: &State| {
            let Some(group) = state.nodegroups.get(&name) else {
                return Ok((None, Vec::new()));
            };
            if group.missing().is_empty() {
                return Ok((None, Vec::new()));
            }
            match allocation::instances(state, group, &region, now) {
                Ok(changes) => Ok((None, changes)),
                Err(error) => Ok::<(Option<AllocationError>, _), ApiError>((Some(error), Vec::new())),
            }
        });
        if let Some(error) = decided.await? {
            self.backoff.failed(&key, now);
            self.step(
                &group.name,
                Input::NoAddresses {
                    message: error.to_string(),
                },
            )
            .await?;
        }
        Ok(())
    }

    /// One step of a group's state machine, with the outcome of its update if that is decided by it.
    async fn step(&self, group: &NodegroupName, input: Input) -> Result<(), ApiError> {
        let key = (self.name.clone(), group.clone());
        let changed = self.region.ledger.change(|state| {
            let Some(before) = state.nodegroups.get(&key) else { return Ok((false, Vec::new())) };
            let Some(mut after) = before.clone().step(input)? else {
                return Ok((true, nodegroup::remote_access::removal(before)));
            };
            // An update that changed nothing is decided although nothing happens.
            let undecided = after.update.is_none() || after.status == NodegroupStatus::Updating;
            if after == *before && undecided {
                return Ok((false, Vec::new()));
            }
            let mut changes = Vec::new();
            if after.status != NodegroupStatus::Deleting
                && let Some((id, outcome)) = after.take_finished_update()
                && let Some(update) = state.updates.get(&id)
            {
                changes.push(Change::put(update.clone().step(outcome)));
            }
            if before.status != after.status {
                after.modified_at = self.region.clock.now();
                tracing::info!(cluster = %key.0, nodegroup = %key.1, from = before.status.name(), to = after.status.name(), "node group");
            }
            changes.push(Change::put(after));
            Ok::<_, ApiError>((true, changes))
        });
        changed.await.map(drop)
    }

    async fn step_cluster(&self, input: cluster::Input) -> Result<(), ApiError> {
        let changed = self.region.ledger.change(|state| {
            let Some(before) = state.clusters.get(&self.name) else { return Ok(((), Vec::new())) };
            let changes = match before.clone().step(input)? {
                None => state.without_cluster(&self.name),
                Some(after) if after == *before => Vec::new(),
                Some(after) => {
                    if before.status != after.status {
                        tracing::info!(cluster = %self.name, from = before.status.name(), to = after.status.name(), "cluster");
                    }
                    let upgraded = before.upgrade.as_ref().filter(|_| after.upgrade.is_none());
                    let encrypted = before.encrypting.as_ref().filter(|_| after.encrypting.is_none());
                    let ended = upgraded.map(|upgrade| &upgrade.update).into_iter().chain(encrypted);
                    let updates = ended.filter_map(|id| state.updates.get(id));
                    let ended = updates.map(|update| Change::put(update.clone().step(Ok(()))));
                    ended.chain([Change::put(after)]).collect()
                }
            };
            Ok::<_, ApiError>(((), changes))
        });
        changed.await
    }

    /// Takes in what a flight came to.
    async fn take(&mut self, outcome: Outcome) -> Result<(), ApiError> {
        let now = self.region.clock.now();
        self.backoff.landed(&outcome.key());
        match outcome {
            Outcome::ControlPlane(result, applied) => self.control_plane(result, applied).await,
            Outcome::ControlPlaneGone(Ok(())) => {
                // Another cluster may be made under the name: nothing that was seen holds for it.
                self.ensured = false;
                self.backoff.forget(&Key::ControlPlane);
                self.step_cluster(cluster::Input::ControlPlaneGone).await
            }
            Outcome::ControlPlaneGone(Err(error)) => {
                self.backoff.failed(&Key::ControlPlane, now);
                self.report(&error);
                Ok(())
            }
            Outcome::Launched(group, id, result) => self.launched(group, id, result).await,
            Outcome::Drained(group, id, result) => {
                let key = Key::Instance(id.clone());
                if let Err(error) = result {
                    self.report(&error);
                    // EKS goes on when pods do not leave in time, and nothing is gained by waiting for a node that cannot be asked.
                    if error.kind == HostErrorKind::Transient && self.backoff.failed(&key, now) < MOST_FAILURES {
                        return Ok(());
                    }
                    if error.kind == HostErrorKind::DrainTimedOut {
                        self.backoff.forget(&key);
                        let message = supervision::error_chain(&error);
                        return self.step(&group, Input::EvictionFailed { instance: id, message }).await;
                    }
                }
                self.backoff.forget(&key);
                self.step(&group, Input::Drained(id)).await
            }
            Outcome::Terminated(group, id, result) => match result {
                Ok(()) => {
                    self.backoff.forget(&Key::Instance(id.clone()));
                    self.step(&group, Input::Gone(id)).await
                }
                Err(error) => {
                    self.backoff.failed(&Key::Instance(id), now);
                    self.report(&error);
                    Ok(())
                }
            },
            Outcome::Fargate(uid, result) => self.fargate_landed(uid, result).await,
            Outcome::AddonApplied(name, result) => self.addon_applied(name, result).await,
            Outcome::AddonGone(name, result) => self.addon_gone(name, result).await,
            Outcome::Relabelled(group, result) => match result {
                Ok(()) => self.step(&group, Input::Relabelled).await,
                Err(error) => {
                    self.backoff.failed(&Key::Relabel(group), now);
                    self.report(&error);
                    Ok(())
                }
            },
        }
    }

    async fn control_plane(
        &mut self,
        result: Result<ControlPlane, HostError>,
        applied: Vec<String>,
    ) -> Result<(), ApiError> {
        match result {
            Ok(made) => {
                self.ensured = true;
                self.backoff.forget(&Key::ControlPlane);
                let ControlPlane {
                    endpoint,
                    certificate_authority_pem,
                    issuer_keys,
                } = made;
                self.applied(&applied).await?;
                self.step_cluster(cluster::Input::ControlPlaneReady {
                    endpoint,
                    certificate_authority_pem,
                    issuer_keys,
                    applied,
                })
                .await
            }
            Err(error) => {
                self.report(&error);
                let failures = self.backoff.failed(&Key::ControlPlane, self.region.clock.now());
                if error.kind == HostErrorKind::Transient && failures < MOST_FAILURES {
                    return Ok(());
                }
                let message = supervision::error_chain(&error);
                self.step_cluster(cluster::Input::ControlPlaneFailed { message }).await
            }
        }
    }

    async fn launched(
        &mut self,
        group: NodegroupName,
        id: InstanceId,
        result: Result<(), HostError>,
    ) -> Result<(), ApiError> {
        let key = Key::Instance(id.clone());
        let now = self.region.clock.now();
        match result {
            Ok(()) => {
                self.backoff.forget(&key);
                self.backoff.forget(&Key::Allocation(group.clone()));
                self.step(&group, Input::Launched(id)).await
            }
            // It ran: the next look finds it gone, and replaces it.
            Err(error) if error.kind == HostErrorKind::InstanceLost => self.step(&group, Input::Launched(id)).await,
            Err(error) => {
                self.report(&error);
                if error.kind == HostErrorKind::Transient && self.backoff.failed(&key, now) < MOST_FAILURES {
                    return Ok(());
                }
                self.backoff.forget(&key);
                self.backoff.failed(&Key::Allocation(group.clone()), now);
                let message = supervision::error_chain(&error);
                self.step(&group, Input::LaunchFailed { instance: id, message }).await
            }
        }
    }

    fn report(&self, error: &HostError) {
        tracing::warn!(cluster = %self.name, kind = ?error.kind, error = supervision::error_chain(error), "host");
    }
}
