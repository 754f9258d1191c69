//! The one task of all these instances and groups: makes the host do what the records say, and groups keep their size.
//!
//! Level-triggered as the clusters' tasks are: each pass looks at everything, and what a killed process left half done is
//! simply seen again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_types::InstanceId;
use cluster_lifecycle::cluster::ClusterStatus;
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::group::AutoScalingGroup;
use super::hold::{Hold, Transition};
use super::instance::{Ec2Instance, LifeState};
use super::membership::{self, Standing};
use super::{plan, refresh};
use crate::autoscaling::{activity, lifecycle, schedule, template};
use crate::ec2::{launch, standing_fleet};
use crate::error::ApiError;
use crate::host::{HostError, HostErrorKind, InstanceRef};
use crate::ledger::{Change, State};
use crate::operations::Context;
use crate::region::Region;

/// How often everything is looked at when nothing calls.
const IDLE: Duration = Duration::from_secs(5);
/// How long a terminated instance is shown.
const SHOWN: SignedDuration = SignedDuration::from_hours(1);
/// How many instances are worked on at a time.
const AT_A_TIME: usize = 16;
/// Failures in a row after which an instance is not launchable.
const MOST_FAILURES: u32 = 6;

/// Works until the region ends.
pub async fn run(region: Arc<Region>, notify: Arc<Notify>) {
    let mut driver = Driver {
        region,
        failures: BTreeMap::new(),
    };
    loop {
        let pause = match driver.pass().await {
            Ok(true) => Duration::ZERO,
            Ok(false) => IDLE,
            Err(error) => {
                tracing::error!(
                    error = supervision::error_chain(&error),
                    "instances cannot be worked on"
                );
                IDLE
            }
        };
        if !pause.is_zero() {
            tokio::select! {
                () = notify.notified() => {}
                () = supervision::sleep(pause) => {}
            }
        }
    }
}

struct Driver {
    region: Arc<Region>,
    failures: BTreeMap<InstanceId, u32>,
}

/// What a call about an instance came to.
enum Outcome {
    Joined(InstanceId, String, Result<(), HostError>),
    Ended(InstanceId, Result<(), HostError>),
}

impl Driver {
    /// One look at everything; whether there is more to do at once.
    async fn pass(&mut self) -> Result<bool, ApiError> {
        let groups: Vec<String> = self.region.ledger.read(|state| state.groups.keys().cloned().collect());
        let mut busy = false;
        for name in groups {
            busy |= self.size(&name).await?;
        }
        busy |= self.age().await?;
        let context = Context {
            region: Arc::clone(&self.region),
            caller: self.region.identities.administrator(),
        };
        lifecycle::tell(&context).await?;
        busy |= standing_fleet::keep(&context).await?;
        self.observe().await?;
        let outcomes = self.work().await;
        for outcome in outcomes {
            busy |= self.take(outcome).await?;
        }
        Ok(busy)
    }

    /// Makes a group as large as it is to be: new instances are written down, surplus ones begin to end.
    async fn size(&self, name: &str) -> Result<bool, ApiError> {
        let region = &self.region;
        let context = Context {
            region: Arc::clone(region),
            caller: region.identities.administrator(),
        };
        let now = region.clock.now();
        let decide = |state: &State| {
            let Some(known) = state.groups.get(name) else {
                return Ok((false, Vec::new()));
            };
            let instances: Vec<&Ec2Instance> = known.instances(state).collect();
            if known.deleting && instances.iter().all(|instance| instance.state == LifeState::Terminated) {
                return Ok((false, vec![Change::remove::<AutoScalingGroup>(name.to_owned())]));
            }
            let mut group = known.clone();
            schedule::apply(&mut group, now);
            let missing = plan::steps(&group, &instances).launch;
            let mut changes = terminate(&context, &mut group, &instances, now);
            let is_due = group.pause.is_none_or(|(until, _)| until <= now);
            if is_due && !missing.is_empty() {
                changes.extend(launch_missing(state, &context, &mut group, missing, now));
            }
            if group != *known {
                changes.push(Change::put(group));
            }
            Ok::<_, ApiError>((!changes.is_empty(), changes))
        };
        region.ledger.change(decide).await
    }

    /// What passes by itself: pending instances run, waits end, those that ended long ago are forgotten.
    async fn age(&self) -> Result<bool, ApiError> {
        let now = self.region.clock.now();
        let decide = |state: &State| {
            let mut changes = Vec::new();
            for instance in state.instances.values() {
                let is_old = now.duration_since(instance.since) > SHOWN;
                if instance.state == LifeState::Pending {
                    let mut running = instance.clone();
                    running.become_state(LifeState::Running, now, None);
                    let group = instance.group.as_ref().and_then(|name| state.groups.get(name));
                    let token = || self.region.random.uuid();
                    running.hold = group.and_then(|group| Hold::begin(Transition::Launching, &group.hooks, now, token));
                    changes.push(Change::put(running));
                } else if let Some(ended) = waited(instance, now) {
                    changes.push(Change::put(ended));
                } else if instance.state == LifeState::Terminated && is_old {
                    changes.push(Change::remove::<Ec2Instance>(instance.id.clone()));
                }
            }
            Ok::<_, ApiError>((!changes.is_empty(), changes))
        };
        self.region.ledger.change(decide).await
    }

