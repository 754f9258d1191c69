//! What every engine must do, what the embedded one does besides, and what survives a crash.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;
mod crash;
mod embedded;
mod etcd;
mod model;

use std::sync::Arc;

use clock::ManualClock;
use store::{EmbeddedStore, Options};
use supervision::Supervisor;
use tempfile::TempDir;

/// An embedded store in a directory of its own, with a clock that the test sets.
struct Bench {
    store: Arc<EmbeddedStore>,
    clock: Arc<ManualClock>,
    supervisor: Supervisor,
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), change)
    }

    fn in_dir(dir: TempDir, change: impl FnOnce(&mut Options)) -> Self {
        let clock = Arc::new(ManualClock::default());
        let mut options = Options {
            clock: Arc::clone(&clock) as _,
            ..Options::default()
        };
        change(&mut options);
        let supervisor = Supervisor::new("test");
        let store = store::open(dir.path(), options, &supervisor).unwrap();
        Self {
            store,
            clock,
            supervisor,
            dir,
        }
    }

    /// Closes the store as a process that ends does, and opens it again.
    async fn reopen(self) -> Self {
        let Self {
            store, supervisor, dir, ..
        } = self;
        supervisor.drain(std::time::Duration::from_secs(10)).await;
        drop(store);
        Self::in_dir(dir, |_| {})
    }
}
