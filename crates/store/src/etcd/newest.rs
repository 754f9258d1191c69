//! The newest revision, asked for once by all who want to know it at the same time.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use crate::{Revision, StoreError};

/// Readers queue; who comes to the front asks for all who have queued up meanwhile.
#[derive(Default)]
pub(super) struct Newest {
    tickets: AtomicU64,
    /// The last answer, and the first ticket that it is too old for.
    answered: Mutex<(u64, Revision)>,
}

impl Newest {
    /// A revision that is at least as new as this call.
    pub async fn read<F>(&self, ask: impl FnOnce() -> F) -> Result<Revision, StoreError>
    where
        F: Future<Output = Result<Revision, StoreError>>,
    {
        let ticket = self.tickets.fetch_add(1, Ordering::SeqCst);
        let mut answered = self.answered.lock().await;
        if ticket < answered.0 {
            return Ok(answered.1);
        }
        // Everyone with a ticket below this one has called before etcd is asked.
        let until = self.tickets.load(Ordering::SeqCst);
        let revision = ask().await?;
        *answered = (until, revision);
        Ok(revision)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test]
    async fn who_waits_for_an_answer_shares_the_next_one() {
        let (newest, asked) = (Newest::default(), AtomicUsize::new(0));
        let reads = (0..50).map(|_| {
            newest.read(|| async {
                tokio::task::yield_now().await;
                Ok(asked.fetch_add(1, Ordering::SeqCst) as Revision)
            })
        });
        let answers = futures::future::try_join_all(reads).await.unwrap();
        // The first one asks; the forty-nine who came while it waited are answered by the second question.
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert_eq!((answers[0], answers[1], answers[49]), (0, 1, 1));
    }
}
