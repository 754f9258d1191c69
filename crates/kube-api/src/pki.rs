//! The keys and certificates of one cluster: its CA, the API server's certificate, client certificates and the key
//! that signs service-account tokens. Kept in a directory, keys readable by their owner only.

mod authority;
mod files;
mod signing;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::{Clock, Random, SystemRandom};
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, RsaKeySize};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

pub use authority::Authority;

/// What the API server's certificate is valid for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerNames {
    /// DNS names, such as the cluster endpoint's and `localhost`.
    pub dns: BTreeSet<String>,
    /// Addresses, such as 127.0.0.1, the cluster's ENIs and the first ClusterIP.
    pub addresses: BTreeSet<IpAddr>,
}

impl ServerNames {
    /// Names by which pods and people of a cluster know the API server, and 127.0.0.1; add what is particular.
    #[must_use]
    pub fn of_cluster(cluster_domain: &str) -> Self {
        let service = "kubernetes.default.svc";
        let names = ["localhost", "kubernetes", "kubernetes.default", service]
            .map(str::to_owned)
            .into_iter();
        Self {
            dns: names.chain([format!("{service}.{cluster_domain}")]).collect(),
            addresses: BTreeSet::from([IpAddr::from([127, 0, 0, 1])]),
        }
    }

    /// Adds a DNS name.
    #[must_use]
    pub fn with_dns(mut self, name: impl Into<String>) -> Self {
        self.dns.insert(name.into());
        self
    }

    /// Adds an address.
    #[must_use]
    pub fn with_address(mut self, address: IpAddr) -> Self {
        self.addresses.insert(address);
        self
    }
}

/// A certificate with its key, both as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePair {
    /// The certificate.
    pub certificate_pem: String,
    /// Its private key, PKCS #8.
    pub key_pem: String,
}

/// Why the cluster's keys are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("{action} {path}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A key or certificate could not be made or read.
    #[error("make {what}")]
    Make {
        /// Which one.
        what: String,
        /// Why not.
        #[source]
        source: rcgen::Error,
    },
    /// A stored key or certificate is damaged, or what is asked for cannot be put into one.
    #[error("{what}: {problem}")]
    Damaged {
        /// Which one.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The keys and certificates of one cluster.
pub struct ClusterPki {
    authority: Authority,
    serving: CertificatePair,
    kubelet_client: CertificatePair,
    front_proxy: FrontProxy,
    service_account: TokenKey,
    encryption: Vec<u8>,
}

/// What proves to aggregated API servers that a request comes from this one. An authority of its own, so that no other
/// client certificate of the cluster lets its bearer speak for others.
struct FrontProxy {
    authority: Authority,
    client: CertificatePair,
}

/// Bytes of the key that encrypts Secrets.
const ENCRYPTION_KEY: usize = 32;

/// Common name of the certificate by which aggregated API servers know this one.
pub(crate) const FRONT_PROXY_CLIENT: &str = "front-proxy-client";

/// The key pair that signs service-account tokens.
struct TokenKey {
    key_pem: String,
    public_der: Vec<u8>,
    public_pem: String,
}

impl ClusterPki {
    /// Reads the keys in `dir`, makes those that are missing or about to expire, and makes the serving certificate anew
    /// when `names` has changed.
    ///
    /// # Errors
    /// When a file cannot be read or written, or is damaged: a damaged CA is never replaced silently.
    pub fn load_or_create(dir: &Path, names: &ServerNames, clock: &dyn Clock) -> Result<Self, PkiError> {
        let authority = Authority::load_or_create(dir, "ca", "kubernetes", clock)?;
        let front_proxy = FrontProxy::load_or_create(dir, clock)?;
        let service_account = service_account_key(dir)?;
        let encryption = encryption_key(dir)?;
        let serving = authority.kept_server(dir, "apiserver", "kube-apiserver", names)?;
        let client = || client_certificate(&authority, "kube-apiserver-kubelet-client", &["system:masters"]);
        let kubelet_client = authority.kept(dir, "apiserver-kubelet-client", "", client)?;
        Ok(Self {
            authority,
            serving,
            kubelet_client,
            front_proxy,
            service_account,
            encryption,
        })
    }

    /// The key that encrypts Secrets in the store where nothing else is configured: 32 bytes.
    #[must_use]
    pub fn encryption_key(&self) -> &[u8] {
        &self.encryption
    }

    /// The authority of the front proxy's certificate, which aggregated API servers trust.
    #[must_use]
    pub fn front_proxy_ca_pem(&self) -> &str {
        self.front_proxy.authority.pem()
    }

    /// As whom this API server calls aggregated ones.
    #[must_use]
    pub fn front_proxy_client(&self) -> &CertificatePair {
        &self.front_proxy.client
    }

    /// The CA's certificate, which clients trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// The API server's certificate.
    #[must_use]
    pub fn serving(&self) -> &CertificatePair {
        &self.serving
    }

    /// As whom the API server calls the nodes' agents.
    #[must_use]
    pub fn kubelet_client(&self) -> &CertificatePair {
        &self.kubelet_client
    }

    /// Private key that signs service-account tokens, PKCS #8 PEM.
    #[must_use]
    pub fn service_account_key_pem(&self) -> &str {
        &self.service_account.key_pem
    }

    /// Its public half, PEM.
    #[must_use]
    pub fn service_account_public_pem(&self) -> &str {
        &self.service_account.public_pem
    }

    /// Its public half as DER SubjectPublicKeyInfo, whose SHA-256 is the key's id.
    #[must_use]
    pub fn service_account_public_der(&self) -> &[u8] {
        &self.service_account.public_der
    }

    /// Issues a certificate for a client: `common_name` is the user, `organizations` are its groups, two at most. Valid
    /// for a year.
    ///
    /// # Errors
    /// When no key can be generated, or there are more groups than a certificate can carry here.
    pub fn issue_client(&self, common_name: &str, organizations: &[&str]) -> Result<CertificatePair, PkiError> {
        client_certificate(&self.authority, common_name, organizations)
    }

    /// Issues a certificate for a server, such as a node's agent. Valid for a year.
    ///
    /// # Errors
    /// When no key can be generated or a name is not a DNS name.
    pub fn issue_server(&self, common_name: &str, names: &ServerNames) -> Result<CertificatePair, PkiError> {
        self.authority
            .issue(common_name, &[], names, &[ExtendedKeyUsagePurpose::ServerAuth])
    }

    /// The serving certificate chain and key as rustls takes them.
    ///
    /// # Errors
    /// When the stored PEM is damaged.
    pub fn rustls_pair(
        pair: &CertificatePair,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), PkiError> {
        let damaged = |error: rustls::pki_types::pem::Error| PkiError::Damaged {
            what: "certificate pair".to_owned(),
            problem: error.to_string(),
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pair.certificate_pem.as_bytes()).collect();
        let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).map_err(damaged)?;
        Ok((chain.map_err(damaged)?, key))
    }
}

