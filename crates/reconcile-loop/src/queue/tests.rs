//! Keys come once, never to two workers, and later after failures.

use super::*;

fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    futures::FutureExt::now_or_never(future)
}

#[tokio::test]
async fn a_key_that_waits_is_not_added_twice() {
    let queue = WorkQueue::default();
    assert!(queue.add("a"));
    assert!(!queue.add("a"));
    assert_eq!(queue.next().await.0, "a");
    assert!(now_or_never(queue.next()).is_none());
}

#[tokio::test]
async fn a_key_added_while_it_is_looked_at_comes_again_afterwards() {
    let queue = WorkQueue::default();
    queue.add("a");
    assert_eq!(queue.next().await.0, "a");
    queue.add("a");
    assert!(now_or_never(queue.next()).is_none(), "one worker at a time");
    queue.done(&"a");
    assert_eq!(queue.next().await.0, "a");
}

#[tokio::test(start_paused = true)]
async fn retries_come_later_and_later_until_forgotten() {
    let queue = WorkQueue::default();
    let delays: Vec<u128> = (0..4).map(|_| queue.retry("a").as_millis()).collect();
    assert_eq!(delays, [5, 10, 20, 40]);
    for _ in 0..20 {
        queue.retry("a");
    }
    assert_eq!(queue.retry("a"), LONGEST_DELAY);
    queue.forget(&"a");
    assert_eq!(queue.retry("a"), FIRST_DELAY);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_key_wakes_a_waiting_worker() {
    let queue = WorkQueue::default();
    queue.add_after("late", Duration::from_secs(60));
    queue.add_after("soon", Duration::from_secs(1));
    let start = Instant::now();
    assert_eq!(queue.next().await.0, "soon");
    assert_eq!(start.elapsed().as_secs(), 1);
    assert_eq!(queue.next().await.0, "late");
    assert_eq!(start.elapsed().as_secs(), 60);
}
