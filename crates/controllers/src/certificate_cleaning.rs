//! Deletes certificate requests that nobody needs any more: requests are made by programs, and people do not tidy up.
//!
//! Source of the rules: `pkg/controller/certificates/cleaner`.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_types::ObjectKey;
use plan::{Change, Controller, Kind, Observation, Plan, World, since};

use crate::certificate_signing::{certificate, conditions, is_issued};

/// How long a request stays that was answered, and one that nobody looked at.
const ANSWERED: Duration = Duration::from_secs(3600);
const PENDING: Duration = Duration::from_secs(24 * 3600);
/// Upstream looks this often; a deadline that is hit to the second helps nobody.
const LATER: Duration = Duration::from_secs(1);

/// The cleaner of certificate requests.
pub struct CertificateCleaning;

impl Controller for CertificateCleaning {
    type Root = CertificateSigningRequest;
    const NAME: &'static str = "certificatesigningrequest-cleaner-controller";
    const WATCHES: &'static [Kind] = &[];

    fn roots_of(&self, _changed: Observation<'_>, _world: &World) -> Vec<ObjectKey> {
        Vec::new()
    }

    fn plan(&self, request: &CertificateSigningRequest, _world: &World, now: Timestamp) -> Plan {
        let Some(left) = left(request, now) else {
            return Plan::nothing();
        };
        if left.is_zero() {
            return Change::delete(request).into();
        }
        let mut plan = Plan::nothing();
        plan.look_again(left + LATER);
        plan
    }
}

/// How long the request stays; `None` when no moment is known at which it goes.
fn left(request: &CertificateSigningRequest, now: Timestamp) -> Option<Duration> {
    let remaining = |from: &Time, limit: Duration| limit.saturating_sub(since(from, now));
    let all = conditions(request);
    if all.is_empty() {
        let created = request.metadata.creation_timestamp.as_ref()?;
        return Some(remaining(created, PENDING));
    }
    let issued = is_issued(request);
    let of = |condition: &CertificateSigningRequestCondition| {
        let updated = condition.last_update_time.as_ref()?;
        match condition.type_.as_str() {
            "Denied" | "Failed" => Some(remaining(updated, ANSWERED)),
            "Approved" if issued => Some(remaining(updated, ANSWERED)),
            "Approved" => Some(remaining(updated, PENDING)),
            _ => None,
        }
    };
    let ended = certificates::expiry(certificate(request));
    let ended = ended.filter(|_| all.iter().any(|condition| condition.type_ == "Approved"));
    let until_end = ended.map(|end| Duration::try_from(end.duration_since(now)).unwrap_or(Duration::ZERO));
    all.iter().filter_map(of).chain(until_end).min()
}
