//! A process that writes is killed with SIGKILL, again and again: what it was told is durable must be there.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use store::{Outcome, RangeRequest, Store, Transaction};
use supervision::Supervisor;

/// Set in the child: the directory of the store that it writes.
const CHILD: &str = "STORE_CRASH_CHILD";
const WRITERS: u64 = 16;

/// Not a test by itself: the child of the one below, which writes until it is killed and prints what was
/// acknowledged.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = store::open(dir.as_ref(), store::Options::default(), &Supervisor::new("child")).unwrap();
        let supervisor = Supervisor::new("writers");
        for writer in 0..WRITERS {
            supervisor.spawn(
                format!("writer-{writer}"),
                write_for_ever(Arc::clone(&store) as _, writer),
            );
        }
        supervisor.spawn("compactor", async move {
            loop {
                supervision::sleep(Duration::from_millis(7)).await;
                let newest = store.revision().await.unwrap();
                drop(store.compact(newest.saturating_sub(50)).await);
            }
        });
        std::future::pending::<()>().await;
    });
}

async fn write_for_ever(store: Arc<dyn Store>, writer: u64) {
    for value in 0_u64.. {
        let write = Transaction::put(format!("writer-{writer:02}"), format!("{value}"));
        let Outcome::Committed { revision } = store.commit(write).await.unwrap() else {
            panic!("refused")
        };
        // One write call per line, so that the kill cannot cut a line that counts.
        let line = format!("{writer} {value} {revision}\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut oldest_newest = 1;
    for round in 0..12 {
        let acknowledged = write_and_kill(dir.path(), 40 + 60 * (round % 4));
        let supervisor = Supervisor::new("parent");
        let store = store::open(dir.path(), store::Options::default(), &supervisor).unwrap();
        let newest = store.revision().await.unwrap();
        assert!(
            newest >= oldest_newest,
            "the revision went back from {oldest_newest} to {newest}"
        );
        oldest_newest = newest;
        for (writer, value, revision) in acknowledged {
            assert!(
                newest >= revision,
                "revision {revision} was acknowledged, the store is at {newest}"
            );
            let found = store
                .range(RangeRequest::key(format!("writer-{writer:02}")))
                .await
                .unwrap();
            let found = found
                .items
                .first()
                .unwrap_or_else(|| panic!("writer {writer} lost everything"));
            if found.mod_revision == revision {
                assert_eq!(found.value, value.to_string());
            } else {
                assert!(
                    found.mod_revision > revision,
                    "round {round}: writer {writer} lost {value}"
                );
            }
        }
        assert!(supervisor.drain(Duration::from_secs(120)).await.is_clean());
    }
}

/// The last write of each writer that the child printed before it was killed, after `lines` of them.
fn write_and_kill(dir: &std::path::Path, lines: usize) -> Vec<(u64, u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut last = [None; WRITERS as usize];
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let numbers: Vec<u64> = line.split(' ').filter_map(|field| field.parse().ok()).collect();
        if let [writer, value, revision] = numbers[..] {
            last[usize::try_from(writer).unwrap()] = Some((writer, value, revision));
            seen += 1;
        }
        if seen == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(seen >= lines, "the child ended after {seen} lines");
    last.into_iter().flatten().collect()
}
