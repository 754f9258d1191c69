//! Tags of users and roles, and which tags IAM takes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::entity;
use crate::error::ApiError;
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

/// Where a key or value has a character that IAM does not take: letters, spaces and numbers of every script, and `_.:/=+-@`.
fn has_foreign(text: &str) -> bool {
    let is_taken = |letter: char| letter.is_alphanumeric() || letter.is_whitespace() || "_.:/=+-@".contains(letter);
    !text.chars().all(is_taken)
}

/// The tags that a request gives.
///
/// # Errors
/// IAM's own for keys that differ only in the case of letters, and for characters that it does not take.
pub fn given(input: &Value) -> Result<BTreeMap<String, String>, ApiError> {
    let mut keys = BTreeSet::new();
    for (index, tag) in input.list("Tags").iter().enumerate() {
        for (member, pattern) in [("Key", '+'), ("Value", '*')] {
            let text = tag.required(member);
            if has_foreign(text) {
                let place = format!("tags.{}.member.{}", index + 1, member.to_lowercase());
                return Err(ApiError::bad_request(
                    "ValidationError",
                    format!(
                        "1 validation error detected: Value '{text}' at '{place}' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\p{{L}}\\p{{Z}}\\p{{N}}_.:/=+\\-@]{pattern}"
                    ),
                ));
            }
        }
        if !keys.insert(tag.required("Key").to_lowercase()) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(ApiError::bad_request("InvalidInput", message));
        }
    }
    Ok(input.tags("Tags"))
}

/// `TagRole`, `TagUser`.
pub async fn add(context: Context, input: Value) -> Result<Value, ApiError> {
    let tags = given(&input)?;
    entity::edit(&context, &input, |_, entity| {
        entity.tags.extend(tags);
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
