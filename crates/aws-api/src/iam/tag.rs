//! Tags of users and roles.

use serde_json::Value;

use super::entity;
use crate::error::ApiError;
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

/// `TagRole`, `TagUser`.
pub async fn add(context: Context, input: Value) -> Result<Value, ApiError> {
    entity::edit(&context, &input, |_, entity| {
        entity.tags.extend(input.tags("Tags"));
        Ok(nothing())
    })
    .await
}

/// `UntagRole`, `UntagUser`.
pub async fn remove(context: Context, input: Value) -> Result<Value, ApiError> {
    entity::edit(&context, &input, |_, entity| {
        let keys = input.texts("TagKeys");
        entity.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(nothing())
    })
    .await
}

/// `ListRoleTags`, `ListUserTags`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let tags = entity::look(&context, &input, |_, entity| tag_list(&entity.tags))?;
    super::page(tags.as_array().cloned().unwrap_or_default(), "Tags", &input)
}
