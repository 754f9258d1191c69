//! History goes after one to two periods, in every store alike.

use std::sync::Arc;
use std::time::Duration;

use crate::{Revision, Store, StoreError};

/// Compacts, every period, what was history already the time before. Ends only when the store fails.
///
/// # Errors
/// When the store does not answer; to be called again then.
pub async fn keep_compacted(store: Arc<dyn Store>, every: Duration) -> Result<(), StoreError> {
    let mut known = store.revision().await?;
    loop {
        supervision::sleep(every).await;
        known = compact_once(store.as_ref(), known).await?;
    }
}

/// Compacts up to a revision; answers the newest one, for the next time.
async fn compact_once(store: &dyn Store, revision: Revision) -> Result<Revision, StoreError> {
    match store.compact(revision).await {
        // Nothing was written since the last time, or somebody else was faster.
        Ok(()) | Err(StoreError::Compacted { .. }) => store.revision().await,
        Err(error) => Err(error),
    }
}
