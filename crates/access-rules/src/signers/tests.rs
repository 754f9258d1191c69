//! Which requests each signer takes, and how long what it signs holds.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

use super::*;

fn request(common_name: &str, organization: &str, names: &[SanType]) -> Request {
    let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters
        .distinguished_name
        .push(DnType::OrganizationName, organization);
    parameters.subject_alt_names = names.to_vec();
    let pem = parameters
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap()
        .pem()
        .unwrap();
    Request::parse(pem.as_bytes()).unwrap()
}

fn check(signer: &str, request: &Request, usages: &[&str]) -> String {
    let usages: Vec<String> = usages.iter().map(|usage| (*usage).to_owned()).collect();
    let checked = Signer::parse(signer).unwrap().check(request, &usages);
    checked.map_or_else(|unfit| unfit.to_string(), |()| "signed".to_owned())
}

#[test]
#[allow(clippy::too_many_lines, reason = "one table")]
fn each_signer_takes_its_own() {
    let dns = || SanType::DnsName("n".try_into().unwrap());
    let address = || SanType::IpAddress([10, 0, 0, 1].into());
    let mail = || SanType::Rfc822Name("a@b".try_into().unwrap());
    let node = |names: &[SanType]| request("system:node:n", "system:nodes", names);
    let kubelet = "kubernetes.io/kube-apiserver-client-kubelet";
    let serving = "kubernetes.io/kubelet-serving";
    let client = "kubernetes.io/kube-apiserver-client";
    let (for_clients, for_servers) = (
        ["digital signature", "client auth"],
        ["digital signature", "server auth"],
    );
    for (signer, request, usages, answer) in [
        (client, request("jane", "dev", &[]), for_clients.as_slice(), "signed"),
        (
            client,
            request("jane", "dev", &[]),
            &["server auth"],
            "invalid usage for client certificate: server auth",
        ),
        (
            client,
            request("jane", "dev", &[]),
            &["digital signature"],
            "missing required usage for client certificate: client auth",
        ),
        (kubelet, node(&[]), &for_clients, "signed"),
        (
            kubelet,
            node(&[]),
            &["digital signature", "key encipherment", "client auth"],
            "signed",
        ),
        (
            kubelet,
            node(&[]),
            &for_servers,
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (
            kubelet,
            node(&[dns()]),
            &for_clients,
            "DNS subjectAltNames are not allowed",
        ),
        (
            kubelet,
            node(&[address()]),
            &for_clients,
            "IP subjectAltNames are not allowed",
        ),
        (
            kubelet,
            request("system:node:n", "dev", &[]),
            &for_clients,
            "subject organization is not system:nodes",
        ),
        (
            kubelet,
            request("jane", "system:nodes", &[]),
            &for_clients,
            "subject common name does not begin with system:node:",
        ),
        (serving, node(&[dns(), address()]), &for_servers, "signed"),
        (serving, node(&[]), &for_servers, "DNS or IP subjectAltName is required"),
        (
            serving,
            node(&[dns(), mail()]),
            &for_servers,
            "Email subjectAltNames are not allowed",
        ),
        (
            "beta.eks.amazonaws.com/app-serving",
            request("app", "any", &[dns()]),
            &for_servers,
            "signed",
        ),
    ] {
        assert_eq!(check(signer, &request, usages), answer, "{signer} {request:?}");
    }
    assert_eq!(Signer::parse("example.com/own"), None);
}

#[test]
fn a_certificate_lasts_as_long_as_was_asked_within_limits() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let authority: Timestamp = "2035-01-01T00:00:00Z".parse().unwrap();
    for (asked, until) in [
        (Some(3600), "2026-01-01T01:00:00Z"),
        (Some(60), "2026-01-01T00:10:00Z"),
        (Some(86_400), "2026-01-01T23:55:00Z"),
        (None, "2026-12-31T23:55:00Z"),
        (Some(i32::MAX), "2026-12-31T23:55:00Z"),
    ] {
        let (from, to) = validity(now, asked, authority).unwrap();
        assert_eq!(
            (from.to_string().as_str(), to.to_string().as_str()),
            ("2025-12-31T23:55:00Z", until)
        );
    }
    let soon = now + SignedDuration::from_hours(1);
    assert_eq!(validity(now, None, soon).unwrap().1, soon);
    assert_eq!(validity(soon, None, soon), None);
}
