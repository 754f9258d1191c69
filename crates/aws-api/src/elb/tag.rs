//! Tags of everything in load balancing.

use serde_json::{Value, json};

use super::not_found;
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

/// The kind that an ARN names.
fn kind_of(arn: &str) -> ItemKind {
    match arn.split(':').nth(5).and_then(|rest| rest.split('/').next()) {
        Some("targetgroup") => ItemKind::TargetGroup,
        Some("listener") => ItemKind::Listener,
        Some("listener-rule") => ItemKind::ListenerRule,
        _ => ItemKind::LoadBalancer,
    }
}

fn find<'a>(state: &'a State, arn: &str) -> Result<&'a Item, ApiError> {
    let kind = kind_of(arn);
    catalogue::find(state, kind, arn).ok_or_else(|| not_found(kind, arn))
}

async fn change(context: &Context, input: &Value, edit: impl Fn(&mut Item)) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let arns = input.texts("ResourceArns").into_iter();
        let changes = arns.map(|arn| {
            let mut item = find(state, arn)?.clone();
            edit(&mut item);
            Ok(Change::put(item))
        });
        Ok::<_, ApiError>((nothing(), changes.collect::<Result<_, ApiError>>()?))
    };
    context.region.ledger.change(decide).await
}

/// `AddTags`.
pub async fn add(context: Context, input: Value) -> Result<Value, ApiError> {
    change(&context, &input, |item| item.tags.extend(input.tags("Tags"))).await
}

/// `RemoveTags`.
pub async fn remove(context: Context, input: Value) -> Result<Value, ApiError> {
    let keys = input.texts("TagKeys");
    change(&context, &input, |item| {
        item.tags.retain(|key, _| !keys.contains(&key.as_str()))
    })
    .await
}

/// `DescribeTags`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let arns = input.texts("ResourceArns").into_iter();
        let views = arns.map(|arn| Ok(json!({"ResourceArn": arn, "Tags": tag_list(&find(state, arn)?.tags)})));
        Ok(json!({ "TagDescriptions": views.collect::<Result<Vec<_>, ApiError>>()? }))
    })
}
