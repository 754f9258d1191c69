//! An Auto Scaling group as the region remembers it.

use std::collections::{BTreeMap, BTreeSet};

use aws_types::ZoneName;
use cluster_lifecycle::nodegroup::GroupSubnet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::instance::Ec2Instance;
use super::refresh::Refresh;
use crate::ledger::State;

/// The most activities that are remembered (AWS: six weeks of them).
const MOST_ACTIVITIES: usize = 200;

/// An Auto Scaling group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AutoScalingGroup {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Never fewer.
    pub min: u32,
    /// Never more.
    pub max: u32,
    /// How many now.
    pub desired: u32,
    /// Where instances may be.
    pub subnets: Vec<GroupSubnet>,
    /// Zones that were named instead of subnets.
    pub zones: Vec<ZoneName>,
    /// The launch template, as the request names it.
    pub template: Option<Value>,
    /// The mixed instances policy.
    pub mixed: Option<Value>,
    /// The launch configuration.
    #[serde(default)]
    pub launch_configuration: Option<String>,
    /// Scaling policies by name, as answers show them.
    #[serde(default)]
    pub policies: BTreeMap<String, Value>,
    /// Scheduled actions by name, as answers show them.
    #[serde(default)]
    pub scheduled: BTreeMap<String, Value>,
    /// Until when scheduled actions have been looked at.
    #[serde(default)]
    pub scheduled_until: Option<Timestamp>,
    /// Instance refreshes, newest first.
    #[serde(default)]
    pub refreshes: Vec<Refresh>,
    /// The configuration of the warm pool.
    #[serde(default)]
    pub warm_pool: Option<Value>,
    /// When a policy last changed the size.
    #[serde(default)]
    pub scaled_at: Option<Timestamp>,
    /// Topics and what they are told of.
    #[serde(default)]
    pub notifications: BTreeMap<String, BTreeSet<String>>,
    /// Tags: key to value and whether instances get it.
    pub tags: BTreeMap<String, (String, bool)>,
    /// Processes that are suspended.
    pub suspended: BTreeSet<String>,
    /// Lifecycle hooks by name, as answers show them.
    pub hooks: BTreeMap<String, Value>,
    /// What happened, newest first, as answers show it.
    pub activities: Vec<Value>,
    /// Target groups.
    pub target_groups: BTreeSet<String>,
    /// Whether new instances are protected from scale-in.
    pub protects_new: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Until when nothing is launched, after failures, and how many there were in a row.
    pub pause: Option<(Timestamp, u32)>,
    /// Other members as answers show them.
    pub details: Value,
}

impl AutoScalingGroup {
    /// Its instances, as long as they belong to it.
    pub fn instances<'a>(&'a self, state: &'a State) -> impl Iterator<Item = &'a Ec2Instance> {
        state
            .instances
            .values()
            .filter(|instance| instance.group.as_ref() == Some(&self.name))
    }

    /// Remembers what happened.
    pub fn record(&mut self, activity: Value) {
        self.activities.insert(0, activity);
        self.activities.truncate(MOST_ACTIVITIES);
    }

    /// Whether a process does its work.
    pub fn does(&self, process: &str) -> bool {
        !self.suspended.contains(process)
    }

    /// Tags that instances get.
    pub fn instance_tags(&self) -> BTreeMap<String, String> {
        let own = self.tags.iter().filter(|(_, (_, propagates))| *propagates);
        let mut tags: BTreeMap<String, String> = own.map(|(key, (value, _))| (key.clone(), value.clone())).collect();
        tags.insert("aws:autoscaling:groupName".to_owned(), self.name.clone());
        tags
    }
}
