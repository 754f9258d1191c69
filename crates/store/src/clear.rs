//! Removing all that a store holds.

use crate::{RangeRequest, Store, StoreError, Transaction, Write};

/// Keys removed by one transaction; etcd takes at most 128 writes in one.
const AT_ONCE: usize = 100;

/// Removes every key, in pieces; what is written meanwhile may stay.
///
/// # Errors
/// What the store says.
pub async fn clear(store: &dyn Store) -> Result<(), StoreError> {
    loop {
        let request = RangeRequest {
            keys_only: true,
            ..RangeRequest::prefix("")
        };
        let found = store.range(request.limit(AT_ONCE)).await?;
        if found.items.is_empty() {
            return Ok(());
        }
        let writes = found.items.into_iter().map(|item| Write::Delete { key: item.key });
        let transaction = Transaction {
            expect: Vec::new(),
            writes: writes.collect(),
        };
        store.commit(transaction).await?;
    }
}
