//! Carries out garbage collection: watches the metadata of everything, asks `controllers::garbage`, applies.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use controllers::garbage::{self, Decision, Graph, Item};
use futures::TryStreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::runtime::{WatchStreamExt, watcher};
use reconcile_loop::{Applier, ApplyError, WorkQueue};
use supervision::{Restart, Supervisor};

use crate::inventory::{Metadata, Served, served};

/// Objects that are looked at at the same time (upstream's `--concurrent-gc-syncs` is 20).
const WORKERS: usize = 8;

/// When an owner that exists was not seen yet, its dependents are looked at again after this time.
const NOT_SEEN_YET: Duration = Duration::from_millis(100);

/// Deletes what nobody owns any more.
pub(crate) struct GarbageCollection {
    client: Client,
    applier: Applier,
    served: Vec<Served>,
    graph: Mutex<Graph>,
    queue: WorkQueue<String>,
}

#[derive(Debug, thiserror::Error)]
enum CollectError {
    #[error("discover what the API serves")]
    Discover(#[source] kube::Error),
    #[error("look for the owner {kind} {name}")]
    Verify {
        kind: String,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("the kind {kind} in {api_version} of an owner is not served")]
    UnknownKind { api_version: String, kind: String },
    #[error("collect")]
    Apply(#[from] ApplyError),
}

impl GarbageCollection {
    /// Starts the watches and workers once the API says what it serves.
    pub fn start(client: Client, applier: Applier, supervisor: &Supervisor) {
        let scope = supervisor.child(garbage::NAME);
        let inner = scope.clone();
        scope.spawn_restarting("discovery", Restart::on_failure(), move || {
            let (client, applier, scope) = (client.clone(), applier.clone(), inner.clone());
            async move {
                let served = served(&client).await.map_err(CollectError::Discover)?;
                let served = served.into_iter().filter(Served::is_collected).collect();
                let collection = Self {
                    client,
                    applier,
                    served,
                    graph: Mutex::default(),
                    queue: WorkQueue::default(),
                };
                Arc::new(collection).run(&scope);
                Ok::<(), CollectError>(())
            }
        });
    }

    fn run(self: Arc<Self>, scope: &Supervisor) {
        for resource in &self.served {
            let (collection, resource) = (self.clone(), resource.clone());
            let name = format!("watch {}", resource.resource.plural);
            scope.spawn_until_cancelled(name, async move { collection.follow(resource).await });
        }
        for number in 0..WORKERS {
            scope.spawn_until_cancelled(format!("worker {number}"), self.clone().work());
        }
    }

    async fn follow(&self, resource: Served) {
        let api = resource.everywhere(&self.client);
        let mut events = Box::pin(watcher(api, watcher::Config::default()).default_backoff());
        let mut listed = BTreeSet::new();
        loop {
            match events.try_next().await {
                Ok(Some(event)) => self.take_in(&resource, event, &mut listed),
                Ok(None) => return,
                Err(error) => {
                    let error = supervision::error_chain(&error);
                    tracing::debug!(
                        resource = resource.resource.plural,
                        error,
                        "watch of metadata interrupted"
                    );
                }
            }
        }
    }

    fn take_in(&self, resource: &Served, event: watcher::Event<Metadata>, listed: &mut BTreeSet<String>) {
        let mut graph = self.graph();
        let affected = match event {
            watcher::Event::Init => {
                listed.clear();
                BTreeSet::new()
            }
            watcher::Event::InitApply(object) => {
                listed.insert(object.metadata.uid.clone().unwrap_or_default());
                graph.put(Item::new(resource.name(), &object.metadata))
            }
            watcher::Event::Apply(object) => graph.put(Item::new(resource.name(), &object.metadata)),
            watcher::Event::Delete(object) => graph.remove(object.metadata.uid.as_deref().unwrap_or_default()),
            watcher::Event::InitDone => {
                let name = resource.name();
                let gone: Vec<String> = graph
                    .uids_of(&name)
                    .filter(|uid| !listed.contains(*uid))
                    .map(str::to_owned)
                    .collect();
                gone.iter().flat_map(|uid| graph.remove(uid)).collect()
            }
        };
        drop(graph);
        for uid in affected {
            self.queue.add(uid);
        }
    }

    async fn work(self: Arc<Self>) {
        loop {
            let (uid, _) = self.queue.next().await;
            match self.look(&uid).await {
                Ok(()) => self.queue.forget(&uid),
                Err(CollectError::Apply(error)) if error.is_conflict() => {
                    self.queue.retry(uid.clone());
                }
                Err(error) => {
                    tracing::debug!(uid, error = supervision::error_chain(&error), "not collected yet");
                    self.queue.retry(uid.clone());
                }
            }
            self.queue.done(&uid);
        }
    }

    async fn look(&self, uid: &str) -> Result<(), CollectError> {
        let decision = self.graph().decide(uid);
        match decision {
            Decision::Nothing => Ok(()),
            Decision::Act(plan) => {
                self.applier.apply(garbage::NAME, plan).await?;
                Ok(())
            }
            Decision::Verify(owners) => {
                let namespace = self.graph().namespace_of(uid).map(str::to_owned);
                let mut delay = Duration::ZERO;
                for owner in owners {
                    if self.exists(&owner, namespace.as_deref()).await? {
                        delay = NOT_SEEN_YET;
                    } else {
                        self.graph().set_absent(owner.uid);
                    }
                }
                self.queue.add_after(uid.to_owned(), delay);
                Ok(())
            }
        }
    }

    /// Does the owner exist? One of the same name with another uid is another object.
    async fn exists(&self, owner: &OwnerReference, namespace: Option<&str>) -> Result<bool, CollectError> {
        let of_kind = |served: &&Served| {
            let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
            served.resource.kind == owner.kind && served.resource.group == group
        };
        let resource = self
            .served
            .iter()
            .find(of_kind)
            .ok_or_else(|| CollectError::UnknownKind {
                api_version: owner.api_version.clone(),
                kind: owner.kind.clone(),
            })?;
        if resource.namespaced && namespace.is_none() {
            // What is in the cluster cannot be owned by what is in a namespace.
            return Ok(false);
        }
        let found = resource
            .within(&self.client, namespace)
            .get_metadata_opt(&owner.name)
            .await;
        let found = found.map_err(|source| CollectError::Verify {
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            source: Box::new(source),
        })?;
        Ok(found.is_some_and(|found| found.metadata.uid.as_deref() == Some(&owner.uid)))
    }

    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
