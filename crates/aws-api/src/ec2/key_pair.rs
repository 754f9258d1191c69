//! Key pairs: public keys that are given; none is made here, because nodes have no SSH server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::document::{self, Document, Kind};
use super::invalid;
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

fn find<'a>(state: &'a State, name: &str) -> Option<&'a Document> {
    document::of_kind(state, Kind::KeyPair).find(|known| known.body.text("KeyName") == Some(name))
}

/// Refuses a name that no key pair has.
///
/// # Errors
/// EC2's own.
pub fn require(state: &State, name: &str) -> Result<(), ApiError> {
    find(state, name).map(drop).ok_or_else(|| Kind::KeyPair.not_found(name))
}

/// `ImportKeyPair`.
pub async fn import(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("KeyName");
    let given = STANDARD.decode(input.required("PublicKeyMaterial")).unwrap_or_default();
    let text = String::from_utf8_lossy(&given).trim().to_owned();
    let mut words = text.split_whitespace();
    let (kind, body) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let blob = STANDARD.decode(body).unwrap_or_default();
    if blob.is_empty() || !matches!(kind, "ssh-rsa" | "ssh-ed25519") {
        return Err(ApiError::bad_request(
            "InvalidKey.Format",
            "Key is not in valid OpenSSH public key format",
        ));
    }
    let fingerprint = STANDARD.encode(Sha256::digest(&blob));
    let key_type = kind.trim_start_matches("ssh-");
    let made = Document::new(
        &context,
        Kind::KeyPair,
        &input,
        json!({"KeyName": name, "KeyFingerprint": fingerprint, "KeyType": key_type}),
    );
    let answer = json!({"KeyName": name, "KeyFingerprint": fingerprint, "KeyPairId": made.id, "Tags": crate::members::tag_list(&made.tags)});
    super::dry_run(input.flag("DryRun"))?;
    let change = context.region.ledger.change(|state| {
        if find(state, name).is_some() {
            let message = format!("The keypair '{name}' already exists.");
            return Err(ApiError::bad_request("InvalidKeyPair.Duplicate", message));
        }
        Ok(((), vec![Change::put(made)]))
    });
    change.await?;
    Ok(answer)
}

/// `DescribeKeyPairs`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let names = input.texts("KeyNames");
    for name in &names {
        context
            .region
            .ledger
            .read(|state| find(state, name).map(drop).ok_or_else(|| Kind::KeyPair.not_found(name)))?;
    }
    let mut answer = document::describe(&context, &input, Kind::KeyPair)?;
    if let Some(pairs) = answer["KeyPairs"].as_array_mut() {
        pairs.retain(|known| names.is_empty() || names.contains(&known.required("KeyName")));
    }
    Ok(answer)
}

/// `DeleteKeyPair`: EC2 deletes one that is not there, too.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    super::dry_run(input.flag("DryRun"))?;
    if input.text("KeyName").is_none() && input.text("KeyPairId").is_none() {
        return Err(invalid("Either a key name or a key pair id must be given"));
    }
    let decide = |state: &State| {
        let named = input.text("KeyName").and_then(|name| find(state, name));
        let known = named.or_else(|| {
            input
                .text("KeyPairId")
                .and_then(|id| document::find(state, Kind::KeyPair, id).ok())
        });
        let changes = known
            .map(|known| Change::remove::<Document>(known.id.clone()))
            .into_iter()
            .collect();
        Ok::<_, ApiError>(((), changes))
    };
    context.region.ledger.change(decide).await?;
    Ok(json!({ "Return": true }))
}
