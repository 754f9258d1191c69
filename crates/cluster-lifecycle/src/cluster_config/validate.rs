//! The values of a ClusterConfig: names, versions, CIDRs, instance types, sizes.

use aws_types::{ClusterName, NodegroupName, RegionName, ZoneName, arn::Arn, eks_version, instance_type, region};
use ipnet::Ipv4Net;

use super::{ClusterConfig, InstanceSelector, ManagedNodeGroup, Problem, Warning};
use crate::nodegroup::Scaling;
use crate::request;

/// eksctl's own node type when none is named.
pub const DEFAULT_INSTANCE_TYPE: &str = "m5.large";
/// eksctl's own number of nodes when none is named.
pub const DEFAULT_NODES: i64 = 2;

/// The sizes that follow from those that are given: what is missing follows desired, desired follows the minimum, and two
/// nodes are made if nothing is said.
pub fn default_nodegroup_sizes(desired: Option<i64>, min: Option<i64>, max: Option<i64>) -> (i64, i64, i64) {
    let wanted = desired.or(min).unwrap_or(DEFAULT_NODES);
    let min = min.unwrap_or(wanted);
    let max = max.unwrap_or_else(|| wanted.max(min).max(1));
    let wanted = if desired.is_none() { wanted.min(max) } else { wanted };
    (min.min(if desired.is_none() { max } else { i64::MAX }), wanted, max)
}

impl ManagedNodeGroup {
    /// The types that it allows, eksctl's default if it names none.
    pub fn types(&self) -> Vec<String> {
        if let Some(selector) = &self.instance_selector {
            return selector.types();
        }
        match (&self.instance_types, &self.instance_type) {
            (Some(types), _) if !types.is_empty() => types.clone(),
            (_, Some(one)) => vec![one.clone()],
            _ => vec![DEFAULT_INSTANCE_TYPE.to_owned()],
        }
    }

    /// Its sizes: minimum, desired, maximum.
    pub fn sizes(&self) -> (i64, i64, i64) {
        default_nodegroup_sizes(self.desired_capacity, self.min_size, self.max_size)
    }
}

impl InstanceSelector {
    /// The types that have what is asked for, at most as many as a node group may name.
    #[must_use]
    pub fn types(&self) -> Vec<String> {
        let architecture = match self.cpu_architecture.as_deref() {
            Some("arm64") => "arm64",
            _ => "x86_64",
        };
        let memory = self.memory.as_deref().and_then(mebibytes);
        let fitting = instance_type::all().iter().filter(|known| {
            known.architecture == architecture
                && self.vcpus.is_none_or(|wanted| wanted == i64::from(known.vcpus))
                && (self.memory.is_none() || memory == Some(known.memory_mib))
                && self.gpus.is_none_or(|wanted| wanted == 0)
        });
        let names = fitting.map(|known| known.name.to_owned());
        names.take(MOST_SELECTED_TYPES).collect()
    }
}

/// How many types of a selector are used.
const MOST_SELECTED_TYPES: usize = 20;

/// `4`, `4GiB` or `512MiB` in MiB.
fn mebibytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match text.strip_suffix("MiB") {
        Some(mebibytes) => number(mebibytes),
        None => number(text.strip_suffix("GiB").unwrap_or(text)).map(|gibibytes| gibibytes * 1024),
    }
}

pub(super) fn problems(config: &ClusterConfig) -> Vec<Problem> {
    let mut found = Found(Vec::new());
    found.metadata(config);
    found.network(config);
    found.parts(config);
    let groups: Vec<&ManagedNodeGroup> = config.managed_node_groups.iter().flatten().collect();
    for (index, group) in groups.iter().enumerate() {
        let path = format!("managedNodeGroups[{index}]");
        if groups[..index].iter().any(|other| other.name == group.name) {
            found.add(format!("{path}.name"), format!("{:?} is used twice", group.name));
        }
        found.nodegroup(&path, group, config);
    }
    found.0
}

struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            line: None,
            path: path.into(),
            message: message.into(),
        });
    }

    fn metadata(&mut self, config: &ClusterConfig) {
        let metadata = &config.metadata;
        if metadata.name.is_empty() {
            self.add("metadata.name", "must be set");
        } else if let Err(error) = ClusterName::new(metadata.name.as_str()) {
            self.add("metadata.name", error.to_string());
        }
        if let Some(name) = &metadata.region {
            match RegionName::new(name.as_str()) {
                Err(error) => self.add("metadata.region", error.to_string()),
                Ok(known) if region::find(&known).is_none() => {
                    self.add("metadata.region", format!("region {name:?} is not known"));
                }
                Ok(_) => {}
            }
        }
        if let Some(version) = &metadata.version
            && eks_version::find(version).is_none()
        {
            let known: Vec<&str> = eks_version::VERSIONS.iter().map(|version| version.minor).collect();
            self.add(
                "metadata.version",
                format!("{version:?} is not one of {}", known.join(", ")),
            );
        }
        self.arn(
            "iam.serviceRoleARN",
            config.iam.as_ref().and_then(|iam| iam.service_role_arn.as_deref()),
        );
    }

    /// The parts beside cluster and node groups: what must be there, and what excludes each other.
    fn parts(&mut self, config: &ClusterConfig) {
        for (index, addon) in config.addons.iter().flatten().enumerate() {
            if addon.name.as_deref().unwrap_or_default().is_empty() {
                self.add(format!("addons[{index}].name"), "must not be empty");
            }
        }
        for (index, profile) in config.fargate_profiles.iter().flatten().enumerate() {
            let path = format!("fargateProfiles[{index}]");
            if profile.name.as_deref().unwrap_or_default().is_empty() {
                self.add(format!("{path}.name"), "must not be empty");
            } else if profile.name.as_deref().is_some_and(|name| name.starts_with("eks-")) {
                self.add(format!("{path}.name"), "must not begin with \"eks-\"");
            }
            if profile.selectors.as_ref().is_none_or(Vec::is_empty) {
                self.add(format!("{path}.selectors"), "must have at least one selector");
            }
        }
        for (index, provider) in config.identity_providers.iter().flatten().enumerate() {
            let path = format!("identityProviders[{index}]");
            for (field, value) in [
                ("name", &provider.name),
                ("issuerURL", &provider.issuer_url),
                ("clientID", &provider.client_id),
            ] {
                if value.as_deref().unwrap_or_default().is_empty() {
                    self.add(format!("{path}.{field}"), "must be set");
                }
            }
        }
        let iam = config.iam.as_ref();
        let accounts = iam.and_then(|iam| iam.service_accounts.as_deref()).unwrap_or_default();
        for (index, account) in accounts.iter().enumerate() {
            let path = format!("iam.serviceAccounts[{index}]");
            if account.name().is_empty() {
                self.add(format!("{path}.metadata.name"), "must be set");
            }
            if iam.and_then(|iam| iam.with_oidc) != Some(true) {
                self.add(path, "needs iam.withOIDC: true");
            }
        }
        let entries = config
            .access_config
            .as_ref()
            .and_then(|access| access.access_entries.as_deref());
        for (index, entry) in entries.unwrap_or_default().iter().enumerate() {
            let path = format!("accessConfig.accessEntries[{index}].principalARN");
            match entry.principal_arn.as_deref() {
                None => self.add(path, "must be set"),
                arn => self.arn(&path, arn),
            }
        }
    }

    fn arn(&mut self, path: &str, text: Option<&str>) {
        if let Some(text) = text
            && let Err(error) = text.parse::<Arn>()
        {
            self.add(path, error.to_string());
        }
    }

    fn network(&mut self, config: &ClusterConfig) {
        let zones = config.availability_zones.as_deref();
        for (index, name) in zones.into_iter().flatten().enumerate() {
            self.zone(&format!("availabilityZones[{index}]"), name, config);
        }
        if zones.is_some_and(|zones| zones.len() == 1) {
            self.add("availabilityZones", "must name at least two zones, EKS needs them");
        }
        let cidr = config.vpc.as_ref().and_then(|vpc| vpc.cidr.as_deref());
        let vpc = cidr.and_then(|text| self.vpc_cidr(text));
        let network = config.kubernetes_network_config.as_ref();
        if network.and_then(|network| network.ip_family.as_deref()) == Some("IPv6") {
            self.add("kubernetesNetworkConfig.ipFamily", "\"IPv6\" is not available here yet");
        }
        let default = Ipv4Net::new_assert([192, 168, 0, 0].into(), 16);
        if let Some(range) = network.and_then(|network| network.service_ipv4_cidr.as_deref())
            && let Err(refusal) = request::service_cidr(Some(range), vpc.unwrap_or(default))
        {
            self.add("kubernetesNetworkConfig.serviceIPv4CIDR", refusal.message);
        }
        let mode = config
            .access_config
            .as_ref()
            .and_then(|access| access.authentication_mode.as_deref());
        if let Some(mode) = mode
            && !["API", "API_AND_CONFIG_MAP", "CONFIG_MAP"].contains(&mode)
        {
            self.add(
                "accessConfig.authenticationMode",
                format!("{mode:?} is not one of API, API_AND_CONFIG_MAP, CONFIG_MAP"),
            );
        }
    }

    fn vpc_cidr(&mut self, text: &str) -> Option<Ipv4Net> {
        match text.parse::<Ipv4Net>() {
            Err(_) if text.parse::<std::net::Ipv4Addr>().is_ok() => self.add(
                "vpc.cidr",
                format!("{text:?} lacks its prefix length, as in \"{text}/16\""),
            ),
            Err(error) => self.add("vpc.cidr", format!("{text:?} is not a CIDR block: {error}")),
            Ok(block) if !(16..=24).contains(&block.prefix_len()) => {
                self.add("vpc.cidr", format!("{text:?} must be between /16 and /24"));
            }
            Ok(block) if block.trunc() != block => {
                self.add(
                    "vpc.cidr",
                    format!("{text:?} has host bits set, the network is {}", block.trunc()),
                );
            }
            Ok(block) => return Some(block),
        }
        None
    }

    fn zone(&mut self, path: &str, name: &str, config: &ClusterConfig) {
        let known = ZoneName::new(name).is_ok_and(|zone| region::zone_id(&zone).is_some());
        let region = config.metadata.region.as_deref();
        if !known {
            self.add(path, format!("availability zone {name:?} is not known"));
        } else if let Some(region) = region.filter(|region| name[..name.len() - 1] != **region) {
            self.add(path, format!("availability zone {name:?} is not in region {region}"));
        }
    }

    fn nodegroup(&mut self, path: &str, group: &ManagedNodeGroup, config: &ClusterConfig) {
        if let Err(error) = NodegroupName::new(group.name.as_str()) {
            self.add(format!("{path}.name"), error.to_string());
        }
        self.types(path, group);
        self.sizes(path, group);
        for (index, zone) in group.availability_zones.iter().flatten().enumerate() {
            let own = format!("{path}.availabilityZones[{index}]");
            self.zone(&own, zone, config);
            if config
                .availability_zones
                .as_ref()
                .is_some_and(|zones| !zones.contains(zone))
            {
                self.add(
                    own,
                    format!("availability zone {zone:?} is not one of the cluster's availabilityZones"),
                );
            }
        }
        for (index, taint) in group.taints.iter().flatten().enumerate() {
            if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&taint.effect.as_str()) {
                let message = format!(
                    "{:?} is not one of NoSchedule, PreferNoSchedule, NoExecute",
                    taint.effect
                );
                self.add(format!("{path}.taints[{index}].effect"), message);
            }
        }
        if let Some(update) = &group.update_config
            && let Err(refusal) = request::unavailable(update.max_unavailable, update.max_unavailable_percentage)
        {
            self.add(format!("{path}.updateConfig"), refusal.message);
        }
        let role = group.iam.as_ref().and_then(|iam| iam.instance_role_arn.as_deref());
        self.arn(&format!("{path}.iam.instanceRoleARN"), role);
    }

    fn types(&mut self, path: &str, group: &ManagedNodeGroup) {
        if group.instance_type.is_some() && group.instance_types.as_ref().is_some_and(|types| !types.is_empty()) {
            self.add(
                format!("{path}.instanceType"),
                "cannot be set together with instanceTypes",
            );
        }
        if group.instance_selector.is_some() && group.types().is_empty() {
            self.add(
                format!("{path}.instanceSelector"),
                "no instance type that is known here has what it asks for",
            );
            return;
        }
        let known = group.types().into_iter().all(|name| {
            let found = instance_type::find(&name).is_some();
            if !found {
                let field = if group.instance_type.is_some() {
                    "instanceType"
                } else {
                    "instanceTypes"
                };
                self.add(
                    format!("{path}.{field}"),
                    format!("instance type {name:?} is not known"),
                );
            }
            found
        });
        if known && let Err(refusal) = request::instance_types(&group.types()) {
            self.add(format!("{path}.instanceTypes"), refusal.message);
        }
    }

    fn sizes(&mut self, path: &str, group: &ManagedNodeGroup) {
        let (min, desired, max) = group.sizes();
        let mut number = |field: &str, value: i64| match u32::try_from(value) {
            Ok(number) => Some(number),
            Err(error) => {
                self.add(
                    format!("{path}.{field}"),
                    format!("{value} is not a number of nodes: {error}"),
                );
                None
            }
        };
        let numbers = (
            number("minSize", min),
            number("desiredCapacity", desired),
            number("maxSize", max),
        );
        if let (Some(min), Some(desired), Some(max)) = numbers
            && let Err(refusal) = request::scaling(Scaling { min, max, desired })
        {
            self.add(path, refusal.message);
        }
    }
}

pub(super) fn warnings(config: &ClusterConfig) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut warn = |path: String, message: &str| {
        found.push(Warning {
            path,
            message: message.to_owned(),
        })
    };
    let vpc = config.vpc.as_ref();
    if vpc
        .and_then(|vpc| vpc.nat.as_ref())
        .and_then(|nat| nat.gateway.as_deref())
        == Some("Disable")
    {
        warn(
            "vpc.nat.gateway".to_owned(),
            "\"Disable\" is not honoured yet: the VPC has its NAT gateway",
        );
    }
    if vpc
        .and_then(|vpc| vpc.cluster_endpoints.as_ref())
        .is_some_and(|access| access.public_access == Some(false))
    {
        warn(
            "vpc.clusterEndpoints.publicAccess".to_owned(),
            "false is not honoured yet: the endpoint is on this machine's loopback",
        );
    }
    for (index, addon) in config.addons.iter().flatten().enumerate() {
        let name = addon.name.as_deref().unwrap_or_default();
        if crate::addon::offered(name).is_none() {
            warn(
                format!("addons[{index}]"),
                &format!("({name}) is not offered here: it is left out"),
            );
        }
    }
    found
}
