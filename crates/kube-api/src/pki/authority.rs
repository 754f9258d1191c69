//! A certificate authority of our own: kept in a directory, and the certificates that it issues.

use std::path::Path;

use clock::Clock;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::{CertificatePair, PkiError, ServerNames, files};

/// Certificates other than the CA's are made anew when they have less than this left.
const RENEW_BEFORE_DAYS: i64 = 30;

/// A certificate authority.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    now: Timestamp,
}

impl Authority {
    /// Reads `<file>.crt` and `<file>.key` in `dir`; makes the directory, and an authority of this name valid for ten years, where there is none.
    ///
    /// # Errors
    /// When a file cannot be read or written, or is damaged: a damaged CA is never replaced silently.
    pub fn load_or_create(dir: &Path, file: &str, common_name: &str, clock: &dyn Clock) -> Result<Self, PkiError> {
        files::make_directory(dir)?;
        let now = clock.now();
        let make = |source| PkiError::Make {
            what: format!("the CA {common_name}"),
            source,
        };
        let pair = match files::read_pair(dir, file)? {
            Some((pair, _)) => pair,
            None => {
                let pair = new_authority(common_name, now).map_err(make)?;
                files::write_pair(dir, file, &pair, "")?;
                pair
            }
        };
        let key = KeyPair::from_pem(&pair.key_pem).map_err(make)?;
        let issuer = Issuer::from_ca_cert_pem(&pair.certificate_pem, key).map_err(make)?;
        let pem = pair.certificate_pem;
        Ok(Self { pem, issuer, now })
    }

    /// The authority's certificate, which clients trust.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The key that signs.
    pub(super) fn key(&self) -> &KeyPair {
        self.issuer.key()
    }

    /// The server certificate stored under `name` in `dir` if it was made for these names and lasts; a new one otherwise.
    ///
    /// # Errors
    /// When a file cannot be read or written, or no certificate can be made.
    pub fn kept_server(
        &self,
        dir: &Path,
        name: &str,
        common_name: &str,
        names: &ServerNames,
    ) -> Result<CertificatePair, PkiError> {
        let wanted = format!("{:?} {:?}", names.dns, names.addresses);
        let usages = [ExtendedKeyUsagePurpose::ServerAuth];
        self.kept(dir, name, &wanted, || self.issue(common_name, &[], names, &usages))
    }

    /// Issues a certificate valid for a year.
    pub(super) fn issue(
        &self,
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
        // Clients that check strictly (Python 3.13 and later) want to be told which key signed.
        parameters.use_authority_key_identifier_extension = true;
        set_validity(&mut parameters, self.now, 1);
        let certificate = parameters.signed_by(&key, &self.issuer).map_err(make)?;
        Ok(CertificatePair {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// The pair stored under `name` if it was made for `wanted` and lasts; a new one otherwise.
    pub(super) fn kept(
        &self,
        dir: &Path,
        name: &str,
        wanted: &str,
        make: impl Fn() -> Result<CertificatePair, PkiError>,
    ) -> Result<CertificatePair, PkiError> {
        let stored = files::read_pair(dir, name)?;
        if let Some((pair, made_for)) = stored
            && made_for == wanted
            && lasts(&pair.certificate_pem, self.now)
            && belong_together(&pair)
        {
            return Ok(pair);
        }
        let pair = make()?;
        files::write_pair(dir, name, &pair, wanted)?;
        Ok(pair)
    }
}

fn new_authority(common_name: &str, now: Timestamp) -> Result<CertificatePair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(Vec::<String>::new())?;
    parameters.distinguished_name = distinguished_name(common_name, &[]);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    set_validity(&mut parameters, now, 10);
    let certificate = parameters.self_signed(&key)?;
    Ok(CertificatePair {
        certificate_pem: certificate.pem(),
        key_pem: key.serialize_pem(),
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

/// From the day before, so that clocks that are behind do not refuse it. 29 February ends on the 28th.
fn set_validity(parameters: &mut CertificateParams, now: Timestamp, years: i32) {
    let yesterday = (now - 24.hours()).to_zoned(TimeZone::UTC);
    let (year, month, day) = (
        i32::from(yesterday.year()),
        yesterday.month().unsigned_abs(),
        yesterday.day().unsigned_abs(),
    );
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
