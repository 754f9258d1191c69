//! `UpdateNodegroupVersion`: new nodes of another version take the place of the old ones.

use cluster_lifecycle::nodegroup::{Input, VersionChange};
use cluster_lifecycle::update::Update;
use cluster_lifecycle::{Refusal, request as rules};
use serde_json::{Value, json};

use super::nodegroup::{release_of, wake};
use super::{find_cluster, find_nodegroup, view};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// `UpdateNodegroupVersion`.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let (id, now) = (context.region.random.uuid(), context.region.clock.now());
    let changed = context.region.ledger.change(|state: &State| {
        let cluster = find_cluster(state, input.text("clusterName"))?;
        let group = find_nodegroup(state, input.text("clusterName"), input.text("nodegroupName"))?;
        let token = input.text("clientRequestToken");
        let same = |update: &&Update| {
            token.is_some()
                && update.client_request_token.as_deref() == token
                && update.nodegroup.as_ref() == Some(&group.name)
        };
        if let Some(before) = state.updates.values().find(same) {
            return Ok((view::update(before), Vec::new()));
        }
        if input.get("launchTemplate").is_some() {
            return Err(Refusal::invalid_parameter("launchTemplate is not available in this region").into());
        }
        let wanted = rules::version_or_release(input.text("version"), input.text("releaseVersion"));
        let next =
            wanted.and_then(|wanted| rules::nodegroup_upgrade(&group.version, wanted.as_deref(), &cluster.version));
        let next = next.map_err(|refusal| {
            refusal
                .of_cluster(cluster.name.as_str())
                .of_nodegroup(group.name.as_str())
        })?;
        let release = input
            .text("releaseVersion")
            .map_or_else(|| release_of(next), str::to_owned);
        let params = vec![
            ("Version".to_owned(), next.minor.to_owned()),
            ("ReleaseVersion".to_owned(), release.clone()),
        ];
        let change = VersionChange {
            update_id: id.clone(),
            version: next.minor.to_owned(),
            release,
            force: input.flag("force").unwrap_or(false),
            now,
        };
        let update = Update {
            nodegroup: Some(group.name.clone()),
            client_request_token: token.map(str::to_owned),
            ..Update::new(id, cluster.name.clone(), "VersionUpdate", params, now)
        };
        let rolling = group.clone().step(Input::ChangeVersion(change))?;
        let rolling = rolling.ok_or_else(|| Refusal::no_nodegroup(cluster.name.as_str(), group.name.as_str()))?;
        Ok::<_, ApiError>((view::update(&update), vec![Change::put(rolling), Change::put(update)]))
    });
    let update = changed.await?;
    wake(&context, input.text("clusterName"));
    Ok(json!({ "update": update }))
}
