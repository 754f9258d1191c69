//! Connections to targets that wait for the next request, as AWS's load balancers keep them alive.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

/// A connection that nobody used for so long is closed; AWS's idle timeout.
const IDLE: Duration = Duration::from_secs(60);

/// Connections that wait for one target.
const MOST: usize = 32;

/// Waiting connections by target.
#[derive(Default)]
pub(crate) struct Pool {
    waiting: Mutex<BTreeMap<SocketAddrV4, Vec<Waiting>>>,
}

struct Waiting {
    sender: SendRequest<Incoming>,
    since: Instant,
}

impl Waiting {
    fn is_usable(&self) -> bool {
        self.sender.is_ready() && self.since.elapsed() < IDLE
    }
}

impl Pool {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<SocketAddrV4, Vec<Waiting>>> {
        // Nothing panics while holding it, so a poisoned one is still sound.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the connection that was used last, if one waits.
    pub fn take(&self, target: SocketAddrV4) -> Option<SendRequest<Incoming>> {
        let mut all = self.waiting();
        let waiting = all.get_mut(&target)?;
        waiting.retain(Waiting::is_usable);
        waiting.pop().map(|one| one.sender)
    }

    /// Lets a connection wait.
    pub fn put(&self, target: SocketAddrV4, sender: SendRequest<Incoming>) {
        let mut all = self.waiting();
        let waiting = all.entry(target).or_default();
        waiting.retain(Waiting::is_usable);
        if waiting.len() < MOST {
            waiting.push(Waiting {
                sender,
                since: Instant::now(),
            });
        }
    }

    /// Closes those of targets that are none any more.
    pub fn keep(&self, is_target: impl Fn(SocketAddrV4) -> bool) {
        self.waiting().retain(|target, _| is_target(*target));
    }
}
