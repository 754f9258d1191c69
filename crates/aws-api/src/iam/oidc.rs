//! OIDC identity providers: whose tokens roles may trust.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{date, exists, no_such};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcProvider {
    /// `arn:aws:iam::<account>:oidc-provider/<host and path>`.
    pub arn: String,
    /// Host and path of the issuer: no scheme, and no port, as IAM keeps it.
    pub url: String,
    /// Audiences that tokens may have.
    pub client_ids: Vec<String>,
    /// Kept and not enforced.
    pub thumbprints: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// An issuer's URL as ARNs and condition keys hold it. eksctl sends a port and asks without it.
pub fn issuer_name(url: &str) -> String {
    let rest = url
        .split_once("://")
        .map_or(url, |(_, rest)| rest)
        .trim_end_matches('/');
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = authority.split(':').next().unwrap_or_default();
    format!("{host}{path}")
}

fn find<'a>(state: &'a State, arn: &str) -> Result<&'a OidcProvider, ApiError> {
    let found = state.oidc_providers.get(arn);
    found.ok_or_else(|| no_such(format!("OpenIDConnect Provider not found for arn {arn}")))
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// `CreateOpenIDConnectProvider`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let given = input.required("Url");
    if !given.starts_with("https://") {
        return Err(ApiError::bad_request(
            "ValidationError",
            "Invalid Open ID Connect Provider URL",
        ));
    }
    let url = issuer_name(given);
    let arn = format!("arn:aws:iam::{}:oidc-provider/{url}", context.caller.account);
    let provider = OidcProvider {
        arn: arn.clone(),
        url,
        client_ids: owned(&input.texts("ClientIDList")),
        thumbprints: owned(&input.texts("ThumbprintList")),
        created_at: context.region.clock.now(),
        tags: super::tag::given(&input)?,
    };
    let answer = json!({"OpenIDConnectProviderArn": arn, "Tags": tag_list(&provider.tags)});
    let made = context.region.ledger.change(|state| {
        if find(state, &arn).is_ok() {
            return Err(exists(format!("Provider with url {given} already exists.")));
        }
        Ok(((), vec![Change::put(provider)]))
    });
    made.await?;
    Ok(answer)
}

/// `GetOpenIDConnectProvider`.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let provider = find(state, input.required("OpenIDConnectProviderArn"))?;
        Ok(json!({
            "Url": provider.url, "ClientIDList": provider.client_ids, "ThumbprintList": provider.thumbprints,
            "CreateDate": date(provider.created_at), "Tags": tag_list(&provider.tags),
        }))
    })
}

/// `ListOpenIDConnectProviders`.
pub async fn list(context: Context, _input: Value) -> Result<Value, ApiError> {
    let list = |state: &State| -> Value { state.oidc_providers.keys().map(|arn| json!({ "Arn": arn })).collect() };
    Ok(json!({ "OpenIDConnectProviderList": context.region.ledger.read(list) }))
}

/// `DeleteOpenIDConnectProvider`: IAM deletes one that is not there, too.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("OpenIDConnectProviderArn").to_owned();
    let decide = |_: &State| Ok::<_, ApiError>(((), vec![Change::remove::<OidcProvider>(arn)]));
    context.region.ledger.change(decide).await?;
    Ok(nothing())
}

async fn edit(context: &Context, input: &Value, change: impl FnOnce(&mut OidcProvider)) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let mut provider = find(state, input.required("OpenIDConnectProviderArn"))?.clone();
        change(&mut provider);
        Ok::<_, ApiError>(((), vec![Change::put(provider)]))
    };
    context.region.ledger.change(decide).await?;
    Ok(nothing())
}

/// `AddClientIDToOpenIDConnectProvider`.
pub async fn add_client(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |provider| {
        let id = input.required("ClientID").to_owned();
        if !provider.client_ids.contains(&id) {
            provider.client_ids.push(id);
        }
    })
    .await
}

/// `RemoveClientIDFromOpenIDConnectProvider`.
pub async fn remove_client(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |provider| {
        provider.client_ids.retain(|id| id != input.required("ClientID"))
    })
    .await
}

/// `UpdateOpenIDConnectProviderThumbprint`.
pub async fn thumbprints(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |provider| {
        provider.thumbprints = owned(&input.texts("ThumbprintList"))
    })
    .await
}

/// `TagOpenIDConnectProvider`.
pub async fn tag(context: Context, input: Value) -> Result<Value, ApiError> {
    let tags = super::tag::given(&input)?;
    edit(&context, &input, |provider| provider.tags.extend(tags)).await
}

/// `UntagOpenIDConnectProvider`.
pub async fn untag(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |provider| {
        let keys = input.texts("TagKeys");
        provider.tags.retain(|key, _| !keys.contains(&key.as_str()));
    })
    .await
}

/// `ListOpenIDConnectProviderTags`.
pub async fn list_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    let look =
        |state: &State| Ok::<_, ApiError>(tag_list(&find(state, input.required("OpenIDConnectProviderArn"))?.tags));
    let tags = context.region.ledger.read(look)?;
    super::page(tags.as_array().cloned().unwrap_or_default(), "Tags", &input)
}

#[cfg(test)]
mod tests {
    use super::issuer_name;

    #[test]
    fn an_issuer_is_known_without_scheme_and_port() {
        for (url, name) in [
            ("https://oidc.eks.r.amazonaws.com/id/A", "oidc.eks.r.amazonaws.com/id/A"),
            (
                "https://oidc.eks.r.amazonaws.com:443/id/A",
                "oidc.eks.r.amazonaws.com/id/A",
            ),
            ("https://localhost:8443", "localhost"),
            ("https://accounts.example.com/", "accounts.example.com"),
        ] {
            assert_eq!(issuer_name(url), name);
        }
    }
}
