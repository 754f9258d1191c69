//! Instance refreshes: a group's instances make room for new ones, a few at a time.

use std::collections::BTreeSet;

use aws_types::InstanceId;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::group::AutoScalingGroup;
use super::instance::Ec2Instance;

/// A refresh.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refresh {
    /// Its id.
    pub id: String,
    /// In Auto Scaling's words.
    pub status: String,
    /// A sentence about the status.
    pub reason: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Instances that were there when it began, and are to go.
    pub old: BTreeSet<InstanceId>,
    /// Instances that never fall out of service together: fewer than these are not to be left.
    pub keep: u32,
    /// How many may be replaced at a time.
    pub batch: u32,
    /// Seconds for which a new instance must have been in service to count.
    pub warmup: i64,
    /// Preferences as answers show them.
    pub preferences: Value,
    /// The configuration that was asked for, as answers show it.
    pub configuration: Option<Value>,
    /// What instances were made from before: launch template, mixed instances policy, launch configuration.
    pub before: (Option<Value>, Option<Value>, Option<String>),
}

impl Refresh {
    /// Whether it still has something to do.
    pub fn is_active(&self) -> bool {
        matches!(&*self.status, "Pending" | "InProgress" | "RollbackInProgress")
    }

    /// Ends it.
    pub fn end(&mut self, status: &str, now: Timestamp) {
        status.clone_into(&mut self.status);
        self.ended_at = Some(now);
    }

    /// Old instances that are still there.
    pub fn left(&self, instances: &[&Ec2Instance]) -> usize {
        let is_left = |one: &&&Ec2Instance| self.old.contains(&one.id) && one.state.is_live();
        instances.iter().filter(is_left).count()
    }
}

/// What a running refresh takes away now; it ends when everything old is gone and the group is whole again.
pub fn step(group: &mut AutoScalingGroup, instances: &[&Ec2Instance], now: Timestamp) -> Vec<InstanceId> {
    let (desired, works) = (group.desired as usize, group.does("InstanceRefresh"));
    let Some(refresh) = group.refreshes.iter_mut().find(|refresh| refresh.is_active()) else {
        return Vec::new();
    };
    if refresh.status == "Pending" {
        "InProgress".clone_into(&mut refresh.status);
    }
    let warm = |one: &Ec2Instance| {
        refresh.old.contains(&one.id) || now.duration_since(one.since) >= SignedDuration::from_secs(refresh.warmup)
    };
    let serving = instances.iter().filter(|one| one.is_in_service() && warm(one)).count();
    let mut left: Vec<&&Ec2Instance> = instances
        .iter()
        .filter(|one| refresh.old.contains(&one.id) && one.state.is_live() && !one.is_leaving())
        .filter(|one| !one.protected && !one.standby)
        .collect();
    if left.is_empty() {
        if refresh.left(instances) == 0 && serving >= desired {
            let end = if refresh.status == "RollbackInProgress" {
                "RollbackSuccessful"
            } else {
                "Successful"
            };
            refresh.end(end, now);
        }
        return Vec::new();
    }
    if !works {
        return Vec::new();
    }
    left.sort_by_key(|one| one.launched_at);
    let spare = serving.saturating_sub(refresh.keep as usize);
    let absent = desired.saturating_sub(serving);
    let room = (refresh.batch as usize).saturating_sub(absent);
    left.iter().take(spare.min(room)).map(|one| one.id.clone()).collect()
}

/// How many instances must stay in service, and how many may go at a time, for a share that is to be healthy. One may always go.
pub fn bounds(desired: u32, healthy_percentage: u32) -> (u32, u32) {
    let keep = (desired * healthy_percentage).div_ceil(100);
    let keep = keep.min(desired.saturating_sub(1));
    (keep, desired.saturating_sub(keep).max(1))
}

#[cfg(test)]
mod tests {
    use super::bounds;

    #[test]
    fn at_least_one_instance_may_go_at_a_time() {
        for (desired, share, expected) in [
            (10, 90, (9, 1)),
            (10, 50, (5, 5)),
            (1, 90, (0, 1)),
            (4, 100, (3, 1)),
            (3, 0, (0, 3)),
        ] {
            assert_eq!(bounds(desired, share), expected, "{desired} {share}");
        }
    }
}
