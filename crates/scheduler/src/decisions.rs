//! Takes one waiting pod after the other and decides; what follows from a decision is carried out beside.

use std::sync::Arc;

use scheduling::{ClusterChange, Decision, FitError, PodInfo};
use supervision::Supervisor;
use tokio::time::Instant;

use crate::actions::{Actions, BindError, Choice};
use crate::metrics::{Metrics, Part};
use crate::queue::Waiting;
use crate::state::Cluster;

/// Decides on pods.
pub(crate) struct Decider {
    cluster: Arc<Cluster>,
    actions: Arc<Actions>,
    metrics: Metrics,
    /// Bindings under way.
    bindings: Supervisor,
}

/// What to do after a decision, outside the lock.
enum Follow {
    Bind {
        waiting: Waiting,
        choice: Choice,
    },
    Tell {
        pod: PodInfo,
        failure: Box<FitError>,
        is_making_room: bool,
    },
}

impl Decider {
    pub(crate) fn new(cluster: Arc<Cluster>, actions: Actions, metrics: Metrics, bindings: Supervisor) -> Self {
        Self {
            cluster,
            actions: Arc::new(actions),
            metrics,
            bindings,
        }
    }

    /// Decides for ever.
    pub(crate) async fn run(self) {
        loop {
            while let Some(follow) = self.decide() {
                self.follow(follow);
            }
            let due = {
                let state = self.cluster.state();
                self.publish(&state.queue.counts());
                state.queue.next_due()
            };
            self.cluster.changed(due).await;
        }
    }

    /// Decides on the next pod. The pod's place in the queue or on a node is settled before anything else can change.
    fn decide(&self) -> Option<Follow> {
        let started = Instant::now();
        let mut state = self.cluster.state();
        let waiting = state.queue.pop(started)?;
        let decision = state.schedule(&waiting.pod);
        self.metrics.decision_duration.observe(started.elapsed().as_secs_f64());
        match decision {
            Decision::Place { node, feasible } => {
                state.forget_nomination(waiting.pod.uid());
                state.assumed.insert(waiting.pod.uid().to_owned());
                state.snapshot.put_pod(waiting.pod.clone(), &node);
                // Others may want to be near it, or are kept away no longer by an empty domain.
                state.queue.wake(ClusterChange::PodAssigned, started);
                let evaluated = state.snapshot.node_count();
                let choice = Choice {
                    node,
                    evaluated,
                    feasible,
                };
                Some(Follow::Bind { waiting, choice })
            }
            Decision::Impossible(failure) => {
                self.metrics.count("unschedulable");
                let pod = waiting.pod.clone();
                let is_making_room = failure.preemption.candidate.as_ref().is_some_and(|candidate| {
                    let lower = |other: &&PodInfo| other.priority() < pod.priority();
                    let node = state.snapshot.node(&candidate.node);
                    node.is_some_and(|node| node.pods().filter(lower).any(PodInfo::is_deleting))
                });
                match &failure.preemption.candidate {
                    Some(candidate) => state.nominate(pod.clone(), &candidate.node),
                    None => state.forget_nomination(pod.uid()),
                }
                state.queue.unschedulable(waiting, failure.plugins(), started);
                Some(Follow::Tell {
                    pod,
                    failure: Box::new(failure),
                    is_making_room,
                })
            }
        }
    }

    fn follow(&self, follow: Follow) {
        let (cluster, actions, metrics) = (
            Arc::clone(&self.cluster),
            Arc::clone(&self.actions),
            self.metrics.clone(),
        );
        match follow {
            Follow::Bind { waiting, choice } => {
                let name = format!("bind {}", waiting.pod.uid());
                self.bindings.spawn_until_cancelled(name, async move {
                    let bound = actions.bind(&waiting.pod, &choice).await;
                    settle(&cluster, &metrics, waiting, bound);
                });
            }
            Follow::Tell {
                pod,
                failure,
                is_making_room,
            } => {
                let name = format!("tell {}", pod.uid());
                self.bindings.spawn_until_cancelled(name, async move {
                    actions.tell(&pod, &failure.to_string()).await;
                    // Victims that are on their way out need no second word.
                    if let Some(candidate) = failure.preemption.candidate.as_ref().filter(|_| !is_making_room) {
                        let ended = actions.make_room(&pod, candidate).await;
                        metrics.victims.inc_by(ended);
                    }
                });
            }
        }
    }

    fn publish(&self, counts: &crate::queue::Counts) {
        let parts = [
            ("active", counts.active),
            ("backoff", counts.backoff),
            ("unschedulable", counts.unschedulable),
            ("gated", counts.gated),
        ];
        for (queue, count) in parts {
            let gauge = self.metrics.pending.get_or_create(&Part { queue });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

/// Takes note of how a binding went.
fn settle(cluster: &Cluster, metrics: &Metrics, waiting: Waiting, bound: Result<(), BindError>) {
    let Err(error) = bound else {
        metrics.count("scheduled");
        metrics.pod_duration.observe(waiting.since.elapsed().as_secs_f64());
        return;
    };
    metrics.count("error");
    let now = Instant::now();
    let mut state = cluster.state();
    // If the pod was seen on a node or gone meanwhile, there is nothing to take back.
    if state.assumed.remove(waiting.pod.uid()) {
        state.snapshot.remove_pod(waiting.pod.uid());
        state.queue.wake(ClusterChange::PodRemoved, now);
        if error.is_worth_retrying() {
            state.queue.retry(waiting, now);
        }
    }
    drop(state);
    cluster.wake();
}
