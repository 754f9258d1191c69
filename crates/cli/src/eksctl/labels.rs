//! `get|set|unset labels` of a managed node group.

use std::path::Path;

use aws_types::eks::{UpdateLabelsPayload, UpdateNodegroupConfigRequest, UpdateNodegroupConfigResponse};
use clock::{Random, SystemRandom};

use super::config;
use super::given::Given;
use crate::arguments::Output;
use crate::output;
use crate::session::{CommandError, Done, Session};

/// `get labels`.
pub async fn get(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &[])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let name = group(given)?;
    session.existing_cluster(cluster).await?;
    let found = session.nodegroup(cluster, &name).await?;
    let found = found.ok_or_else(|| CommandError::Usage(format!("No node group found for name: {name}.")))?;
    let row = [cluster.clone(), name, output::labels(found.labels.as_ref())];
    output::print(
        Output::Table,
        "labels",
        &[row],
        ["CLUSTER", "NODEGROUP", "LABELS"],
        Clone::clone,
    )
}

/// `set labels`.
pub async fn set(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &["nodegroup", "labels"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let cluster = &config.metadata.name;
    let by_file = config.managed_node_groups.as_deref().unwrap_or_default();
    let mut wanted: Vec<(String, _)> = by_file
        .iter()
        .filter_map(|group| Some((group.name.clone(), group.labels.clone()?)))
        .collect();
    if given.config_file().is_none() {
        let labels = given.pairs("labels")?;
        let labels = labels.ok_or_else(|| CommandError::Usage("--labels must be set".to_owned()))?;
        wanted.push((group(given)?, labels));
    }
    for (name, labels) in wanted {
        let payload = UpdateLabelsPayload {
            add_or_update_labels: Some(labels),
            remove_labels: None,
        };
        session.change_labels(cluster, &name, payload).await?;
    }
    Ok(())
}

/// `unset labels`.
pub async fn unset(home: &Path, given: &Given) -> Done {
    let (config, _) = config::existing(given, &["nodegroup", "labels"])?;
    let session = Session::open(home, config.metadata.region.as_deref())?;
    let labels = given.some_list("labels");
    let payload = UpdateLabelsPayload {
        add_or_update_labels: None,
        remove_labels: Some(labels.ok_or_else(|| CommandError::Usage("--labels must be set".to_owned()))?),
    };
    session
        .change_labels(&config.metadata.name, &group(given)?, payload)
        .await
}

fn group(given: &Given) -> Result<String, CommandError> {
    let name = given.name("nodegroup")?;
    name.ok_or_else(|| CommandError::Usage("--nodegroup must be set".to_owned()))
}

impl Session {
    async fn change_labels(&self, cluster: &str, name: &str, labels: UpdateLabelsPayload) -> Done {
        let request = UpdateNodegroupConfigRequest {
            cluster_name: Some(cluster.to_owned()),
            nodegroup_name: Some(name.to_owned()),
            labels: Some(labels),
            client_request_token: Some(SystemRandom.uuid()),
            ..UpdateNodegroupConfigRequest::default()
        };
        self.aws
            .eks::<UpdateNodegroupConfigResponse>("UpdateNodegroupConfig", &request)
            .await?;
        self.progress.info("done");
        Ok(())
    }
}
