//! When a request goes, by what became of it.

use k8s_openapi::ByteString;

use super::*;
use crate::certificate_signing::tests::{request, with};

fn left_after(request: &CertificateSigningRequest, seconds: i64) -> Option<u64> {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    left(request, start + jiff::SignedDuration::from_secs(seconds)).map(|left| left.as_secs())
}

#[test]
fn a_request_goes_an_hour_after_it_was_answered_and_a_day_after_it_was_made() {
    let mut plain = request("jane", "dev", "kubernetes.io/kube-apiserver-client", &["client auth"]);
    plain.metadata.creation_timestamp = Some(Time("2026-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(left_after(&plain, 3600), Some(23 * 3600));
    assert_eq!(left_after(&plain, 25 * 3600), Some(0));
    for (kind, hours) in [("Denied", 1), ("Failed", 1), ("Approved", 24)] {
        let answered = with(plain.clone(), &[kind]);
        assert_eq!(left_after(&answered, 0), Some(hours * 3600), "{kind}");
        let plan = Controller::plan(
            &CertificateCleaning,
            &answered,
            &World::default(),
            "2026-01-03T00:00:00Z".parse().unwrap(),
        );
        assert!(matches!(plan.steps[0].change, Change::Delete { .. }), "{kind}");
    }
    let mut issued = with(plain, &["Approved"]);
    issued.status.as_mut().unwrap().certificate = Some(ByteString(b"signed".to_vec()));
    assert_eq!(left_after(&issued, 0), Some(3600));
}