impl FrontProxy {
    fn load_or_create(dir: &Path, clock: &dyn Clock) -> Result<Self, PkiError> {
        let authority = Authority::load_or_create(dir, "front-proxy-ca", "front-proxy-ca", clock)?;
        let make = || client_certificate(&authority, FRONT_PROXY_CLIENT, &[]);
        let client = authority.kept(dir, FRONT_PROXY_CLIENT, "", make)?;
        Ok(Self { authority, client })
    }
}

fn client_certificate(
    authority: &Authority,
    common_name: &str,
    organizations: &[&str],
) -> Result<CertificatePair, PkiError> {
    if organizations.len() > 2 {
        let (what, problem) = (format!("groups of {common_name}"), "more than two".to_owned());
        return Err(PkiError::Damaged { what, problem });
    }
    let names = ServerNames::default();
    authority.issue(
        common_name,
        organizations,
        &names,
        &[ExtendedKeyUsagePurpose::ClientAuth],
    )
}

/// The key in the file `encryption.key`, in base64 as an `EncryptionConfiguration` would hold it. Without it the Secrets of
/// the cluster are lost, so a damaged one is never replaced.
fn encryption_key(dir: &Path) -> Result<Vec<u8>, PkiError> {
    const FILE: &str = "encryption.key";
    if let Some(text) = files::read_text(dir, FILE)? {
        let key = STANDARD.decode(text.trim()).map_err(|error| error.to_string());
        let key = key.and_then(|key| {
            let length = key.len();
            (length == ENCRYPTION_KEY)
                .then_some(key)
                .ok_or(format!("{length} bytes"))
        });
        return key.map_err(|problem| PkiError::Damaged {
            what: FILE.to_owned(),
            problem,
        });
    }
    let mut key = vec![0; ENCRYPTION_KEY];
    SystemRandom.bytes(&mut key);
    files::write_secret(dir, FILE, &STANDARD.encode(&key))?;
    Ok(key)
}

fn service_account_key(dir: &Path) -> Result<TokenKey, PkiError> {
    let make = |source| PkiError::Make {
        what: "the service-account key".to_owned(),
        source,
    };
    let key = match files::read_text(dir, "sa.key")? {
        Some(pem) => KeyPair::from_pem(&pem).map_err(make)?,
        None => {
            let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(make)?;
            files::write_secret(dir, "sa.key", &key.serialize_pem())?;
            files::write_public(dir, "sa.pub", &key.public_key_pem())?;
            key
        }
    };
    Ok(TokenKey {
        key_pem: key.serialize_pem(),
        public_pem: key.public_key_pem(),
        public_der: rcgen::PublicKeyData::subject_public_key_info(&key),
    })
}
