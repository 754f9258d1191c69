//! Which certificates of webhooks and aggregated API servers are taken: those that a bundle's authority signed, and, as
//! Go's client allows, a certificate that is in the bundle itself; or any, where the cluster's owner says so.

use std::sync::Arc;

use bytes::Bytes;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

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
        Trust::Anybody => Arc::new(Anybody(provider.clone())),
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

/// Takes every certificate; that its bearer has the key is still checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[derive(Debug)]
struct Bundle {
    chains: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

/// A verifier for a bundle, or for the host's authorities.
fn verifier(ca_bundle: Option<&[u8]>, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let mut certificates = Vec::new();
    match ca_bundle {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                certificates.push(certificate.map_err(|error| format!("unable to load root certificates: {error}"))?);
            }
        }
        None => certificates = rustls_native_certs::load_native_certs().certs,
    }
    let mut roots = RootCertStore::empty();
    let (_, unusable) = roots.add_parsable_certificates(certificates.iter().cloned());
    if unusable > 0 {
        tracing::debug!(unusable, "certificates of a bundle that cannot sign");
    }
    let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| format!("unable to load root certificates: {error}"))?;
    Ok(Arc::new(Bundle { chains, certificates }))
}

impl ServerCertVerifier for Bundle {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let by_chain = self
            .chains
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match by_chain {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_)))
                if self.certificates.iter().any(|known| known == end_entity) =>
            {
                by_itself(end_entity, server_name, now)
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// A trusted certificate still must be in time and for this name.
fn by_itself(der: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<ServerCertVerified, Error> {
    let refuse = |problem| Err(Error::InvalidCertificate(problem));
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return refuse(CertificateError::BadEncoding);
    };
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    if now < validity.not_before.timestamp() {
        return refuse(CertificateError::NotValidYet);
    }
    if now > validity.not_after.timestamp() {
        return refuse(CertificateError::Expired);
    }
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names
        .map(|extension| extension.value.general_names.as_slice())
        .unwrap_or_default();
    let fits = names.iter().any(|known| match (known, name) {
        (GeneralName::DNSName(known), ServerName::DnsName(name)) => known.eq_ignore_ascii_case(name.as_ref()),
        (GeneralName::IPAddress(known), ServerName::IpAddress(name)) => match std::net::IpAddr::from(*name) {
            std::net::IpAddr::V4(address) => *known == address.octets().as_slice(),
            std::net::IpAddr::V6(address) => *known == address.octets().as_slice(),
        },
        _ => false,
    });
    if fits {
        Ok(ServerCertVerified::assertion())
    } else {
        refuse(CertificateError::NotValidForName)
    }
}
