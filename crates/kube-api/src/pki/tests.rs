//! Keys persist, keys are private, and changed names give a new serving certificate under the same CA.

use std::os::unix::fs::PermissionsExt;

use clock::ManualClock;

use super::*;

fn clock() -> ManualClock {
    ManualClock::new("2026-02-28T12:00:00Z".parse().unwrap())
}

#[test]
fn keys_persist_and_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let names = ServerNames::of_cluster("cluster.local");
    let first = ClusterPki::load_or_create(dir.path(), &names, &clock()).unwrap();
    let second = ClusterPki::load_or_create(dir.path(), &names, &clock()).unwrap();
    assert_eq!(first.ca_pem(), second.ca_pem());
    assert_eq!(first.serving(), second.serving());
    assert_eq!(first.service_account_key_pem(), second.service_account_key_pem());
    for name in ["ca.key", "sa.key", "apiserver.key"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn changed_names_and_approaching_expiry_renew_the_serving_certificate_only() {
    let dir = tempfile::tempdir().unwrap();
    let names = ServerNames::of_cluster("cluster.local");
    let first = ClusterPki::load_or_create(dir.path(), &names, &clock()).unwrap();
    let more = names.with_address("10.0.0.9".parse().unwrap());
    let second = ClusterPki::load_or_create(dir.path(), &more, &clock()).unwrap();
    assert_ne!(first.serving(), second.serving());
    assert_eq!(first.ca_pem(), second.ca_pem());
    let later = clock();
    later.advance(jiff::SignedDuration::from_hours(24 * 340));
    let third = ClusterPki::load_or_create(dir.path(), &more, &later).unwrap();
    assert_ne!(third.serving(), second.serving());
    assert_eq!(third.ca_pem(), second.ca_pem());
}

#[test]
fn client_certificates_carry_user_and_groups() {
    let dir = tempfile::tempdir().unwrap();
    let pki = ClusterPki::load_or_create(dir.path(), &ServerNames::default(), &clock()).unwrap();
    let pair = pki.issue_client("system:node:n1", &["system:nodes", "more"]).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(pair.certificate_pem.as_bytes()).unwrap();
    let certificate = pem.parse_x509().unwrap();
    assert_eq!(
        certificate
            .subject()
            .iter_common_name()
            .next()
            .unwrap()
            .as_str()
            .unwrap(),
        "system:node:n1"
    );
    let groups: Vec<&str> = certificate
        .subject()
        .iter_organization()
        .map(|one| one.as_str().unwrap())
        .collect();
    assert_eq!(groups, ["system:nodes", "more"]);
}

#[test]
fn a_damaged_ca_is_an_error_and_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    ClusterPki::load_or_create(dir.path(), &ServerNames::default(), &clock()).unwrap();
    std::fs::write(dir.path().join("ca.key"), "nonsense").unwrap();
    assert!(ClusterPki::load_or_create(dir.path(), &ServerNames::default(), &clock()).is_err());
    assert_eq!(std::fs::read_to_string(dir.path().join("ca.key")).unwrap(), "nonsense");
}

#[test]
fn a_renewal_that_was_interrupted_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let names = ServerNames::of_cluster("cluster.local");
    let first = ClusterPki::load_or_create(dir.path(), &names, &clock()).unwrap();
    let other = first.issue_server("kube-apiserver", &names).unwrap();
    std::fs::write(dir.path().join("apiserver.key"), &other.key_pem).unwrap();
    let second = ClusterPki::load_or_create(dir.path(), &names, &clock()).unwrap();
    assert!(second.serving() != first.serving() && second.serving().key_pem != other.key_pem);
    assert_eq!(second.ca_pem(), first.ca_pem());
}
