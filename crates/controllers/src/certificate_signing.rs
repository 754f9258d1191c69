//! Signs approved certificate requests for the cluster's own signers.
//!
//! Source of the rules: `pkg/controller/certificates/signer`. Requests of other signers are left to whoever those are.

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::Duration;

use access_rules::signers::{Signer, validity};
use certificates::{Authority, Request, Usage, Wanted};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use kube_types::ObjectKey;
use plan::{Change, Controller, EventRecord, Kind, Observation, Plan, World, object_reference, whole_seconds};

/// After a failure of the authority, which is none of the request.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// The signer of certificate requests.
pub struct CertificateSigning {
    /// The cluster's authority.
    pub authority: Arc<dyn Authority>,
}

impl Controller for CertificateSigning {
    type Root = CertificateSigningRequest;
    const NAME: &'static str = "certificatesigningrequest-signing-controller";
    const WATCHES: &'static [Kind] = &[];

    fn roots_of(&self, _changed: Observation<'_>, _world: &World) -> Vec<ObjectKey> {
        Vec::new()
    }

    fn plan(&self, request: &CertificateSigningRequest, _world: &World, now: Timestamp) -> Plan {
        if is_issued(request) || !has(request, "Approved") || has(request, "Failed") {
            return Plan::nothing();
        }
        let Some(signer) = Signer::parse(&request.spec.signer_name) else {
            return Plan::nothing();
        };
        // What cannot be read was never accepted by the API server.
        let Ok(asked) = Request::parse(&request.spec.request.0) else {
            return Plan::nothing();
        };
        let usages = request.spec.usages.clone().unwrap_or_default();
        if let Err(unfit) = signer.check(&asked, &usages) {
            return Change::update_status(failed(request, &unfit.to_string(), now)).into();
        }
        match self.sign(request, &asked, &usages, now) {
            Ok(certificate) => {
                let mut signed = request.clone();
                signed.status.get_or_insert_default().certificate = Some(ByteString(certificate.into_bytes()));
                Change::update_status(signed).into()
            }
            Err(problem) => {
                let mut plan = Plan::nothing();
                plan.events.push(EventRecord::warning(
                    object_reference(request),
                    "SigningFailed",
                    problem,
                ));
                plan.look_again(TRY_AGAIN);
                plan
            }
        }
    }
}

impl CertificateSigning {
    fn sign(
        &self,
        request: &CertificateSigningRequest,
        asked: &Request,
        usages: &[String],
        now: Timestamp,
    ) -> Result<String, String> {
        let expires = self.authority.expires().map_err(|error| error.to_string())?;
        let (not_before, not_after) = validity(now, request.spec.expiration_seconds, expires)
            .ok_or_else(|| format!("the signer has expired: NotAfter={expires}"))?;
        let usages: Vec<Usage> = usages.iter().filter_map(|usage| Usage::parse(usage)).collect();
        let wanted = Wanted {
            request: asked,
            usages: &usages,
            not_before,
            not_after,
        };
        self.authority.issue(&wanted).map_err(|error| error.to_string())
    }
}

fn failed(request: &CertificateSigningRequest, problem: &str, now: Timestamp) -> CertificateSigningRequest {
    let mut failed = request.clone();
    let status = failed.status.get_or_insert_default();
    status
        .conditions
        .get_or_insert_default()
        .push(CertificateSigningRequestCondition {
            type_: "Failed".to_owned(),
            status: "True".to_owned(),
            reason: Some("SignerValidationFailure".to_owned()),
            message: Some(problem.to_owned()),
            last_update_time: Some(whole_seconds(now)),
            last_transition_time: None,
        });
    failed
}

/// Has the request a condition of this type, whatever its status? None of the three lasting ones can be but true.
pub(crate) fn has(request: &CertificateSigningRequest, kind: &str) -> bool {
    conditions(request).iter().any(|condition| condition.type_ == kind)
}

pub(crate) fn conditions(request: &CertificateSigningRequest) -> &[CertificateSigningRequestCondition] {
    let conditions = request.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.map_or(&[], Vec::as_slice)
}

/// The certificate, once there is one.
pub(crate) fn certificate(request: &CertificateSigningRequest) -> &[u8] {
    let certificate = request.status.as_ref().and_then(|status| status.certificate.as_ref());
    certificate.map_or(&[], |certificate| certificate.0.as_slice())
}

pub(crate) fn is_issued(request: &CertificateSigningRequest) -> bool {
    !certificate(request).is_empty()
}
