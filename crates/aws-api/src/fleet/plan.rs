//! What an Auto Scaling group lacks or has too much of.

use std::collections::BTreeMap;

use aws_types::{InstanceId, SubnetId, ZoneName};
use cluster_lifecycle::nodegroup::balance;

use super::group::AutoScalingGroup;
use super::instance::{Ec2Instance, LifeState};

/// What is to be done for a group.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Subnets for new instances.
    pub launch: Vec<SubnetId>,
    /// Instances that go.
    pub terminate: Vec<InstanceId>,
}

/// Compares a group with its instances.
pub fn steps(group: &AutoScalingGroup, instances: &[&Ec2Instance]) -> Steps {
    let mut steps = Steps::default();
    let is_counted = |instance: &&&Ec2Instance| instance.state.is_live() && !instance.standby && !instance.is_leaving();
    if group.does("HealthCheck") && group.does("ReplaceUnhealthy") && group.does("Terminate") {
        let stopped = instances
            .iter()
            .filter(|instance| !instance.standby && matches!(instance.state, LifeState::Stopping | LifeState::Stopped));
        steps.terminate.extend(stopped.map(|instance| instance.id.clone()));
    }
    let counted: Vec<&Ec2Instance> = instances.iter().filter(is_counted).copied().collect();
    let desired = group.desired as usize;
    if counted.len() < desired && group.does("Launch") && !group.deleting {
        let zones: Vec<&ZoneName> = counted.iter().map(|instance| &instance.zone).collect();
        steps.launch = balance::subnets_for(&group.subnets, &zones, desired - counted.len());
    }
    if counted.len() > desired && group.does("Terminate") {
        steps.terminate.extend(victims(&counted, counted.len() - desired));
    }
    steps
}

/// Each from the zone that has most then, the oldest of it first; protected ones stay.
fn victims(instances: &[&Ec2Instance], surplus: usize) -> Vec<InstanceId> {
    let mut zones: BTreeMap<&ZoneName, Vec<&Ec2Instance>> = BTreeMap::new();
    for instance in instances.iter().filter(|instance| !instance.protected) {
        zones.entry(&instance.zone).or_default().push(instance);
    }
    for members in zones.values_mut() {
        members.sort_by_key(|instance| std::cmp::Reverse(instance.launched_at));
    }
    let mut chosen = Vec::with_capacity(surplus);
    while chosen.len() < surplus {
        let Some(victim) = zones
            .values_mut()
            .max_by_key(|members| members.len())
            .and_then(Vec::pop)
        else {
            break;
        };
        chosen.push(victim.id.clone());
    }
    chosen
}
