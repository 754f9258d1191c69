//! SSH access to a node group's nodes: the key pair must be there, and EKS makes a security group that lets SSH in.

use aws_types::NodegroupName;
use aws_types::eks::RemoteAccessConfig;
use cluster_lifecycle::Refusal;
use cluster_lifecycle::cluster::Cluster;
use cluster_lifecycle::nodegroup::{Nodegroup, RemoteAccess};
use serde_json::{Value, json};

use crate::ec2::document::{self, Document, Kind};
use crate::ec2::{key_pair, security_group};
use crate::ledger::{Change, State};
use crate::operations::Context;

/// What the group remembers of a request, and the security group that is made for it.
///
/// # Errors
/// When key pair or source groups are not there.
pub fn read(
    state: &State,
    context: &Context,
    cluster: &Cluster,
    name: &NodegroupName,
    wanted: Option<&RemoteAccessConfig>,
) -> Result<Option<(RemoteAccess, Document)>, Refusal> {
    let Some(wanted) = wanted else { return Ok(None) };
    let refuse = |message: String| Refusal::invalid_parameter(message).of_nodegroup(name.as_str());
    let Some(key) = wanted.ec2_ssh_key.clone().filter(|key| !key.is_empty()) else {
        return Err(refuse("ec2SshKey in remote-access can't be empty".to_owned()));
    };
    key_pair::require(state, &key).map_err(|error| refuse(error.message))?;
    let sources = wanted.source_security_groups.clone().unwrap_or_default();
    for source in &sources {
        document::find(state, Kind::SecurityGroup, source).map_err(|error| refuse(error.message))?;
    }
    let group = ssh_group(context, cluster, name, &sources);
    let remembered = RemoteAccess {
        key,
        sources,
        group: group.id.clone(),
    };
    Ok(Some((remembered, group)))
}

/// A security group into which SSH comes from the source groups, or from everywhere when there are none.
fn ssh_group(context: &Context, cluster: &Cluster, name: &NodegroupName, sources: &[String]) -> Document {
    let title = format!("eks-remoteAccess-{}", context.region.random.uuid());
    let sentence = "Security group for all nodes in the nodeGroup to allow SSH access";
    let mut group = security_group::new(context, &json!({}), cluster.network.vpc_id.as_str(), &title, sentence);
    let owner = &context.caller.account;
    let pairs: Vec<Value> = sources
        .iter()
        .map(|source| json!({"GroupId": source, "UserId": owner}))
        .collect();
    let (blocks, blocks_v6) = if pairs.is_empty() {
        (json!([{"CidrIp": "0.0.0.0/0"}]), json!([{"CidrIpv6": "::/0"}]))
    } else {
        (json!([]), json!([]))
    };
    group.body["IpPermissions"] = json!([{
        "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": blocks, "Ipv6Ranges": blocks_v6, "PrefixListIds": [],
        "UserIdGroupPairs": pairs,
    }]);
    group.tags = [
        ("eks:cluster-name".to_owned(), cluster.name.to_string()),
        ("eks:nodegroup-name".to_owned(), name.to_string()),
        ("eks".to_owned(), name.to_string()),
    ]
    .into();
    group
}

/// What goes with a node group that is gone.
pub fn removal(group: &Nodegroup) -> Vec<Change> {
    let own = group.remote_access.iter();
    let mut changes: Vec<Change> = own
        .map(|access| Change::remove::<Document>(access.group.clone()))
        .collect();
    changes.push(Change::remove::<Nodegroup>((group.cluster.clone(), group.name.clone())));
    changes
}
