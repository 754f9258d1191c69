//! Keys as a cluster's control plane uses them: by ARN, without a caller whose permissions could be asked.

use serde_json::json;

use super::cipher;
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::region::Region;

fn find<'a>(state: &'a State, arn: &str) -> Option<&'a Item> {
    let (_, id) = arn.rsplit_once(":key/")?;
    catalogue::find(state, ItemKind::Key, id).filter(|key| key.body["Arn"] == arn)
}

/// The state of the key of an ARN, in KMS's words; `None` when there is no such key.
pub fn state_of<'a>(state: &'a State, arn: &str) -> Option<&'a str> {
    find(state, arn)?.body["KeyState"].as_str()
}

fn usable<'a>(state: &'a State, arn: &str) -> Result<&'a Item, ApiError> {
    let key = find(state, arn);
    let key = key.ok_or_else(|| super::not_found(format!("Key '{arn}' does not exist")))?;
    super::enabled(key)
}

/// Why a key was not used for a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct KeyError {
    /// KMS's code.
    pub code: String,
    /// KMS's sentence.
    pub message: String,
}

impl From<ApiError> for KeyError {
    fn from(error: ApiError) -> Self {
        Self {
            code: error.code,
            message: error.message,
        }
    }
}

impl Region {
    /// Whether a key may be used.
    ///
    /// # Errors
    /// KMS's refusal.
    pub fn check_key(&self, arn: &str) -> Result<(), KeyError> {
        self.ledger.read(|state| Ok(usable(state, arn).map(drop)?))
    }

    /// Encrypts for a cluster; what comes out can be decrypted for no other.
    ///
    /// # Errors
    /// KMS's refusal.
    pub fn encrypt_for(&self, cluster: &str, arn: &str, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let bound = json!({ "aws:eks:cluster-name": cluster });
        self.ledger
            .read(|state| Ok(cipher::seal(usable(state, arn)?, &*self.random, plain, &bound)?))
    }

    /// Decrypts what was encrypted for a cluster.
    ///
    /// # Errors
    /// KMS's refusal.
    pub fn decrypt_for(&self, cluster: &str, arn: &str, blob: &[u8]) -> Result<Vec<u8>, KeyError> {
        let bound = json!({ "aws:eks:cluster-name": cluster });
        self.ledger.read(|state| {
            let key = usable(state, arn)?;
            if cipher::key_of(blob)? != key.key {
                return Err(cipher::invalid().into());
            }
            Ok(cipher::open(key, blob, &bound)?)
        })
    }
}