    /// A machine that ended by itself takes its instance along.
    async fn observe(&self) -> Result<(), ApiError> {
        let is_running = |instance: &Ec2Instance| instance.state == LifeState::Running && instance.joined.is_some();
        let known: BTreeSet<InstanceId> = self.region.ledger.read(|state| {
            let running = state.instances.values().filter(|one| is_running(one));
            running.map(|instance| instance.id.clone()).collect()
        });
        if known.is_empty() {
            return Ok(());
        }
        let seen = match self.region.host.running(known.clone()).await {
            Ok(seen) => seen,
            Err(error) => {
                tracing::warn!(error = supervision::error_chain(&error), "machines cannot be looked at");
                return Ok(());
            }
        };
        let now = self.region.clock.now();
        let decide = |state: &State| {
            let lost = state
                .instances
                .values()
                .filter(|one| is_running(one) && known.contains(&one.id) && !seen.contains(&one.id));
            let ended = lost.map(|instance| {
                let mut instance = instance.clone();
                let reason = (
                    "Server.InternalError",
                    "Server.InternalError: the instance's machine ended".to_owned(),
                );
                instance.become_state(LifeState::ShuttingDown, now, Some(reason));
                Change::put(instance)
            });
            Ok::<_, ApiError>(((), ended.collect()))
        };
        self.region.ledger.change(decide).await
    }

    /// Calls the host for whatever is to start or to end.
    async fn work(&self) -> Vec<Outcome> {
        let instances: Vec<Ec2Instance> = self.region.ledger.read(|state| {
            state
                .instances
                .values()
                .filter(|one| is_due(state, one))
                .cloned()
                .collect()
        });
        let region = &self.region;
        let calls = instances.into_iter().map(|instance| async move {
            if instance.state.is_live() && instance.joined.is_none() {
                join(region, instance).await
            } else {
                Some(end(region, instance).await)
            }
        });
        let outcomes = futures::stream::iter(calls).buffer_unordered(AT_A_TIME);
        outcomes.filter_map(std::future::ready).collect().await
    }

    /// Writes down what a call came to.
    async fn take(&mut self, outcome: Outcome) -> Result<bool, ApiError> {
        let now = self.region.clock.now();
        match outcome {
            Outcome::Joined(id, cluster, Ok(())) => {
                self.failures.remove(&id);
                self.edit(&id, |instance| instance.joined = Some(cluster)).await
            }
            Outcome::Joined(id, _, Err(error)) => {
                tracing::warn!(instance = %id, error = supervision::error_chain(&error), "host");
                let failures = self.failures.entry(id.clone()).or_default();
                *failures += 1;
                if error.kind == HostErrorKind::Transient && *failures < MOST_FAILURES {
                    return Ok(false);
                }
                self.failures.remove(&id);
                let message = format!("Server.InternalError: {}", supervision::error_chain(&error));
                let reason = ("Server.InternalError", message);
                self.edit(&id, |instance| {
                    instance.become_state(LifeState::ShuttingDown, now, Some(reason))
                })
                .await
            }
            Outcome::Ended(id, Ok(())) => self.ended(&id, now).await,
            Outcome::Ended(id, Err(error)) => {
                tracing::warn!(instance = %id, error = supervision::error_chain(&error), "host");
                Ok(false)
            }
        }
    }

    async fn edit(&self, id: &InstanceId, edit: impl FnOnce(&mut Ec2Instance)) -> Result<bool, ApiError> {
        let decide = |state: &State| {
            let Some(known) = state.instances.get(id) else {
                return Ok((false, Vec::new()));
            };
            let mut instance = known.clone();
            edit(&mut instance);
            Ok::<_, ApiError>((true, vec![Change::put(instance)]))
        };
        self.region.ledger.change(decide).await
    }

    /// The machine is gone: a stopped instance keeps what it has, a terminated one gives it back.
    async fn ended(&self, id: &InstanceId, now: Timestamp) -> Result<bool, ApiError> {
        let decide = |state: &State| {
            let Some(known) = state.instances.get(id) else {
                return Ok((false, Vec::new()));
            };
            let mut instance = known.clone();
            instance.joined = None;
            let mut changes = Vec::new();
            match instance.state {
                LifeState::Stopping => instance.become_state(LifeState::Stopped, now, None),
                LifeState::ShuttingDown => {
                    instance.become_state(LifeState::Terminated, now, None);
                    changes.extend(launch::release(state, &instance));
                    instance.volumes.clear();
                }
                _ => {}
            }
            changes.push(Change::put(instance));
            Ok::<_, ApiError>((true, changes))
        };
        self.region.ledger.change(decide).await
    }
}

