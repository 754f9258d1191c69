//! Clusters of other makers that are registered for the EKS Connector. Their agent would introduce itself through Systems
//! Manager, which no agent can do here: they stay PENDING until they are deregistered.

use std::time::Duration;

use aws_types::eks;
use aws_types::time::Time;
use aws_types::{ClusterName, arn};
use cluster_lifecycle::Refusal;
use cluster_lifecycle::refusal::RefusalKind;
use serde_json::{Value, json};

use super::cluster::check_role;
use super::{check_tags, tag_map};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// EKS's quota of registered clusters.
const MOST: usize = 10;
/// How long an activation code can be used.
const ACTIVATION: Duration = Duration::from_secs(3 * 24 * 3600);
/// Remembered, and in no answer.
const TOKEN: &str = "_ClientRequestToken";

/// The registered cluster of that name.
pub fn find<'a>(state: &'a State, name: &str) -> Option<&'a Item> {
    catalogue::find(state, ItemKind::RegisteredCluster, name)
}

/// The names of all registered clusters.
pub fn names(state: &State) -> impl Iterator<Item = String> {
    catalogue::of_kind(state, ItemKind::RegisteredCluster).map(|item| item.key.clone())
}

/// A registered cluster as answers show it.
///
/// # Errors
/// When what was kept cannot be read.
pub fn view(item: &Item) -> Result<eks::Cluster, ApiError> {
    let cluster: eks::Cluster = serde_json::from_value(item.without(&[TOKEN])).map_err(ApiError::internal)?;
    Ok(eks::Cluster {
        tags: Some(item.tags.clone()),
        ..cluster
    })
}

/// `RegisterCluster`.
pub async fn register(context: Context, input: Value) -> Result<Value, ApiError> {
    let (region, name) = (&context.region, input.required("name"));
    let named = ClusterName::new(name).map_err(|error| Refusal::invalid_parameter(error.to_string()))?;
    let connector = &input["connectorConfig"];
    check_role("connectorConfig.roleArn", connector.text("roleArn"))?;
    check_tags(&tag_map(&input))?;
    let now = region.clock.now();
    let body = json!({
        "name": name, "arn": arn::cluster(&region.name, &context.caller.account, &named), "createdAt": Time(now),
        "status": "PENDING", TOKEN: input.text("clientRequestToken"),
        "connectorConfig": {
            "activationId": region.random.uuid(), "activationCode": region.random.alphanumeric(20),
            "activationExpiry": Time(now + ACTIVATION), "provider": connector.required("provider"),
            "roleArn": connector.required("roleArn"),
        },
    });
    let made = Item::new(ItemKind::RegisteredCluster, name, body).tagged(tag_map(&input));
    let decide = |state: &State| {
        if let Some(known) = find(state, name) {
            let token = input.text("clientRequestToken");
            if token.is_some() && known.body.text(TOKEN) == token {
                return Ok((view(known)?, Vec::new()));
            }
        }
        if find(state, name).is_some() || state.clusters.contains_key(&named) {
            let message = format!("Cluster already exists with name: {name}");
            return Err(Refusal::in_use(message).of_cluster(name).into());
        }
        if names(state).count() >= MOST {
            let message = format!("the account has {MOST} registered clusters in this region, which is the limit");
            return Err(Refusal::new(RefusalKind::ResourceLimitExceeded, message).into());
        }
        Ok::<_, ApiError>((view(&made)?, vec![Change::put(made)]))
    };
    let cluster = region.ledger.change(decide).await?;
    Ok(json!({ "cluster": cluster }))
}

/// `DeregisterCluster`.
pub async fn deregister(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("name");
    let missing = || Refusal::no_cluster(name).into();
    let gone = catalogue::remove(&context, ItemKind::RegisteredCluster, name, missing).await?;
    let cluster = eks::Cluster {
        status: Some("DELETING".to_owned()),
        ..view(&gone)?
    };
    Ok(json!({ "cluster": cluster }))
}
