//! Over which zones instances are spread, and which of them go first.

use std::collections::BTreeMap;

use aws_types::{InstanceId, SubnetId, ZoneName};

use super::{GroupSubnet, Instance, Phase};

/// Subnets for `wanted` more instances, each in a zone that has fewest then, as Auto Scaling balances; ties go to the zone
/// that the group names first. Several subnets of one zone take turns.
pub fn subnets_for(subnets: &[GroupSubnet], occupied: &[&ZoneName], wanted: usize) -> Vec<SubnetId> {
    let mut by_zone: Vec<(&ZoneName, usize, Vec<&SubnetId>)> = Vec::new();
    for subnet in subnets {
        match by_zone.iter_mut().find(|(zone, ..)| *zone == &subnet.zone) {
            Some((_, _, ids)) => ids.push(&subnet.id),
            None => {
                let count = occupied.iter().filter(|zone| **zone == &subnet.zone).count();
                by_zone.push((&subnet.zone, count, vec![&subnet.id]));
            }
        }
    }
    let mut chosen = Vec::with_capacity(wanted);
    for _ in 0..wanted {
        let Some((_, count, ids)) = by_zone.iter_mut().min_by_key(|(_, count, _)| *count) else {
            break;
        };
        chosen.push(ids[*count % ids.len()].clone());
        *count += 1;
    }
    chosen
}

/// Which `surplus` instances go: each from the zone that has most then; there, one that has not joined yet before one that
/// works, and the youngest first. (Auto Scaling's own last rule, nearness to the billing hour, has no meaning here.)
pub fn victims(instances: &[&Instance], surplus: usize) -> Vec<InstanceId> {
    let mut zones: BTreeMap<&ZoneName, Vec<&Instance>> = BTreeMap::new();
    for &instance in instances {
        zones.entry(&instance.zone).or_default().push(instance);
    }
    for members in zones.values_mut() {
        members.sort_by_key(|instance| (instance.phase != Phase::InService, instance.launched_at));
    }
    let mut chosen = Vec::with_capacity(surplus);
    for _ in 0..surplus {
        let Some(members) = zones.values_mut().max_by_key(|members| members.len()) else {
            break;
        };
        let Some(victim) = members.pop() else { break };
        chosen.push(victim.id.clone());
    }
    chosen
}
