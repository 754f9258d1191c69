//! The workers of those that look at keys with I/O of their own: take a key, look, forget its failures or try again later.

use std::error::Error;
use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;

use supervision::Supervisor;

use crate::queue::WorkQueue;

/// Something that looks at one key at a time.
pub trait Looks: Send + Sync + 'static {
    /// Names what is looked at.
    type Key: Clone + Eq + Hash + Display + Send + Sync;
    /// Why a look failed; the key is then looked at again, later and later.
    type Error: Error + Send;

    /// The keys that wait.
    fn queue(&self) -> &WorkQueue<Self::Key>;

    /// Looks at a key and does what follows.
    fn look(&self, key: &Self::Key) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Starts `count` workers of `looks`, named after `scope`.
pub fn start_workers<L: Looks>(looks: &Arc<L>, count: usize, scope: &Supervisor) {
    for number in 0..count {
        let (looks, name) = (looks.clone(), scope.name().to_owned());
        scope.spawn_until_cancelled(format!("worker {number}"), async move { work(&*looks, &name).await });
    }
}

async fn work<L: Looks>(looks: &L, name: &str) {
    let queue = looks.queue();
    loop {
        let (key, _) = queue.next().await;
        match looks.look(&key).await {
            Ok(()) => queue.forget(&key),
            Err(error) => {
                let error = supervision::error_chain(&error);
                tracing::debug!(controller = name, %key, error, "looked at again later");
                queue.retry(key.clone());
            }
        }
        queue.done(&key);
    }
}

#[cfg(test)]
mod tests;
