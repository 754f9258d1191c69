//! Which certificates of webhooks and aggregated API servers are taken: those that a bundle's authority signed, and, as
//! Go's client allows, a certificate that is in the bundle itself; or any, where the cluster's owner says so.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rustls::ClientConfig;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::pki::{CertificatePair, ClusterPki};

/// Whose certificate a server must have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Trust {
    /// One from these authorities, PEM; `None` = from those that the host trusts.
    Bundle(Option<Bytes>),
    /// Anybody's: `insecureSkipTLSVerify`.
    Anybody,
}

/// The client's side of TLS: trust, the certificate shown when one is asked for, and the protocols offered.
pub(crate) fn client_config(
    trust: &Trust,
    own: Option<&CertificatePair>,
    protocols: &[&[u8]],
) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Bundle(pem) => verifier(pem.as_deref(), provider.clone())?,
        Trust::Anybody => certificates::any_server(&provider),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match own {
        Some(own) => {
            let (chain, key) = ClusterPki::rustls_pair(own).map_err(|error| supervision::error_chain(&error))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| error.to_string())?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// The host's authorities. They are read once, as by Go's programs: a host has a hundred and more.
pub(crate) fn system() -> &'static [CertificateDer<'static>] {
    static KNOWN: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    KNOWN.get_or_init(|| rustls_native_certs::load_native_certs().certs)
}

/// A verifier for a bundle, or for the host's authorities.
fn verifier(ca_bundle: Option<&[u8]>, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let mut known = Vec::new();
    match ca_bundle {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                known.push(certificate.map_err(|error| format!("unable to load root certificates: {error}"))?);
            }
        }
        None => known = system().to_vec(),
    }
    certificates::known_servers(known, provider).map_err(|error| format!("unable to load root certificates: {error}"))
}
