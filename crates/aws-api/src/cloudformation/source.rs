//! Where a request has its template: in itself, or in S3.

use serde_json::Value;

use super::invalid;
use crate::error::ApiError;
use crate::members::Members;
use crate::operations::Context;
use crate::s3;

/// The request with its template in it, if it names one by its URL.
///
/// # Errors
/// When the URL names nothing that can be read.
pub fn resolved(context: &Context, mut input: Value) -> Result<Value, ApiError> {
    if let Some(url) = input
        .text("TemplateURL")
        .filter(|_| input.text("TemplateBody").is_none())
    {
        input["TemplateBody"] = s3::read_url(context, url)?.into();
    }
    Ok(input)
}

/// The template of a request that was [`resolved`].
///
/// # Errors
/// When there is none.
pub fn body(input: &Value) -> Result<&str, ApiError> {
    let body = input.text("TemplateBody");
    body.ok_or_else(|| invalid("Either Template URL or Template Body must be specified."))
}
