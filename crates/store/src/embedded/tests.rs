//! A disk that fails for a while: nothing acknowledged is lost, nothing refused for ever.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use futures::StreamExt;
use redb::StorageBackend;
use supervision::wait_until;

use super::*;
use crate::WatchBatch;

/// The operating system's unit of writing.
const PAGE: usize = 4096;

/// A disk with the operating system's cache before it.
#[derive(Debug, Default)]
struct State {
    on_disk: Vec<u8>,
    cached: Vec<u8>,
    dirty: BTreeSet<usize>,
    failing: bool,
}

/// Everything in memory, so that a test can cut the power.
#[derive(Debug, Clone, Default)]
struct FlakyDisk(Arc<Mutex<State>>);

impl FlakyDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn fail(&self, failing: bool) {
        self.state().failing = failing;
    }
}

impl State {
    fn work(&self) -> io::Result<()> {
        if self.failing {
            Err(io::Error::other("input/output error"))
        } else {
            Ok(())
        }
    }
}

impl StorageBackend for FlakyDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.state().cached[from..from + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.work()?;
        let len = usize::try_from(len).unwrap();
        state.cached.resize(len, 0);
        state.on_disk.resize(len, 0);
        Ok(())
    }

    /// As Linux does it: pages that could not be written count as clean from then on.
    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        let dirty = std::mem::take(&mut state.dirty);
        state.work()?;
        for page in dirty {
            let end = (page + PAGE).min(state.cached.len());
            let bytes = state.cached[page..end].to_vec();
            state.on_disk[page..end].copy_from_slice(&bytes);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let from = usize::try_from(offset).unwrap();
        state.cached[from..from + data.len()].copy_from_slice(data);
        let pages = (from / PAGE * PAGE..from + data.len()).step_by(PAGE);
        state.dirty.extend(pages);
        Ok(())
    }
}

struct World {
    flaky: FlakyDisk,
    store: Arc<EmbeddedStore>,
    supervisor: Supervisor,
    dir: tempfile::TempDir,
}

impl World {
    fn new(flaky: FlakyDisk) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let supervisor = Supervisor::new("test");
        let store = start(disk(&flaky, dir.path()), Options::default(), &supervisor).unwrap();
        Self {
            flaky,
            store,
            supervisor,
            dir,
        }
    }

    async fn put(&self, key: &'static str, value: &str) -> Result<Revision, StoreError> {
        match self.store.commit(Transaction::put(key, value.to_owned())).await? {
            Outcome::Committed { revision } => Ok(revision),
            Outcome::Refused { .. } => unreachable!("nothing was expected"),
        }
    }

    async fn put_once_possible(&self, key: &'static str, value: &str) -> Revision {
        let limit = Duration::from_secs(60);
        wait_until("a write", limit, async || {
            self.put(key, value).await.map_err(|error| error.to_string())
        })
        .await
        .unwrap()
    }

    async fn list(&self) -> Vec<String> {
        let listed = self.store.range(RangeRequest::prefix("")).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        listed
            .items
            .iter()
            .map(|item| format!("{}={}", text(&item.key), text(&item.value)))
            .collect()
    }

    /// The machine loses power and starts again.
    async fn cut_power(self) -> Self {
        let left = self.flaky.state().on_disk.clone();
        let flaky = FlakyDisk(Arc::new(Mutex::new(State {
            on_disk: left.clone(),
            cached: left,
            ..State::default()
        })));
        self.supervisor.drain(Duration::from_secs(10)).await;
        Self::new(flaky)
    }
}

fn disk(flaky: &FlakyDisk, directory: &Path) -> Disk {
    let path = directory.join("store.redb");
    std::fs::write(&path, b"").unwrap();
    let flaky = flaky.clone();
    Disk::on(path, 1 << 20, Box::new(move || Ok(Box::new(flaky.clone())))).unwrap()
}

#[tokio::test]
async fn a_disk_that_works_again_is_written_to_again() {
    let world = World::new(FlakyDisk::default());
    assert_eq!(world.put("a", "1").await.unwrap(), 2);
    world.flaky.fail(true);
    let refused = world.put("b", "1").await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(..)), "{refused}");
    assert!(world.put("c", "1").await.is_err());
    // What the store knows by heart is still told.
    assert_eq!(world.store.revision().await.unwrap(), 2);
    world.flaky.fail(false);
    world.put_once_possible("d", "1").await;
    let listed = world.list().await;
    assert!(
        listed.contains(&"a=1".to_owned()) && listed.contains(&"d=1".to_owned()),
        "{listed:?}"
    );
    assert!(!listed.contains(&"c=1".to_owned()), "{listed:?}");
    drop(world.dir);
}

#[tokio::test]
async fn what_a_failing_disk_forgot_is_not_built_upon() {
    let mut world = World::new(FlakyDisk::default());
    // Larger than half a page, so that what comes after lies in pages of its own.
    let large = "x".repeat(3000);
    for round in 0..4 {
        world.put_once_possible("before", &large).await;
        world.flaky.fail(true);
        assert!(world.put("during", &large).await.is_err());
        world.flaky.fail(false);
        let revision = world.put_once_possible("after", &large).await;
        let listed = world.list().await;
        world = world.cut_power().await;
        assert_eq!(world.store.revision().await.unwrap(), revision, "round {round}");
        assert_eq!(world.list().await, listed, "round {round}");
    }
}

#[tokio::test]
async fn watchers_go_on_where_the_disk_failed() {
    let world = World::new(FlakyDisk::default());
    let mut watch = world.store.watch(WatchRequest::prefix("")).await.unwrap();
    let before = world.put("a", "1").await.unwrap();
    world.flaky.fail(true);
    assert!(world.put("b", "1").await.is_err());
    world.flaky.fail(false);
    let after = world.put_once_possible("a", "2").await;
    let mut next = before;
    while next <= after {
        match watch.next().await.unwrap().unwrap() {
            WatchBatch::Events { revision, .. } => assert_eq!(revision, next, "no revision is left out"),
            other => panic!("{other:?}"),
        }
        next += 1;
    }
}
