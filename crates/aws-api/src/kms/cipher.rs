//! Ciphertexts: which key, the nonce, and what AES-256-GCM makes of the plaintext under the encryption context.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::Random;
use serde_json::Value;

use super::MATERIAL;
use crate::catalogue::Item;
use crate::error::ApiError;
use crate::members::Members;

/// How a ciphertext of ours begins.
const MARK: &[u8] = b"\x01OND";
/// Letters of a key id.
const ID: usize = 36;
/// The most that is encrypted under a key directly, in bytes.
const MOST: usize = 4096;

/// A ciphertext that is none, is not ours, or was made under another context.
pub fn invalid() -> ApiError {
    ApiError::bad_request("InvalidCiphertextException", "")
}

/// The bytes of a blob.
///
/// # Errors
/// When they are not base64.
pub fn decode(text: &str) -> Result<Vec<u8>, ApiError> {
    STANDARD
        .decode(text)
        .map_err(|error| ApiError::bad_request("SerializationException", error.to_string()))
}

/// The context as additional data: the same for the same pairs.
fn additional(context: &Value) -> Vec<u8> {
    let pairs: std::collections::BTreeMap<&str, &str> = context
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
        .collect();
    serde_json::to_vec(&pairs).unwrap_or_default()
}

fn cipher(key: &Item) -> Result<LessSafeKey, ApiError> {
    let material = STANDARD
        .decode(key.body.required(MATERIAL))
        .map_err(ApiError::internal)?;
    let key = UnboundKey::new(&AES_256_GCM, &material).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(LessSafeKey::new(key))
}

/// Encrypts.
///
/// # Errors
/// When the plaintext is too long.
pub fn seal(key: &Item, random: &dyn Random, plain: &[u8], context: &Value) -> Result<Vec<u8>, ApiError> {
    if plain.len() > MOST {
        let message = "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096";
        return Err(ApiError::bad_request("ValidationException", message));
    }
    let mut nonce = [0; NONCE_LEN];
    random.bytes(&mut nonce);
    let mut body = plain.to_vec();
    cipher(key)?
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(additional(context)),
            &mut body,
        )
        .map_err(|error| ApiError::internal(error.to_string()))?;
    Ok([MARK, key.key.as_bytes(), &nonce, &body].concat())
}

/// The id of the key that a ciphertext was made with.
///
/// # Errors
/// When it is no ciphertext of ours.
pub fn key_of(blob: &[u8]) -> Result<String, ApiError> {
    let rest = blob
        .strip_prefix(MARK)
        .filter(|rest| rest.len() > ID + NONCE_LEN)
        .ok_or_else(invalid)?;
    String::from_utf8(rest[..ID].to_vec()).map_err(|_no_id| invalid())
}

/// Decrypts.
///
/// # Errors
/// When the ciphertext was changed or made under another context.
pub fn open(key: &Item, blob: &[u8], context: &Value) -> Result<Vec<u8>, ApiError> {
    let rest = &blob[MARK.len() + ID..];
    let (nonce, body) = rest.split_at(NONCE_LEN);
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_wrong_length| invalid())?;
    let mut body = body.to_vec();
    let plain = cipher(key)?.open_in_place(nonce, Aad::from(additional(context)), &mut body);
    plain.map(|plain| plain.to_vec()).map_err(|_changed| invalid())
}
