//! The region's own certificate authority: what proves its TLS endpoint, and what clients are given to believe it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use aws_api::endpoint::{self, VPC_ADDRESS};
use aws_types::RegionName;
use aws_types::region_files::{AUTHORITY_FILE, BUNDLE_FILE};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::Clock;
use kube_api::{Authority, ClusterPki, ServerNames};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::failure::Failure;
use crate::home::Home;

/// The name that people see where certificates are shown.
const NAME: &str = "Ondol region authority";

/// Makes the region's authority and certificate, unless they are there, and writes what clients may trust. The chain that is shown ends with
/// the authority: IAM's thumbprint of an issuer is that of the last certificate.
pub fn server_config(home: &Home, region: &RegionName, clock: &dyn Clock) -> Result<ServerConfig, Failure> {
    let authority_file = home.path().join(AUTHORITY_FILE);
    let directory = authority_file.parent().unwrap_or(home.path());
    let authority =
        Authority::load_or_create(directory, "ca", NAME, clock).map_err(Failure::of("make the region's authority"))?;
    let mut names = ServerNames::default();
    names.dns.extend(endpoint::host_names(region));
    names.addresses.extend([
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
        IpAddr::V4(VPC_ADDRESS),
    ]);
    let pair = authority
        .kept_server(directory, "endpoint", "localhost", &names)
        .map_err(Failure::of("make the region's certificate"))?;
    let own = CertificateDer::from_pem_slice(authority.pem().as_bytes());
    let own = own.map_err(Failure::of("read the region's authority"))?;
    write_bundle(&home.path().join(BUNDLE_FILE), &own).map_err(Failure::of("write the certificates to trust"))?;
    let (mut chain, key) = ClusterPki::rustls_pair(&pair).map_err(Failure::of("read the region's certificate"))?;
    chain.push(own);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map_err(Failure::of("set up TLS"))
}

/// The region's authority first, then those that the system trusts.
fn write_bundle(path: &Path, own: &CertificateDer<'static>) -> std::io::Result<()> {
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(error = %supervision::error_chain(error), "a certificate that the system trusts cannot be read");
    }
    let mut seen = BTreeSet::new();
    let mut text = String::new();
    for certificate in std::iter::once(own).chain(&system.certs) {
        if seen.insert(certificate.as_ref().to_vec()) {
            push_pem(&mut text, certificate);
        }
    }
    let draft = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, path)
}

/// RFC 7468: lines of 64 characters.
fn push_pem(text: &mut String, certificate: &CertificateDer<'_>) {
    text.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = STANDARD.encode(certificate);
    while !rest.is_empty() {
        let tail = rest.split_off(rest.len().min(64));
        text.push_str(&rest);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END CERTIFICATE-----\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_holds_the_regions_authority_once_and_the_chain_ends_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(directory.path());
        fs::create_dir_all(home.region()).unwrap();
        let region = RegionName::new("ap-northeast-2").unwrap();
        for _ in 0..2 {
            server_config(&home, &region, &clock::SystemClock).unwrap();
        }
        let authority = fs::read_to_string(directory.path().join(AUTHORITY_FILE)).unwrap();
        let bundle = fs::read_to_string(directory.path().join(BUNDLE_FILE)).unwrap();
        let own = CertificateDer::from_pem_slice(authority.as_bytes()).unwrap();
        let held: Vec<_> = CertificateDer::pem_slice_iter(bundle.as_bytes())
            .map(Result::unwrap)
            .collect();
        assert_eq!(held.iter().filter(|one| **one == own).count(), 1);
        assert_eq!(held[0], own);
    }
}
