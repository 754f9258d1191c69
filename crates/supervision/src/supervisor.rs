//! The handle through which every task is started, watched and ended.

use std::any::Any;
use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Restart, error_chain};

/// Starts named tasks and can end them all. Cheap to clone; clones are the same supervisor.
///
/// Draining cancels the token, which well-behaved tasks watch by [`Supervisor::cancelled`]; what has not ended when
/// the limit is over is aborted. A child is drained with its parent.
#[derive(Clone)]
pub struct Supervisor {
    scope: Arc<Scope>,
}

struct Scope {
    name: String,
    token: CancellationToken,
    tracker: TaskTracker,
    tasks: Mutex<Tasks>,
    children: Mutex<Vec<Weak<Scope>>>,
    metrics: Metrics,
}

#[derive(Default)]
struct Tasks {
    next: u64,
    running: BTreeMap<u64, (String, AbortHandle)>,
}

/// Counts over a supervisor and all below it.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Tasks that run now.
    pub running: Gauge,
    /// Restarts since the start.
    pub restarts: Counter,
    /// Panics since the start.
    pub panics: Counter,
}

impl Metrics {
    /// Adds the counts to `registry` as `supervision_tasks_running`, `…_restarts_total` and `…_panics_total`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("supervision_tasks");
        registry.register("running", "Tasks that run now", self.running.clone());
        registry.register("restarts", "Task restarts", self.restarts.clone());
        registry.register("panics", "Task panics", self.panics.clone());
    }
}

/// One started task. Dropping the handle does not end the task.
#[derive(Debug, Clone)]
pub struct TaskHandle {
    abort: AbortHandle,
}

impl TaskHandle {
    /// Ends the task at its next await, without its cooperation.
    pub fn abort(&self) {
        self.abort.abort();
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.abort.is_finished()
    }
}

/// How a drain went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DrainReport {
    /// The tasks that did not end in time and were aborted, as `scope/task`, sorted.
    pub aborted: Vec<String>,
}

impl DrainReport {
    /// Whether every task ended by itself.
    pub fn is_clean(&self) -> bool {
        self.aborted.is_empty()
    }
}

impl Supervisor {
    /// A supervisor of its own, with no parent.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            scope: Arc::new(Scope::new(name.into(), CancellationToken::new(), Metrics::default())),
        }
    }

    /// A supervisor that is drained and cancelled with this one, and can be drained alone. Its name is appended to
    /// this one's with a `/`.
    pub fn child(&self, name: impl Into<String>) -> Self {
        let scope = &self.scope;
        let path = format!("{}/{}", scope.name, name.into());
        let child = Arc::new(Scope::new(path, scope.token.child_token(), scope.metrics.clone()));
        let mut children = locked(&scope.children);
        children.retain(|child| child.strong_count() > 0);
        children.push(Arc::downgrade(&child));
        Self { scope: child }
    }

    /// The name, with the parents' before it.
    pub fn name(&self) -> &str {
        &self.scope.name
    }

    /// The counts of this supervisor's whole family.
    pub fn metrics(&self) -> &Metrics {
        &self.scope.metrics
    }

    /// Starts a task. When draining it is told by [`Supervisor::cancelled`] and has until the limit to end; a task
    /// that holds nothing to finish is better started by [`Supervisor::spawn_until_cancelled`]. A panic is logged
    /// with the task's name.
    pub fn spawn<F>(&self, name: impl Into<String>, future: F) -> TaskHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let name = name.into();
        let scope = Arc::clone(&self.scope);
        let watched = {
            let name = name.clone();
            async move {
                if let Err(panic) = AssertUnwindSafe(future).catch_unwind().await {
                    scope.report_panic(&name, panic.as_ref());
                }
            }
        };
        self.scope.start(name, watched)
    }

    /// Starts a task that is simply dropped, at an await, when the supervisor is cancelled.
    pub fn spawn_until_cancelled<F>(&self, name: impl Into<String>, future: F) -> TaskHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.scope.token.clone();
        self.spawn(name, async move {
            token.run_until_cancelled(future).await;
        })
    }

    /// Starts a task and starts it again by `policy` when it ends. Each failure is logged once with its causes. It is
    /// dropped, at an await, when the supervisor is cancelled.
    pub fn spawn_restarting<F, Fut, E>(&self, name: impl Into<String>, policy: Restart, make: F) -> TaskHandle
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Error + Send + 'static,
    {
        let name = name.into();
        let scope = Arc::clone(&self.scope);
        let token = self.scope.token.clone();
        let looped = {
            let name = name.clone();
            async move { scope.keep_running(&name, policy, make).await }
        };
        self.spawn(name, async move {
            token.run_until_cancelled(looped).await;
        })
    }

    /// Ends when the supervisor or one above it is cancelled. The future owns what it needs.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.scope.token.clone().cancelled_owned()
    }

    /// Whether this supervisor or one above it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.scope.token.is_cancelled()
    }

    /// The token behind [`Supervisor::cancelled`], for code that wants one.
    pub fn token(&self) -> CancellationToken {
        self.scope.token.clone()
    }

    /// Tells every task here and below to end, without waiting.
    pub fn cancel(&self) {
        self.scope.token.cancel();
    }

    /// Tells every task here and below to end and waits for it; aborts those that have not ended after `limit`.
    /// Aborted tasks have ended too when this returns, unless they block their thread.
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        self.cancel();
        let deadline = Instant::now() + limit;
        let scopes = self.scope.family();
        for scope in &scopes {
            scope.tracker.close();
        }
        let all_ended = async || {
            for scope in &scopes {
                scope.tracker.wait().await;
            }
        };
        if tokio::time::timeout_at(deadline, all_ended()).await.is_ok() {
            return DrainReport::default();
        }
        let mut aborted: Vec<String> = scopes.iter().flat_map(|scope| scope.abort_all()).collect();
        aborted.sort();
        // A task that blocks its thread cannot be aborted: it must not hold up the end of the process for ever.
        let settled = tokio::time::timeout(Duration::from_secs(1), all_ended()).await;
        if settled.is_err() {
            tracing::warn!(supervisor = %self.scope.name, "aborted tasks still hold their threads");
        }
        DrainReport { aborted }
    }

    /// The names of the tasks that run now, here and below, as `scope/task`, sorted.
    pub fn task_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .scope
            .family()
            .iter()
            .flat_map(|scope| scope.task_names())
            .collect();
        names.sort();
        names
    }
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor")
            .field("name", &self.scope.name)
            .field("tasks", &self.task_names())
            .finish()
    }
}

