//! Client certificates: any is taken in the handshake, so that one that is not known is answered with 401 and not with a
//! broken connection; whose it is, is found once for a connection, and whether it still holds at every request.

use std::sync::Arc;
use std::time::Duration;

use access_rules::User;
use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::api::ServeError;
use crate::pki::PkiError;

const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// Who signs certificates of clients, and of proxies that speak for others.
pub(crate) struct Authorities {
    clients: Arc<dyn ClientCertVerifier>,
    proxies: Option<Arc<dyn ClientCertVerifier>>,
}

/// The certificate that a client sent, and what it proves.
#[derive(Debug, Clone)]
pub struct PeerCertificate {
    user: Result<User, String>,
    /// Common name, when the front proxies' authority has signed it.
    proxy: Option<String>,
    /// Seconds since the epoch between which it holds.
    holds: (i64, i64),
}

impl Authorities {
    /// From PEM.
    ///
    /// # Errors
    /// When an authority's certificate is damaged.
    pub(crate) fn new(clients: &str, proxies: Option<&str>) -> Result<Self, ServeError> {
        Ok(Self {
            clients: verifier(clients)?,
            proxies: proxies.map(verifier).transpose()?,
        })
    }

    /// What a chain proves, its own certificate first; `None` when there is none.
    pub(crate) fn look(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Option<PeerCertificate> {
        let (own, others) = chain.split_first()?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default()));
        let signed_by = |authority: &Arc<dyn ClientCertVerifier>| {
            let verified = authority.verify_client_cert(own, others, now);
            verified.map(drop).map_err(|error| error.to_string())
        };
        let read = X509Certificate::from_der(own).map_err(|error| error.to_string());
        let certificate = match read {
            Ok((_, certificate)) => certificate,
            Err(problem) => return Some(PeerCertificate::unreadable(problem)),
        };
        let name = common_name(&certificate);
        let user = signed_by(&self.clients).and_then(|()| {
            let name = name.clone().ok_or("the certificate has no common name")?;
            Ok(user(&certificate, name, own))
        });
        let proxied = self.proxies.as_ref().is_some_and(|proxies| signed_by(proxies).is_ok());
        let validity = certificate.validity();
        Some(PeerCertificate {
            user,
            proxy: name.filter(|_| proxied),
            holds: (validity.not_before.timestamp(), validity.not_after.timestamp()),
        })
    }
}

impl PeerCertificate {
    fn unreadable(problem: String) -> Self {
        Self {
            user: Err(problem),
            proxy: None,
            holds: (0, 0),
        }
    }

    /// Whose certificate it is.
    pub(crate) fn user(&self, now: Timestamp) -> Result<&User, &str> {
        match &self.user {
            Ok(_) if !self.holds_at(now) => Err("certificate has expired or is not yet valid"),
            Ok(user) => Ok(user),
            Err(problem) => Err(problem),
        }
    }

    /// The common name, if it is a front proxy's.
    pub(crate) fn front_proxy(&self, now: Timestamp) -> Option<&str> {
        self.proxy.as_deref().filter(|_| self.holds_at(now))
    }

    fn holds_at(&self, now: Timestamp) -> bool {
        (self.holds.0..=self.holds.1).contains(&now.as_second())
    }
}

fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let name = certificate.subject().iter_common_name().last()?;
    name.as_str().ok().map(str::to_owned).filter(|name| !name.is_empty())
}

fn user(certificate: &X509Certificate<'_>, name: String, der: &CertificateDer<'_>) -> User {
    let organizations = certificate.subject().iter_organization();
    let groups: Vec<&str> = organizations
        .filter_map(|organization| organization.as_str().ok())
        .collect();
    let mut user = User::authenticated(name, groups);
    let digest = hex::encode(Sha256::digest(der));
    user.extra
        .insert(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={digest}")]);
    user
}

fn roots(pem: &str) -> Result<RootCertStore, ServeError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| PkiError::Damaged {
            what: "an authority of clients".to_owned(),
            problem: error.to_string(),
        });
        roots.add(certificate?)?;
    }
    Ok(roots)
}

fn verifier(pem: &str) -> Result<Arc<dyn ClientCertVerifier>, ServeError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)?), provider).build()?)
}

/// For the handshake: asks for a certificate of these authorities, and takes any and none.
///
/// # Errors
/// When an authority's certificate is damaged.
pub(crate) fn any_certificate(
    authorities: &[&str],
    provider: &CryptoProvider,
) -> Result<Arc<dyn ClientCertVerifier>, ServeError> {
    let mut known = Vec::new();
    for pem in authorities {
        known.extend(roots(pem)?.subjects());
    }
    Ok(certificates::any_client(provider, known))
}
