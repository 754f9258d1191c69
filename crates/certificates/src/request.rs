//! A certificate signing request (PKCS #10) in PEM: what it says, once its signature was found good.

use std::net::IpAddr;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

/// The label of a request's PEM block.
const LABEL: &str = "CERTIFICATE REQUEST";

/// What a request says. Its signature is the requester's proof that it holds the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The subject's common name; empty when there is none. The last one counts, as in Go's `pkix.Name`.
    pub common_name: String,
    /// The subject's organizations, in order.
    pub organizations: Vec<String>,
    /// Alternative names.
    pub dns_names: Vec<String>,
    /// Alternative addresses.
    pub addresses: Vec<IpAddr>,
    /// Alternative mail addresses.
    pub emails: Vec<String>,
    /// Alternative URIs.
    pub uris: Vec<String>,
    /// The subject in DER, for the certificate.
    pub(crate) subject: Vec<u8>,
    /// The public key in DER (SubjectPublicKeyInfo), for the certificate.
    pub(crate) public_key: Vec<u8>,
}

/// Why a request is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no PEM block, or one of another kind.
    #[error("PEM block type must be CERTIFICATE REQUEST")]
    Label,
    /// The block is no request.
    #[error("malformed certificate request: {0}")]
    Malformed(String),
    /// Whoever asks does not hold the key.
    #[error("x509: certificate request signature does not verify: {0}")]
    Signature(String),
}

impl Request {
    /// Reads the first block of a PEM text and checks the request's signature.
    ///
    /// # Errors
    /// When it is no request, or was not signed with its own key.
    pub fn parse(pem: &[u8]) -> Result<Self, RequestError> {
        let block = Pem::iter_from_buffer(pem).next();
        let block = block.and_then(Result::ok).filter(|block| block.label == LABEL);
        Self::from_der(&block.ok_or(RequestError::Label)?.contents)
    }

    fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        let malformed = |problem: String| RequestError::Malformed(problem);
        let (rest, parsed) = X509CertificationRequest::from_der(der).map_err(|error| malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(malformed("trailing data".to_owned()));
        }
        parsed
            .verify_signature()
            .map_err(|error| RequestError::Signature(error.to_string()))?;
        let info = &parsed.certification_request_info;
        let common_name = info.subject.iter_common_name().last();
        let organizations = info.subject.iter_organization();
        let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            value
                .as_str()
                .map(str::to_owned)
                .map_err(|error| malformed(error.to_string()))
        };
        let mut request = Self {
            common_name: common_name.map(text).transpose()?.unwrap_or_default(),
            organizations: organizations.map(text).collect::<Result<_, _>>()?,
            dns_names: Vec::new(),
            addresses: Vec::new(),
            emails: Vec::new(),
            uris: Vec::new(),
            subject: info.subject.as_raw().to_vec(),
            public_key: info.subject_pki.raw.to_vec(),
        };
        for extension in parsed.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                names.general_names.iter().try_for_each(|name| request.add_name(name))?;
            }
        }
        Ok(request)
    }

    /// Names of other kinds are left out, as Go's parser does.
    fn add_name(&mut self, name: &GeneralName<'_>) -> Result<(), RequestError> {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::RFC822Name(name) => self.emails.push((*name).to_owned()),
            GeneralName::URI(uri) => self.uris.push((*uri).to_owned()),
            GeneralName::IPAddress(bytes) => self.addresses.push(address(bytes)?),
            _ => {}
        }
        Ok(())
    }
}

fn address(bytes: &[u8]) -> Result<IpAddr, RequestError> {
    let problem = || RequestError::Malformed(format!("cannot parse IP address of length {}", bytes.len()));
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::from(four));
    }
    <[u8; 16]>::try_from(bytes)
        .map(IpAddr::from)
        .map_err(|_other| problem())
}
