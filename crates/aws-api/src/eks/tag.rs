//! Tags of clusters and node groups.

use std::collections::BTreeMap;

use aws_types::eks::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, TagResourceRequest, TagResourceResponse,
    UntagResourceRequest, UntagResourceResponse,
};
use cluster_lifecycle::Refusal;
use cluster_lifecycle::refusal::RefusalKind;

use super::check_tags;
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::operations::Context;

type Tags = BTreeMap<String, String>;

/// `TagResource`.
pub async fn add(context: Context, request: TagResourceRequest) -> Result<TagResourceResponse, ApiError> {
    let added = request.tags.unwrap_or_default();
    change(&context, request.resource_arn, |tags| {
        tags.extend(added);
        check_tags(tags).map_err(|refusal| Refusal {
            kind: RefusalKind::BadRequest,
            ..refusal
        })
    })
    .await?;
    Ok(TagResourceResponse {})
}

/// `UntagResource`.
pub async fn remove(context: Context, request: UntagResourceRequest) -> Result<UntagResourceResponse, ApiError> {
    let keys = request.tag_keys.unwrap_or_default();
    change(&context, request.resource_arn, |tags| {
        tags.retain(|key, _| !keys.contains(key));
        Ok(())
    })
    .await?;
    Ok(UntagResourceResponse {})
}

/// `ListTagsForResource`.
pub async fn list(
    context: Context,
    request: ListTagsForResourceRequest,
) -> Result<ListTagsForResourceResponse, ApiError> {
    let arn = request.resource_arn.unwrap_or_default();
    let tags = context.region.ledger.read(|state| {
        let cluster = state
            .clusters
            .values()
            .find(|cluster| cluster.arn == arn)
            .map(|cluster| cluster.tags.clone());
        let group = || {
            state
                .nodegroups
                .values()
                .find(|group| group.arn == arn)
                .map(|group| group.tags.clone())
        };
        cluster.or_else(group).ok_or_else(|| not_found(&arn))
    })?;
    Ok(ListTagsForResourceResponse { tags: Some(tags) })
}

async fn change(
    context: &Context,
    arn: Option<String>,
    edit: impl FnOnce(&mut Tags) -> Result<(), Refusal>,
) -> Result<(), ApiError> {
    let arn = arn.unwrap_or_default();
    let decide = |state: &State| {
        if let Some(cluster) = state.clusters.values().find(|cluster| cluster.arn == arn) {
            let mut cluster = cluster.clone();
            edit(&mut cluster.tags)?;
            return Ok(((), vec![Change::put(cluster)]));
        }
        let group = state
            .nodegroups
            .values()
            .find(|group| group.arn == arn)
            .ok_or_else(|| not_found(&arn))?;
        let mut group = group.clone();
        edit(&mut group.tags)?;
        Ok::<_, ApiError>(((), vec![Change::put(group)]))
    };
    context.region.ledger.change(decide).await
}

fn not_found(arn: &str) -> Refusal {
    Refusal::new(
        RefusalKind::NotFound,
        format!("The specified resource could not be found: {arn}"),
    )
}
