//! What is refused of a request, a decision and a certificate, in upstream's words.

use kube_types::dynamic::json;
use rcgen::{CertificateParams, KeyPair};

use super::*;

fn encoded_request() -> String {
    let parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
    let request = parameters.serialize_request(&KeyPair::generate().unwrap()).unwrap();
    STANDARD.encode(request.pem().unwrap())
}

fn object(spec: Value, status: Value) -> Object {
    Object::from_value(json!({"metadata": {"name": "one"}, "spec": spec, "status": status})).unwrap()
}

fn said(errors: &Errors) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_asked_for_is_checked() {
    let request = encoded_request();
    let sound = json!({"request": request, "signerName": "example.com/s", "usages": ["client auth"]});
    let mut errors = Errors::new();
    (CERTIFICATE_SIGNING_REQUEST.validate)(&object(sound.clone(), json!({})), &mut errors);
    assert_eq!(said(&errors), Vec::<String>::new());
    for (field, value, problem) in [
        (
            "request",
            json!("eA=="),
            "spec.request: Invalid value: \"eA==\": PEM block type must be CERTIFICATE REQUEST",
        ),
        (
            "usages",
            json!([]),
            "spec.usages: Required value: usages must be provided",
        ),
        (
            "usages",
            json!(["client auth", "client auth"]),
            "spec.usages[1]: Duplicate value: \"client auth\"",
        ),
        (
            "signerName",
            json!("plain"),
            "spec.signerName: Invalid value: \"plain\": must be a fully qualified domain and path of the form 'example.com/signer-name'",
        ),
        (
            "signerName",
            json!("local/s"),
            "spec.signerName: Invalid value: \"local\": should be a domain with at least two segments separated by dots",
        ),
        (
            "signerName",
            json!("kubernetes.io/legacy-unknown"),
            "spec.signerName: Invalid value: \"kubernetes.io/legacy-unknown\": the legacy signerName is not allowed via this API version",
        ),
        (
            "expirationSeconds",
            json!(599),
            "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)",
        ),
    ] {
        let mut spec = sound.clone();
        spec[field] = value;
        let mut errors = Errors::new();
        (CERTIFICATE_SIGNING_REQUEST.validate)(&object(spec, json!({})), &mut errors);
        assert_eq!(said(&errors), [problem]);
    }
    let mut spec = sound;
    spec["usages"] = json!(["flying"]);
    let mut errors = Errors::new();
    (CERTIFICATE_SIGNING_REQUEST.validate)(&object(spec, json!({})), &mut errors);
    assert!(said(&errors)[0].starts_with("spec.usages[0]: Unsupported value: \"flying\": supported values: \"any\""));
}

#[test]
fn decisions_are_made_once_and_not_through_status() {
    let approved = json!({"type": "Approved", "status": "True", "reason": "r"});
    let denied = json!({"type": "Denied", "status": "True"});
    let of = |conditions: &[&Value]| object(json!({}), json!({"conditions": conditions}));
    let mut errors = Errors::new();
    check_approval(&of(&[&approved, &denied]), &of(&[]), &mut errors);
    assert_eq!(
        said(&errors),
        ["status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive"]
    );
    let mut errors = Errors::new();
    check_approval(&of(&[]), &of(&[&approved]), &mut errors);
    assert_eq!(
        said(&errors),
        ["status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""]
    );
    let mut errors = Errors::new();
    (CERTIFICATE_SIGNING_REQUEST.validate_status)(&of(&[&approved]), &of(&[]), &mut errors);
    assert_eq!(
        said(&errors),
        ["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""]
    );
    let unsure = json!({"type": "Denied", "status": "False"});
    let mut errors = Errors::new();
    check_approval(&of(&[&unsure]), &of(&[]), &mut errors);
    assert_eq!(
        said(&errors),
        ["status.conditions[0].status: Unsupported value: \"False\": supported values: \"True\""]
    );
}

#[test]
fn a_status_that_says_less_of_a_decision_keeps_it() {
    let of = |reason: &str| {
        object(
            json!({"request": reason}),
            json!({"conditions": [{"type": "Approved", "status": "True", "reason": reason}]}),
        )
    };
    let mut new = of("new");
    (CERTIFICATE_SIGNING_REQUEST.prepare_status)(&mut new, &of("old"));
    assert_eq!(new, of("old"));
}

#[test]
fn a_certificate_is_pem_and_is_given_once() {
    let of = |certificate: &str| object(json!({}), json!({"certificate": STANDARD.encode(certificate)}));
    let mut errors = Errors::new();
    (CERTIFICATE_SIGNING_REQUEST.validate_status)(&of("plain"), &of(""), &mut errors);
    assert_eq!(
        said(&errors),
        ["status.certificate: Invalid value: \"<certificate data>\": must contain at least one CERTIFICATE PEM block"]
    );
    let key = KeyPair::generate().unwrap();
    let made = CertificateParams::new(Vec::<String>::new())
        .unwrap()
        .self_signed(&key)
        .unwrap()
        .pem();
    let mut errors = Errors::new();
    (CERTIFICATE_SIGNING_REQUEST.validate_status)(&of(&made), &of(""), &mut errors);
    assert_eq!(said(&errors), Vec::<String>::new());
    let mut errors = Errors::new();
    (CERTIFICATE_SIGNING_REQUEST.validate_status)(&of(&made), &of("other"), &mut errors);
    assert_eq!(
        said(&errors),
        ["status.certificate: Forbidden: updates may not modify existing certificate content"]
    );
}
