//! What the records of load balancing mean for traffic: who listens where, which targets there are and how they are checked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use aws_types::VpcId;
use cluster_lifecycle::nodegroup::Phase;
use serde_json::{Value, json};
use service_routing::network_balancers::{
    CheckFailure, HealthCheck, HealthState, NetworkBalancer, Question, Target, TargetGroup, VpcBalancers, codes,
};
use service_routing::ruleset::Protocol;

use super::{attribute, listener};
use crate::catalogue::{self, Item, ItemKind};
use crate::ec2::instance;
use crate::fleet::instance::LifeState;
use crate::host::HostError;
use crate::ledger::State;
use crate::members::Members;
use crate::region::Region;

/// The network load balancers of a VPC that serve, with the target groups that they forward to.
pub fn of_vpc(state: &State, vpc: &VpcId) -> VpcBalancers {
    let mut all = VpcBalancers::default();
    let own = catalogue::of_kind(state, ItemKind::LoadBalancer);
    for item in own.filter(|item| item.body.text("VpcId") == Some(vpc.as_str())) {
        let balancer = NetworkBalancer {
            name: item.body.required("LoadBalancerName").to_owned(),
            host_name: item.body.required("DNSName").to_owned(),
            listeners: listeners(state, &item.key),
        };
        for arn in balancer.listeners.values().flatten() {
            if let Some(group) = catalogue::find(state, ItemKind::TargetGroup, arn) {
                all.groups.insert(arn.clone(), target_group(state, group));
            }
        }
        all.balancers.insert(item.key.clone(), balancer);
    }
    all
}

/// Target groups by what a load balancer listens for. TLS has no data path.
fn listeners(state: &State, balancer: &str) -> BTreeMap<(Protocol, u16), Vec<String>> {
    let mut all = BTreeMap::new();
    for item in listener::of(state, balancer) {
        let protocols: &[Protocol] = match item.body.text("Protocol") {
            Some("TCP") => &[Protocol::Tcp],
            Some("UDP") => &[Protocol::Udp],
            Some("TCP_UDP") => &[Protocol::Tcp, Protocol::Udp],
            _ => &[],
        };
        let Some(port) = port(&item.body, "Port") else { continue };
        for protocol in protocols {
            all.insert((*protocol, port), forwarded(item.body.list("DefaultActions")));
        }
    }
    all
}

/// The target groups that actions forward to.
fn forwarded(actions: &[Value]) -> Vec<String> {
    let mut arns = BTreeSet::new();
    for action in actions {
        let config = action.get("ForwardConfig").map(|config| config.list("TargetGroups"));
        let weighted = config
            .unwrap_or_default()
            .iter()
            .filter(|group| group.number("Weight") != Some(0));
        arns.extend(weighted.filter_map(|group| group.text("TargetGroupArn")));
        if config.unwrap_or_default().is_empty() {
            arns.extend(action.text("TargetGroupArn"));
        }
    }
    arns.into_iter().map(str::to_owned).collect()
}

fn port(value: &Value, member: &str) -> Option<u16> {
    value.number(member).and_then(|port| u16::try_from(port).ok())
}

fn target_group(state: &State, item: &Item) -> TargetGroup {
    let seconds = |member: &str, otherwise: u64| {
        let given = item.body.number(member).and_then(|seconds| u64::try_from(seconds).ok());
        Duration::from_secs(given.unwrap_or(otherwise))
    };
    let times = |member: &str, otherwise: u32| {
        let given = item.body.number(member).and_then(|times| u32::try_from(times).ok());
        given.unwrap_or(otherwise)
    };
    let question = match item.body.text("HealthCheckProtocol") {
        Some("HTTP") => Question::Page {
            path: item.body.text("HealthCheckPath").unwrap_or("/").to_owned(),
            codes: codes(item.body["Matcher"].text("HttpCode").unwrap_or("200-399")),
        },
        _ => Question::Connection,
    };
    TargetGroup {
        targets: targets(state, item)
            .iter()
            .filter_map(|target| of_view(state, item, target))
            .collect(),
        check: HealthCheck {
            question,
            port: item.body.text("HealthCheckPort").and_then(|port| port.parse().ok()),
            interval: seconds("HealthCheckIntervalSeconds", 30),
            timeout: seconds("HealthCheckTimeoutSeconds", 10),
            healthy_after: times("HealthyThresholdCount", 5),
            unhealthy_after: times("UnhealthyThresholdCount", 2),
        },
        drain: Duration::from_secs(delay(item)),
        sticky: attribute::is_set(item, "stickiness.enabled"),
    }
}

