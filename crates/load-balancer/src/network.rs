//! Network load balancers of the ELBv2 API: their targets are checked, and traffic goes to those that are well.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube_types::ObjectKey;
use service_routing::network_balancers::{
    CheckFailure, Health, HealthCheck, HealthState, NetworkBalancer, Target, TargetGroup, VpcBalancers, ready,
};
use service_routing::ruleset::Protocol;
use supervision::Supervisor;
use tokio::sync::{mpsc, watch};

use crate::balancer::{Desired, Dialer};
use crate::balancers::LoadBalancers;
use crate::check;

/// A VPC whose load balancers are to be served.
pub struct NetworkOptions {
    /// The VPC's id.
    pub vpc: String,
    /// Reaches what is in it.
    pub dialer: Arc<dyn Dialer>,
    /// When it is cancelled the load balancers close.
    pub supervisor: Supervisor,
}

type HealthByGroup = BTreeMap<String, BTreeMap<Target, Health>>;

/// The network load balancers of a VPC. Clones are the same.
#[derive(Clone)]
pub struct NetworkBalancers {
    wanted: watch::Sender<Arc<VpcBalancers>>,
    health: Arc<Mutex<HealthByGroup>>,
}

impl NetworkBalancers {
    /// From now on these are wanted.
    pub fn set(&self, wanted: VpcBalancers) {
        self.wanted.send_if_modified(|known| {
            let differs = **known != wanted;
            if differs {
                *known = Arc::new(wanted);
            }
            differs
        });
    }

    /// How a group's targets are, by id and port.
    #[must_use]
    pub fn health(&self, group: &str) -> BTreeMap<(String, u16), HealthState> {
        let all = locked(&self.health);
        let own = all.get(group).into_iter().flatten();
        own.map(|(target, health)| ((target.id.clone(), target.port), health.state))
            .collect()
    }
}

/// Nothing here panics while holding the lock, so a poisoned one still holds sound data.
fn locked(health: &Mutex<HealthByGroup>) -> MutexGuard<'_, HealthByGroup> {
    health.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LoadBalancers {
    /// Serves a VPC's network load balancers until its supervisor is cancelled. There are none until they are set.
    pub fn add_network(&self, network: NetworkOptions) -> NetworkBalancers {
        let NetworkOptions {
            vpc,
            dialer,
            supervisor,
        } = network;
        let handle = NetworkBalancers {
            wanted: watch::Sender::new(Arc::default()),
            health: Arc::default(),
        };
        let (results, outcomes) = mpsc::unbounded_channel();
        let checks = Checks {
            health: Arc::clone(&handle.health),
            running: BTreeMap::new(),
            results,
            dialer,
            tasks: supervisor.clone(),
        };
        let (all, wanted, stopped) = (self.clone(), handle.wanted.subscribe(), supervisor.cancelled());
        supervisor.spawn("network load balancers", async move {
            tokio::select! {
                () = follow(&all, &vpc, wanted, checks, outcomes) => {}
                () = stopped => {}
            }
            all.forget(&vpc);
        });
        handle
    }
}

/// A check's group, target and outcome.
type Outcome = (String, Target, Result<(), CheckFailure>);

/// The checks that run.
struct Checks {
    health: Arc<Mutex<HealthByGroup>>,
    running: BTreeMap<(String, Target), (HealthCheck, Supervisor)>,
    results: mpsc::UnboundedSender<Outcome>,
    dialer: Arc<dyn Dialer>,
    tasks: Supervisor,
}

/// Keeps checks and listeners as they are wanted, for as long as somebody can want others.
async fn follow(
    all: &LoadBalancers,
    vpc: &str,
    mut wanted: watch::Receiver<Arc<VpcBalancers>>,
    mut checks: Checks,
    mut outcomes: mpsc::UnboundedReceiver<Outcome>,
) {
    loop {
        let now = Arc::clone(&wanted.borrow_and_update());
        checks.reconcile(&now);
        let desired = desired(&now, &locked(&checks.health));
        all.apply(vpc, desired, &checks.dialer, &checks.tasks);
        loop {
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => break,
                    Err(_gone) => return,
                },
                Some(outcome) = outcomes.recv() => if checks.take(outcome, &now) {
                    break;
                },
            }
        }
    }
}

