//! Requests that wait for seats, give up, or are refused.

use std::time::Duration;

use flow_control::levels::{Limits, Response};

use super::*;

/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(60);

fn entry(seats: u32, length: usize) -> Arc<Entry> {
    let level = Level {
        name: "l".to_owned(),
        uid: "u".to_owned(),
        exempt: false,
        shares: 1,
        lendable_percent: 0,
        borrowing_percent: None,
        response: Response::Queue {
            queues: 1,
            hand: 1,
            length,
        },
    };
    let limits = Limits {
        nominal: seats,
        least: seats,
        most: seats,
    };
    Arc::new(Entry::new(level, limits, 0.0))
}

async fn enter(entry: &Arc<Entry>, began: Instant, limit: Duration) -> Result<Seat, Refused> {
    entry.clone().enter(began, 1, 1, "s", "jane", limit).await
}

#[tokio::test]
async fn who_waits_runs_when_another_ends() {
    let (entry, began) = (entry(1, 2), Instant::now());
    let first = enter(&entry, began, LONG).await.unwrap();
    let second = enter(&entry, began, LONG);
    let mut second = Box::pin(second);
    assert!(futures::poll!(second.as_mut()).is_pending());
    assert_eq!(entry.lock().queues.waiting(), 1);
    drop(first);
    let second = second.await.unwrap();
    let counts = |entry: &Entry| {
        let state = entry.lock();
        (state.queues.waiting(), state.queues.running())
    };
    assert_eq!(counts(&entry), (0, 1));
    drop(second);
    assert_eq!(entry.lock().queues.running(), 0);
}

#[tokio::test]
async fn who_gives_up_leaves_the_queue_and_who_waits_too_long_is_refused() {
    let (entry, began) = (entry(1, 2), Instant::now());
    let first = enter(&entry, began, LONG).await.unwrap();
    {
        let mut given_up = Box::pin(enter(&entry, began, LONG));
        assert!(futures::poll!(given_up.as_mut()).is_pending());
    }
    assert_eq!(entry.lock().queues.waiting(), 0);
    let refused = enter(&entry, began, Duration::ZERO).await;
    assert!(matches!(refused, Err(Refused("time-out"))));
    assert_eq!(entry.lock().queues.waiting(), 0);
    drop(first);
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let (entry, began) = (entry(1, 1), Instant::now());
    let _first = enter(&entry, began, LONG).await.unwrap();
    let mut second = Box::pin(enter(&entry, began, LONG));
    assert!(futures::poll!(second.as_mut()).is_pending());
    assert!(matches!(enter(&entry, began, LONG).await, Err(Refused("queue-full"))));
}

#[test]
fn what_is_configured_keeps_levels_that_have_not_changed() {
    let fairness = Fairness::new();
    let before = fairness.settings.load_full();
    fairness.configure(&bootstrap::schemas(), &bootstrap::levels());
    let after = fairness.settings.load_full();
    assert_eq!(after.levels.len(), 8);
    assert!(Arc::ptr_eq(&before.levels["system"], &after.levels["system"]));
}
