//! What the disk and the store allow without an API server in front, in the same run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{RangeRequest, Store, Transaction};
use supervision::Supervisor;

use crate::bench::figures::{Durations, grouped, milliseconds};
use crate::bench::{fresh_directory, peers};
use crate::command::{TaskError, at};

/// Values written to each store.
const WRITES: usize = 20_000;

/// The floors.
pub struct Floors {
    append: Durations,
    writers: usize,
    puts: f64,
    gets: f64,
}

impl Floors {
    /// Prints them.
    pub fn print(&self) {
        println!(
            "\n  floors in the same run: append 1 KiB and sync {}; the store alone with {} writers {} puts/s, {} gets/s",
            milliseconds(self.append.median()),
            self.writers,
            grouped(self.puts),
            grouped(self.gets),
        );
    }
}

/// Measures them.
pub async fn measure(writers: usize, supervisor: &Supervisor) -> Result<Floors, TaskError> {
    let directory = fresh_directory("bench-floor")?;
    let append = peers::append_durably(&directory)?;
    let scope = supervisor.child("floor");
    let failed = |error: store::StoreError| TaskError::Unexpected(format!("the store: {error}"));
    let store: Arc<dyn Store> = store::open(&directory, store::Options::default(), &scope).map_err(failed)?;
    let started = Instant::now();
    let put = |number: usize| format!("/floor/{number}");
    in_parallel(
        writers,
        |store, number| async move {
            store
                .commit(Transaction::put_if(put(number), 0, vec![7; 1024]))
                .await
                .map(|_| ())
        },
        &store,
    )
    .await
    .map_err(failed)?;
    let puts = WRITES as f64 / started.elapsed().as_secs_f64();
    let started = Instant::now();
    in_parallel(
        writers,
        |store, number| async move { store.range(RangeRequest::key(put(number))).await.map(|_| ()) },
        &store,
    )
    .await
    .map_err(failed)?;
    let gets = WRITES as f64 / started.elapsed().as_secs_f64();
    drop(store);
    scope.drain(Duration::from_secs(5)).await;
    std::fs::remove_dir_all(&directory).map_err(at(&directory))?;
    Ok(Floors {
        append,
        writers,
        puts,
        gets,
    })
}

/// Does something `WRITES` times, `parallel` of them at once.
async fn in_parallel<F: Future<Output = Result<(), store::StoreError>>>(
    parallel: usize,
    work: impl Fn(Arc<dyn Store>, usize) -> F,
    store: &Arc<dyn Store>,
) -> Result<(), store::StoreError> {
    use futures::{StreamExt, TryStreamExt};
    futures::stream::iter(0..WRITES)
        .map(|number| work(Arc::clone(store), number))
        .buffer_unordered(parallel)
        .try_collect()
        .await
}
