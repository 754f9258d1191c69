//! History goes after five to ten minutes, as upstream's API server lets etcd compact it.
//!
//! Lists that are continued and watches that resume must come back within that time; later they are told so (410).

use std::time::Duration;

use store::StoreError;

use crate::registry::Registry;

/// Source: `--etcd-compaction-interval`.
const EVERY: Duration = Duration::from_secs(300);

impl Registry {
    /// Compacts until the store fails.
    pub(crate) async fn keep_compact(&self) -> Result<(), StoreError> {
        store::keep_compacted(self.store.clone(), EVERY).await
    }
}
