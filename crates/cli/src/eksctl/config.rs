//! The ClusterConfig that a command is about: its file, or what its flags stand for.

use std::io::Read;
use std::path::Path;

use clock::{Random, SystemRandom};
use cluster_lifecycle::cluster_config::parts::{
    AddonPolicies, ClusterSubnets, FargateProfile, FargateProfileSelector, NodeGroupSsh,
};
use cluster_lifecycle::cluster_config::{
    ClusterConfig, Iam, InstanceSelector, ManagedNodeGroup, Metadata, Nat, NodeGroupIam, Vpc, Warning, check, parse,
};
use cluster_lifecycle::fargate::wildcard_matches;

use super::given::{Given, POSITIONAL};
use crate::session::CommandError;

type Checked = Result<(ClusterConfig, Vec<Warning>), CommandError>;

/// Flags of node groups that a file says.
const NODE_FLAGS: &[&str] = &[
    "node-type",
    "instance-types",
    "nodes",
    "nodes-min",
    "nodes-max",
    "node-volume-size",
    "node-labels",
    "node-zones",
    "node-private-networking",
    "spot",
    "ssh-access",
    "ssh-public-key",
];

/// Reads a ClusterConfig file; `-` is standard input.
///
/// # Errors
/// When it cannot be read, or anything in it is wrong.
pub fn read(path: &Path) -> Checked {
    let usage = |reason: String| CommandError::Usage(format!("{}: {reason}", path.display()));
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    parse(&text.map_err(|error| usage(error.to_string()))?).map_err(|error| usage(error.to_string()))
}

/// Refuses flags that a file says, in eksctl's words.
fn not_with_file(given: &Given, flags: &[&str]) -> Result<(), CommandError> {
    match given.given_of(flags) {
        None => Ok(()),
        Some(POSITIONAL) => Err(CommandError::Usage(
            "cannot use name argument when --config-file/-f is set".to_owned(),
        )),
        Some(flag) => Err(CommandError::Usage(format!(
            "cannot use --{flag} when --config-file/-f is set"
        ))),
    }
}

/// The cluster that `create cluster` asks for, by file or by flags.
///
/// # Errors
/// When it is not what can be made, naming field and value.
pub fn cluster(given: &Given) -> Checked {
    if let Some(path) = given.config_file() {
        let own = [
            POSITIONAL,
            "name",
            "version",
            "tags",
            "zones",
            "vpc-cidr",
            "vpc-nat-mode",
            "vpc-public-subnets",
            "vpc-private-subnets",
            "with-oidc",
            "nodegroup-name",
            "fargate",
        ];
        not_with_file(given, &own)?;
        not_with_file(given, NODE_FLAGS)?;
        let (mut config, warnings) = read(&path)?;
        config.metadata.region = config.metadata.region.or_else(|| given.text("region"));
        return Ok((config, warnings));
    }
    let name = given.name("name")?.unwrap_or_else(generated_name);
    let is_fargate = given.is_on("fargate");
    let groups = if given.is_on("without-nodegroup") || is_fargate {
        Vec::new()
    } else {
        let name = given.text("nodegroup-name");
        vec![nodegroup(name.unwrap_or_else(generated_group_name), given, false)?]
    };
    let nat = given.text("vpc-nat-mode").map(|mode| Nat { gateway: Some(mode) });
    let vpc = Vpc {
        cidr: given.text("vpc-cidr"),
        nat,
        subnets: given_subnets(given),
        ..Vpc::default()
    };
    let config = ClusterConfig {
        metadata: Metadata {
            name,
            region: given.text("region"),
            version: given.text("version"),
            tags: given.pairs("tags")?,
        },
        iam: Some(Iam {
            with_oidc: Some(given.is_on("with-oidc")),
            ..Iam::default()
        }),
        vpc: Some(vpc),
        availability_zones: given.some_list("zones"),
        managed_node_groups: Some(groups),
        fargate_profiles: is_fargate.then(|| vec![default_profile()]),
        ..empty()
    };
    let warnings = check(&config).map_err(|error| CommandError::Usage(error.to_string()))?;
    Ok((config, warnings))
}

/// What `create cluster --fargate` makes.
fn default_profile() -> FargateProfile {
    let selector = |namespace: &str| FargateProfileSelector {
        namespace: Some(namespace.to_owned()),
        labels: None,
    };
    FargateProfile {
        name: Some("fp-default".to_owned()),
        selectors: Some(vec![selector("default"), selector("kube-system")]),
        ..FargateProfile::default()
    }
}

fn given_subnets(given: &Given) -> Option<ClusterSubnets> {
    let named = |flag: &str| {
        let ids = given.some_list(flag)?;
        let spec = |id: String| cluster_lifecycle::cluster_config::parts::SubnetSpec {
            id: Some(id),
            ..Default::default()
        };
        Some(ids.into_iter().map(|id| (id.clone(), spec(id))).collect())
    };
    let subnets = ClusterSubnets {
        public: named("vpc-public-subnets"),
        private: named("vpc-private-subnets"),
    };
    (subnets.public.is_some() || subnets.private.is_some()).then_some(subnets)
}

/// The groups that `create nodegroup` asks for, and their cluster.
///
/// # Errors
/// When they are not what can be made, naming field and value.
pub fn nodegroups(given: &Given) -> Checked {
    if given.config_file().is_some() {
        not_with_file(given, NODE_FLAGS)?;
        let (mut config, warnings) = existing(given, &["version", "tags", "subnet-ids"])?;
        let wanted = given.name("name")?;
        if let Some(groups) = &mut config.managed_node_groups {
            groups
                .retain(|group| wanted.as_ref().is_none_or(|name| group.name == *name) && included(given, &group.name));
        }
        return Ok((config, warnings));
    }
    let (config, _) = existing(given, &[])?;
    let name = given.name("name")?.unwrap_or_else(generated_group_name);
    let group = nodegroup(name, given, true)?;
    let config = ClusterConfig {
        managed_node_groups: Some(vec![group]),
        ..config
    };
    let warnings = check(&config).map_err(|error| CommandError::Usage(error.to_string()))?;
    Ok((config, warnings))
}

