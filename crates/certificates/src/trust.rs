//! Whose certificate is taken in a TLS handshake: one that known authorities signed, one that is itself known, or anybody's.
//! That the other side holds the certificate's key is checked always.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::VerifierBuilderError;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Takes every server's certificate, for whoever wants no more than an encrypted connection.
pub fn any_server(provider: &CryptoProvider) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Anybody {
        algorithms: provider.signature_verification_algorithms,
        hints: Vec::new(),
    })
}

/// Takes every client's certificate, and none; tells clients that those of the authorities in `hints` are known.
pub fn any_client(provider: &CryptoProvider, hints: Vec<DistinguishedName>) -> Arc<dyn ClientCertVerifier> {
    Arc::new(Anybody {
        algorithms: provider.signature_verification_algorithms,
        hints,
    })
}

/// Takes certificates that one of `known` signed and, as Go's client does, those that are among them.
///
/// # Errors
/// When none of `known` can sign.
pub fn known_servers(
    known: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, VerifierBuilderError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(known.iter().cloned());
    let algorithms = provider.signature_verification_algorithms;
    let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
    Ok(Arc::new(Known {
        algorithms,
        chains,
        known,
    }))
}

#[derive(Debug)]
struct Anybody {
    algorithms: WebPkiSupportedAlgorithms,
    hints: Vec<DistinguishedName>,
}

#[derive(Debug)]
struct Known {
    algorithms: WebPkiSupportedAlgorithms,
    chains: Arc<WebPkiServerVerifier>,
    known: Vec<CertificateDer<'static>>,
}

/// What every verifier does: check by its algorithms that the other side holds the key.
macro_rules! signatures_are_checked {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, certificate, signature, &self.algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signature, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    signatures_are_checked!();
}

impl ClientCertVerifier for Anybody {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    signatures_are_checked!();
}

impl ServerCertVerifier for Known {
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
                if self.known.iter().any(|known| known == end_entity) =>
            {
                by_itself(end_entity, server_name, now)
            }
            other => other,
        }
    }

    signatures_are_checked!();
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
