//! Carries out the approval of certificate requests: asks whether the requester may, and approves.

use std::collections::BTreeSet;
use std::sync::Arc;

use clock::Clock;
use controllers::certificate_approval::{self, Way};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::api::PostParams;
use kube::{Api, Client};
use kube_types::ObjectKey;
use plan::{Kind, Observation, World};
use reconcile_loop::{Applier, ApplyError, Listener, Looks, Observer, WorkQueue, start_workers};
use supervision::Supervisor;

/// Requests that are looked at at the same time.
const WORKERS: usize = 2;

/// Approves what may be approved without a person.
pub(crate) struct CertificateApproval {
    client: Client,
    observer: Arc<Observer>,
    applier: Applier,
    clock: Arc<dyn Clock>,
    queue: WorkQueue<ObjectKey>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ApprovalError {
    #[error("ask whether the requester may have the certificate")]
    Review(#[source] kube::Error),
    #[error("approve")]
    Apply(#[from] ApplyError),
}

impl CertificateApproval {
    /// Kinds whose changes matter.
    pub const KINDS: &'static [Kind] = &[Kind::CertificateSigningRequest, Kind::Node];

    pub fn start(
        client: Client,
        observer: Arc<Observer>,
        applier: Applier,
        clock: Arc<dyn Clock>,
        supervisor: &Supervisor,
    ) {
        let approval = Arc::new(Self {
            client,
            observer,
            applier,
            clock,
            queue: WorkQueue::default(),
        });
        approval.observer.listen(approval.clone());
        start_workers(&approval, WORKERS, &supervisor.child(certificate_approval::NAME));
    }

    fn ways(&self, key: &ObjectKey) -> Option<(Arc<CertificateSigningRequest>, Vec<Way>)> {
        let world = self.observer.world();
        let request = world.certificate_signing_requests.get(key)?.clone();
        let ways = certificate_approval::ways(&request, &world);
        Some((request, ways))
    }

    async fn is_allowed(&self, request: &CertificateSigningRequest, way: Way) -> Result<bool, ApprovalError> {
        let Some(permission) = way.permission else {
            return Ok(true);
        };
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: request.spec.username.clone(),
                uid: request.spec.uid.clone(),
                groups: request.spec.groups.clone(),
                extra: request.spec.extra.clone(),
                resource_attributes: Some(ResourceAttributes {
                    group: Some("certificates.k8s.io".to_owned()),
                    resource: Some("certificatesigningrequests".to_owned()),
                    subresource: Some(permission.to_owned()),
                    verb: Some("create".to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let reviewed = reviews.create(&PostParams::default(), &review).await;
        let status = reviewed.map_err(ApprovalError::Review)?.status;
        Ok(status.is_some_and(|status| status.allowed))
    }

    /// A node's new addresses may be what its serving certificate waits for.
    fn waiting_for(&self, world: &World, node: &str) {
        let user = format!("system:node:{node}");
        let all = world.certificate_signing_requests.all();
        let own: BTreeSet<ObjectKey> = all
            .filter(|request| request.spec.username.as_deref() == Some(user.as_str()))
            .map(|request| ObjectKey::of(request.as_ref()))
            .collect();
        for key in own {
            self.queue.add(key);
        }
    }
}

impl Looks for CertificateApproval {
    type Key = ObjectKey;
    type Error = ApprovalError;

    fn queue(&self) -> &WorkQueue<ObjectKey> {
        &self.queue
    }

    async fn look(&self, key: &ObjectKey) -> Result<(), ApprovalError> {
        let Some((request, ways)) = self.ways(key) else {
            return Ok(());
        };
        for way in ways {
            if self.is_allowed(&request, way).await? {
                let plan = certificate_approval::approve(&request, way, self.clock.now());
                self.applier.apply(certificate_approval::NAME, plan).await?;
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Listener for CertificateApproval {
    fn kinds(&self) -> Vec<Kind> {
        Self::KINDS.to_vec()
    }

    fn changed(&self, old: Option<Observation<'_>>, new: Option<Observation<'_>>, world: &World) {
        match (old, new) {
            (_, Some(Observation::CertificateSigningRequest(request))) => {
                self.queue.add(ObjectKey::of(request));
            }
            (None, Some(Observation::Node(node))) => {
                self.waiting_for(world, node.metadata.name.as_deref().unwrap_or_default());
            }
            (Some(Observation::Node(old)), Some(Observation::Node(new))) => {
                let addresses = |node: &k8s_openapi::api::core::v1::Node| {
                    node.status.as_ref().and_then(|status| status.addresses.clone())
                };
                if addresses(old) != addresses(new) {
                    self.waiting_for(world, new.metadata.name.as_deref().unwrap_or_default());
                }
            }
            _ => {}
        }
    }
}
