//! The KMS key under which a cluster keeps its Secrets.

use aws_types::eks::EncryptionConfig;
use cluster_lifecycle::Refusal;
use cluster_lifecycle::cluster::{Cluster, Input, Issue};
use cluster_lifecycle::update::Update;
use serde_json::{Value, json};

use super::nodegroup::wake;
use super::{find_cluster, view};
use crate::error::ApiError;
use crate::kms;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// What EKS encrypts.
const SECRETS: &str = "secrets";

/// The ARN of the key that a configuration names, which must be one of the region's and usable.
///
/// # Errors
/// EKS's sentences.
pub fn key_of(state: &State, configs: &[EncryptionConfig]) -> Result<Option<String>, Refusal> {
    let config = match configs {
        [] => return Ok(None),
        [one] => one,
        _ => {
            let message = "Only one encryptionConfig may be specified";
            return Err(Refusal::invalid_parameter(message));
        }
    };
    if config.resources.as_deref().unwrap_or_default() != [SECRETS] {
        return Err(Refusal::invalid_parameter(
            "The only valid value of resources in encryptionConfig is [secrets]",
        ));
    }
    let arn = config
        .provider
        .as_ref()
        .and_then(|provider| provider.key_arn.as_deref());
    let arn = arn.unwrap_or_default();
    match kms::state_of(state, arn) {
        Some("Enabled") => Ok(Some(arn.to_owned())),
        Some(other) => Err(Refusal::invalid_parameter(format!(
            "KeyArn: the key {arn} cannot be used: its state is {other}"
        ))),
        None => Err(Refusal::invalid_parameter(format!(
            "KeyArn: the key {arn} does not exist or is not the ARN of a symmetric key in this region"
        ))),
    }
}

/// `AssociateEncryptionConfig`.
pub async fn associate(context: Context, input: Value) -> Result<Value, ApiError> {
    let (id, now) = (context.region.random.uuid(), context.region.clock.now());
    let token = input.text("clientRequestToken").map(str::to_owned);
    let configs: Vec<EncryptionConfig> = serde_json::from_value(input["encryptionConfig"].clone())
        .map_err(|error| Refusal::invalid_parameter(error.to_string()))?;
    let changed = context.region.ledger.change(|state| {
        let cluster = find_cluster(state, input.text("clusterName"))?;
        let own = state.updates.values().filter(|update| update.cluster == cluster.name);
        let mut same = own.filter(|update| token.is_some() && update.client_request_token == token);
        if let Some(before) = same.next() {
            return Ok((view::update(before), Vec::new()));
        }
        let key =
            key_of(state, &configs)?.ok_or_else(|| Refusal::invalid_parameter("encryptionConfig must be specified"))?;
        let params = vec![("EncryptionConfig".to_owned(), input["encryptionConfig"].to_string())];
        let update = Update {
            client_request_token: token,
            ..Update::new(
                id.clone(),
                cluster.name.clone(),
                "AssociateEncryptionConfig",
                params,
                now,
            )
        };
        let encrypting = cluster.clone().step(Input::Encrypt { update: id, key })?;
        let answer = view::update(&update);
        let changes = encrypting.map(Change::put).into_iter().chain([Change::put(update)]);
        Ok::<_, ApiError>((answer, changes.collect()))
    });
    let update = changed.await?;
    wake(&context, input.text("clusterName"));
    Ok(json!({ "update": update }))
}

/// What is wrong with a cluster's key.
pub fn issue(state: &State, cluster: &Cluster) -> Option<Issue> {
    let arn = cluster.encryption_key.as_deref()?;
    let (code, message) = match kms::state_of(state, arn) {
        Some("Enabled") => return None,
        Some("Disabled") => ("KmsKeyDisabled", "The KMS key associated with the cluster is disabled."),
        Some("PendingDeletion") => (
            "KmsKeyMarkedForDeletion",
            "The KMS key associated with the cluster is marked for deletion.",
        ),
        _ => (
            "KmsKeyNotFound",
            "The KMS key associated with the cluster could not be found.",
        ),
    };
    Some(Issue {
        code: code.to_owned(),
        message: message.to_owned(),
        resource_ids: vec![arn.to_owned()],
    })
}
