//! Durable writes per second and their latency with 1, 16 and 128 writers, one long list, and the reopening after
//! a crash: the figures of ADR 0001. `cargo bench -p store`; the directory is `STORE_BENCH_DIR` or a temporary one.
#![allow(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::{RangeRequest, Store, Transaction};
use supervision::Supervisor;

const LENGTH: Duration = Duration::from_secs(3);
const VALUE: usize = 1024;

fn main() {
    let temporary;
    let dir = match std::env::var_os("STORE_BENCH_DIR") {
        Some(dir) => dir.into(),
        None => {
            temporary = tempfile::tempdir().unwrap();
            temporary.path().to_owned()
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for writers in [1, 16, 128] {
            puts(&dir.join(format!("puts-{writers}")), writers).await;
        }
        list(&dir.join("list")).await;
    });
}

fn open(dir: &Path) -> (Arc<dyn Store>, Supervisor) {
    let supervisor = Supervisor::new("bench");
    (
        store::open(dir, store::Options::default(), &supervisor).unwrap(),
        supervisor,
    )
}

async fn puts(dir: &Path, writers: usize) {
    let (store, supervisor) = open(dir);
    let start = Instant::now();
    let one = async |writer: usize| {
        let mut latencies = Vec::new();
        while start.elapsed() < LENGTH {
            let key = format!(
                "/registry/pods/ns{}/pod-{writer}-{}",
                writer % 20,
                latencies.len() % 200
            );
            let begin = Instant::now();
            store.commit(Transaction::put(key, vec![7; VALUE])).await.unwrap();
            latencies.push(begin.elapsed());
        }
        latencies
    };
    let mut latencies = futures::future::join_all((0..writers).map(one)).await.concat();
    let elapsed = start.elapsed().as_secs_f64();
    latencies.sort();
    let at = |share: usize| latencies[latencies.len() * share / 100];
    let rate = latencies.len() as f64 / elapsed;
    println!(
        "{writers} writers: {rate:.0} puts/s, p50 {:?}, p99 {:?}",
        at(50),
        at(99)
    );
    println!("  {} MiB on disk", store.size().await.unwrap() >> 20);
    supervisor.drain(LENGTH).await;
}

async fn list(dir: &Path) {
    let (store, supervisor) = open(dir);
    for chunk in 0..100 {
        let put = |n| {
            store.commit(Transaction::put(
                format!("/registry/pods/{:06}", chunk * 100 + n),
                vec![7; VALUE],
            ))
        };
        futures::future::join_all((0..100).map(put)).await;
    }
    for request in [
        RangeRequest::prefix("/registry/pods/"),
        RangeRequest::prefix("/registry/pods/").limit(500),
    ] {
        let begin = Instant::now();
        let response = store.range(request).await.unwrap();
        println!(
            "list of {} of {}: {:?}",
            response.items.len(),
            response.count,
            begin.elapsed()
        );
    }
    supervisor.drain(LENGTH).await;
}
