//! `scale nodegroup`, `delete nodegroup` and `delete cluster`.

use std::path::Path;

use aws_types::eks::{
    DeleteClusterRequest, DeleteClusterResponse, DeleteNodegroupRequest, DeleteNodegroupResponse,
    NodegroupScalingConfig, UpdateNodegroupConfigRequest, UpdateNodegroupConfigResponse,
};

use clock::{Random, SystemRandom};

use crate::arguments::{DeleteCluster, DeleteNodegroup, ScaleNodegroup};
use crate::aws::AwsError;
use crate::flags;
use crate::kubeconfig::{self, Entry};
use crate::session::{CommandError, Done, Session};

/// `scale nodegroup`.
pub async fn scale(home: &Path, options: &ScaleNodegroup) -> Done {
    let session = Session::open(home, options.region.as_deref())?;
    if options.nodes.is_none() && options.nodes_min.is_none() && options.nodes_max.is_none() {
        return Err(
            CommandError::Usage("at least one of --nodes, --nodes-min and --nodes-max must be set".to_owned()).into(),
        );
    }
    let scaling = NodegroupScalingConfig {
        min_size: options.nodes_min,
        max_size: options.nodes_max,
        desired_size: options.nodes,
    };
    let request = UpdateNodegroupConfigRequest {
        cluster_name: Some(options.cluster.clone()),
        nodegroup_name: Some(options.name.clone()),
        scaling_config: Some(scaling),
        client_request_token: Some(SystemRandom.uuid()),
        ..UpdateNodegroupConfigRequest::default()
    };
    session.progress.info(format!(
        "scaling nodegroup {:?} in cluster {}",
        options.name, options.cluster
    ));
    session
        .aws
        .eks::<UpdateNodegroupConfigResponse>("UpdateNodegroupConfig", &request)
        .await?;
    if options.wait {
        session
            .wait_for_nodegroup(&options.cluster, &options.name, options.waiting.timeout)
            .await?;
    }
    session
        .progress
        .finished(format!("nodegroup {:?} scaled", options.name));
    Ok(())
}

/// `delete nodegroup`.
pub async fn delete_nodegroup(home: &Path, options: &DeleteNodegroup) -> Done {
    let session = Session::open(home, options.region.as_deref())?;
    session.start_deleting(&options.cluster, &options.name).await?;
    if options.wait {
        session
            .wait_for_no_nodegroup(&options.cluster, &options.name, options.waiting.timeout)
            .await?;
        session.progress.finished(format!(
            "deleted nodegroup {:?} from cluster {:?}",
            options.name, options.cluster
        ));
    }
    Ok(())
}

impl Session {
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

/// `delete cluster`: node groups, cluster, VPC and kubeconfig entry. Parts that are gone already are no error, so that an
/// interrupted deletion can be repeated; a cluster of which nothing is left is one.
pub async fn delete_cluster(home: &Path, options: &DeleteCluster) -> Done {
    let (name, region) = match &options.config_file {
        Some(path) => {
            let (config, _) = flags::read(path)?;
            (
                config.metadata.name,
                config.metadata.region.or_else(|| options.region.clone()),
            )
        }
        None => {
            let name = options.name.clone().or_else(|| options.positional_name.clone());
            let missing = || {
                CommandError::Usage("the cluster's name must be given, by --name, as argument or in a file".to_owned())
            };
            (name.ok_or_else(missing)?, options.region.clone())
        }
    };
    let session = Session::open(home, region.as_deref())?;
    let (progress, limit) = (&session.progress, options.waiting.timeout);
    let existing = session.cluster(&name).await?;
    if let Some(cluster) = &existing {
        progress.info(format!("deleting EKS cluster {name:?}"));
        if cluster.status.as_deref() == Some("CREATING") {
            session.wait_for_cluster(&name, limit).await?;
        }
        let groups = session.nodegroups(&name).await?;
        for group in &groups {
            or_gone(session.start_deleting(&name, group).await)?;
        }
        for group in &groups {
            session.wait_for_no_nodegroup(&name, group, limit).await?;
            progress.done(format!("deleted nodegroup {group:?}"));
        }
        let request = DeleteClusterRequest {
            name: Some(name.clone()),
        };
        or_gone(
            session
                .aws
                .eks::<DeleteClusterResponse>("DeleteCluster", &request)
                .await
                .map(drop),
        )?;
        session.wait_for_no_cluster(&name, limit).await?;
        progress.done(format!("deleted control plane of {name:?}"));
    }
    let networks = session.delete_network(&name).await?;
    let (entry, _) = Entry::names(&name, session.aws.region(), &session.aws.keys().user_name);
    let path = kubeconfig::path(options.kubeconfig.as_deref())?;
    if kubeconfig::remove(&path, &entry)? {
        progress.info(format!("removed {entry:?} from {:?}", path.display().to_string()));
    }
    if existing.is_none() && networks == 0 {
        return Err(CommandError::Usage(format!("No cluster found for name: {name}.")).into());
    }
    progress.finished(format!("all cluster resources of {name:?} were deleted"));
    Ok(())
}

/// What is gone already needs no deletion: a call that was repeated finds it so.
fn or_gone(outcome: Result<(), AwsError>) -> Result<(), AwsError> {
    match outcome {
        Err(error) if error.code() == "ResourceNotFound" => Ok(()),
        other => other,
    }
}