/// How long targets that are deregistered are drained, in seconds.
pub fn delay(group: &Item) -> u64 {
    let given = group.body["_Attributes"].text("deregistration_delay.timeout_seconds");
    given.and_then(|seconds| seconds.parse().ok()).unwrap_or(300)
}

/// The targets of a group as answers show them: registered ones, and the instances of Auto Scaling groups that it is attached to.
pub fn targets(state: &State, group: &Item) -> Vec<Value> {
    let mut all = group.body.list("_Targets").to_vec();
    let attached = state
        .groups
        .values()
        .filter(|scaling| scaling.target_groups.contains(&group.key));
    let instances = attached.flat_map(|scaling| scaling.instances(state));
    for one in instances.filter(|one| one.state == LifeState::Running && !one.standby) {
        let target = json!({"Id": one.id, "Port": group.body.number("Port")});
        if !all
            .iter()
            .any(|known| known["Id"] == target["Id"] && known["Port"] == target["Port"])
        {
            all.push(target);
        }
    }
    all
}

fn of_view(state: &State, group: &Item, target: &Value) -> Option<Target> {
    let id = target.required("Id");
    Some(Target {
        id: id.to_owned(),
        port: port(target, "Port")?,
        address: match group.body.text("TargetType") {
            Some("instance") => address(state, id),
            _ => id.parse().ok(),
        },
    })
}

/// The address of an instance that runs.
pub fn address(state: &State, id: &str) -> Option<Ipv4Addr> {
    let own = state
        .instances
        .values()
        .find(|one| one.id.as_str() == id && one.state == LifeState::Running);
    let runs = |phase| matches!(phase, Phase::Joining | Phase::InService | Phase::Draining);
    let managed = || instance::all(state).find(|(_, _, one)| one.id.as_str() == id && runs(one.phase));
    own.map(|one| one.address)
        .or_else(|| managed().map(|(_, _, one)| one.address))
}

/// Health as `DescribeTargetHealth` says it.
pub fn view(health: HealthState) -> Value {
    match health {
        HealthState::Registering => json!({
            "State": "initial", "Reason": "Elb.RegistrationInProgress", "Description": "Target registration is in progress",
        }),
        HealthState::Initial => json!({
            "State": "initial", "Reason": "Elb.InitialHealthChecking", "Description": "Initial health checks in progress",
        }),
        HealthState::Healthy => json!({ "State": "healthy" }),
        HealthState::Unhealthy(CheckFailure::NoAnswer) => json!({
            "State": "unhealthy", "Reason": "Target.FailedHealthChecks", "Description": "Health checks failed",
        }),
        HealthState::Unhealthy(CheckFailure::Code(code)) => json!({
            "State": "unhealthy", "Reason": "Target.ResponseCodeMismatch",
            "Description": format!("Health checks failed with these codes: [{code}]"),
        }),
    }
}

impl Region {
    /// Makes the load balancers of every network what the records say now.
    ///
    /// # Errors
    /// When a network cannot be told; those before it were.
    pub(crate) async fn balance(&self) -> Result<(), HostError> {
        for vpc in self.host.networks().await {
            let wanted = self
                .ledger
                .read(|state| state.vpcs.contains_key(&vpc).then(|| of_vpc(state, &vpc)));
            if let Some(wanted) = wanted {
                self.host.balance(vpc, wanted).await?;
            }
        }
        Ok(())
    }
}
