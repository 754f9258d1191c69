//! Key pairs, made here or brought along. Nodes have no SSH server, so a key opens nothing.

use aws_types::time::Time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::document::{self, Document, Kind};
use super::{invalid, key_material};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;

/// The public key, which only those see who ask for it.
const PUBLIC: &str = "_PublicKey";

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

/// Keeps a public key under its name, if that is free.
async fn keep(context: &Context, input: &Value, public: &str, fingerprint: &str) -> Result<Document, ApiError> {
    let name = input.required("KeyName");
    let kind = public.split_whitespace().next().unwrap_or_default();
    let body = json!({
        "KeyName": name, "KeyFingerprint": fingerprint, "KeyType": kind.trim_start_matches("ssh-"),
        "CreateTime": Time(context.region.clock.now()), PUBLIC: public,
    });
    let made = Document::new(context, Kind::KeyPair, input, body);
    super::dry_run(input.flag("DryRun"))?;
    let change = context.region.ledger.change(|state| {
        if find(state, name).is_some() {
            let message = format!("The keypair '{name}' already exists.");
            return Err(ApiError::bad_request("InvalidKeyPair.Duplicate", message));
        }
        Ok((made.clone(), vec![Change::put(made)]))
    });
    change.await
}

fn answer(made: &Document) -> Value {
    json!({
        "KeyName": made.body["KeyName"], "KeyFingerprint": made.body["KeyFingerprint"], "KeyPairId": made.id,
        "Tags": crate::members::tag_list(&made.tags),
    })
}

/// `CreateKeyPair`: the private key is in this answer, and nowhere else.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    if let Some(other) = input.text("KeyFormat").filter(|format| *format != "pem") {
        return Err(invalid(format!(
            "Keys in the format {other} are not available in this region"
        )));
    }
    let name = input.required("KeyName");
    let made = match input.text("KeyType").unwrap_or("rsa") {
        "ed25519" => {
            let mut check = [0; 4];
            context.region.random.bytes(&mut check);
            key_material::ed25519(name, check)?
        }
        "rsa" => key_material::rsa()?,
        other => return Err(invalid(format!("Value ({other}) for parameter keyType is invalid."))),
    };
    let known = keep(&context, &input, &made.public, &made.fingerprint).await?;
    let mut answer = answer(&known);
    answer["KeyMaterial"] = made.private.into();
    Ok(answer)
}

/// `ImportKeyPair`.
pub async fn import(context: Context, input: Value) -> Result<Value, ApiError> {
    let given = STANDARD.decode(input.required("PublicKeyMaterial")).unwrap_or_default();
    let text = String::from_utf8_lossy(&given).trim().to_owned();
    let (kind, blob) = key_material::read_public(&text)
        .ok_or_else(|| ApiError::bad_request("InvalidKey.Format", "Key is not in valid OpenSSH public key format"))?;
    let public = format!("{kind} {}", STANDARD.encode(&blob));
    let known = keep(&context, &input, &public, &key_material::fingerprint(kind, &blob)).await?;
    Ok(answer(&known))
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
    let with_public = input.flag("IncludePublicKey") == Some(true);
    if let Some(pairs) = answer["KeyPairs"].as_array_mut() {
        pairs.retain(|known| names.is_empty() || names.contains(&known.required("KeyName")));
        for pair in pairs.iter_mut().filter(|_| with_public) {
            let known = context
                .region
                .ledger
                .read(|state| find(state, pair.required("KeyName")).cloned());
            let public = known.and_then(|known| known.body.text(PUBLIC).map(str::to_owned));
            pair["PublicKey"] = public.map(|key| format!("{key} {}", pair.required("KeyName"))).into();
        }
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
