//! Carries out garbage collection: watches the metadata of everything, asks `controllers::garbage`, applies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use controllers::garbage::{self, Decision, Graph, Item};
use controllers::quota::Resource;
use futures::TryStreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use kube::runtime::{WatchStreamExt, watcher};
use reconcile_loop::{Applier, ApplyError, Looks, WorkQueue, start_workers};
use supervision::{Restart, Supervisor, TaskHandle};
use tokio::sync::Notify;

use crate::inventory::{Metadata, Served, served};

/// Objects that are looked at at the same time (upstream's `--concurrent-gc-syncs` is 20).
const WORKERS: usize = 8;

/// When an owner that exists was not seen yet, its dependents are looked at again after this time.
const NOT_SEEN_YET: Duration = Duration::from_millis(100);

/// What is served is asked for this often when no definition of a custom resource is seen to change.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// The resource whose objects say which others there are.
const DEFINITIONS: &str = "customresourcedefinitions";

/// Deletes what nobody owns any more.
pub(crate) struct GarbageCollection {
    client: Client,
    applier: Applier,
    /// The resources that are followed, by version and name, and who follows them.
    followed: Mutex<BTreeMap<String, (Served, TaskHandle)>>,
    /// Definitions of custom resources have changed.
    redefined: Notify,
    graph: Mutex<Graph>,
    gone: Gone,
    queue: WorkQueue<String>,
}

/// Wants to know of which resource an object is gone, and from which namespace.
pub(crate) type Gone = Box<dyn Fn(&Resource, &str) + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
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
    /// Starts the workers, and the watches of what the API serves, custom resources that come later included.
    /// The watches are the only ones of everything, so others are told what is `gone`.
    pub fn start(client: Client, applier: Applier, gone: Gone, supervisor: &Supervisor) {
        let scope = supervisor.child(garbage::NAME);
        let collection = Arc::new(Self {
            client,
            applier,
            followed: Mutex::default(),
            redefined: Notify::new(),
            graph: Mutex::default(),
            gone,
            queue: WorkQueue::default(),
        });
        start_workers(&collection, WORKERS, &scope);
        let inner = scope.clone();
        scope.spawn_restarting("discovery", Restart::on_failure(), move || {
            let (collection, scope) = (collection.clone(), inner.clone());
            async move { collection.discover(&scope).await }
        });
    }

    /// Follows whatever is served, and leaves what is served no more.
    async fn discover(self: Arc<Self>, scope: &Supervisor) -> Result<(), CollectError> {
        loop {
            let served = served(&self.client).await.map_err(CollectError::Discover)?;
            let served: BTreeMap<String, Served> = served
                .into_iter()
                .filter(Served::is_collected)
                .map(|served| {
                    (
                        format!("{}/{}", served.resource.api_version, served.resource.plural),
                        served,
                    )
                })
                .collect();
            self.leave_all_but(&served);
            for (key, resource) in served {
                let mut followed = self.followed();
                if !followed.contains_key(&key) {
                    let (collection, inner) = (self.clone(), resource.clone());
                    let name = format!("watch {}", resource.resource.plural);
                    let task = scope.spawn_until_cancelled(name, async move { collection.follow(inner).await });
                    followed.insert(key, (resource, task));
                }
            }
            // Whether definitions changed or the time is over, the next thing is to ask.
            let _either = tokio::time::timeout(ASK_AGAIN, self.redefined.notified()).await;
        }
    }

    fn leave_all_but(&self, served: &BTreeMap<String, Served>) {
        let mut left = Vec::new();
        self.followed().retain(|key, (resource, task)| {
            let stays = served.contains_key(key);
            if !stays {
                task.abort();
                left.push(resource.name());
            }
            stays
        });
        for name in left {
            let mut graph = self.graph();
            let gone: Vec<String> = graph.uids_of(&name).map(str::to_owned).collect();
            let affected: BTreeSet<String> = gone.iter().flat_map(|uid| graph.remove(uid)).collect();
            drop(graph);
            for uid in affected {
                self.queue.add(uid);
            }
        }
    }

    async fn follow(&self, resource: Served) {
        let api = resource.everywhere(&self.client);
        let mut events = Box::pin(watcher(api, watcher::Config::default()).default_backoff());
        let mut listed = BTreeSet::new();
        loop {
            match events.try_next().await {
                Ok(Some(event)) => {
                    if resource.resource.plural == DEFINITIONS {
                        self.redefined.notify_one();
                    }
                    self.take_in(&resource, event, &mut listed);
                }
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
        let mut emptier = BTreeSet::new();
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
            watcher::Event::Delete(object) => {
                emptier.extend(object.metadata.namespace);
                graph.remove(object.metadata.uid.as_deref().unwrap_or_default())
            }
            watcher::Event::InitDone => {
                let name = resource.name();
                let gone: Vec<String> = graph
                    .uids_of(&name)
                    .filter(|uid| !listed.contains(*uid))
                    .map(str::to_owned)
                    .collect();
                emptier.extend(gone.iter().filter_map(|uid| graph.namespace_of(uid)).map(str::to_owned));
                gone.iter().flat_map(|uid| graph.remove(uid)).collect()
            }
        };
        drop(graph);
        let resource = (resource.resource.group.clone(), resource.resource.plural.clone());
        emptier.iter().for_each(|namespace| (self.gone)(&resource, namespace));
        for uid in affected {
            self.queue.add(uid);
        }
    }

    /// Does the owner exist? One of the same name with another uid is another object.
    async fn exists(&self, owner: &OwnerReference, namespace: Option<&str>) -> Result<bool, CollectError> {
        let of_kind = |served: &&Served| {
            let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
            served.resource.kind == owner.kind && served.resource.group == group
        };
        let resource = self
            .followed()
            .values()
            .map(|(served, _)| served)
            .find(of_kind)
            .cloned()
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

    fn followed(&self) -> MutexGuard<'_, BTreeMap<String, (Served, TaskHandle)>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Looks for GarbageCollection {
    type Key = String;
    type Error = CollectError;

    fn queue(&self) -> &WorkQueue<String> {
        &self.queue
    }

    async fn look(&self, uid: &String) -> Result<(), CollectError> {
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
                self.queue.add_after(uid.clone(), delay);
                Ok(())
            }
        }
    }
}
