//! `AssumeRoleWithWebIdentity`: a cluster's service-account token for a role's credentials.

use access_rules::iam_policy::{self, Document, Effect, Facts, Request};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::assume;
use crate::error::ApiError;
use crate::iam::entity::Entity;
use crate::iam::oidc::issuer_name;
use crate::ledger::State;
use crate::members::Members;
use crate::operations::Context;

/// What is read of a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Who it stands for.
    pub sub: String,
    /// For whom it is.
    #[serde(with = "audience")]
    pub aud: Vec<String>,
    /// When it ends.
    pub exp: i64,
    /// The pod and service account that it is bound to.
    #[serde(rename = "kubernetes.io", default)]
    pub kubernetes: Option<Value>,
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("InvalidIdentityToken", message)
}

/// The claims of a token, before its signature is checked.
fn unverified(token: &str) -> Option<Claims> {
    let body = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&body).ok()
}

/// The claims of a token that one of the region's clusters signed.
///
/// # Errors
/// When no cluster of the region did, or it is over.
pub fn verified(context: &Context, token: &str) -> Result<Claims, ApiError> {
    let claims = unverified(token).ok_or_else(|| {
        invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
    })?;
    let name = issuer_name(&claims.iss);
    // Whoever's cluster it is: what counts is that the role's account has made it a provider.
    let keys = context.region.partition().and_then(|partition| {
        partition.of_clusters(|cluster| {
            let is_issuer = issuer_name(&cluster.network.oidc_issuer) == name;
            is_issuer.then(|| cluster.issuer_keys.clone())?
        })
    });
    let keys = keys.ok_or_else(|| {
        let message = "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements";
        ApiError::bad_request("IDPCommunicationError", message)
    })?;
    check_signature(token, &keys)?;
    let now = context.region.clock.now().as_second();
    if claims.exp < now {
        let message = format!(
            "Token expired: current date/time {now} must be before the expiration date/time {}",
            claims.exp
        );
        return Err(ApiError::bad_request("ExpiredTokenException", message));
    }
    Ok(claims)
}

fn check_signature(token: &str, keys: &str) -> Result<(), ApiError> {
    let set: JwkSet = serde_json::from_str(keys).map_err(ApiError::internal)?;
    let header = jsonwebtoken::decode_header(token)
        .map_err(|error| invalid(format!("The ID Token provided is not a valid JWT: {error}")))?;
    let key = header
        .kid
        .as_deref()
        .and_then(|id| set.find(id))
        .ok_or_else(|| invalid("No matching key found for the token's kid"))?;
    let key = DecodingKey::from_jwk(key).map_err(ApiError::internal)?;
    // Times and audiences are judged by the region's clock and the provider's record.
    let mut validation = Validation::new(Algorithm::RS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Claims>(token, &key, &validation)
        .map_err(|error| invalid(format!("Provided Token is not a valid token: {error}")))?;
    Ok(())
}

/// `AssumeRoleWithWebIdentity`. Not signed: the token is the proof.
pub async fn role(context: Context, input: Value) -> Result<Value, ApiError> {
    let (arn, token) = (input.required("RoleArn"), input.required("WebIdentityToken"));
    let claims = unverified(token).ok_or_else(|| {
        invalid("The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
    })?;
    let name = issuer_name(&claims.iss);
    let provider_arn = format!("arn:aws:iam::{}:oidc-provider/{name}", context.caller.account);
    let provider = context
        .region
        .ledger
        .read(|state| state.oidc_providers.get(&provider_arn).cloned());
    let provider = provider.ok_or_else(|| {
        invalid(format!(
            "No OpenIDConnect provider found in your account for {}",
            claims.iss
        ))
    })?;
    let claims = verified(&context, token)?;
    let audience = claims
        .aud
        .iter()
        .find(|audience| provider.client_ids.contains(audience));
    let audience = audience.ok_or_else(|| invalid("Incorrect token audience"))?;
    let facts = facts(&claims, audience);
    let written = format!(
        "arn:aws:iam::{}:oidc-provider/{}",
        context.caller.account,
        without_scheme(&claims.iss)
    );
    let providers = [provider_arn.clone(), written];
    let look = |state: &State| {
        assume::find(state, arn)
            .filter(|role| providers.iter().any(|provider| trusts(role, provider, &facts)))
            .cloned()
    };
    let role = context.region.ledger.read(look).ok_or_else(|| {
        let message = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
        ApiError::new("AccessDenied", StatusCode::FORBIDDEN, message)
    })?;
    let session = assume::begin(&context, &role, &input, false).await?;
    Ok(json!({
        "Credentials": session.view(), "SubjectFromWebIdentityToken": claims.sub, "AssumedRoleUser": assume::assumed(&session),
        "PackedPolicySize": 0, "Provider": provider_arn, "Audience": audience,
    }))
}

fn without_scheme(issuer: &str) -> &str {
    issuer.split_once("://").map_or(issuer, |(_, rest)| rest)
}

/// What conditions may ask about a token. IAM knows issuers without their port; those who write trust policies by a guide take the whole
/// URL without its scheme, and AWS's issuers have no port to be taken along.
fn facts(claims: &Claims, audience: &str) -> Facts {
    let mut facts = Facts::new();
    for name in [issuer_name(&claims.iss), without_scheme(&claims.iss).to_owned()] {
        let name = name.to_lowercase();
        facts.insert(format!("{name}:sub"), vec![claims.sub.clone()]);
        facts.insert(format!("{name}:aud"), vec![audience.to_owned()]);
    }
    facts
}

fn trusts(role: &Entity, provider: &str, facts: &Facts) -> bool {
    let request = Request {
        action: "sts:AssumeRoleWithWebIdentity",
        resource: "*",
        facts,
    };
    let document = role.trust.as_deref().and_then(|text| Document::trust(text).ok());
    document.is_some_and(|document| {
        iam_policy::trust(&document, iam_policy::Principal::Federated(provider), &request) == Some(Effect::Allow)
    })
}

/// One audience, or several.
mod audience {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        One(String),
        Many(Vec<String>),
    }

    pub fn serialize<S: Serializer>(audiences: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        audiences.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::One(audience) => vec![audience],
            Form::Many(audiences) => audiences,
        })
    }
}
