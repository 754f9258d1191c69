//! The certificate that answers a request: the request's subject, key and names, the authority's usages and time.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_parser::extensions::ParsedExtension;
use x509_parser::pem::Pem;

use crate::der::{self, OCTET_STRING, SEQUENCE, bits, identifier, sequence, tagged, unsigned};
use crate::request::Request;
use crate::usage::Usage;

/// `ecdsa-with-SHA256`, the only way in which authorities sign here.
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];
const EXTENDED_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// A name without anything in it.
const EMPTY_NAME: &[u8] = &[SEQUENCE, 0];

/// Makes certificates.
pub trait Authority: Send + Sync {
    /// When the authority's own certificate ends; nothing it signs lasts longer.
    ///
    /// # Errors
    /// When its certificate cannot be read.
    fn expires(&self) -> Result<Timestamp, AuthorityError>;

    /// Signs a certificate, PEM.
    ///
    /// # Errors
    /// When the authority's key cannot sign.
    fn issue(&self, wanted: &Wanted<'_>) -> Result<String, AuthorityError>;
}

/// Why an authority does not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// Its certificate is damaged.
    #[error("read the authority's certificate: {0}")]
    Certificate(String),
    /// Its key is damaged or of another form.
    #[error("sign with the authority's key: {0}")]
    Key(String),
}

/// What a certificate shall say.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Whose it is.
    pub request: &'a Request,
    /// What for.
    pub usages: &'a [Usage],
    /// From when.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

/// As much of an authority's certificate as stands in what it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    name: Vec<u8>,
    key_identifier: Option<Vec<u8>>,
    /// When the authority's certificate ends.
    pub expires: Timestamp,
}

impl Issuer {
    /// Reads an authority's certificate, PEM.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn parse(pem: &str) -> Result<Self, AuthorityError> {
        let damaged = |problem: String| AuthorityError::Certificate(problem);
        let block = Pem::iter_from_buffer(pem.as_bytes()).next();
        let block = block.ok_or_else(|| damaged("no PEM block".to_owned()))?;
        let block = block.map_err(|error| damaged(error.to_string()))?;
        let certificate = block.parse_x509().map_err(|error| damaged(error.to_string()))?;
        let key_identifier = certificate
            .extensions()
            .iter()
            .find_map(|one| match one.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
                _ => None,
            });
        let expires = Timestamp::from_second(certificate.validity().not_after.timestamp());
        Ok(Self {
            name: certificate.subject().as_raw().to_vec(),
            key_identifier,
            expires: expires.map_err(|error| damaged(error.to_string()))?,
        })
    }
}

/// Makes a certificate; `sign` is the authority's ECDSA key over SHA-256.
///
/// # Errors
/// When `sign` fails.
pub fn issue(
    wanted: &Wanted<'_>,
    issuer: &Issuer,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, AuthorityError>,
) -> Result<String, AuthorityError> {
    let algorithm = sequence(&[identifier(ECDSA_WITH_SHA256)]);
    let validity = sequence(&[der::time(wanted.not_before), der::time(wanted.not_after)]);
    let body = [
        algorithm.clone(),
        issuer.name.clone(),
        validity,
        wanted.request.subject.clone(),
        wanted.request.public_key.clone(),
        tagged(0xa3, &sequence(&extensions(wanted, issuer))),
    ];
    // The number is a digest of all else, so that the same certificate has the same number and no other has it.
    let digest = Sha256::digest(body.concat());
    let version = tagged(0xa0, &unsigned(&[2]));
    let mut parts = vec![version, unsigned(&digest[..16])];
    parts.extend(body);
    let content = sequence(&parts);
    let signature = bits(&sign(&content)?, 0);
    Ok(pem("CERTIFICATE", &sequence(&[content, algorithm, signature])))
}

/// From when to when the first certificate in a PEM text is valid; `None` when there is none that can be read.
#[must_use]
pub fn validity(pem: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let block = Pem::iter_from_buffer(pem).next()?.ok()?;
    let certificate = block.parse_x509().ok()?;
    let validity = certificate.validity();
    let (begin, end) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    Some((Timestamp::from_second(begin).ok()?, Timestamp::from_second(end).ok()?))
}

/// When the first certificate in a PEM text ends; `None` when there is none that can be read.
#[must_use]
pub fn expiry(pem: &[u8]) -> Option<Timestamp> {
    validity(pem).map(|(_, end)| end)
}

/// Is this one certificate after another in PEM, and nothing else? The answer is worded as upstream's.
///
/// # Errors
/// What it is instead.
pub fn check_chain(pem: &[u8]) -> Result<(), String> {
    let mut blocks = 0;
    for block in Pem::iter_from_buffer(pem) {
        let block = block.map_err(|error| error.to_string())?;
        if block.label != "CERTIFICATE" {
            return Err(format!(
                "only CERTIFICATE PEM blocks are allowed, found {:?}",
                block.label
            ));
        }
        block.parse_x509().map_err(|error| error.to_string())?;
        blocks += 1;
    }
    if blocks == 0 {
        return Err("must contain at least one CERTIFICATE PEM block".to_owned());
    }
    Ok(())
}

fn extensions(wanted: &Wanted<'_>, issuer: &Issuer) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let keys: Vec<u8> = wanted
        .usages
        .iter()
        .filter_map(|usage| match usage {
            Usage::Key(bit) => Some(*bit),
            Usage::Extended(_) => None,
        })
        .collect();
    if let Some(highest) = keys.iter().max() {
        let mut bytes = vec![0; usize::from(highest / 8) + 1];
        for bit in &keys {
            bytes[usize::from(bit / 8)] |= 0x80 >> (bit % 8);
        }
        all.push(extension(KEY_USAGE, true, &bits(&bytes, 7 - highest % 8)));
    }
    let mut purposes: Vec<Vec<u8>> = Vec::new();
    for usage in wanted.usages {
        if let Usage::Extended(arcs) = usage {
            let purpose = identifier(arcs);
            if !purposes.contains(&purpose) {
                purposes.push(purpose);
            }
        }
    }
    if !purposes.is_empty() {
        all.push(extension(EXTENDED_USAGE, false, &sequence(&purposes)));
    }
    all.push(extension(BASIC_CONSTRAINTS, true, &sequence(&[])));
    if let Some(key) = &issuer.key_identifier {
        all.push(extension(AUTHORITY_KEY, false, &sequence(&[tagged(0x80, key)])));
    }
    let names = names(wanted.request);
    if !names.is_empty() {
        // Who has no name but these is known by them.
        let critical = wanted.request.subject == EMPTY_NAME;
        all.push(extension(ALTERNATIVE_NAME, critical, &sequence(&names)));
    }
    all
}

fn extension(of: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![identifier(of)];
    if critical {
        parts.push(der::yes());
    }
    parts.push(tagged(OCTET_STRING, value));
    sequence(&parts)
}

fn names(request: &Request) -> Vec<Vec<u8>> {
    let dns = request.dns_names.iter().map(|name| tagged(0x82, name.as_bytes()));
    let emails = request.emails.iter().map(|mail| tagged(0x81, mail.as_bytes()));
    let addresses = request.addresses.iter().map(|address| match address {
        IpAddr::V4(address) => tagged(0x87, &address.octets()),
        IpAddr::V6(address) => tagged(0x87, &address.octets()),
    });
    let uris = request.uris.iter().map(|uri| tagged(0x86, uri.as_bytes()));
    dns.chain(emails).chain(addresses).chain(uris).collect()
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, later) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = later;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}
