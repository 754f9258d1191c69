//! Many requests at the same time over a few connections, as a busy cluster's clients send them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use tokio::sync::mpsc;

use super::server::ApiServer;
use crate::bench::client::Connection;
use crate::bench::figures::Durations;
use crate::command::TaskError;

/// Connections that share the requests.
const CONNECTIONS: usize = 4;

/// Open connections, ready to send.
pub struct Load<'s> {
    server: &'s ApiServer,
    connections: Vec<Connection>,
    concurrency: usize,
}

/// What a load gave.
pub struct Measured {
    /// How long each request took.
    pub durations: Durations,
    elapsed: Duration,
    processor: Duration,
}

impl Measured {
    /// Requests in a second.
    pub fn per_second(&self) -> f64 {
        self.durations.count() as f64 / self.elapsed.as_secs_f64()
    }

    /// Processor time that the server used for each request.
    pub fn processor_each(&self) -> Duration {
        self.processor / u32::try_from(self.durations.count().max(1)).unwrap_or(u32::MAX)
    }
}

/// Method, path and body of a request.
type Wanted = (Method, String, Bytes);

impl<'s> Load<'s> {
    /// Connects.
    pub async fn new(server: &'s ApiServer, concurrency: usize) -> Result<Self, TaskError> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(server.target.connect().await?);
        }
        Ok(Self {
            server,
            connections,
            concurrency,
        })
    }

    /// Sends `number` requests and waits for all answers, which must be successes.
    pub async fn run(&self, number: usize, wanted: impl Fn(usize) -> Wanted) -> Result<Measured, TaskError> {
        // Made beforehand: the load's own work shall not be measured.
        let requests: Arc<Vec<Wanted>> = Arc::new((0..number).map(wanted).collect());
        let next = Arc::new(AtomicUsize::new(0));
        let (done, mut results) = mpsc::unbounded_channel();
        let (started, used) = (Instant::now(), self.server.processor_time());
        for worker in 0..self.concurrency {
            let mut connection = self.connections[worker % CONNECTIONS].clone();
            let (requests, next, done) = (Arc::clone(&requests), Arc::clone(&next), done.clone());
            self.server.supervisor.spawn_until_cancelled("load", async move {
                let outcome = send(&mut connection, &requests, &next).await;
                // Nobody listens once another worker has failed.
                drop(done.send(outcome));
            });
        }
        drop(done);
        let mut durations = Durations::default();
        while let Some(outcome) = results.recv().await {
            durations.extend(outcome?);
        }
        Ok(Measured {
            durations,
            elapsed: started.elapsed(),
            processor: self.server.processor_time().saturating_sub(used),
        })
    }
}

async fn send(connection: &mut Connection, requests: &[Wanted], next: &AtomicUsize) -> Result<Durations, TaskError> {
    let mut durations = Durations::default();
    while let Some((method, path, body)) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let started = Instant::now();
        connection.exchange(method.clone(), path, body.clone()).await?;
        durations.add(started.elapsed());
    }
    Ok(durations)
}
