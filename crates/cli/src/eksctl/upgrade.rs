//! `upgrade cluster`, `upgrade nodegroup` and `update nodegroup`.

use std::path::Path;
use std::time::Duration;

use aws_types::eks::{
    DescribeUpdateRequest, DescribeUpdateResponse, LaunchTemplateSpecification, NodegroupUpdateConfig, Update,
    UpdateClusterVersionRequest, UpdateClusterVersionResponse, UpdateNodegroupConfigRequest,
    UpdateNodegroupConfigResponse, UpdateNodegroupVersionRequest, UpdateNodegroupVersionResponse,
};
use aws_types::eks_version;
use clock::{Random, SystemRandom};

use super::config;
use super::given::Given;
use crate::session::{CommandError, Done, Session, Timer};

/// `upgrade cluster`: one minor version further, or to the one that is named.
pub async fn cluster(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &["name", "version"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let name = &config.metadata.name;
    let present = session.existing_cluster(name).await?.version.unwrap_or_default();
    let wanted = given.text("version").or(config.metadata.version);
    let next = next_minor(&present);
    let target = match wanted.as_deref() {
        None | Some("auto" | "latest") => next.clone().unwrap_or_else(|| present.clone()),
        Some(version) => version.to_owned(),
    };
    if target == present {
        session
            .progress
            .info(format!("no cluster version update required: {name:?} is at {present}"));
        return Ok(());
    }
    if given.is_plan(false) {
        session.progress.info(format!(
            "(plan) would upgrade cluster {name:?} control plane from current version {present:?} to {target:?}"
        ));
        session
            .progress
            .warning("no changes were applied, run again with '--approve' to apply the changes");
        return Ok(());
    }
    session.progress.info(format!(
        "will upgrade cluster {name:?} control plane from current version {present:?} to {target:?}"
    ));
    let request = UpdateClusterVersionRequest {
        name: Some(name.clone()),
        version: Some(target.clone()),
        client_request_token: Some(SystemRandom.uuid()),
        force: given.set_to("force"),
    };
    let answer: UpdateClusterVersionResponse = session.aws.eks("UpdateClusterVersion", &request).await?;
    session
        .wait_for_update(name, None, answer.update, given.timeout())
        .await?;
    session.progress.done(format!(
        "cluster {name:?} control plane has been upgraded to version {target:?}"
    ));
    session
        .progress
        .info("you will need to follow the upgrade procedure for all of nodegroups and add-ons");
    Ok(())
}

fn next_minor(version: &str) -> Option<String> {
    let mut later = eks_version::VERSIONS.iter().map(|known| known.minor);
    later.by_ref().find(|minor| *minor == version)?;
    later.next().map(str::to_owned)
}

/// `upgrade nodegroup`.
pub async fn nodegroup(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &["name"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let name = given.name("name")?;
    let name = name.ok_or_else(|| CommandError::Usage("--name must be set".to_owned()))?;
    let present = session.nodegroup(cluster, &name).await?;
    let present = present.ok_or_else(|| CommandError::Usage(format!("No node group found for name: {name}.")))?;
    let template = given
        .text("launch-template-version")
        .map(|version| LaunchTemplateSpecification {
            version: Some(version),
            id: present.launch_template.and_then(|template| template.id),
            name: None,
        });
    let request = UpdateNodegroupVersionRequest {
        cluster_name: Some(cluster.clone()),
        nodegroup_name: Some(name.clone()),
        version: given.text("kubernetes-version"),
        release_version: given.text("release-version"),
        launch_template: template,
        force: given.set_to("force-upgrade"),
        client_request_token: Some(SystemRandom.uuid()),
    };
    session
        .progress
        .info(format!("upgrading nodegroup {name:?} in cluster {cluster:?}"));
    let answer: UpdateNodegroupVersionResponse = session.aws.eks("UpdateNodegroupVersion", &request).await?;
    if given.is_on("wait") {
        session
            .wait_for_update(cluster, Some(&name), answer.update, given.timeout())
            .await?;
        session
            .progress
            .done(format!("nodegroup {name:?} successfully upgraded"));
    }
    Ok(())
}

/// `update nodegroup`: what its file says of updates.
pub async fn update_nodegroup(home: &Path, given: &Given) -> Done {
    let path = given.config_file();
    let path = path.ok_or_else(|| CommandError::Usage("--config-file must be set".to_owned()))?;
    let (config, _) = config::read(&path)?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    for group in config.managed_node_groups.iter().flatten() {
        let Some(update) = &group.update_config else {
            session.progress.info(format!(
                "nothing to update for nodegroup {}: updateConfig is not set",
                group.name
            ));
            continue;
        };
        let request = UpdateNodegroupConfigRequest {
            cluster_name: Some(cluster.clone()),
            nodegroup_name: Some(group.name.clone()),
            update_config: Some(NodegroupUpdateConfig {
                max_unavailable: update.max_unavailable,
                max_unavailable_percentage: update.max_unavailable_percentage,
            }),
            client_request_token: Some(SystemRandom.uuid()),
            ..UpdateNodegroupConfigRequest::default()
        };
        let answer: UpdateNodegroupConfigResponse = session.aws.eks("UpdateNodegroupConfig", &request).await?;
        if given.is_on("wait") {
            session
                .wait_for_update(cluster, Some(&group.name), answer.update, given.timeout())
                .await?;
        }
        session
            .progress
            .info(format!("nodegroup {} successfully updated", group.name));
    }
    Ok(())
}

impl Session {
    /// Waits until an update has succeeded.
    ///
    /// # Errors
    /// When it has not, with EKS's reasons.
    pub async fn wait_for_update(
        &self,
        cluster: &str,
        nodegroup: Option<&str>,
        update: Option<Update>,
        limit: Duration,
    ) -> Done {
        let id = update.and_then(|update| update.id).unwrap_or_default();
        let request = DescribeUpdateRequest {
            name: Some(cluster.to_owned()),
            update_id: Some(id.clone()),
            nodegroup_name: nodegroup.map(str::to_owned),
            addon_name: None,
        };
        let mut timer = Timer::new(format!("update {id} of cluster {cluster}"), limit);
        loop {
            let answer: DescribeUpdateResponse = self.aws.eks("DescribeUpdate", &request).await?;
            let update = answer.update.unwrap_or_default();
            let status = update.status.unwrap_or_default();
            match status.as_str() {
                "Successful" => return Ok(()),
                "InProgress" => timer.pause(&status).await?,
                _ => {
                    let reasons = update.errors.unwrap_or_default().into_iter().map(|error| {
                        let (code, message) = (error.error_code, error.error_message);
                        format!("{}: {}", code.unwrap_or_default(), message.unwrap_or_default())
                    });
                    let reasons: Vec<String> = reasons.collect();
                    return Err(CommandError::Usage(format!("update {id} is {status}: {}", reasons.join("; "))).into());
                }
            }
        }
    }
}
