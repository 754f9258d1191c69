//! What keys are for: encrypting, decrypting, and making keys for others to encrypt with.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{cipher, ensure_aws_key, key_id, usable};
use crate::catalogue::{self, ItemKind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::Members;
use crate::operations::Context;

/// `Encrypt`.
pub async fn encrypt(context: Context, input: Value) -> Result<Value, ApiError> {
    let plain = cipher::decode(input.required("Plaintext"))?;
    sealed(&context, &input, "KeyId", &plain, &input["EncryptionContext"]).await
}

async fn sealed(
    context: &Context,
    input: &Value,
    member: &str,
    plain: &[u8],
    encryption_context: &Value,
) -> Result<Value, ApiError> {
    let given = input.required(member);
    ensure_aws_key(context, given).await?;
    context.region.ledger.read(|state| {
        let key = usable(context, state, given)?;
        let blob = cipher::seal(key, &*context.region.random, plain, encryption_context)?;
        Ok(json!({
            "CiphertextBlob": STANDARD.encode(blob), "KeyId": key.body["Arn"], "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
        }))
    })
}

fn opened(
    context: &Context,
    state: &State,
    blob: &str,
    encryption_context: &Value,
    expected: Option<&str>,
) -> Result<(Vec<u8>, Value), ApiError> {
    let blob = cipher::decode(blob)?;
    let id = cipher::key_of(&blob)?;
    let key = catalogue::find(state, ItemKind::Key, &id).ok_or_else(cipher::invalid)?;
    if let Some(expected) = expected
        && key_id(context, state, expected)? != id
    {
        let message = "The key ID in the request does not identify a CMK that can perform this operation.";
        return Err(ApiError::bad_request("IncorrectKeyException", message));
    }
    let key = usable(context, state, &key.key)?;
    Ok((cipher::open(key, &blob, encryption_context)?, key.body["Arn"].clone()))
}

/// `Decrypt`.
pub async fn decrypt(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let blob = input.required("CiphertextBlob");
        let (plain, arn) = opened(&context, state, blob, &input["EncryptionContext"], input.text("KeyId"))?;
        Ok(json!({"Plaintext": STANDARD.encode(plain), "KeyId": arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}))
    })
}

/// `ReEncrypt`.
pub async fn re_encrypt(context: Context, input: Value) -> Result<Value, ApiError> {
    let (plain, source) = context.region.ledger.read(|state| {
        let blob = input.required("CiphertextBlob");
        opened(
            &context,
            state,
            blob,
            &input["SourceEncryptionContext"],
            input.text("SourceKeyId"),
        )
    })?;
    let mut answer = sealed(
        &context,
        &input,
        "DestinationKeyId",
        &plain,
        &input["DestinationEncryptionContext"],
    )
    .await?;
    if let Some(members) = answer.as_object_mut() {
        members.remove("EncryptionAlgorithm");
    }
    answer["SourceKeyId"] = source;
    answer["SourceEncryptionAlgorithm"] = "SYMMETRIC_DEFAULT".into();
    answer["DestinationEncryptionAlgorithm"] = "SYMMETRIC_DEFAULT".into();
    Ok(answer)
}

/// `GenerateDataKey`.
pub async fn data_key(context: Context, input: Value) -> Result<Value, ApiError> {
    let length = match (input.text("KeySpec"), input.number("NumberOfBytes")) {
        (Some("AES_256"), None) => 32,
        (Some(_), None) => 16,
        (None, Some(bytes)) if (1..=1024).contains(&bytes) => usize::try_from(bytes).unwrap_or(32),
        _ => {
            let message = "Please specify either number of bytes or key spec.";
            return Err(ApiError::bad_request("ValidationException", message));
        }
    };
    let mut plain = vec![0; length];
    context.region.random.bytes(&mut plain);
    let mut answer = sealed(&context, &input, "KeyId", &plain, &input["EncryptionContext"]).await?;
    if let Some(members) = answer.as_object_mut() {
        members.remove("EncryptionAlgorithm");
    }
    answer["Plaintext"] = STANDARD.encode(plain).into();
    Ok(answer)
}

/// `GenerateDataKeyWithoutPlaintext`.
pub async fn closed_data_key(context: Context, input: Value) -> Result<Value, ApiError> {
    let mut answer = data_key(context, input).await?;
    if let Some(members) = answer.as_object_mut() {
        members.remove("Plaintext");
    }
    Ok(answer)
}

/// `GenerateRandom`.
pub async fn random(context: Context, input: Value) -> Result<Value, ApiError> {
    let length = input
        .number("NumberOfBytes")
        .and_then(|bytes| usize::try_from(bytes).ok());
    let length = length.filter(|length| (1..=1024).contains(length));
    let length = length.ok_or_else(|| ApiError::bad_request("ValidationException", "NumberOfBytes is required."))?;
    let mut bytes = vec![0; length];
    context.region.random.bytes(&mut bytes);
    Ok(json!({ "Plaintext": STANDARD.encode(bytes) }))
}