impl Checks {
    /// Every target of a group is checked as its group says; what is known of those that stay is kept.
    fn reconcile(&mut self, wanted: &VpcBalancers) {
        let is_wanted =
            |group: &str, target: &Target| wanted.groups.get(group).filter(|of| of.targets.contains(target));
        self.running.retain(|(group, target), (check, task)| {
            let stays = is_wanted(group, target).is_some_and(|of| of.check == *check);
            if !stays {
                task.cancel();
            }
            stays
        });
        let mut health = locked(&self.health);
        health.retain(|group, _| wanted.groups.contains_key(group));
        for (group, known) in health.iter_mut() {
            known.retain(|target, _| is_wanted(group, target).is_some());
        }
        for (arn, group) in &wanted.groups {
            for target in &group.targets {
                health
                    .entry(arn.clone())
                    .or_default()
                    .entry(target.clone())
                    .or_default();
                if target.address.is_some() && !self.running.contains_key(&(arn.clone(), target.clone())) {
                    let task = self
                        .tasks
                        .child(format!("health of {} port {}", target.id, target.port));
                    start(&task, arn, target, &group.check, &self.dialer, &self.results);
                    self.running
                        .insert((arn.clone(), target.clone()), (group.check.clone(), task));
                }
            }
        }
    }

    /// Whether a target's state is another one now.
    fn take(&self, (group, target, outcome): Outcome, wanted: &VpcBalancers) -> bool {
        let Some(check) = wanted.groups.get(&group).map(|group| &group.check) else {
            return false;
        };
        let mut health = locked(&self.health);
        let Some(known) = health.get_mut(&group).and_then(|targets| targets.get_mut(&target)) else {
            return false;
        };
        let before = known.state;
        *known = known.after(outcome, check);
        known.state != before
    }
}

/// Asks a target again and again.
fn start(
    task: &Supervisor,
    group: &str,
    target: &Target,
    check: &HealthCheck,
    dialer: &Arc<dyn Dialer>,
    results: &mpsc::UnboundedSender<Outcome>,
) {
    let Some(address) = target.socket() else { return };
    let (dialer, results, check) = (Arc::clone(dialer), results.clone(), check.clone());
    let (group, target) = (group.to_owned(), target.clone());
    task.spawn_until_cancelled("check", async move {
        loop {
            let outcome = check::ask(&*dialer, address, &check).await;
            if results.send((group.clone(), target.clone(), outcome)).is_err() {
                return;
            }
            supervision::sleep(check.interval).await;
        }
    });
}

/// What the load balancers are to be with targets of this health.
fn desired(wanted: &VpcBalancers, health: &HealthByGroup) -> BTreeMap<ObjectKey, Desired> {
    let nothing = BTreeMap::new();
    let key = |arn: &String| ObjectKey {
        namespace: None,
        name: arn.clone(),
    };
    let one = |balancer: &NetworkBalancer| {
        let mut desired = Desired {
            service: format!("network load balancer {}", balancer.name),
            host_name: balancer.host_name.clone(),
            ..Desired::default()
        };
        for ((protocol, port), arns) in &balancer.listeners {
            let groups: Vec<(&TargetGroup, &BTreeMap<Target, Health>)> = arns
                .iter()
                .filter_map(|arn| Some((wanted.groups.get(arn)?, health.get(arn).unwrap_or(&nothing))))
                .collect();
            desired.sticky |= groups.iter().any(|(group, _)| group.sticky);
            let drain = groups.iter().map(|(group, _)| group.drain).max();
            let targets = ready(&groups);
            match protocol {
                Protocol::Tcp => {
                    desired.drains.extend(drain.map(|drain| (*port, drain)));
                    desired.ports.insert(*port, targets);
                }
                Protocol::Udp => drop(desired.datagrams.insert(*port, targets)),
                Protocol::Sctp => {}
            }
        }
        desired
    };
    wanted
        .balancers
        .iter()
        .map(|(arn, balancer)| (key(arn), one(balancer)))
        .collect()
}

#[cfg(test)]
mod tests;
