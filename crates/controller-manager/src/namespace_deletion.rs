//! Carries out the deletion of namespaces: looks what is left, asks `controllers::namespace`, applies.

use std::collections::BTreeMap;
use std::sync::Arc;

use clock::Clock;
use controllers::namespace::{self, Contents, Remaining, is_going};
use kube::Client;
use kube::api::ListParams;
use kube_types::ObjectKey;
use plan::{Kind, Observation, World};
use reconcile_loop::{Applier, Listener, Looks, Observer, WorkQueue, start_workers};
use supervision::Supervisor;

use crate::inventory::{Metadata, Served, served};

/// Namespaces that are emptied at the same time.
const WORKERS: usize = 3;

/// Deletes the contents of namespaces.
pub(crate) struct NamespaceDeletion {
    client: Client,
    observer: Arc<Observer>,
    applier: Applier,
    clock: Arc<dyn Clock>,
    queue: WorkQueue<String>,
}

impl NamespaceDeletion {
    pub fn start(
        client: Client,
        observer: Arc<Observer>,
        applier: Applier,
        clock: Arc<dyn Clock>,
        supervisor: &Supervisor,
    ) {
        let deletion = Arc::new(Self {
            client,
            observer,
            applier,
            clock,
            queue: WorkQueue::default(),
        });
        deletion.observer.listen(deletion.clone());
        start_workers(&deletion, WORKERS, &supervisor.child(namespace::NAME));
    }

    async fn contents(&self, namespace: &str) -> Result<Contents, kube::Error> {
        let mut contents = Contents::default();
        for resource in served(&self.client)
            .await?
            .into_iter()
            .filter(|resource| resource.namespaced)
        {
            match self.remaining(&resource, namespace).await {
                Ok(remaining) => {
                    contents.remaining.insert(resource.name(), remaining);
                }
                Err(error) => {
                    contents
                        .failures
                        .insert(resource.resource.plural.clone(), supervision::error_chain(&error));
                }
            }
        }
        Ok(contents)
    }

    async fn remaining(&self, resource: &Served, namespace: &str) -> Result<Remaining, kube::Error> {
        let objects = resource
            .within(&self.client, Some(namespace))
            .list(&ListParams::default())
            .await?
            .items;
        let deleting = |object: &&Metadata| object.metadata.deletion_timestamp.is_some();
        let mut finalizers = BTreeMap::new();
        for finalizer in objects
            .iter()
            .filter_map(|object| object.metadata.finalizers.as_ref())
            .flatten()
        {
            *finalizers.entry(finalizer.clone()).or_insert(0) += 1;
        }
        Ok(Remaining {
            count: objects.len(),
            deleting: objects.iter().filter(deleting).count(),
            finalizers,
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NamespaceError {
    #[error("discover what the API serves")]
    Discover(#[source] kube::Error),
    #[error("empty the namespace")]
    Apply(#[source] reconcile_loop::ApplyError),
    #[error("see the namespace change")]
    View(#[source] reconcile_loop::NotReached),
}

impl Looks for NamespaceDeletion {
    type Key = String;
    type Error = NamespaceError;

    fn queue(&self) -> &WorkQueue<String> {
        &self.queue
    }

    async fn look(&self, name: &String) -> Result<(), NamespaceError> {
        let going = {
            let world = self.observer.world();
            world
                .namespaces
                .get(&ObjectKey::cluster(name))
                .filter(|namespace| is_going(namespace))
                .cloned()
        };
        let Some(going) = going else { return Ok(()) };
        let contents = self.contents(name).await.map_err(NamespaceError::Discover)?;
        let mut plan = namespace::plan_deletion(&going, &contents, self.clock.now());
        let look_again = plan.look_again_in.take();
        let marks = self
            .applier
            .apply(namespace::NAME, plan)
            .await
            .map_err(NamespaceError::Apply)?;
        for mark in marks {
            self.observer.reached(&mark).await.map_err(NamespaceError::View)?;
        }
        if let Some(delay) = look_again {
            self.queue.add_after(name.clone(), delay);
        }
        Ok(())
    }
}

impl Listener for NamespaceDeletion {
    fn kinds(&self) -> Vec<Kind> {
        vec![Kind::Namespace, Kind::Pod, Kind::Service]
    }

    fn changed(&self, old: Option<Observation<'_>>, new: Option<Observation<'_>>, world: &World) {
        match (old, new) {
            (_, Some(Observation::Namespace(namespace))) if is_going(namespace) => {
                self.queue.add(namespace.metadata.name.clone().unwrap_or_default());
            }
            // An object that others waited for is gone.
            (Some(gone), None) => {
                let name = gone.metadata().namespace.clone().unwrap_or_default();
                if world
                    .namespaces
                    .cluster(&name)
                    .is_some_and(|namespace| is_going(namespace))
                {
                    self.queue.add(name);
                }
            }
            _ => {}
        }
    }
}
