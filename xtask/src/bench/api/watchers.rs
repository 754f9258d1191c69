//! Many watchers of one collection while objects are created in it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Method;
use serde_json::json;
use tokio::sync::mpsc;

use super::load::Load;
use super::server::ApiServer;
use crate::command::TaskError;

/// Watches on one connection, as one busy client has them.
const PER_CONNECTION: usize = 50;

const WATCHED: &str = "/api/v1/namespaces/watched/configmaps";

/// What the watchers saw.
pub struct Seen {
    /// How many there were.
    pub watchers: usize,
    events: usize,
    elapsed: Duration,
    processor: Duration,
}

impl Seen {
    /// Events that arrived in a second, at all of them together.
    pub fn per_second(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64()
    }

    /// Processor time that the server used for each event.
    pub fn processor_each(&self) -> Duration {
        self.processor / u32::try_from(self.events.max(1)).unwrap_or(u32::MAX)
    }
}

/// Starts watchers, creates `objects`, and waits until every watcher has seen them all.
pub async fn measure(server: &ApiServer, load: &Load<'_>, watchers: usize, objects: usize) -> Result<Seen, TaskError> {
    let (done, mut finished) = mpsc::unbounded_channel();
    let mut connection = server.target.connect().await?;
    let scope = server.supervisor.child("watchers");
    for number in 0..watchers {
        if number % PER_CONNECTION == 0 {
            connection = server.target.connect().await?;
        }
        let path =
            format!("{WATCHED}?watch=true&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan");
        let (mut lines, done) = (connection.watch(&path).await?, done.clone());
        scope.spawn_until_cancelled("watcher", async move {
            let mut seen = 0;
            let outcome = loop {
                match lines.count().await {
                    Ok(more) => seen += more,
                    Err(error) => break Err(error),
                }
                if seen >= objects {
                    break Ok(());
                }
            };
            // Nobody listens once another watcher has failed.
            drop(done.send(outcome));
        });
    }
    drop(done);
    let (started, used) = (Instant::now(), server.processor_time());
    let created = load
        .run(objects, |number| {
            (Method::POST, WATCHED.to_owned(), object(watchers, number))
        })
        .await?;
    while let Some(outcome) = finished.recv().await {
        outcome?;
    }
    scope.drain(Duration::from_secs(5)).await;
    Ok(Seen {
        watchers,
        events: watchers * created.durations.count(),
        elapsed: started.elapsed(),
        processor: server.processor_time().saturating_sub(used),
    })
}

fn object(watchers: usize, number: usize) -> Bytes {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("seen-by-{watchers}-{number}")}, "data": {"value": "x".repeat(900)}});
    object.to_string().into()
}
