//! SAML identity providers: their metadata is kept and shown. No assertion is taken here, so no role can be assumed by them.

use jiff::ToSpan;
use serde_json::{Value, json};

use super::{date, exists, no_such};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

/// For how many years metadata is taken to be good.
const YEARS: i64 = 100;

fn missing(arn: &str) -> impl FnOnce() -> ApiError + use<'_> {
    move || no_such(format!("Manifest not found for arn {arn}"))
}

fn check(document: &str) -> Result<(), ApiError> {
    if document.contains("EntityDescriptor") {
        return Ok(());
    }
    let message = "Could not parse metadata";
    Err(ApiError::bad_request("InvalidInput", message))
}

/// `CreateSAMLProvider`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let (name, document) = (input.required("Name"), input.required("SAMLMetadataDocument"));
    check(document)?;
    let (now, account) = (context.region.clock.now(), &context.caller.account);
    let arn = format!("arn:aws:iam::{account}:saml-provider/{name}");
    let until = now
        .to_zoned(jiff::tz::TimeZone::UTC)
        .checked_add(YEARS.years())
        .map_err(ApiError::internal)?;
    let body = json!({
        "SAMLMetadataDocument": document, "CreateDate": date(now), "ValidUntil": date(until.timestamp()),
        "SAMLProviderUUID": super::unique_id(&context, "ASPP"),
        "AssertionEncryptionMode": input.text("AssertionEncryptionMode").unwrap_or("Allowed"),
    });
    let tags = super::tag::given(&input)?;
    let mut answer = json!({ "SAMLProviderArn": arn });
    if !tags.is_empty() {
        answer["Tags"] = tag_list(&tags);
    }
    let made = Item::new(ItemKind::SamlProvider, arn.as_str(), body).tagged(tags);
    catalogue::create(&context, made, |state| {
        match catalogue::find(state, ItemKind::SamlProvider, &arn) {
            Some(_) => Err(exists(format!("Provider with name {name} already exists."))),
            None => Ok(()),
        }
    })
    .await?;
    Ok(answer)
}

/// `GetSAMLProvider`.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("SAMLProviderArn");
    context.region.ledger.read(|state| {
        let known = catalogue::find(state, ItemKind::SamlProvider, arn).ok_or_else(missing(arn))?;
        let mut view = known.body.clone();
        view["Tags"] = tag_list(&known.tags);
        Ok(view)
    })
}

/// `UpdateSAMLProvider`.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("SAMLProviderArn");
    catalogue::edit(&context, ItemKind::SamlProvider, arn, missing(arn), |_, item| {
        if let Some(document) = input.text("SAMLMetadataDocument") {
            check(document)?;
            item.body["SAMLMetadataDocument"] = document.into();
        }
        if let Some(mode) = input.text("AssertionEncryptionMode") {
            item.body["AssertionEncryptionMode"] = mode.into();
        }
        Ok(json!({ "SAMLProviderArn": arn }))
    })
    .await
}

/// `DeleteSAMLProvider`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("SAMLProviderArn");
    catalogue::remove(&context, ItemKind::SamlProvider, arn, missing(arn)).await?;
    Ok(nothing())
}

/// `ListSAMLProviders`.
pub async fn list(context: Context, _input: Value) -> Result<Value, ApiError> {
    let views: Vec<Value> = context.region.ledger.read(|state| {
        let all = catalogue::of_kind(state, ItemKind::SamlProvider);
        all.map(|item| {
            json!({"Arn": item.key, "ValidUntil": item.body["ValidUntil"], "CreateDate": item.body["CreateDate"]})
        })
        .collect()
    });
    Ok(json!({ "SAMLProviderList": views }))
}

/// `TagSAMLProvider`.
pub async fn tag(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("SAMLProviderArn");
    let tags = super::tag::given(&input)?;
    catalogue::edit(&context, ItemKind::SamlProvider, arn, missing(arn), |_, item| {
        item.tags.extend(tags);
        Ok(nothing())
    })
    .await
}

/// `UntagSAMLProvider`.
pub async fn untag(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("SAMLProviderArn");
    let keys = input.texts("TagKeys");
    catalogue::edit(&context, ItemKind::SamlProvider, arn, missing(arn), |_, item| {
        item.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(nothing())
    })
    .await
}

/// `ListSAMLProviderTags`.
pub async fn list_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("SAMLProviderArn");
    let tags = context.region.ledger.read(|state| {
        let known = catalogue::find(state, ItemKind::SamlProvider, arn).ok_or_else(missing(arn))?;
        Ok::<_, ApiError>(tag_list(&known.tags))
    })?;
    super::page(tags.as_array().cloned().unwrap_or_default(), "Tags", &input)
}
