//! The services of the cluster, for the variables that containers get.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use pod_lifecycle::service_links;
use supervision::Supervisor;
use tokio::sync::watch;

use crate::reconnect::Reconnect;

/// How long a first container waits for the list.
const LIMIT: Duration = Duration::from_secs(30);

type Known = Arc<Mutex<BTreeMap<(String, String), Service>>>;

pub(crate) struct Services {
    known: Known,
    listed: watch::Receiver<bool>,
}

/// The services could not be listed in time.
#[derive(Debug, thiserror::Error)]
#[error("services have not yet been read at least once, cannot construct envvars")]
pub(crate) struct ServicesError;

impl Services {
    pub(crate) fn start(client: kube::Client, tasks: &Supervisor) -> Self {
        let known: Known = Arc::default();
        let (sender, listed) = watch::channel(false);
        tasks.spawn_until_cancelled("services", follow(Api::all(client), Arc::clone(&known), sender));
        Self { known, listed }
    }

    /// The variables of services for `pod`.
    pub(crate) async fn variables(&self, pod: &Pod) -> Result<BTreeMap<String, String>, ServicesError> {
        let mut listed = self.listed.clone();
        match tokio::time::timeout(LIMIT, listed.wait_for(|listed| *listed)).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return Err(ServicesError),
        }
        let links = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.enable_service_links)
            .unwrap_or(true);
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let near = known
            .iter()
            .filter(|((home, _), _)| home == namespace || home == "default");
        let services: Vec<Service> = near.map(|(_, service)| service.clone()).collect();
        Ok(service_links::variables(&services, namespace, links))
    }
}

async fn follow(api: Api<Service>, known: Known, listed: watch::Sender<bool>) {
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).backoff(Reconnect::default()));
    let mut fresh = BTreeMap::new();
    let key = |service: &Service| {
        let meta = &service.metadata;
        (
            meta.namespace.clone().unwrap_or_default(),
            meta.name.clone().unwrap_or_default(),
        )
    };
    while let Some(event) = events.next().await {
        let locked = || known.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(watcher::Event::Init) => fresh.clear(),
            Ok(watcher::Event::InitApply(service)) => {
                fresh.insert(key(&service), slim(service));
            }
            Ok(watcher::Event::InitDone) => {
                *locked() = std::mem::take(&mut fresh);
                listed.send_replace(true);
            }
            Ok(watcher::Event::Apply(service)) => {
                locked().insert(key(&service), slim(service));
            }
            Ok(watcher::Event::Delete(service)) => {
                locked().remove(&key(&service));
            }
            Err(error) => tracing::debug!(error = supervision::error_chain(&error), "watch of services"),
        }
    }
}

/// Only what variables are made of is kept.
fn slim(mut service: Service) -> Service {
    service.status = None;
    service.metadata.managed_fields = None;
    service.metadata.annotations = None;
    service.metadata.labels = None;
    service
}
