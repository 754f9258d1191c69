//! What every engine asks of a transaction before it is carried out.

use std::collections::BTreeSet;

use crate::{StoreError, Transaction, Write};

/// Bytes of all keys and values, when no key is empty or written twice.
pub(crate) fn transaction(transaction: &Transaction, limit: usize) -> Result<usize, StoreError> {
    let mut keys = BTreeSet::new();
    let mut size = 0;
    for write in &transaction.writes {
        if write.key().is_empty() {
            return Err(StoreError::Invalid("a key must not be empty".to_owned()));
        }
        if !keys.insert(write.key()) {
            let key = String::from_utf8_lossy(write.key());
            return Err(StoreError::Invalid(format!("key {key} is written twice")));
        }
        size += write.key().len();
        if let Write::Put { value, .. } = write {
            size += value.len();
        }
    }
    if size > limit {
        Err(StoreError::TooLarge { size, limit })
    } else {
        Ok(size)
    }
}
