//! Workers that take a root from the queue, decide, apply, and wait until the view shows it.

use std::collections::BTreeSet;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use clock::Clock;
use kube::Client;
use kube_types::ObjectKey;
use plan::{AnyController, Failure, Kind, Observation, Plan, World};
use supervision::Supervisor;
use tokio::time::Instant;

use crate::apply::{Applier, ApplyError};
use crate::log::{ComponentLog, LogLine};
use crate::metrics::{Metrics, Queue};
use crate::observer::{Listener, Observer};
use crate::queue::WorkQueue;
use crate::recorder::Recorder;
use crate::remarks;

/// Roots of one controller that are looked at at the same time (upstream's `--concurrent-*-syncs` default).
const WORKERS: usize = 5;

/// What a loop is made of.
pub struct Options {
    /// Writes as the controllers.
    pub client: Client,
    /// The view that decisions are made from; shared with whoever else needs it.
    pub observer: Arc<Observer>,
    /// Takes events.
    pub recorder: Recorder,
    /// Tells the time to controllers.
    pub clock: Arc<dyn Clock>,
    /// Counts.
    pub metrics: Metrics,
    /// Hears what the controllers do.
    pub log: ComponentLog,
}

/// A controller's present decision about an object, for people to read.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Explained {
    /// Name of the controller.
    pub controller: &'static str,
    /// What it would do now.
    pub plan: Plan,
    /// What kept its last plan from being carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl fmt::Display for Explained {
    /// The controller's name, and below it, further in, what it would do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.controller)?;
        if let Some(failure) = &self.failure {
            writeln!(
                f,
                "  its last plan was refused ({:?}): {}",
                failure.change, failure.message
            )?;
        }
        self.plan
            .to_string()
            .lines()
            .try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// The loop of all controllers.
pub struct ReconcileLoop {
    observer: Arc<Observer>,
    clock: Arc<dyn Clock>,
    runners: Vec<Arc<Runner>>,
}

struct Runner {
    controller: Box<dyn AnyController>,
    queue: WorkQueue<ObjectKey>,
    observer: Arc<Observer>,
    applier: Applier,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    label: Queue,
    log: ComponentLog,
}

impl ReconcileLoop {
    /// Registers `controllers`; nothing runs yet.
    pub fn new(controllers: Vec<Box<dyn AnyController>>, options: Options) -> Self {
        let applier = Applier::new(options.client, options.recorder);
        let runner = |controller: Box<dyn AnyController>| {
            let runner = Arc::new(Runner {
                label: Queue::of(controller.name()),
                controller,
                queue: WorkQueue::default(),
                observer: options.observer.clone(),
                applier: applier.clone(),
                clock: options.clock.clone(),
                metrics: options.metrics.clone(),
                log: options.log.clone(),
            });
            options.observer.listen(runner.clone());
            runner
        };
        let runners = controllers.into_iter().map(runner).collect();
        Self {
            observer: options.observer,
            clock: options.clock,
            runners,
        }
    }

    /// Every kind that some controller looks at.
    pub fn kinds(&self) -> BTreeSet<Kind> {
        self.runners
            .iter()
            .flat_map(|runner| runner.controller.kinds())
            .collect()
    }

    /// Starts the workers; the observer is started by whoever shares it.
    pub fn start(&self, supervisor: &Supervisor) {
        for runner in &self.runners {
            let name = runner.controller.name();
            runner.log.info("controllermanager.go:815", || {
                LogLine::new("Started controller").with("controller", name)
            });
            let scope = supervisor.child(name);
            for number in 0..WORKERS {
                scope.spawn_until_cancelled(format!("worker {number}"), runner.clone().work());
            }
        }
    }

    /// What each controller of the kind would do for this object now.
    pub fn explain(&self, kind: Kind, key: &ObjectKey) -> Vec<Explained> {
        let world = self.observer.world();
        let now = self.clock.now();
        let of_kind = self.runners.iter().filter(|runner| runner.controller.root() == kind);
        of_kind
            .map(|runner| Explained {
                controller: runner.controller.name(),
                plan: runner.controller.plan(key, &world, now).plan,
                failure: world.failure(runner.controller.name(), key).cloned(),
            })
            .collect()
    }

    /// Is the object in the view that decisions are made from?
    pub fn knows(&self, kind: Kind, key: &ObjectKey) -> bool {
        self.observer.world().contains(kind, key)
    }
}

