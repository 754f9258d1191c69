//! The OIDC identity provider of a cluster: whose tokens its API server accepts besides IAM's.

use cluster_lifecycle::Refusal;
use cluster_lifecycle::identity_provider::{IdentityProvider, Input, ProviderStatus, not_associated};
use cluster_lifecycle::update::Update;
use serde_json::{Value, json};

use super::nodegroup::wake;
use super::{check_tags, find_cluster, tag_map, view};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;
use crate::page;

/// The one kind of provider that EKS knows.
const OIDC: &str = "oidc";

/// The providers of a cluster, of which there is one at most.
pub fn of_cluster<'a>(
    state: &'a State,
    cluster: &'a aws_types::ClusterName,
) -> impl Iterator<Item = &'a IdentityProvider> {
    let all = state.identity_providers.values();
    all.filter(move |provider| provider.cluster == *cluster)
}

fn find<'a>(state: &'a State, input: &Value) -> Result<&'a IdentityProvider, Refusal> {
    let cluster = &find_cluster(state, input.text("clusterName"))?.name;
    let config = &input["identityProviderConfig"];
    let name = config.required("name");
    let found = of_cluster(state, cluster).find(|provider| provider.name == name && config.text("type") == Some(OIDC));
    found.ok_or_else(|| not_associated(cluster, name))
}

fn read(context: &Context, state: &State, input: &Value) -> Result<IdentityProvider, Refusal> {
    let cluster = find_cluster(state, input.text("clusterName"))?.name.clone();
    let oidc = &input["oidc"];
    let text = |member: &str| oidc.text(member).map(str::to_owned);
    let name = oidc.required("identityProviderConfigName").to_owned();
    let claims = oidc["requiredClaims"].as_object().into_iter().flatten();
    let provider = IdentityProvider {
        arn: format!(
            "arn:aws:eks:{}:{}:identityproviderconfig/{cluster}/{OIDC}/{name}/{}",
            context.region.name,
            context.caller.account,
            context.region.random.uuid()
        ),
        cluster,
        name,
        issuer_url: oidc.required("issuerUrl").to_owned(),
        client_id: oidc.required("clientId").to_owned(),
        username_claim: text("usernameClaim"),
        username_prefix: text("usernamePrefix"),
        groups_claim: text("groupsClaim"),
        groups_prefix: text("groupsPrefix"),
        required_claims: claims
            .map(|(claim, value)| (claim.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        tags: tag_map(input),
        status: ProviderStatus::Creating,
        update: None,
        client_request_token: input.text("clientRequestToken").map(str::to_owned),
    };
    provider.check()?;
    Ok(provider)
}

fn record(context: &Context, provider: &IdentityProvider, id: String, kind: &str, token: Option<&str>) -> Update {
    let value = json!([{"type": OIDC, "name": provider.name}]).to_string();
    let params = vec![("IdentityProviderConfig".to_owned(), value)];
    let now = context.region.clock.now();
    Update {
        client_request_token: token.map(str::to_owned),
        ..Update::new(id, provider.cluster.clone(), kind, params, now)
    }
}

/// `AssociateIdentityProviderConfig`.
pub async fn associate(context: Context, input: Value) -> Result<Value, ApiError> {
    check_tags(&tag_map(&input))?;
    let (id, token) = (context.region.random.uuid(), input.text("clientRequestToken"));
    let made = context.region.ledger.change(|state| {
        let cluster = find_cluster(state, input.text("clusterName"))?;
        cluster.require_active("associate an identity provider config")?;
        if let Some(known) = of_cluster(state, &cluster.name).next() {
            let same = known
                .client_request_token
                .as_deref()
                .filter(|known| Some(*known) == token);
            let update = known.update.as_ref().and_then(|update| state.updates.get(update));
            if let (Some(_), Some(update)) = (same, update) {
                return Ok(((view::update(update), known.tags.clone()), Vec::new()));
            }
            let message = format!(
                "Identity provider config {} is already associated with the cluster, which can have one",
                known.name
            );
            return Err(Refusal::in_use(message).of_cluster(cluster.name.as_str()).into());
        }
        let provider = IdentityProvider {
            update: Some(id.clone()),
            ..read(&context, state, &input)?
        };
        let update = record(&context, &provider, id, "AssociateIdentityProviderConfig", token);
        let answer = (view::update(&update), provider.tags.clone());
        Ok::<_, ApiError>((answer, vec![Change::put(provider), Change::put(update)]))
    });
    let (update, tags) = made.await?;
    wake(&context, input.text("clusterName"));
    Ok(json!({ "update": update, "tags": tags }))
}

/// `DisassociateIdentityProviderConfig`.
pub async fn disassociate(context: Context, input: Value) -> Result<Value, ApiError> {
    let (id, token) = (context.region.random.uuid(), input.text("clientRequestToken"));
    let changed = context.region.ledger.change(|state| {
        let provider = find(state, &input)?;
        let update = record(
            &context,
            provider,
            id.clone(),
            "DisassociateIdentityProviderConfig",
            token,
        );
        let answer = view::update(&update);
        let going = provider.clone().step(Input::Disassociate { update: id })?;
        let changes = going.map(Change::put).into_iter().chain([Change::put(update)]);
        Ok::<_, ApiError>((answer, changes.collect()))
    });
    let update = changed.await?;
    wake(&context, input.text("clusterName"));
    Ok(json!({ "update": update }))
}

/// `ListIdentityProviderConfigs`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = context.region.ledger.read(|state| {
        let cluster = find_cluster(state, input.text("clusterName"))?;
        let names = of_cluster(state, &cluster.name).map(|provider| provider.name.clone());
        Ok::<Vec<String>, ApiError>(names.collect())
    })?;
    let (names, next) = page::names(names, input.number("maxResults"), input.text("nextToken"))?;
    let configs: Vec<Value> = names.iter().map(|name| json!({"type": OIDC, "name": name})).collect();
    let mut answer = json!({ "identityProviderConfigs": configs });
    if let Some(next) = next {
        answer["nextToken"] = next.into();
    }
    Ok(answer)
}

/// `DescribeIdentityProviderConfig`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let provider = find(state, &input)?;
        let mut oidc = json!({
            "identityProviderConfigName": provider.name, "identityProviderConfigArn": provider.arn,
            "clusterName": provider.cluster, "issuerUrl": provider.issuer_url, "clientId": provider.client_id,
            "usernameClaim": provider.username_claim, "usernamePrefix": provider.username_prefix,
            "groupsClaim": provider.groups_claim, "groupsPrefix": provider.groups_prefix,
            "requiredClaims": provider.required_claims, "tags": provider.tags, "status": provider.status.name(),
        });
        if let Some(members) = oidc.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        Ok(json!({ "identityProviderConfig": { OIDC: oidc } }))
    })
}