/// The configuration of a cluster that exists: its file, or its name alone. With a file, `own` flags are refused.
///
/// # Errors
/// When the file is wrong, or nothing names the cluster.
pub fn existing(given: &Given, own: &[&str]) -> Checked {
    if let Some(path) = given.config_file() {
        not_with_file(given, &["cluster", "region"])?;
        not_with_file(given, own)?;
        return read(&path);
    }
    let (verb, noun) = given.words();
    let is_cluster = noun == "cluster";
    // Utilities took the cluster by --name once; they still do.
    let name = if is_cluster || (verb == "utils" && noun != "nodegroup-health" && !noun.starts_with("describe-addon")) {
        match given.text("cluster") {
            Some(name) => Some(name),
            None => given.name("name")?,
        }
    } else {
        given.text("cluster")
    };
    let flag = if is_cluster { "--name" } else { "--cluster" };
    let name = name.ok_or_else(|| CommandError::Usage(format!("{flag} must be set")))?;
    let config = ClusterConfig {
        metadata: Metadata {
            name,
            region: given.text("region"),
            version: None,
            tags: None,
        },
        ..empty()
    };
    Ok((config, Vec::new()))
}

/// Whether `--include`, `--exclude` and `--only` let an item through.
pub fn included(given: &Given, name: &str) -> bool {
    let matches = |flag: &str| given.list(flag).iter().any(|pattern| wildcard_matches(pattern, name));
    let wanted = given.list("include").is_empty() && given.list("only").is_empty();
    (wanted || matches("include") || matches("only")) && !matches("exclude")
}

fn empty() -> ClusterConfig {
    ClusterConfig {
        api_version: "eksctl.io/v1alpha5".to_owned(),
        kind: "ClusterConfig".to_owned(),
        ..ClusterConfig::default()
    }
}

fn nodegroup(name: String, given: &Given, with_tags: bool) -> Result<ManagedNodeGroup, CommandError> {
    if !given.is_on("managed") {
        return Err(CommandError::Usage(
            "--managed=false: self-managed node groups are not available here yet".to_owned(),
        ));
    }
    Ok(ManagedNodeGroup {
        name,
        ami_family: given.text("node-ami-family"),
        instance_type: given.text("node-type"),
        instance_types: given.some_list("instance-types"),
        instance_selector: selector(given),
        desired_capacity: given.number("nodes"),
        min_size: given.number("nodes-min"),
        max_size: given.number("nodes-max"),
        volume_size: given.number("node-volume-size"),
        labels: given.pairs("node-labels")?,
        tags: if with_tags { given.pairs("tags")? } else { None },
        spot: Some(given.is_on("spot")),
        private_networking: Some(given.is_on("node-private-networking")),
        availability_zones: given.some_list("node-zones"),
        subnets: given.some_list("subnet-ids"),
        ssh: ssh(given),
        iam: policies(given).map(|policies| NodeGroupIam {
            with_addon_policies: Some(policies),
            ..NodeGroupIam::default()
        }),
        ..ManagedNodeGroup::default()
    })
}

fn ssh(given: &Given) -> Option<NodeGroupSsh> {
    let ssh = NodeGroupSsh {
        allow: given.set_to("ssh-access"),
        public_key_path: given.text("ssh-public-key"),
        ..NodeGroupSsh::default()
    };
    (ssh != NodeGroupSsh::default()).then_some(ssh)
}

fn selector(given: &Given) -> Option<InstanceSelector> {
    let selector = InstanceSelector {
        vcpus: given.number("instance-selector-vcpus"),
        memory: given.text("instance-selector-memory"),
        cpu_architecture: given.text("instance-selector-cpu-architecture"),
        gpus: given.number("instance-selector-gpus"),
    };
    (selector != InstanceSelector::default()).then_some(selector)
}

fn policies(given: &Given) -> Option<AddonPolicies> {
    let on = |flag: &str| given.is_on(flag).then_some(true);
    let policies = AddonPolicies {
        auto_scaler: on("asg-access"),
        external_dns: on("external-dns-access"),
        image_builder: on("full-ecr-access"),
        app_mesh: on("appmesh-access"),
        app_mesh_preview: on("appmesh-preview-access"),
        aws_load_balancer_controller: on("alb-ingress-access"),
        ..AddonPolicies::default()
    };
    (policies != AddonPolicies::default()).then_some(policies)
}

fn generated_group_name() -> String {
    format!("ng-{}", SystemRandom.hex(8))
}

/// A name for a cluster that was given none: two words and a number, as eksctl makes them.
fn generated_name() -> String {
    const FIRST: &[&str] = &["amber", "bright", "calm", "gentle", "quiet", "silver", "warm", "wide"];
    const SECOND: &[&str] = &[
        "bridge", "floor", "garden", "harbor", "hearth", "meadow", "river", "stone",
    ];
    let pick = |words: &[&'static str]| {
        usize::try_from(SystemRandom.below(words.len() as u64)).map_or("warm", |index| words[index])
    };
    format!("{}-{}-{}", pick(FIRST), pick(SECOND), 1000 + SystemRandom.below(9000))
}

#[cfg(test)]
mod tests;
