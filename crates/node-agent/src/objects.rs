//! The ConfigMaps and Secrets that pods of this node refer to: one watch for each, shared, for as long as a pod needs it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource};
use pod_lifecycle::environment;
use serde::de::DeserializeOwned;
use supervision::{Supervisor, TaskHandle};
use tokio::sync::watch;

use crate::reconnect::Reconnect;
use crate::worker::Inbox;

/// How long a pod waits for an object before the attempt counts as failed.
const LIMIT: Duration = Duration::from_secs(30);

/// An object that could not be read (not: that does not exist).
#[derive(Debug, thiserror::Error)]
#[error("failed to sync {kind} cache: timed out waiting for the condition")]
pub(crate) struct ObjectsError {
    kind: &'static str,
}

#[derive(Clone, Debug)]
enum Loaded<K> {
    NotYet,
    Absent,
    Present(Arc<K>),
}

struct Entry<K> {
    value: watch::Receiver<Loaded<K>>,
    users: Arc<Mutex<BTreeMap<String, Arc<Inbox>>>>,
    task: TaskHandle,
}

type Entries<K> = Mutex<BTreeMap<(String, String), Entry<K>>>;

pub(crate) struct Objects {
    client: kube::Client,
    tasks: Supervisor,
    config_maps: Entries<ConfigMap>,
    secrets: Entries<Secret>,
}

impl Objects {
    pub(crate) fn new(client: kube::Client, tasks: Supervisor) -> Self {
        Self {
            client,
            tasks,
            config_maps: Mutex::default(),
            secrets: Mutex::default(),
        }
    }

    /// What `pod` refers to, as it is now. From here on the pod's worker is woken when any of it changes.
    pub(crate) async fn of_pod(&self, pod: &Pod, inbox: &Arc<Inbox>) -> Result<environment::Objects, ObjectsError> {
        let (maps, secrets) = environment::references(pod);
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let user = (uid.as_str(), inbox);
        self.watch_all(&self.config_maps, "configmap", &namespace, &maps, user);
        self.watch_all(&self.secrets, "secret", &namespace, &secrets, user);
        Ok(environment::Objects {
            config_maps: wait_all(&self.config_maps, "configmap", &namespace, &maps).await?,
            secrets: wait_all(&self.secrets, "secret", &namespace, &secrets).await?,
        })
    }

    /// Ends the watches that only this pod needed.
    pub(crate) fn release(&self, uid: &str) {
        release(&self.config_maps, uid);
        release(&self.secrets, uid);
    }

    fn watch_all<K>(
        &self,
        entries: &Entries<K>,
        kind: &str,
        namespace: &str,
        names: &[String],
        user: (&str, &Arc<Inbox>),
    ) where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Send
            + Sync
            + 'static,
    {
        let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            let key = (namespace.to_owned(), name.clone());
            let entry = entries.entry(key).or_insert_with(|| {
                let (sender, value) = watch::channel(Loaded::NotYet);
                let users = Arc::new(Mutex::default());
                let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
                let follow = follow(api, name.clone(), sender, Arc::clone(&users));
                let task = self
                    .tasks
                    .spawn_until_cancelled(format!("{kind} {namespace}/{name}"), follow);
                Entry { value, users, task }
            });
            let mut users = entry.users.lock().unwrap_or_else(PoisonError::into_inner);
            users.insert(user.0.to_owned(), Arc::clone(user.1));
        }
    }
}

fn release<K>(entries: &Entries<K>, uid: &str) {
    let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
    entries.retain(|_, entry| {
        let mut users = entry.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.remove(uid);
        if users.is_empty() {
            entry.task.abort();
        }
        !users.is_empty()
    });
}

async fn wait_all<K: Clone>(
    entries: &Entries<K>,
    kind: &'static str,
    namespace: &str,
    names: &[String],
) -> Result<BTreeMap<String, K>, ObjectsError> {
    let mut found = BTreeMap::new();
    for name in names {
        let key = (namespace.to_owned(), name.clone());
        let receiver = entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .map(|entry| entry.value.clone());
        let Some(mut receiver) = receiver else { continue };
        let waited = tokio::time::timeout(LIMIT, receiver.wait_for(|value| !matches!(value, Loaded::NotYet))).await;
        match waited {
            Ok(Ok(value)) => {
                if let Loaded::Present(object) = &*value {
                    found.insert(name.clone(), K::clone(object));
                }
            }
            Ok(Err(_)) | Err(_) => return Err(ObjectsError { kind }),
        }
    }
    Ok(found)
}

async fn follow<K>(
    api: Api<K>,
    name: String,
    sender: watch::Sender<Loaded<K>>,
    users: Arc<Mutex<BTreeMap<String, Arc<Inbox>>>>,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut events = std::pin::pin!(watcher(api, config).backoff(Reconnect::default()));
    let mut listed = false;
    while let Some(event) = events.next().await {
        let value = match event {
            Ok(watcher::Event::Init) => {
                listed = false;
                continue;
            }
            Ok(watcher::Event::InitApply(object)) => {
                listed = true;
                Loaded::Present(Arc::new(object))
            }
            Ok(watcher::Event::InitDone) if listed => continue,
            Ok(watcher::Event::InitDone | watcher::Event::Delete(_)) => Loaded::Absent,
            Ok(watcher::Event::Apply(object)) => Loaded::Present(Arc::new(object)),
            Err(error) => {
                tracing::debug!(
                    name,
                    error = supervision::error_chain(&error),
                    "watch of an object that pods refer to"
                );
                continue;
            }
        };
        let first = matches!(&*sender.borrow(), Loaded::NotYet);
        if sender.send(value).is_err() {
            return;
        }
        // The first value is waited for; later ones must wake.
        if !first {
            let users = users.lock().unwrap_or_else(PoisonError::into_inner);
            users.values().for_each(|inbox| inbox.objects_changed());
        }
    }
}
