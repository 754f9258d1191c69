//! `scale nodegroup`, `delete nodegroup` and `delete cluster`.

use std::path::Path;
use std::time::Duration;

use aws_types::eks::{
    DeleteClusterRequest, DeleteClusterResponse, DeleteNodegroupRequest, DeleteNodegroupResponse,
    NodegroupScalingConfig, UpdateNodegroupConfigRequest, UpdateNodegroupConfigResponse,
};

use clock::{Random, SystemRandom};
use cluster_lifecycle::cluster_config::ManagedNodeGroup;

use crate::aws::AwsError;
use crate::create::{node_role, service_role};
use crate::eksctl::{self, Given, included};
use crate::kubeconfig::{self, Entry};
use crate::session::{CommandError, Done, Session};
use crate::stack::Stack;

/// `scale nodegroup`: one by flags, or those of a file.
pub async fn scale(home: &Path, given: &Given) -> Done {
    let own = ["name", "nodes", "nodes-min", "nodes-max"];
    let is_file = given.config_file().is_some();
    let (config, _) = eksctl::existing(given, if is_file { &own[1..] } else { &own })?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let wanted: Vec<(String, NodegroupScalingConfig)> = if is_file {
        let name = given.name("name")?;
        let groups = config.managed_node_groups.iter().flatten();
        let chosen = groups.filter(|group| name.as_ref().is_none_or(|name| group.name == *name));
        let sizes = |group: &ManagedNodeGroup| NodegroupScalingConfig {
            min_size: group.min_size,
            max_size: group.max_size,
            desired_size: group.desired_capacity,
        };
        chosen.map(|group| (group.name.clone(), sizes(group))).collect()
    } else {
        let sizes = NodegroupScalingConfig {
            min_size: given.number("nodes-min"),
            max_size: given.number("nodes-max"),
            desired_size: given.number("nodes"),
        };
        if sizes == NodegroupScalingConfig::default() {
            return Err(CommandError::Usage(
                "at least one of --nodes, --nodes-min and --nodes-max must be set".to_owned(),
            )
            .into());
        }
        let name = given.name("name")?;
        vec![(
            name.ok_or_else(|| CommandError::Usage("--name must be set".to_owned()))?,
            sizes,
        )]
    };
    for (name, sizes) in wanted {
        session.scale(cluster, &name, sizes).await?;
        if given.is_on("wait") {
            session.wait_for_nodegroup(cluster, &name, given.timeout()).await?;
        }
        session.progress.finished(format!("nodegroup {name:?} scaled"));
    }
    Ok(())
}

