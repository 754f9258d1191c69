//! The list of every control loop, on one page.
//!
//! **Invariant:** no logic of a controller.
#![forbid(unsafe_code)]

mod certificate_approval;
mod garbage_collection;
mod inventory;
mod namespace_deletion;
mod quota_status;

// Its loop asks for scales and metrics every fifteen seconds.
mod autoscaling;

use std::collections::BTreeSet;
use std::sync::Arc;

use certificates::Authority;
use clock::{Clock, Random};
use controllers::quota::Resource;
use controllers::{
    CertificateCleaning, CertificateSigning, ClaimProtection, CronJobs, DaemonSets, Deployments, DisruptionBudgets,
    EndpointSliceMirroring, EndpointSlices, EndpointsObjects, Jobs, LoadBalancers, NodeLifecycle, PodGarbage,
    ReplicaSets, RootCertificates, ServiceAccounts, StatefulSets, TaintEviction, VolumeProtection,
};
use kube::Client;
use kube_types::ObjectKey;
use plan::{AnyController, Kind};
use reconcile_loop::{Applier, ComponentLog, Explained, Metrics, Observer, ReconcileLoop, Recorder};
use supervision::Supervisor;

use certificate_approval::CertificateApproval;
use garbage_collection::GarbageCollection;
use namespace_deletion::NamespaceDeletion;
use quota_status::QuotaStatus;

/// What the controllers of one cluster are made of.
pub struct Options {
    /// Writes with the controllers' identity.
    pub client: Client,
    /// The view of the cluster. Not started yet, so that the controllers miss nothing; see [`ControllerManager::kinds`].
    pub observer: Arc<Observer>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives randomness.
    pub random: Arc<dyn Random>,
    /// Names, watches and ends the tasks.
    pub supervisor: Supervisor,
    /// The certificate authority of the API server, published to every namespace.
    pub cluster_ca_pem: String,
    /// Signs the certificates that are asked for through the API.
    pub authority: Arc<dyn Authority>,
    /// The region, which is part of load balancers' names.
    pub region: String,
    /// Hears what the controllers do.
    pub log: ComponentLog,
}

/// The running controllers of one cluster.
pub struct ControllerManager {
    /// The view that decisions are made from; others of the cluster may share it.
    pub observer: Arc<Observer>,
    /// What the work queues count.
    pub metrics: Metrics,
    reconcile_loop: ReconcileLoop,
}

/// Every controller, in no particular order: none knows of another. Three more look at objects of every kind and have loops of
/// their own: namespace deletion, garbage collection and the status of quotas; and the approval of certificate requests, which asks
/// for a review.
fn all(options: &Options) -> Vec<Box<dyn AnyController>> {
    vec![
        Box::new(Deployments),
        Box::new(ReplicaSets),
        Box::new(controllers::ReplicationControllers),
        Box::new(DaemonSets),
        Box::new(StatefulSets),
        Box::new(EndpointsObjects),
        Box::new(EndpointSlices),
        Box::new(EndpointSliceMirroring),
        Box::new(ServiceAccounts),
        Box::new(RootCertificates {
            bundle: options.cluster_ca_pem.clone(),
        }),
        Box::new(LoadBalancers {
            region: options.region.clone(),
        }),
        Box::new(NodeLifecycle {
            watching_since: options.clock.now(),
        }),
        Box::new(TaintEviction),
        Box::new(PodGarbage),
        Box::new(DisruptionBudgets),
        Box::new(Jobs),
        Box::new(CronJobs),
        Box::new(ClaimProtection),
        Box::new(VolumeProtection),
        Box::new(CertificateSigning {
            authority: options.authority.clone(),
        }),
        Box::new(CertificateCleaning),
    ]
}

/// Starts every control loop of a cluster. Must be called within a tokio runtime.
pub fn start(options: Options) -> ControllerManager {
    let scope = options.supervisor.child("controller-manager");
    let controllers = all(&options);
    let observer = options.observer;
    let metrics = Metrics::default();
    let recorder = Recorder::start(options.client.clone(), options.clock.clone(), &scope);
    let recorder = recorder.logged(options.log.clone());
    let applier = Applier::new(options.client.clone(), recorder.clone());
    NamespaceDeletion::start(
        options.client.clone(),
        observer.clone(),
        applier.clone(),
        options.clock.clone(),
        &scope,
    );
    CertificateApproval::start(
        options.client.clone(),
        observer.clone(),
        applier.clone(),
        options.clock.clone(),
        &scope,
    );
    let quotas = QuotaStatus::start(
        options.client.clone(),
        observer.clone(),
        applier.clone(),
        options.clock.clone(),
        &scope,
    );
    let gone = Box::new(move |resource: &Resource, namespace: &str| quotas.gone(resource, namespace));
    GarbageCollection::start(options.client.clone(), applier, gone, &scope);
    autoscaling::Autoscaling::start(options.client.clone(), options.clock.clone(), recorder.clone(), &scope);
    let reconcile_loop = ReconcileLoop::new(
        controllers,
        reconcile_loop::Options {
            client: options.client,
            observer: observer.clone(),
            recorder,
            clock: options.clock,
            metrics: metrics.clone(),
            log: options.log,
        },
    );
    reconcile_loop.start(&scope);
    ControllerManager {
        observer,
        metrics,
        reconcile_loop,
    }
}

impl ControllerManager {
    /// What the observer must watch for the controllers.
    pub fn kinds(&self) -> BTreeSet<Kind> {
        let mut kinds = self.reconcile_loop.kinds();
        kinds.extend(QuotaStatus::KINDS);
        kinds.extend(CertificateApproval::KINDS);
        kinds
    }

    /// What each controller of the kind would do for this object now.
    pub fn explain(&self, kind: Kind, key: &ObjectKey) -> Vec<Explained> {
        self.reconcile_loop.explain(kind, key)
    }

    /// Is the object there, as far as controllers look at its kind?
    pub fn knows(&self, kind: Kind, key: &ObjectKey) -> bool {
        self.reconcile_loop.knows(kind, key)
    }
}