/// An instance whose lifecycle actions ran out of time.
fn waited(instance: &Ec2Instance, now: Timestamp) -> Option<Ec2Instance> {
    let mut after = instance.clone();
    if instance.state != LifeState::Running {
        // What ended by other means waits for nothing.
        after.hold = None;
    }
    let outcome = after.hold.as_mut().map(|hold| hold.expire(now));
    if let Some(outcome) = outcome {
        after.settle(outcome, now);
    }
    (after != *instance).then_some(after)
}

/// Whether the host is to be called about an instance.
fn is_due(state: &State, instance: &Ec2Instance) -> bool {
    let cluster = membership::cluster_of(state, instance).filter(|cluster| cluster.status != ClusterStatus::Deleting);
    match instance.state {
        LifeState::Running => match (&instance.joined, cluster) {
            (None, Some(cluster)) => cluster.endpoint.is_some(),
            // A machine does not outlive the network of its cluster.
            (joined, None) => joined.is_some(),
            (Some(_), Some(_)) => false,
        },
        LifeState::Stopping | LifeState::ShuttingDown => true,
        LifeState::Pending | LifeState::Stopped | LifeState::Terminated => false,
    }
}

/// Makes an instance a node, if its role may be one; the kubelet of one that may not is turned away, again and again.
async fn join(region: &Arc<Region>, instance: Ec2Instance) -> Option<Outcome> {
    let found = region.ledger.read(|state| {
        let cluster = membership::cluster_of(state, &instance)?;
        let role = membership::role_arn(state, &instance)?;
        let standing = membership::standing(state, cluster, &role);
        let spec = membership::spec(state, region, cluster, &instance)?;
        Some((standing, role, spec))
    });
    let (standing, role, spec) = found?;
    let name = spec.cluster.name.to_string();
    match standing {
        Standing::Member => {}
        Standing::Stranger => return None,
        Standing::AskConfigMap => match region.host.identity_mappings(spec.cluster.clone()).await {
            Ok(data) if membership::is_mapped(region, &instance, &role, &data) => {}
            Ok(_) => return None,
            Err(error) => return Some(Outcome::Joined(instance.id, name, Err(error))),
        },
    }
    let result = region.launch(spec).await;
    Some(Outcome::Joined(instance.id, name, result))
}

/// Ends an instance's machine, if it has one.
async fn end(region: &Arc<Region>, instance: Ec2Instance) -> Outcome {
    // A launch that was cut off by the end of the process left no word of it, so every instance with a cluster is asked for.
    let cluster = instance
        .joined
        .clone()
        .or(instance.bootstrap.as_ref().map(|found| found.cluster.clone()));
    let name = cluster.and_then(|name| aws_types::ClusterName::new(name).ok());
    let result = match name {
        None => Ok(()),
        Some(name) => {
            let machine = InstanceRef {
                cluster: region.cluster_ref(&name),
                id: instance.id.clone(),
            };
            region.host.terminate_instance(machine).await
        }
    };
    Outcome::Ended(instance.id, result)
}

/// Surplus, stopped and refreshed instances begin to end.
fn terminate(
    context: &Context,
    group: &mut AutoScalingGroup,
    instances: &[&Ec2Instance],
    now: Timestamp,
) -> Vec<Change> {
    let mut going = plan::steps(group, instances).terminate;
    going.extend(refresh::step(group, instances, now));
    let chosen = instances.iter().filter(|instance| going.contains(&instance.id));
    let changes = chosen.map(|known| {
        let mut instance = (*known).clone();
        let reason = (
            "Client.UserInitiatedShutdown",
            "Client.UserInitiatedShutdown: User initiated shutdown".to_owned(),
        );
        instance.leave(group, now, reason, || context.region.random.uuid());
        let told = activity::terminating(context, group, instance.id.as_str(), now);
        group.record(told);
        Change::put(instance)
    });
    changes.collect()
}

/// Instances that the group lacks, or a failed activity that says why there are none.
fn launch_missing(
    state: &State,
    context: &Context,
    group: &mut AutoScalingGroup,
    subnets: Vec<aws_types::SubnetId>,
    now: Timestamp,
) -> Vec<Change> {
    let mut placed = launch::Placement::default();
    for subnet in subnets {
        let wanted = template::wanted(state, context, group, subnet.as_str(), placed.instances());
        let made = wanted.and_then(|wanted| placed.add(state, context, &wanted, 1));
        match made {
            Ok(ids) => {
                group.pause = None;
                ids.iter().for_each(|id| {
                    let told = activity::launching(context, group, id, now);
                    group.record(told);
                });
            }
            Err(error) => {
                let failures = group.pause.map_or(0, |(_, failures)| failures) + 1;
                let wait = Duration::from_secs(1 << failures.min(6));
                group.pause = Some((now.saturating_add(wait).unwrap_or(now), failures));
                let told = activity::failed(context, group, &error, now);
                group.record(told);
                break;
            }
        }
    }
    placed.changes()
}