impl Scope {
    fn new(name: String, token: CancellationToken, metrics: Metrics) -> Self {
        let (tracker, tasks, children) = (TaskTracker::new(), Mutex::default(), Mutex::default());
        Self {
            name,
            token,
            tracker,
            tasks,
            children,
            metrics,
        }
    }

    /// Spawns `future` and lists it under `name` until it ends.
    fn start(self: &Arc<Self>, name: String, future: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        // The lock is held while spawning so that the task cannot end before it is listed.
        let mut tasks = locked(&self.tasks);
        let id = tasks.next;
        tasks.next += 1;
        let entry = Listed {
            scope: Arc::clone(self),
            id,
        };
        self.metrics.running.inc();
        let abort = tokio::spawn(self.tracker.track_future(async move {
            let _entry = entry;
            future.await;
        }))
        .abort_handle();
        tasks.running.insert(id, (name, abort.clone()));
        TaskHandle { abort }
    }

    async fn keep_running<F, Fut, E>(&self, name: &str, policy: Restart, make: F)
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<(), E>>,
        E: Error,
    {
        let mut failures = 0;
        loop {
            let started = Instant::now();
            match AssertUnwindSafe(async { make().await }).catch_unwind().await {
                Ok(Ok(())) if !policy.after_success => return,
                Ok(Ok(())) => tracing::debug!(task = %name, supervisor = %self.name, "task ended, starting it again"),
                Ok(Err(error)) => {
                    tracing::error!(task = %name, supervisor = %self.name, error = %error_chain(&error), "task failed");
                }
                Err(panic) => self.report_panic(name, panic.as_ref()),
            }
            failures = if started.elapsed() >= policy.healthy_after {
                1
            } else {
                failures + 1
            };
            tokio::time::sleep(policy.pause(failures)).await;
            self.metrics.restarts.inc();
        }
    }

    fn report_panic(&self, name: &str, panic: &(dyn Any + Send)) {
        self.metrics.panics.inc();
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a panic without a message");
        tracing::error!(task = %name, supervisor = %self.name, panic = message, "task panicked");
    }

    /// This scope and all that live below it.
    fn family(self: &Arc<Self>) -> Vec<Arc<Scope>> {
        let mut family = vec![Arc::clone(self)];
        let mut visited = 0;
        while let Some(scope) = family.get(visited).cloned() {
            family.extend(locked(&scope.children).iter().filter_map(Weak::upgrade));
            visited += 1;
        }
        family
    }

    fn abort_all(&self) -> Vec<String> {
        let tasks = locked(&self.tasks);
        tasks.running.values().for_each(|(_, abort)| abort.abort());
        tasks
            .running
            .values()
            .map(|(name, _)| format!("{}/{name}", self.name))
            .collect()
    }

    fn task_names(&self) -> Vec<String> {
        locked(&self.tasks)
            .running
            .values()
            .map(|(name, _)| format!("{}/{name}", self.name))
            .collect()
    }
}

/// Takes a task off its scope's list however the task ends.
struct Listed {
    scope: Arc<Scope>,
    id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        locked(&self.scope.tasks).running.remove(&self.id);
        self.scope.metrics.running.dec();
    }
}

/// Nothing here panics while holding a lock, so a poisoned one still holds sound data.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
