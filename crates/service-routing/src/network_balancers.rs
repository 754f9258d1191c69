//! Network load balancers as data: what listens, where traffic may go, and how it is known whether a target is well.
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::ruleset::Protocol;

/// The network load balancers of a VPC with their target groups, each by its ARN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VpcBalancers {
    /// Load balancers.
    pub balancers: BTreeMap<String, NetworkBalancer>,
    /// Target groups to which one of them forwards.
    pub groups: BTreeMap<String, TargetGroup>,
}

/// A load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkBalancer {
    /// Its name.
    pub name: String,
    /// The name under which it answers.
    pub host_name: String,
    /// Target groups by what is listened for.
    pub listeners: BTreeMap<(Protocol, u16), Vec<String>>,
}

/// Where a load balancer may send traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// Its targets.
    pub targets: BTreeSet<Target>,
    /// How their health is checked.
    pub check: HealthCheck,
    /// How long what goes on with a target that is gone may still go on.
    pub drain: Duration,
    /// Whether a client stays with its target.
    pub sticky: bool,
}

/// A target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The instance's id, or the address.
    pub id: String,
    /// The port that gets traffic.
    pub port: u16,
    /// Where it is in the VPC; nothing for an instance that does not run.
    pub address: Option<Ipv4Addr>,
}

impl Target {
    /// Where traffic goes.
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddrV4> {
        self.address.map(|address| SocketAddrV4::new(address, self.port))
    }
}

/// How health is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub question: Question,
    /// The port that is asked, where it is not the one that gets traffic.
    pub port: Option<u16>,
    /// From one check to the next.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Good answers in a row after which an unhealthy target is healthy.
    pub healthy_after: u32,
    /// Failures in a row after which a target is unhealthy.
    pub unhealthy_after: u32,
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether a connection is accepted.
    Connection,
    /// Whether a page comes with one of these codes.
    Page {
        /// Its path.
        path: String,
        /// First and last codes of ranges that are good.
        codes: Vec<(u16, u16)>,
    },
}

/// Codes as a matcher writes them, `200,300-399`; what is none is left out.
#[must_use]
pub fn codes(matcher: &str) -> Vec<(u16, u16)> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    };
    matcher.split(',').filter_map(range).collect()
}

/// Why a check failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckFailure {
    /// No connection, or no answer in time.
    NoAnswer,
    /// A page with a code that is not good.
    Code(u16),
}

/// What is known of a target's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Where it stands.
    pub state: HealthState,
    /// Checks in a row that said otherwise.
    contrary: u32,
}

/// Where a target stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealthState {
    /// Nothing was asked yet.
    #[default]
    Registering,
    /// Asked, without a good answer yet.
    Initial,
    /// It gets traffic.
    Healthy,
    /// It gets none while others are healthy.
    Unhealthy(CheckFailure),
}

impl Health {
    /// After one more check. A new target is healthy after its first good answer, one that was unhealthy after several.
    #[must_use]
    pub fn after(self, outcome: Result<(), CheckFailure>, check: &HealthCheck) -> Self {
        let (state, limit) = match (self.state, outcome) {
            (HealthState::Registering | HealthState::Initial, Ok(())) => (HealthState::Healthy, 0),
            (HealthState::Healthy, Ok(())) => return Self { contrary: 0, ..self },
            (HealthState::Unhealthy(_), Ok(())) => (HealthState::Healthy, check.healthy_after),
            (HealthState::Unhealthy(_), Err(failure)) => {
                return Self {
                    state: HealthState::Unhealthy(failure),
                    contrary: 0,
                };
            }
            (_, Err(failure)) => (HealthState::Unhealthy(failure), check.unhealthy_after),
        };
        let contrary = self.contrary + 1;
        if contrary >= limit {
            return Self { state, contrary: 0 };
        }
        let state = match self.state {
            HealthState::Registering => HealthState::Initial,
            other => other,
        };
        Self { state, contrary }
    }
}

/// Where a listener's traffic may go now: to healthy targets, or, when there are none, to those that are not.
#[must_use]
pub fn ready(groups: &[(&TargetGroup, &BTreeMap<Target, Health>)]) -> Vec<SocketAddrV4> {
    let of_state = |wanted: fn(HealthState) -> bool| {
        let mut found = Vec::new();
        for (group, health) in groups {
            let own = group.targets.iter().filter(|target| {
                let state = health.get(target).copied().unwrap_or_default().state;
                wanted(state)
            });
            found.extend(own.filter_map(Target::socket));
        }
        found
    };
    let healthy = of_state(|state| state == HealthState::Healthy);
    if healthy.is_empty() {
        of_state(|state| matches!(state, HealthState::Unhealthy(_)))
    } else {
        healthy
    }
}

#[cfg(test)]
mod tests;
