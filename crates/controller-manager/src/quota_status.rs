//! Carries out the status of resource quotas: lists what they count, asks `controllers::quota`, applies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use controllers::quota::{self, Resource};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Api, Client};
use kube_types::ObjectKey;
use kube_types::dynamic::{Object, ObjectError};
use plan::{Kind, Observation, World};
use reconcile_loop::{Applier, Listener, Looks, Observer, WorkQueue, start_workers};
use supervision::Supervisor;

use crate::inventory::{Served, served_in};

/// Quotas that are counted at the same time (upstream's `--concurrent-resource-quota-syncs`).
const WORKERS: usize = 5;

/// How often everything is counted, whatever happened (upstream's `--resource-quota-sync-period`).
const RESYNC: Duration = Duration::from_secs(300);

/// Counts what quotas limit.
pub(crate) struct QuotaStatus {
    client: Client,
    observer: Arc<Observer>,
    applier: Applier,
    clock: Arc<dyn Clock>,
    queue: WorkQueue<ObjectKey>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum QuotaError {
    #[error("read the quota")]
    Read(#[source] kube::Error),
    #[error("discover what the API serves")]
    Discover(#[source] kube::Error),
    #[error("list {plural}")]
    List {
        plural: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("count")]
    Count(#[from] ObjectError),
    #[error("tell what is used")]
    Apply(#[source] reconcile_loop::ApplyError),
}

impl QuotaStatus {
    /// Kinds whose changes matter; what disappears is told by [`QuotaStatus::gone`].
    pub const KINDS: &'static [Kind] = &[
        Kind::ResourceQuota,
        Kind::Pod,
        Kind::Service,
        Kind::PersistentVolumeClaim,
    ];

    pub fn start(
        client: Client,
        observer: Arc<Observer>,
        applier: Applier,
        clock: Arc<dyn Clock>,
        supervisor: &Supervisor,
    ) -> Arc<Self> {
        let quotas = Arc::new(Self {
            client,
            observer,
            applier,
            clock,
            queue: WorkQueue::default(),
        });
        quotas.observer.listen(quotas.clone());
        let scope = supervisor.child(quota::NAME);
        start_workers(&quotas, WORKERS, &scope);
        scope.spawn_until_cancelled("resync", quotas.clone().resync());
        quotas
    }

    /// An object of the resource is gone.
    pub fn gone(&self, resource: &Resource, namespace: &str) {
        self.give_back(resource, namespace, &self.observer.world());
    }

    fn give_back(&self, resource: &Resource, namespace: &str, world: &World) {
        let counting = world.resource_quotas.in_namespace(namespace);
        for quota in counting.filter(|quota| quota::resources(quota).contains(resource)) {
            self.queue.add(ObjectKey::of(quota.as_ref()));
        }
    }

    async fn resync(self: Arc<Self>) {
        loop {
            supervision::sleep(RESYNC).await;
            let all: Vec<ObjectKey> = self.observer.world().resource_quotas.keys().cloned().collect();
            for key in all {
                self.queue.add(key);
            }
        }
    }

    async fn objects(&self, served: &Served, resource: &Resource, namespace: &str) -> Result<Vec<Object>, QuotaError> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &served.resource);
        let failed = |source| QuotaError::List {
            plural: resource.1.clone(),
            source: Box::new(source),
        };
        let everything = ListParams::default();
        let objects: Result<Vec<Object>, ObjectError> = if quota::is_measured(resource) {
            let list = api.list(&everything).await.map_err(failed)?;
            list.items.iter().map(Object::from_typed).collect()
        } else {
            let list = api.list_metadata(&everything).await.map_err(failed)?;
            list.items.iter().map(Object::from_typed).collect()
        };
        Ok(objects?)
    }
}

impl Looks for QuotaStatus {
    type Key = ObjectKey;
    type Error = QuotaError;

    fn queue(&self) -> &WorkQueue<ObjectKey> {
        &self.queue
    }

    async fn look(&self, key: &ObjectKey) -> Result<(), QuotaError> {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        let quotas: Api<ResourceQuota> = Api::namespaced(self.client.clone(), namespace);
        // Read before what it counts is listed: the lists then show all that is in its status.
        let Some(quota) = quotas.get_opt(&key.name).await.map_err(QuotaError::Read)? else {
            return Ok(());
        };
        if quota.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let resources = quota::resources(&quota);
        let groups: BTreeSet<&str> = resources.iter().map(|(group, _)| group.as_str()).collect();
        let groups: Vec<&str> = groups.into_iter().collect();
        let served = served_in(&self.client, &groups).await.map_err(QuotaError::Discover)?;
        let mut found = BTreeMap::new();
        for resource in resources {
            let of_name = |served: &&Served| {
                served.namespaced && served.resource.group == resource.0 && served.resource.plural == resource.1
            };
            if let Some(served) = served.iter().find(of_name) {
                let objects = self.objects(served, &resource, namespace).await?;
                found.insert(resource, objects);
            }
        }
        let plan = quota::plan_status(&quota, &found, self.clock.now())?;
        self.applier
            .apply(quota::NAME, plan)
            .await
            .map_err(QuotaError::Apply)
            .map(drop)
    }
}

impl Listener for QuotaStatus {
    fn kinds(&self) -> Vec<Kind> {
        Self::KINDS.to_vec()
    }

    fn changed(&self, old: Option<Observation<'_>>, new: Option<Observation<'_>>, world: &World) {
        match (old, new) {
            (old, Some(Observation::ResourceQuota(new))) => {
                let old = match old {
                    Some(Observation::ResourceQuota(old)) => Some(old),
                    _ => None,
                };
                if quota::is_due(old, new) {
                    self.queue.add(ObjectKey::of(new));
                }
            }
            (Some(old), Some(new)) => {
                let namespace = new.metadata().namespace.as_deref().unwrap_or_default();
                let has_quota = world.resource_quotas.in_namespace(namespace).next().is_some();
                if let Some(resource) = has_quota.then(|| quota::given_back(old, new)).flatten() {
                    self.give_back(&resource, namespace, world);
                }
            }
            _ => {}
        }
    }
}
