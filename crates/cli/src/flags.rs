//! Flags of `create cluster` and `create nodegroup` as the ClusterConfig that they stand for.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use clock::{Random, SystemRandom};
use cluster_lifecycle::cluster_config::{
    ClusterConfig, Iam, ManagedNodeGroup, Metadata, Nat, Vpc, Warning, check, parse,
};

use crate::arguments::{CreateCluster, CreateNodegroup, NodegroupFlags};
use crate::session::CommandError;

type Checked = Result<(ClusterConfig, Vec<Warning>), CommandError>;

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

/// The cluster that `create cluster` asks for, by file or by flags.
///
/// # Errors
/// When it is not what can be made, naming field and value.
pub fn cluster(options: &CreateCluster) -> Checked {
    if let Some(path) = &options.config_file {
        let given = [
            ("--name", options.name.is_some() || options.positional_name.is_some()),
            ("--version", options.kubernetes_version.is_some()),
            ("--vpc-cidr", options.vpc_cidr.is_some()),
            ("--zones", !options.zones.is_empty()),
            ("--nodes", options.nodegroup.nodes.is_some()),
            ("--node-type", options.nodegroup.node_type.is_some()),
            ("--nodegroup-name", options.nodegroup_name.is_some()),
            ("--with-oidc", options.with_oidc),
        ];
        if let Some((flag, _)) = given.iter().find(|(_, given)| *given) {
            return Err(CommandError::Usage(format!(
                "cannot use {flag} when --config-file/-f is set"
            )));
        }
        let (mut config, warnings) = read(path)?;
        config.metadata.region = config.metadata.region.or_else(|| options.region.clone());
        return Ok((config, warnings));
    }
    let name = options
        .name
        .clone()
        .or_else(|| options.positional_name.clone())
        .unwrap_or_else(generated_name);
    let group_name = options
        .nodegroup_name
        .clone()
        .unwrap_or_else(|| format!("ng-{}", SystemRandom.hex(8)));
    let groups = if options.without_nodegroup {
        Vec::new()
    } else {
        vec![nodegroup(group_name, &options.nodegroup, &[])?]
    };
    let nat = options.vpc_nat_mode.clone().map(|mode| Nat { gateway: Some(mode) });
    let vpc = Vpc {
        cidr: options.vpc_cidr.clone(),
        nat,
        cluster_endpoints: None,
    };
    let config = ClusterConfig {
        metadata: Metadata {
            name,
            region: options.region.clone(),
            version: options.kubernetes_version.clone(),
            tags: pairs("--tags", &options.tags)?,
        },
        iam: Some(Iam {
            with_oidc: Some(options.with_oidc),
            service_role_arn: None,
        }),
        vpc: Some(vpc),
        availability_zones: (!options.zones.is_empty()).then(|| options.zones.clone()),
        managed_node_groups: Some(groups),
        ..empty()
    };
    let warnings = check(&config).map_err(|error| CommandError::Usage(error.to_string()))?;
    Ok((config, warnings))
}

/// The groups that `create nodegroup` asks for, and their cluster.
///
/// # Errors
/// When they are not what can be made, naming field and value.
pub fn nodegroups(options: &CreateNodegroup) -> Checked {
    if let Some(path) = &options.config_file {
        let (mut config, warnings) = read(path)?;
        if let Some(name) = &options.name {
            config
                .managed_node_groups
                .iter_mut()
                .for_each(|groups| groups.retain(|group| group.name == *name));
        }
        return Ok((config, warnings));
    }
    let cluster = options
        .cluster
        .clone()
        .ok_or_else(|| CommandError::Usage("--cluster must be set".to_owned()))?;
    let name = options
        .name
        .clone()
        .unwrap_or_else(|| format!("ng-{}", SystemRandom.hex(8)));
    let group = nodegroup(name, &options.nodegroup, &options.tags)?;
    let config = ClusterConfig {
        metadata: Metadata {
            name: cluster,
            region: options.region.clone(),
            version: options.kubernetes_version.clone(),
            tags: None,
        },
        managed_node_groups: Some(vec![group]),
        ..empty()
    };
    let warnings = check(&config).map_err(|error| CommandError::Usage(error.to_string()))?;
    Ok((config, warnings))
}

fn empty() -> ClusterConfig {
    ClusterConfig {
        api_version: "eksctl.io/v1alpha5".to_owned(),
        kind: "ClusterConfig".to_owned(),
        metadata: Metadata::default(),
        iam: None,
        vpc: None,
        availability_zones: None,
        kubernetes_network_config: None,
        access_config: None,
        upgrade_policy: None,
        addons: None,
        managed_node_groups: None,
    }
}

fn nodegroup(name: String, flags: &NodegroupFlags, tags: &[String]) -> Result<ManagedNodeGroup, CommandError> {
    if !flags.managed {
        return Err(CommandError::Usage(
            "--managed=false: self-managed node groups are not available here yet".to_owned(),
        ));
    }
    Ok(ManagedNodeGroup {
        name,
        instance_type: flags.node_type.clone(),
        instance_types: (!flags.instance_types.is_empty()).then(|| flags.instance_types.clone()),
        desired_capacity: flags.nodes,
        min_size: flags.nodes_min,
        max_size: flags.nodes_max,
        volume_size: flags.node_volume_size,
        labels: pairs("--node-labels", &flags.node_labels)?,
        tags: pairs("--tags", tags)?,
        spot: Some(flags.spot),
        private_networking: Some(flags.node_private_networking),
        availability_zones: (!flags.node_zones.is_empty()).then(|| flags.node_zones.clone()),
        ..ManagedNodeGroup::default()
    })
}

fn pairs(flag: &str, list: &[String]) -> Result<Option<BTreeMap<String, String>>, CommandError> {
    let pair = |text: &String| {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| CommandError::Usage(format!("{flag}: {text:?} is not key=value")))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    let pairs: BTreeMap<String, String> = list.iter().map(pair).collect::<Result<_, CommandError>>()?;
    Ok((!pairs.is_empty()).then_some(pairs))
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
