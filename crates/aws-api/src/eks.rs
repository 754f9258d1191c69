//! EKS: each operation decides by `cluster-lifecycle`, writes, and leaves the doing to the cluster's task.

pub mod access_entry;
pub mod addon;
pub mod capability;
pub mod certificate_authority;
pub mod cluster;
pub mod cluster_update;
pub mod encryption;
pub mod fargate;
pub mod identity_provider;
pub mod insight;
pub mod nodegroup;
pub mod nodegroup_config;
pub mod nodegroup_version;
pub mod pod_identity;
pub mod registration;
pub mod subscription;
pub mod tag;
pub mod update;
pub mod version;
mod view;

use aws_types::{ClusterName, NodegroupName};
use cluster_lifecycle::Refusal;
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::Nodegroup;

use crate::ledger::State;

/// The named cluster.
fn find_cluster<'a>(state: &'a State, name: Option<&str>) -> Result<&'a Cluster, Refusal> {
    let name = name.unwrap_or_default();
    let known = ClusterName::new(name).ok().and_then(|name| state.clusters.get(&name));
    known.ok_or_else(|| Refusal::no_cluster(name))
}

/// The named node group of the named cluster.
fn find_nodegroup<'a>(state: &'a State, cluster: Option<&str>, name: Option<&str>) -> Result<&'a Nodegroup, Refusal> {
    let cluster = &find_cluster(state, cluster)?.name;
    let name = name.unwrap_or_default();
    let known = NodegroupName::new(name)
        .ok()
        .and_then(|name| state.nodegroups.get(&(cluster.clone(), name)));
    known.ok_or_else(|| Refusal::no_nodegroup(cluster.as_str(), name))
}

/// The tags that an input gives.
fn tag_map(input: &serde_json::Value) -> std::collections::BTreeMap<String, String> {
    let given = input
        .get("tags")
        .and_then(serde_json::Value::as_object)
        .into_iter()
        .flatten();
    given
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// AWS's limits for tags: fifty, keys of 128 and values of 256 characters, and no keys of AWS's own.
fn check_tags(tags: &std::collections::BTreeMap<String, String>) -> Result<(), Refusal> {
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(Refusal::invalid_parameter(format!(
                "tag {key:?} is too long: keys have up to 128 characters, values up to 256"
            )));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(Refusal::invalid_parameter(format!(
                "tag {key:?}: keys that begin with \"aws:\" are reserved"
            )));
        }
    }
    if tags.len() > 50 {
        return Err(Refusal::invalid_parameter(format!(
            "{} tags are more than the 50 that a resource may have",
            tags.len()
        )));
    }
    Ok(())
}
