//! Requests made by rcgen, answered here, read and verified by x509-parser.

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, SanType, SigningKey as _};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;

use crate::{AuthorityError, Issuer, Request, RequestError, Usage, Wanted, expiry, issue};

/// The attribute type of organizations, for more than one of them.
const ORGANIZATION: [u64; 4] = [2, 5, 4, 10];

fn request_pem(organizations: [&str; 2]) -> String {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec!["web.test".to_owned()]).unwrap();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "jane");
    parameters
        .distinguished_name
        .push(DnType::OrganizationName, organizations[0]);
    let second = DnType::CustomDnType(ORGANIZATION.to_vec());
    parameters.distinguished_name.push(second, organizations[1]);
    parameters
        .subject_alt_names
        .push(SanType::IpAddress([10, 0, 0, 7].into()));
    parameters.serialize_request(&key).unwrap().pem().unwrap()
}

#[test]
fn a_request_says_who_and_what() {
    let request = Request::parse(request_pem(["dev", "ops"]).as_bytes()).unwrap();
    assert_eq!((request.common_name.as_str(), request.organizations.len()), ("jane", 2));
    assert_eq!(request.organizations, ["dev", "ops"]);
    assert_eq!(request.dns_names, ["web.test"]);
    assert_eq!(request.addresses, ["10.0.0.7".parse::<std::net::IpAddr>().unwrap()]);
}

#[test]
fn what_is_no_request_or_has_a_wrong_signature_is_refused() {
    assert_eq!(Request::parse(b"x"), Err(RequestError::Label));
    let pem = request_pem(["a", "b"]);
    let other = pem.replace("CERTIFICATE REQUEST", "CERTIFICATE");
    assert_eq!(Request::parse(other.as_bytes()), Err(RequestError::Label));
    let mut der = Pem::iter_from_buffer(pem.as_bytes()).next().unwrap().unwrap().contents;
    // Somewhere in the common name.
    let place = der.windows(4).position(|window| window == b"jane").unwrap();
    der[place] = b'k';
    let tampered = super::issue::pem("CERTIFICATE REQUEST", &der);
    let refused = Request::parse(tampered.as_bytes()).unwrap_err();
    assert!(matches!(refused, RequestError::Signature(_)), "{refused}");
}

#[test]
fn a_certificate_is_signed_by_the_authority_and_says_what_was_wanted() {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&key).unwrap().pem();
    let request = Request::parse(request_pem(["dev", "ops"]).as_bytes()).unwrap();
    let usages = ["digital signature", "decipher only", "client auth"].map(|name| Usage::parse(name).unwrap());
    let wanted = Wanted {
        request: &request,
        usages: &usages,
        not_before: "2026-01-02T03:04:05Z".parse().unwrap(),
        not_after: "2051-01-02T03:04:05Z".parse().unwrap(),
    };
    let issuer = Issuer::parse(&authority).unwrap();
    let made = issue(&wanted, &issuer, |content| {
        key.sign(content)
            .map_err(|error| AuthorityError::Key(error.to_string()))
    });
    let made = made.unwrap();
    assert_eq!(expiry(made.as_bytes()), Some(wanted.not_after));
    let (block, signer) = [&made, &authority]
        .map(|pem| Pem::iter_from_buffer(pem.as_bytes()).next().unwrap().unwrap())
        .into();
    let (certificate, signer) = (block.parse_x509().unwrap(), signer.parse_x509().unwrap());
    certificate.verify_signature(Some(signer.public_key())).unwrap();
    assert_eq!(certificate.issuer(), signer.subject());
    assert_eq!(
        certificate.validity().not_before.timestamp(),
        wanted.not_before.as_second()
    );
    let organizations: Vec<&str> = certificate
        .subject()
        .iter_organization()
        .map(|one| one.as_str().unwrap())
        .collect();
    assert_eq!(organizations, ["dev", "ops"]);
    let usage = certificate.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && usage.decipher_only() && !usage.key_encipherment());
    let extended = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.client_auth && !extended.server_auth);
    assert!(!certificate.is_ca());
    let names = certificate.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(names.general_names[0], GeneralName::DNSName("web.test"));
    assert_eq!(names.general_names[1], GeneralName::IPAddress(&[10, 0, 0, 7]));
    let of_authority = certificate.extensions().iter().any(|one| {
        matches!(one.parsed_extension(), ParsedExtension::AuthorityKeyIdentifier(key) if key.key_identifier.is_some())
    });
    assert!(of_authority);
}
