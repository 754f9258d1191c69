//! What the disk and the store allow without an API server in front, in the same run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{RangeRequest, Store, Transaction};
use supervision::Supervisor;

use crate::bench::figures::{Durations, grouped, milliseconds};
use crate::bench::{fresh_directory, peers};
use crate::command::{TaskError, at};
use crate::etcd::Etcd;

/// Values written to each store.
const WRITES: usize = 20_000;

/// The floors.
pub struct Floors {
    append: Durations,
    writers: usize,
    /// Of the embedded engine.
    embedded: Rates,
    /// Of Debian's etcd, through the store's other engine, on the same disk; none where there is no etcd.
    etcd: Option<Rates>,
}

/// What a store does in a second.
struct Rates {
    puts: f64,
    gets: f64,
}

impl Floors {
    /// Prints them.
    pub fn print(&self) {
        println!(
            "\n  floors in the same run: append 1 KiB and sync {}; with {} writers, without an API server:",
            milliseconds(self.append.median()),
            self.writers,
        );
        let etcd = self.etcd.as_ref().map(|rates| ("etcd", rates));
        for (name, rates) in std::iter::once(("the embedded store", &self.embedded)).chain(etcd) {
            let (puts, gets) = (grouped(rates.puts), grouped(rates.gets));
            println!("    {name}: {puts} puts/s, {gets} gets/s");
        }
    }
}

/// Measures them.
pub async fn measure(writers: usize, supervisor: &Supervisor) -> Result<Floors, TaskError> {
    let directory = fresh_directory("bench-floor")?;
    let append = peers::append_durably(&directory)?;
    let scope = supervisor.child("floor");
    let store: Arc<dyn Store> = store::open(&directory, store::Options::default(), &scope).map_err(failed)?;
    let embedded = rates(writers, store).await?;
    scope.drain(Duration::from_secs(5)).await;
    let etcd = match Etcd::start(&directory.join("etcd")) {
        Err(TaskError::Missing(_)) => None,
        started => {
            let etcd = started?;
            let location = store::EtcdLocation::parse(&etcd.url).map_err(failed)?;
            Some(rates(writers, store::open_etcd(&location).await.map_err(failed)?).await?)
        }
    };
    std::fs::remove_dir_all(&directory).map_err(at(&directory))?;
    Ok(Floors {
        append,
        writers,
        embedded,
        etcd,
    })
}

fn failed(error: store::StoreError) -> TaskError {
    TaskError::Unexpected(format!("the store: {error}"))
}

/// Puts and gets values of a kibibyte.
async fn rates(writers: usize, store: Arc<dyn Store>) -> Result<Rates, TaskError> {
    let put = |number: usize| format!("/floor/{number}");
    let started = Instant::now();
    let writing = |store: Arc<dyn Store>, number| async move {
        let transaction = Transaction::put_if(put(number), 0, vec![7; 1024]);
        store.commit(transaction).await.map(|_| ())
    };
    in_parallel(writers, writing, &store).await.map_err(failed)?;
    let puts = WRITES as f64 / started.elapsed().as_secs_f64();
    let started = Instant::now();
    let reading =
        |store: Arc<dyn Store>, number| async move { store.range(RangeRequest::key(put(number))).await.map(|_| ()) };
    in_parallel(writers, reading, &store).await.map_err(failed)?;
    let gets = WRITES as f64 / started.elapsed().as_secs_f64();
    Ok(Rates { puts, gets })
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
