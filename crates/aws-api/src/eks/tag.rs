//! Tags of everything in EKS that has an ARN.

use std::collections::BTreeMap;

use aws_types::eks::{
    ListTagsForResourceRequest, ListTagsForResourceResponse, TagResourceRequest, TagResourceResponse,
    UntagResourceRequest, UntagResourceResponse,
};
use cluster_lifecycle::Refusal;
use cluster_lifecycle::refusal::RefusalKind;

use super::check_tags;
use crate::catalogue::{self, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
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
        let mut found = Tags::new();
        edited(state, &arn, |tags| {
            found.clone_from(tags);
            Ok(())
        })?;
        Ok::<_, Refusal>(found)
    })?;
    Ok(ListTagsForResourceResponse { tags: Some(tags) })
}

async fn change(
    context: &Context,
    arn: Option<String>,
    edit: impl FnOnce(&mut Tags) -> Result<(), Refusal>,
) -> Result<(), ApiError> {
    let arn = arn.unwrap_or_default();
    let decide = |state: &State| Ok::<_, ApiError>(((), vec![edited(state, &arn, edit)?]));
    context.region.ledger.change(decide).await
}

/// The resource of an ARN with its tags edited.
fn edited(state: &State, arn: &str, edit: impl FnOnce(&mut Tags) -> Result<(), Refusal>) -> Result<Change, Refusal> {
    macro_rules! look {
        ($($table:ident: $arn:ident),*) => {
            $(if let Some(found) = state.$table.values().find(|known| known.$arn == arn) {
                let mut found = found.clone();
                edit(&mut found.tags)?;
                return Ok(Change::put(found));
            })*
        };
    }
    look!(
        clusters: arn, nodegroups: arn, addons: arn, access_entries: arn, pod_identities: arn, fargate_profiles: arn,
        identity_providers: arn
    );
    for kind in [ItemKind::RegisteredCluster, ItemKind::AnywhereSubscription] {
        if let Some(found) = catalogue::of_kind(state, kind).find(|item| item.body.text("arn") == Some(arn)) {
            let mut found = found.clone();
            edit(&mut found.tags)?;
            return Ok(Change::put(found));
        }
    }
    Err(not_found(arn))
}

fn not_found(arn: &str) -> Refusal {
    Refusal::new(
        RefusalKind::NotFound,
        format!("The specified resource could not be found: {arn}"),
    )
}
