//! Deliberate delays, and waiting for a state with a limit.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// How long `wait_until` waits between probes at first, and at most.
const PROBE_PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// Lets `duration` pass. Follows tokio's paused clock in tests.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Work on a thread of its own ended without a result.
#[derive(Debug, thiserror::Error)]
#[error("blocking work {what} did not finish")]
pub struct BlockingFailed {
    /// What was done.
    pub what: String,
    /// The panic or the shutdown that ended it.
    #[source]
    pub source: tokio::task::JoinError,
}

/// Runs `work`, which may block (disk, long computation), on a thread where it holds up no task.
///
/// # Errors
/// When `work` panics or the runtime is shutting down.
pub async fn blocking<T, F>(what: &str, work: F) -> Result<T, BlockingFailed>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|source| BlockingFailed {
            what: what.to_owned(),
            source,
        })
}

/// A state did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("{what} did not happen within {limit:?}; last seen: {last_seen}")]
pub struct TimedOut {
    /// What was waited for.
    pub what: String,
    /// How long was waited.
    pub limit: Duration,
    /// What the last probe saw instead.
    pub last_seen: String,
}

/// Probes until the probe answers `Ok`, or `limit` has passed; the probe's `Err` says what it saw instead. Probes at
/// growing intervals, from 1 to 100 ms, and at least once.
///
/// # Errors
/// `TimedOut`, with what the last probe saw.
pub async fn wait_until<T, S, P, F>(what: &str, limit: Duration, mut probe: P) -> Result<T, TimedOut>
where
    S: Display,
    P: FnMut() -> F,
    F: Future<Output = Result<T, S>>,
{
    let deadline = Instant::now() + limit;
    let (mut pause, longest) = PROBE_PAUSE;
    let mut last_seen = "a probe that gave no answer".to_owned();
    loop {
        // A probe that answers at once wins over an expired limit, so the state is looked at once more at the end.
        let last_look = Instant::now() >= deadline;
        match tokio::time::timeout_at(deadline, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(seen)) => last_seen = seen.to_string(),
            Err(_elapsed) => {
                return Err(TimedOut {
                    what: what.to_owned(),
                    limit,
                    last_seen,
                });
            }
        }
        if last_look {
            return Err(TimedOut {
                what: what.to_owned(),
                limit,
                last_seen,
            });
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + pause)).await;
        pause = (pause * 2).min(longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_state_that_comes_is_returned() {
        let mut probes = 0;
        let found = wait_until("three probes", Duration::from_secs(10), || {
            probes += 1;
            let probes = probes;
            async move {
                if probes == 3 {
                    Ok(probes)
                } else {
                    Err(format!("{probes} probes"))
                }
            }
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_that_never_comes_names_what_was_seen() {
        let waited = wait_until("pod Running", Duration::from_secs(5), || async {
            Err::<(), _>("Pending")
        });
        assert_eq!(
            waited.await.unwrap_err().to_string(),
            "pod Running did not happen within 5s; last seen: Pending"
        );
    }

    #[tokio::test]
    async fn a_panic_in_blocking_work_is_an_error() {
        assert_eq!(blocking("sum", || 1 + 1).await.unwrap(), 2);
        let failed = blocking("sum", || -> u32 { panic!("a defect") }).await.unwrap_err();
        assert_eq!(failed.to_string(), "blocking work sum did not finish");
        assert!(failed.source.is_panic());
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_is_cut_off() {
        let waited = wait_until(
            "an answer",
            Duration::from_secs(5),
            std::future::pending::<Result<(), String>>,
        );
        assert_eq!(waited.await.unwrap_err().last_seen, "a probe that gave no answer");
    }
}
