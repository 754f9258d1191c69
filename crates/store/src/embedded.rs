//! The embedded engine: one file, one writer thread, readers beside it.

mod apply;
mod compaction;
mod disk;
mod feed;
mod leases;
mod reader;
mod record;
mod tables;
mod watch;
mod writer;

use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Weak};
use std::time::Duration;

use clock::{Clock, SystemClock};
use futures::future::{BoxFuture, FutureExt};
use supervision::Supervisor;
use tokio::sync::oneshot;

use self::apply::Tables;
use self::disk::Disk;
use self::feed::Feed;
use self::leases::Leases;
use self::reader::Snapshot;
use self::tables::{FORMAT, FORMAT_NOW, failed};
use self::watch::Watch;
use self::writer::{Job, Reply, Writer, closed};
use crate::{
    LeaseId, Outcome, RangeRequest, RangeResponse, Revision, Store, StoreError, Transaction, WatchRequest, WatchStream,
};

/// Keys visited by a read before it moves to a thread where it holds up no task.
const INLINE_EFFORT: u64 = 512;

/// How the engine is set up.
#[derive(Clone)]
pub struct Options {
    /// Tells when leases end.
    pub clock: Arc<dyn Clock>,
    /// Bytes of pages kept in memory. Default 16 MiB; the kernel caches the file besides.
    pub cache_bytes: usize,
    /// Bytes of recent events kept in memory for watchers. Default 4 MiB; older ones are read from disk.
    pub recent_bytes: usize,
    /// Bytes of keys and values that one transaction may write. Default 3 MiB, which is what the API server accepts
    /// as a request.
    pub transaction_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            cache_bytes: 16 << 20,
            recent_bytes: 4 << 20,
            transaction_bytes: 3 << 20,
        }
    }
}

/// The store in a directory of this machine.
pub struct EmbeddedStore {
    disk: Arc<Disk>,
    feed: Arc<Feed>,
    jobs: Sender<Job>,
    transaction_bytes: usize,
}

/// Opens the store in `dir`, or makes it. Ends writes and watches when `supervisor` is cancelled, so that should be
/// one that is drained after those who write.
///
/// # Errors
/// `Unavailable` when the directory cannot be used or another process has the store open, `Corrupt` when what is there
/// is not a store of this version.
pub fn open(dir: &Path, options: Options, supervisor: &Supervisor) -> Result<Arc<EmbeddedStore>, StoreError> {
    let disk = Disk::open(dir, options.cache_bytes)?;
    start(disk, options, supervisor)
}

/// The store in an open database.
fn start(disk: Disk, options: Options, supervisor: &Supervisor) -> Result<Arc<EmbeddedStore>, StoreError> {
    let disk = Arc::new(disk);
    let beginning = recover(&disk, options.clock.as_ref())?;
    let feed = Arc::new(Feed::new(beginning.revision, options.recent_bytes));
    let (jobs, queue) = mpsc::channel();
    let writer = Writer {
        disk: Arc::clone(&disk),
        feed: Arc::clone(&feed),
        clock: options.clock,
        jobs: queue,
        leases: beginning.leases,
        scrub: beginning.scrub,
        broken: None,
    };
    let (gone, writer_gone) = oneshot::channel();
    std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || {
            writer.run();
            drop(gone);
        })
        .map_err(|error| {
            StoreError::Unavailable("cannot start the store's writer".to_owned(), Some(Arc::new(error)))
        })?;
    let store = Arc::new(EmbeddedStore {
        disk,
        feed,
        jobs,
        transaction_bytes: options.transaction_bytes,
    });
    close_when_cancelled(Arc::downgrade(&store), writer_gone, supervisor);
    Ok(store)
}

/// What the writer begins with.
struct Beginning {
    revision: Revision,
    leases: Leases,
    scrub: Option<Option<record::Place>>,
}

