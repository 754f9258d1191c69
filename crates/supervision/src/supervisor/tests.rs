//! How supervised tasks start, fail, restart and end.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

use super::*;
use crate::wait_until;

const LIMIT: Duration = Duration::from_secs(10);

async fn until_idle(supervisor: &Supervisor) {
    wait_until("no task left", LIMIT, || async {
        let names = supervisor.task_names();
        if names.is_empty() {
            Ok(())
        } else {
            Err(names.join(", "))
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn tasks_are_listed_by_name_while_they_run() {
    let supervisor = Supervisor::new("region");
    let cluster = supervisor.child("cluster-a");
    let stop = Arc::new(Notify::new());
    for (scope, name) in [(&supervisor, "dns"), (&cluster, "scheduler")] {
        let stop = Arc::clone(&stop);
        scope.spawn(name, async move { stop.notified().await });
    }
    assert_eq!(supervisor.task_names(), ["region/cluster-a/scheduler", "region/dns"]);
    assert_eq!(cluster.task_names(), ["region/cluster-a/scheduler"]);
    assert_eq!(supervisor.metrics().running.get(), 2);
    tokio::task::yield_now().await;
    stop.notify_waiters();
    until_idle(&supervisor).await;
    assert_eq!(supervisor.metrics().running.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_tasks_that_finish_their_work() {
    let supervisor = Supervisor::new("region");
    let worker = supervisor.child("worker");
    let done = Arc::new(AtomicU32::new(0));
    let (told, counted) = (worker.cancelled(), Arc::clone(&done));
    worker.spawn("flush", async move {
        told.await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        counted.fetch_add(1, Ordering::SeqCst);
    });
    assert!(supervisor.drain(LIMIT).await.is_clean());
    assert_eq!(done.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_aborts_and_names_what_does_not_end() {
    let supervisor = Supervisor::new("region");
    let stuck = supervisor.child("cluster").spawn("stuck", std::future::pending());
    supervisor.spawn_until_cancelled("idle", std::future::pending());
    let report = supervisor.drain(LIMIT).await;
    assert_eq!(report.aborted, ["region/cluster/stuck"]);
    assert!(stuck.is_finished());
    assert_eq!(supervisor.task_names(), Vec::<String>::new());
}

#[tokio::test]
async fn draining_a_child_leaves_its_parent_alone() {
    let supervisor = Supervisor::new("region");
    let cluster = supervisor.child("cluster");
    supervisor.spawn_until_cancelled("endpoint", std::future::pending());
    cluster.spawn_until_cancelled("scheduler", std::future::pending());
    assert!(cluster.drain(LIMIT).await.is_clean());
    assert!(!supervisor.is_cancelled());
    assert_eq!(supervisor.task_names(), ["region/endpoint"]);
}

#[tokio::test]
async fn an_aborted_task_leaves_the_list() {
    let supervisor = Supervisor::new("region");
    let handle = supervisor.spawn("loop", std::future::pending());
    assert!(!handle.is_finished());
    handle.abort();
    until_idle(&supervisor).await;
    assert!(handle.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_failing_task_is_restarted_with_growing_pauses_until_it_succeeds() {
    let supervisor = Supervisor::new("region");
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let started = Instant::now();
    supervisor.spawn_restarting("watch", Restart::on_failure(), move || {
        let run = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            match run {
                0 => Err(io::Error::other("connection lost")),
                1 => panic!("a defect"),
                _ => Ok(()),
            }
        }
    });
    until_idle(&supervisor).await;
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert!(
        started.elapsed() >= Duration::from_millis(300),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(supervisor.metrics().restarts.get(), 2);
    assert_eq!(supervisor.metrics().panics.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_must_always_run_is_restarted_after_success_and_ends_with_its_supervisor() {
    let supervisor = Supervisor::new("region");
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    supervisor.spawn_restarting("poll", Restart::always(), move || {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok::<(), io::Error>(()) }
    });
    wait_until("three runs", LIMIT, || async {
        let runs = runs.load(Ordering::SeqCst);
        if runs >= 3 { Ok(()) } else { Err(runs) }
    })
    .await
    .unwrap();
    assert!(supervisor.drain(LIMIT).await.is_clean());
}

#[tokio::test]
async fn a_panic_ends_only_its_own_task() {
    let supervisor = Supervisor::new("region");
    supervisor.spawn("healthy", std::future::pending());
    supervisor.spawn("broken", async { panic!("a defect") });
    wait_until("the broken one to end", LIMIT, || async {
        let names = supervisor.task_names();
        if names == ["region/healthy"] {
            Ok(())
        } else {
            Err(names.join(", "))
        }
    })
    .await
    .unwrap();
    assert_eq!(supervisor.metrics().panics.get(), 1);
}
