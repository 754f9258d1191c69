//! What is signed, what fails, and what is left alone.

use std::sync::Mutex;

use certificates::AuthorityError;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequestSpec, CertificateSigningRequestStatus};
use plan::AnyObject;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use super::*;

/// Writes down what it is asked for and answers a word.
#[derive(Default)]
struct Fake(Mutex<Vec<(String, Timestamp, Timestamp, usize)>>);

impl Authority for Fake {
    fn expires(&self) -> Result<Timestamp, AuthorityError> {
        Ok("2035-01-01T00:00:00Z".parse().unwrap())
    }

    fn issue(&self, wanted: &Wanted<'_>) -> Result<String, AuthorityError> {
        let asked = wanted.request.common_name.clone();
        self.0
            .lock()
            .unwrap()
            .push((asked, wanted.not_before, wanted.not_after, wanted.usages.len()));
        Ok("signed".to_owned())
    }
}

pub(crate) fn request(
    common_name: &str,
    organization: &str,
    signer: &str,
    usages: &[&str],
) -> CertificateSigningRequest {
    let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters
        .distinguished_name
        .push(DnType::OrganizationName, organization);
    let pem = parameters
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap()
        .pem()
        .unwrap();
    let mut request = CertificateSigningRequest {
        spec: CertificateSigningRequestSpec {
            request: ByteString(pem.into_bytes()),
            signer_name: signer.to_owned(),
            usages: Some(usages.iter().map(|usage| (*usage).to_owned()).collect()),
            username: Some(common_name.to_owned()),
            ..CertificateSigningRequestSpec::default()
        },
        ..CertificateSigningRequest::default()
    };
    request.metadata.name = Some("csr-1".to_owned());
    request
}

pub(crate) fn with(mut request: CertificateSigningRequest, kinds: &[&str]) -> CertificateSigningRequest {
    let conditions = kinds.iter().map(|kind| CertificateSigningRequestCondition {
        type_: (*kind).to_owned(),
        status: "True".to_owned(),
        last_update_time: Some(whole_seconds("2026-01-01T00:00:00Z".parse().unwrap())),
        ..CertificateSigningRequestCondition::default()
    });
    request.status = Some(CertificateSigningRequestStatus {
        conditions: Some(conditions.collect()),
        certificate: None,
    });
    request
}

fn plan_of(request: &CertificateSigningRequest) -> (Plan, Arc<Fake>) {
    let authority = Arc::new(Fake::default());
    let controller = CertificateSigning {
        authority: authority.clone(),
    };
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    (
        Controller::plan(&controller, request, &World::default(), now),
        authority,
    )
}

const CLIENT: &str = "kubernetes.io/kube-apiserver-client";

#[test]
fn what_is_approved_is_signed() {
    let mut asked = with(
        request("jane", "dev", CLIENT, &["client auth", "digital signature"]),
        &["Approved"],
    );
    asked.spec.expiration_seconds = Some(3600);
    let (plan, authority) = plan_of(&asked);
    let [step] = plan.steps.as_slice() else {
        panic!("{plan:?}")
    };
    let Change::UpdateStatus(AnyObject::CertificateSigningRequest(signed)) = &step.change else {
        panic!("{step:?}")
    };
    assert_eq!(certificate(signed), b"signed");
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let (from, to) = (time("2025-12-31T23:55:00Z"), time("2026-01-01T01:00:00Z"));
    assert_eq!(*authority.0.lock().unwrap(), [("jane".to_owned(), from, to, 2)]);
}

#[test]
fn what_does_not_fit_its_signer_fails_for_good() {
    let asked = with(request("jane", "dev", CLIENT, &["server auth"]), &["Approved"]);
    let (plan, _) = plan_of(&asked);
    let Change::UpdateStatus(AnyObject::CertificateSigningRequest(failed)) = &plan.steps[0].change else {
        panic!("{plan:?}")
    };
    let condition = &conditions(failed)[1];
    assert_eq!(
        (condition.type_.as_str(), condition.reason.as_deref()),
        ("Failed", Some("SignerValidationFailure"))
    );
    assert_eq!(
        condition.message.as_deref(),
        Some("invalid usage for client certificate: server auth")
    );
    assert!(plan_of(failed).0.is_empty());
}

#[test]
fn what_is_undecided_denied_or_anothers_is_left_alone() {
    let usages = ["client auth"];
    for asked in [
        request("jane", "dev", CLIENT, &usages),
        with(request("jane", "dev", CLIENT, &usages), &["Denied"]),
        with(request("jane", "dev", "example.com/own", &usages), &["Approved"]),
    ] {
        assert!(plan_of(&asked).0.is_empty(), "{asked:?}");
    }
}