/// `delete nodegroup`: one by flags, or those of a file.
pub async fn delete_nodegroup(home: &Path, given: &Given) -> Done {
    let (config, _) = eksctl::existing(given, &["name"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let is_file = given.config_file().is_some();
    let mut names: Vec<String> = if is_file {
        let groups = config
            .managed_node_groups
            .iter()
            .flatten()
            .map(|group| group.name.clone());
        groups.filter(|name| included(given, name)).collect()
    } else {
        let name = given.name("name")?;
        vec![name.ok_or_else(|| CommandError::Usage("--name must be set".to_owned()))?]
    };
    let there = session.nodegroups(cluster).await?;
    if given.is_on("only-missing") {
        names = there.iter().filter(|name| !names.contains(name)).cloned().collect();
    } else if is_file {
        names.retain(|name| there.contains(name));
    }
    if given.is_plan(!is_file) {
        let progress = &session.progress;
        progress.info(format!(
            "(plan) would delete {} nodegroups from cluster {cluster:?}",
            names.len()
        ));
        progress.warning("no changes were applied, run again with '--approve' to apply the changes");
        return Ok(());
    }
    let stacks = session.stacks_of(cluster).await?;
    for name in &names {
        let own = format!("eksctl-{cluster}-nodegroup-{name}");
        if let Some(stack) = stacks.iter().find(|stack| stack.name == own) {
            session.delete_stack(stack, given.timeout()).await?;
        } else {
            session.start_deleting(cluster, name).await?;
        }
    }
    for name in names.iter().filter(|_| given.is_on("wait")) {
        session.wait_for_no_nodegroup(cluster, name, given.timeout()).await?;
        session.delete_role(&node_role(cluster, name)).await?;
        let progress = &session.progress;
        progress.finished(format!("deleted nodegroup {name:?} from cluster {cluster:?}"));
    }
    Ok(())
}

impl Session {
    async fn scale(&self, cluster: &str, name: &str, sizes: NodegroupScalingConfig) -> Result<(), AwsError> {
        let request = UpdateNodegroupConfigRequest {
            cluster_name: Some(cluster.to_owned()),
            nodegroup_name: Some(name.to_owned()),
            scaling_config: Some(sizes),
            client_request_token: Some(SystemRandom.uuid()),
            ..UpdateNodegroupConfigRequest::default()
        };
        self.progress
            .info(format!("scaling nodegroup {name:?} in cluster {cluster}"));
        self.aws
            .eks::<UpdateNodegroupConfigResponse>("UpdateNodegroupConfig", &request)
            .await
            .map(drop)
    }

    async fn start_deleting(&self, cluster: &str, name: &str) -> Result<(), AwsError> {
        self.progress.info(format!(
            "will drain and delete nodegroup {name:?} in cluster {cluster:?}"
        ));
        let request = DeleteNodegroupRequest {
            cluster_name: Some(cluster.to_owned()),
            nodegroup_name: Some(name.to_owned()),
        };
        self.aws
            .eks::<DeleteNodegroupResponse>("DeleteNodegroup", &request)
            .await
            .map(drop)
    }
}

/// `delete cluster`: everything that belongs to it, stacks of eksctl's included, and the kubeconfig entry. Parts that are
/// gone already are no error, so that an interrupted deletion can be repeated; a cluster of which nothing is left is one.
pub async fn delete_cluster(home: &Path, given: &Given) -> Done {
    let (config, _) = eksctl::existing(given, &["name"])?;
    let name = config.metadata.name;
    let session = Session::open(home, config.metadata.region.or_else(|| given.text("region")).as_deref())?;
    let (progress, limit) = (&session.progress, given.timeout());
    let existing = session.cluster(&name).await?;
    let mut parts = 0;
    if let Some(cluster) = &existing {
        progress.info(format!("deleting EKS cluster {name:?}"));
        if cluster.status.as_deref() == Some("CREATING") {
            session.wait_for_cluster(&name, limit).await?;
        }
        session.delete_profiles(&name, limit).await?;
        session.delete_oidc_provider(cluster).await?;
    }
    let own = format!("eksctl-{name}-cluster");
    let (whole, others): (Vec<Stack>, Vec<Stack>) = session
        .stacks_of(&name)
        .await?
        .into_iter()
        .partition(|stack| stack.name == own);
    for stack in others.iter().chain(&whole) {
        if stack.name == own {
            session.delete_groups(&name, limit).await?;
        }
        session.delete_stack(stack, limit).await?;
        progress.done(format!("deleted stack {:?}", stack.name));
        parts += 1;
    }
    if existing.is_some() && whole.is_empty() {
        session.delete_groups(&name, limit).await?;
        let request = DeleteClusterRequest {
            name: Some(name.clone()),
        };
        let asked = session.aws.eks::<DeleteClusterResponse>("DeleteCluster", &request);
        or_gone(asked.await.map(drop))?;
        session.wait_for_no_cluster(&name, limit).await?;
        progress.done(format!("deleted control plane of {name:?}"));
    }
    session.delete_ssh_keys(&name).await?;
    session.delete_role(&service_role(&name)).await?;
    parts += session.delete_network(&name).await?;
    let (entry, _) = Entry::names(&name, session.aws.region(), &session.aws.keys().user_name);
    let path = kubeconfig::path(given.kubeconfig().as_deref())?;
    if kubeconfig::remove(&path, &entry)? {
        progress.info(format!("removed {entry:?} from {:?}", path.display().to_string()));
    }
    if existing.is_none() && parts == 0 {
        return Err(CommandError::Usage(format!("No cluster found for name: {name}.")).into());
    }
    progress.finished(format!("all cluster resources of {name:?} were deleted"));
    Ok(())
}

impl Session {
    async fn delete_groups(&self, cluster: &str, limit: Duration) -> Done {
        let groups = self.nodegroups(cluster).await?;
        for group in &groups {
            or_gone(self.start_deleting(cluster, group).await)?;
        }
        for group in &groups {
            self.wait_for_no_nodegroup(cluster, group, limit).await?;
            self.delete_role(&node_role(cluster, group)).await?;
            self.progress.done(format!("deleted nodegroup {group:?}"));
        }
        Ok(())
    }

    /// Profiles go one after another, as EKS wants it.
    async fn delete_profiles(&self, cluster: &str, limit: Duration) -> Done {
        for profile in self.fargate_profiles(cluster).await? {
            or_gone(self.start_deleting_fargate_profile(cluster, &profile).await)?;
            self.wait_for_no_fargate_profile(cluster, &profile, limit).await?;
            self.progress.done(format!("deleted Fargate profile {profile:?}"));
        }
        Ok(())
    }
}

/// What is gone already needs no deletion: a call that was repeated finds it so.
fn or_gone(outcome: Result<(), AwsError>) -> Result<(), AwsError> {
    match outcome {
        Err(error) if error.code() == "ResourceNotFound" => Ok(()),
        other => other,
    }
}
