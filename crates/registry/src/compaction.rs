//! History goes after five to ten minutes, as upstream's API server lets etcd compact it.
//!
//! Lists that are continued and watches that resume must come back within that time; later they are told so (410).

use std::time::Duration;

use store::{Revision, StoreError};

use crate::registry::Registry;

/// Source: `--etcd-compaction-interval`.
const EVERY: Duration = Duration::from_secs(300);

impl Registry {
    /// Compacts, each time, what was history already the time before.
    pub(crate) async fn keep_compact(&self) -> Result<(), StoreError> {
        let mut known = self.store.revision().await?;
        loop {
            supervision::sleep(EVERY).await;
            known = self.compact_once(known).await?;
        }
    }

    /// Compacts up to a revision; answers the newest one, for the next time.
    pub(crate) async fn compact_once(&self, revision: Revision) -> Result<Revision, StoreError> {
        match self.store.compact(revision).await {
            // Nothing was written since the last time, or another API server was faster.
            Ok(()) | Err(StoreError::Compacted { .. }) => self.store.revision().await,
            Err(error) => Err(error),
        }
    }
}
