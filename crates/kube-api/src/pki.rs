//! The keys and certificates of one cluster: its CA, the API server's certificate, client certificates and the key
//! that signs service-account tokens. Kept in a directory, keys readable by their owner only.

mod files;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use clock::Clock;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, RsaKeySize, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// Certificates other than the CA's are made anew when they have less than this left.
const RENEW_BEFORE_DAYS: i64 = 30;

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
    ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
    serving: CertificatePair,
    kubelet_client: CertificatePair,
    front_proxy: FrontProxy,
    service_account: TokenKey,
    today: (i32, u8, u8),
}

/// What proves to aggregated API servers that a request comes from this one. An authority of its own, so that no other
/// client certificate of the cluster lets its bearer speak for others.
struct FrontProxy {
    ca_pem: String,
    client: CertificatePair,
}

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
        files::make_directory(dir)?;
        let now = clock.now();
        let (ca_pem, issuer) = authority(dir, "ca", "kubernetes", now)?;
        let (front_proxy_ca_pem, front_proxy_issuer) = authority(dir, "front-proxy-ca", "front-proxy-ca", now)?;
        let service_account = service_account_key(dir)?;
        let mut pki = Self {
            ca_pem,
            issuer,
            serving: CertificatePair {
                certificate_pem: String::new(),
                key_pem: String::new(),
            },
            kubelet_client: CertificatePair {
                certificate_pem: String::new(),
                key_pem: String::new(),
            },
            front_proxy: FrontProxy {
                ca_pem: front_proxy_ca_pem,
                client: CertificatePair {
                    certificate_pem: String::new(),
                    key_pem: String::new(),
                },
            },
            service_account,
            today: date(now),
        };
        let wanted = format!("{:?} {:?}", names.dns, names.addresses);
        pki.serving = pki.kept(dir, "apiserver", &wanted, now, |pki| {
            pki.issue_server("kube-apiserver", names)
        })?;
        pki.kubelet_client = pki.kept(dir, "apiserver-kubelet-client", "", now, |pki| {
            pki.issue_client("kube-apiserver-kubelet-client", &["system:masters"])
        })?;
        pki.front_proxy.client = pki.kept(dir, FRONT_PROXY_CLIENT, "", now, |pki| {
            let usages = [ExtendedKeyUsagePurpose::ClientAuth];
            let names = ServerNames::default();
            pki.issue_by(&front_proxy_issuer, FRONT_PROXY_CLIENT, &[], &names, &usages)
        })?;
        Ok(pki)
    }

    /// The authority of the front proxy's certificate, which aggregated API servers trust.
    #[must_use]
    pub fn front_proxy_ca_pem(&self) -> &str {
        &self.front_proxy.ca_pem
    }

    /// As whom this API server calls aggregated ones.
    #[must_use]
    pub fn front_proxy_client(&self) -> &CertificatePair {
        &self.front_proxy.client
    }

    /// The CA's certificate, which clients trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
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
        if organizations.len() > 2 {
            let (what, problem) = (format!("groups of {common_name}"), "more than two".to_owned());
            return Err(PkiError::Damaged { what, problem });
        }
        let names = ServerNames::default();
        self.issue(
            common_name,
            organizations,
            &names,
            &[ExtendedKeyUsagePurpose::ClientAuth],
        )
    }

    /// Issues a certificate for a server, such as a node's agent. Valid for a year.
    ///
    /// # Errors
    /// When no key can be generated or a name is not a DNS name.
    pub fn issue_server(&self, common_name: &str, names: &ServerNames) -> Result<CertificatePair, PkiError> {
        self.issue(common_name, &[], names, &[ExtendedKeyUsagePurpose::ServerAuth])
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

    fn issue(
        &self,
        common_name: &str,
        organizations: &[&str],
        names: &ServerNames,
        usages: &[ExtendedKeyUsagePurpose],
    ) -> Result<CertificatePair, PkiError> {
        self.issue_by(&self.issuer, common_name, organizations, names, usages)
    }

    fn issue_by(
        &self,
        issuer: &Issuer<'static, KeyPair>,
        common_name: &str,
        organizations: &[&str],
        names: &ServerNames,
        usages: &[ExtendedKeyUsagePurpose],
    ) -> Result<CertificatePair, PkiError> {
        let make = |source| PkiError::Make {
            what: format!("certificate of {common_name}"),
            source,
        };
        let key = KeyPair::generate().map_err(make)?;
        let mut parameters = CertificateParams::new(Vec::<String>::new()).map_err(make)?;
        parameters.distinguished_name = distinguished_name(common_name, organizations);
        for name in &names.dns {
            parameters
                .subject_alt_names
                .push(SanType::DnsName(name.as_str().try_into().map_err(make)?));
        }
        parameters
            .subject_alt_names
            .extend(names.addresses.iter().map(|address| SanType::IpAddress(*address)));
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        parameters.extended_key_usages = usages.to_vec();
        set_validity(&mut parameters, self.today, 1);
        let certificate = parameters.signed_by(&key, issuer).map_err(make)?;
        Ok(CertificatePair {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// The pair stored under `name` if it was made for `wanted` and lasts; a new one otherwise.
    fn kept(
        &self,
        dir: &Path,
        name: &str,
        wanted: &str,
        now: Timestamp,
        make: impl Fn(&Self) -> Result<CertificatePair, PkiError>,
    ) -> Result<CertificatePair, PkiError> {
        let stored = files::read_pair(dir, name)?;
        if let Some((pair, made_for)) = stored
            && made_for == wanted
            && lasts(&pair.certificate_pem, now)
            && belong_together(&pair)
        {
            return Ok(pair);
        }
        let pair = make(self)?;
        files::write_pair(dir, name, &pair, wanted)?;
        Ok(pair)
    }
}

/// The authority in the files `name`, made when it is missing.
fn authority(
    dir: &Path,
    name: &str,
    common_name: &str,
    now: Timestamp,
) -> Result<(String, Issuer<'static, KeyPair>), PkiError> {
    let make = |source| PkiError::Make {
        what: format!("the cluster's {name}"),
        source,
    };
    let pair = match files::read_pair(dir, name)? {
        Some((pair, _)) => pair,
        None => {
            let key = KeyPair::generate().map_err(make)?;
            let mut parameters = CertificateParams::new(Vec::<String>::new()).map_err(make)?;
            parameters.distinguished_name = distinguished_name(common_name, &[]);
            parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            parameters.key_usages = vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyCertSign,
                KeyUsagePurpose::CrlSign,
            ];
            set_validity(&mut parameters, date(now), 10);
            let certificate = parameters.self_signed(&key).map_err(make)?;
            let pair = CertificatePair {
                certificate_pem: certificate.pem(),
                key_pem: key.serialize_pem(),
            };
            files::write_pair(dir, name, &pair, "")?;
            pair
        }
    };
    let key = KeyPair::from_pem(&pair.key_pem).map_err(make)?;
    let issuer = Issuer::from_ca_cert_pem(&pair.certificate_pem, key).map_err(make)?;
    Ok((pair.certificate_pem, issuer))
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

/// rcgen keeps one value per attribute type, so the second organization goes in under the attribute's bare identifier.
fn distinguished_name(common_name: &str, organizations: &[&str]) -> DistinguishedName {
    const ORGANIZATION: [u64; 4] = [2, 5, 4, 10];
    let kinds = [DnType::OrganizationName, DnType::CustomDnType(ORGANIZATION.to_vec())];
    let mut name = DistinguishedName::new();
    for (organization, kind) in organizations.iter().zip(kinds) {
        name.push(kind, *organization);
    }
    name.push(DnType::CommonName, common_name);
    name
}

fn date(now: Timestamp) -> (i32, u8, u8) {
    let yesterday = (now - 24.hours()).to_zoned(TimeZone::UTC);
    (
        i32::from(yesterday.year()),
        yesterday.month().unsigned_abs(),
        yesterday.day().unsigned_abs(),
    )
}

/// From the day before, so that clocks that are behind do not refuse it. 29 February ends on the 28th.
fn set_validity(parameters: &mut CertificateParams, (year, month, day): (i32, u8, u8), years: i32) {
    parameters.not_before = rcgen::date_time_ymd(year, month, day);
    parameters.not_after = rcgen::date_time_ymd(year + years, month, day.min(28));
}

/// Key and certificate are two files, so a start that was interrupted between them leaves a pair that does not fit.
fn belong_together(pair: &CertificatePair) -> bool {
    let Ok(key) = KeyPair::from_pem(&pair.key_pem) else {
        return false;
    };
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(pair.certificate_pem.as_bytes()) else {
        return false;
    };
    let public = rcgen::PublicKeyData::subject_public_key_info(&key);
    pem.parse_x509()
        .is_ok_and(|certificate| certificate.public_key().raw == public.as_slice())
}

fn lasts(certificate_pem: &str, now: Timestamp) -> bool {
    let Ok((_, pem)) = x509_parser::pem::parse_x509_pem(certificate_pem.as_bytes()) else {
        return false;
    };
    let Ok(certificate) = pem.parse_x509() else {
        return false;
    };
    certificate.validity().not_after.timestamp() > now.as_second() + RENEW_BEFORE_DAYS * 86_400
}