impl Listener for Runner {
    fn kinds(&self) -> Vec<Kind> {
        self.controller.kinds()
    }

    fn changed(&self, old: Option<Observation<'_>>, new: Option<Observation<'_>>, world: &World) {
        for observation in [old, new].into_iter().flatten() {
            for root in self.controller.roots_of(observation, world) {
                if self.queue.add(root) {
                    self.metrics.adds.get_or_create(&self.label).inc();
                }
            }
        }
        self.note_depth();
    }
}

impl Runner {
    async fn work(self: Arc<Self>) {
        self.observer.synced(self.controller.kinds()).await;
        loop {
            let (root, waited) = self.queue.next().await;
            self.note_depth();
            self.metrics
                .queue_duration
                .get_or_create(&self.label)
                .observe(waited.as_secs_f64());
            let start = Instant::now();
            self.reconcile(&root).await;
            self.metrics
                .work_duration
                .get_or_create(&self.label)
                .observe(start.elapsed().as_secs_f64());
            self.queue.done(&root);
        }
    }

    /// Decides once for a root and carries it out.
    async fn reconcile(&self, root: &ObjectKey) {
        let Some(mut plan) = self.decide(root) else { return };
        let look_again = plan.look_again_in.take();
        self.say(root, &plan);
        if !plan.is_empty() {
            match self.applier.apply(self.controller.name(), plan).await {
                Ok(marks) => {
                    for mark in marks {
                        if let Err(error) = self.observer.reached(&mark).await {
                            tracing::warn!(controller = self.controller.name(), %root, error = %error, "view lags");
                        }
                    }
                }
                Err(error) => return self.failed(root, &error),
            }
        }
        self.clear_failure(root);
        self.queue.forget(root);
        if let Some(delay) = look_again {
            self.queue.add_after(root.clone(), delay);
        }
    }

    /// The controller's decision; nothing when it panicked, which is told and tried again later.
    fn decide(&self, root: &ObjectKey) -> Option<Plan> {
        let world = self.observer.world();
        let now = self.clock.now();
        let decide = AssertUnwindSafe(|| self.controller.plan(root, &world, now));
        match std::panic::catch_unwind(decide) {
            Ok(planned) => Some(planned.plan),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("no message");
                tracing::error!(controller = self.controller.name(), %root, panic = text, "controller panicked");
                self.retry(root);
                None
            }
        }
    }

    /// Tells of a decision what upstream's controller would.
    fn say(&self, root: &ObjectKey, plan: &Plan) {
        let remark = remarks::of_plan(self.controller.name(), root, plan, &self.observer.world());
        if let Some((place, line)) = remark {
            self.log.info(place, || line);
        }
    }

    fn failed(&self, root: &ObjectKey, error: &ApplyError) {
        let name = self.controller.name();
        if error.is_namespace_terminating() {
            tracing::debug!(controller = name, %root, "namespace is being deleted");
            return;
        }
        if error.is_conflict() {
            tracing::debug!(controller = name, %root, error = supervision::error_chain(error), "decided again");
        } else {
            tracing::warn!(controller = name, %root, error = supervision::error_chain(error), "plan not carried out");
            let failure = Failure {
                change: error.change,
                message: error.message(),
            };
            self.log.error("replica_set.go:560", || {
                let message = format!("sync \"{root}\" failed with {}", failure.message);
                LogLine::new("Unhandled Error")
                    .with("err", message)
                    .with("logger", name)
            });
            self.observer.note(|world| {
                world.failures.insert((name, root.clone()), failure);
            });
        }
        self.retry(root);
    }

    fn clear_failure(&self, root: &ObjectKey) {
        let name = self.controller.name();
        if self.observer.world().failure(name, root).is_some() {
            self.observer.note(|world| {
                world.failures.remove(&(name, root.clone()));
            });
            // The object may tell of the failure: it is looked at once more without it.
            self.queue.add(root.clone());
        }
    }

    fn retry(&self, root: &ObjectKey) {
        self.metrics.retries.get_or_create(&self.label).inc();
        self.queue.retry(root.clone());
    }

    fn note_depth(&self) {
        let depth = i64::try_from(self.queue.len()).unwrap_or(i64::MAX);
        self.metrics.depth.get_or_create(&self.label).set(depth);
    }
}
