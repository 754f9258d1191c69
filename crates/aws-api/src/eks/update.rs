//! Updates: what became of asynchronous changes.

use aws_types::eks::{DescribeUpdateRequest, DescribeUpdateResponse, ListUpdatesRequest, ListUpdatesResponse};
use cluster_lifecycle::Refusal;
use cluster_lifecycle::refusal::RefusalKind;
use cluster_lifecycle::update::Update;

use super::{find_cluster, find_nodegroup, view};
use crate::error::ApiError;
use crate::ledger::State;
use crate::operations::Context;
use crate::page;

/// The updates of a cluster itself, or of one of its node groups.
fn updates<'a>(
    state: &'a State,
    cluster: Option<&str>,
    nodegroup: Option<&str>,
    addon: Option<&str>,
) -> Result<Vec<&'a Update>, Refusal> {
    let name = &find_cluster(state, cluster)?.name;
    if let Some(addon) = addon {
        super::addon::find(state, cluster, addon)?;
    }
    let group = nodegroup
        .map(|group| find_nodegroup(state, cluster, Some(group)))
        .transpose()?
        .map(|group| &group.name);
    Ok(state
        .updates
        .values()
        .filter(|update| {
            update.cluster == *name && update.nodegroup.as_ref() == group && update.addon.as_deref() == addon
        })
        .collect())
}

/// `DescribeUpdate`.
pub async fn describe(context: Context, request: DescribeUpdateRequest) -> Result<DescribeUpdateResponse, ApiError> {
    let id = request.update_id.unwrap_or_default();
    let found = context.region.ledger.read(|state| {
        let updates = updates(
            state,
            request.name.as_deref(),
            request.nodegroup_name.as_deref(),
            request.addon_name.as_deref(),
        )?;
        let update = updates.into_iter().find(|update| update.id == id);
        update
            .map(view::update)
            .ok_or_else(|| Refusal::new(RefusalKind::ResourceNotFound, format!("No update found for ID: {id}")))
    })?;
    Ok(DescribeUpdateResponse { update: Some(found) })
}

/// `ListUpdates`.
pub async fn list(context: Context, request: ListUpdatesRequest) -> Result<ListUpdatesResponse, ApiError> {
    let ids = context.region.ledger.read(|state| {
        let updates = updates(
            state,
            request.name.as_deref(),
            request.nodegroup_name.as_deref(),
            request.addon_name.as_deref(),
        )?;
        Ok::<_, Refusal>(updates.into_iter().map(|update| update.id.clone()).collect())
    })?;
    let (update_ids, next_token) = page::names(ids, request.max_results, request.next_token.as_deref())?;
    Ok(ListUpdatesResponse {
        update_ids: Some(update_ids),
        next_token,
    })
}