/// Makes the tables of a new store, checks those of an old one, and reads what the writer begins with.
fn recover(disk: &Disk, clock: &dyn Clock) -> Result<Beginning, StoreError> {
    let transaction = disk.write()?;
    let mut tables = Tables::open(&transaction)?;
    match tables::meta(&tables.meta, FORMAT)? {
        FORMAT_NOW => {}
        0 => {
            tables
                .meta
                .insert(FORMAT, FORMAT_NOW)
                .map_err(failed("mark the format"))?;
        }
        other => {
            return Err(StoreError::Corrupt(format!(
                "written in format {other}, this version reads {FORMAT_NOW}"
            )));
        }
    }
    let mut leases = Leases::default();
    for (lease, seconds) in tables.all_leases()? {
        leases.start(lease, seconds, clock.now());
    }
    let (revision, scrub) = (tables.revision, tables.needs_scrub()?.then_some(None));
    drop(tables);
    transaction.commit().map_err(failed("commit"))?;
    Ok(Beginning {
        revision,
        leases,
        scrub,
    })
}

/// Closes the store with its supervisor, without keeping it alive.
fn close_when_cancelled(store: Weak<EmbeddedStore>, writer_gone: oneshot::Receiver<()>, supervisor: &Supervisor) {
    let cancelled = supervisor.cancelled();
    supervisor.spawn("store", async move {
        let mut writer_gone = writer_gone;
        tokio::select! {
            () = cancelled => {
                if let Some(store) = store.upgrade() {
                    store.close();
                }
                // An error means the same: the writer has ended.
                drop(writer_gone.await);
            }
            _ended = &mut writer_gone => {}
        }
    });
}

impl EmbeddedStore {
    /// Ends writes and watches after those already asked for. Reads go on.
    pub fn close(&self) {
        // The writer is gone only if it was closed before.
        drop(self.jobs.send(Job::Close));
    }

    async fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).map_err(|_gone| closed())?;
        answer.await.unwrap_or_else(|_gone| Err(closed()))
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store for EmbeddedStore {
    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, StoreError>> {
        async move {
            if let Some(response) = Snapshot::take(&self.disk)?.range(&request, INLINE_EFFORT)? {
                return Ok(response);
            }
            let disk = Arc::clone(&self.disk);
            let read = supervision::blocking("range", move || Snapshot::take(&disk)?.range(&request, u64::MAX));
            let response = read
                .await
                .map_err(|error| StoreError::Unavailable("cannot read a range".to_owned(), Some(Arc::new(error))))??;
            response.ok_or_else(|| StoreError::Invalid("a range too large to count".to_owned()))
        }
        .boxed()
    }

    fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Outcome, StoreError>> {
        async move {
            crate::check::transaction(&transaction, self.transaction_bytes)?;
            self.ask(|reply| Job::Commit(transaction, reply)).await
        }
        .boxed()
    }

    fn watch(&self, request: WatchRequest) -> BoxFuture<'_, Result<WatchStream, StoreError>> {
        async move {
            let watch = Watch::start(Arc::clone(&self.disk), Arc::clone(&self.feed), request)?;
            Ok(Box::pin(watch) as WatchStream)
        }
        .boxed()
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(move |reply| Job::Compact(revision, reply)).boxed()
    }

    fn grant(&self, ttl: Duration) -> BoxFuture<'_, Result<LeaseId, StoreError>> {
        // Whole seconds, as etcd's; less than one would be over before it could be used.
        let seconds = ttl.as_secs().max(1);
        self.ask(move |reply| Job::Grant(seconds, reply)).boxed()
    }

    fn keep_alive(&self, lease: LeaseId) -> BoxFuture<'_, Result<Duration, StoreError>> {
        self.ask(move |reply| Job::KeepAlive(lease, reply)).boxed()
    }

    fn revoke(&self, lease: LeaseId) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(move |reply| Job::Revoke(lease, reply)).boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        // Published before it is acknowledged, and on disk before it is published.
        std::future::ready(Ok(self.feed.revision())).boxed()
    }

    fn compacted(&self) -> BoxFuture<'_, Result<Revision, StoreError>> {
        async move { Ok(Snapshot::take(&self.disk)?.compacted) }.boxed()
    }

    fn size(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        std::future::ready(self.disk.size()).boxed()
    }
}

#[cfg(test)]
mod tests;
