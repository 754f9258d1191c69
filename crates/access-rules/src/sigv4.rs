//! AWS Signature Version 4, checked: in the `Authorization` header and in presigned URLs.
//!
//! Source: "Signature Version 4 signing process" of the AWS General Reference. The caller looks the secret up by the
//! access key id between [`Presented::read`] and [`Presented::verify`], so nothing is fetched here.

mod canonical;
#[cfg(test)]
mod tests;

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

pub use canonical::{EMPTY_PAYLOAD_SHA256, decode_query};

/// The only algorithm served; SigV4A is refused by name.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// How far a request's time may be from ours.
pub const MAXIMUM_SKEW: SignedDuration = SignedDuration::from_mins(5);
/// The longest life of a presigned URL, in seconds: seven days.
pub const MAXIMUM_EXPIRES: u64 = 604_800;

/// A request as it came over the wire.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// HTTP method in capitals.
    pub method: &'a str,
    /// Path exactly as sent, still percent-encoded.
    pub path: &'a str,
    /// Query string exactly as sent, without the question mark.
    pub query: &'a str,
    /// Header names in lower case with their values, in the order of arrival; `host` must be among them, for HTTP/2 from
    /// `:authority`.
    pub headers: &'a [(String, String)],
    /// SHA-256 of the body in hex, [`EMPTY_PAYLOAD_SHA256`] for none.
    pub payload_sha256: &'a str,
}

/// Where the signature was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the `Authorization` header.
    Header,
    /// In the query string.
    Query,
}

/// What the signer says about the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// Where the signature was found.
    pub place: Place,
    /// Names the secret that the signature was made with.
    pub access_key_id: String,
    /// Day of the credential scope, `yyyymmdd`.
    pub scope_date: String,
    /// Region of the credential scope.
    pub region: String,
    /// Service of the credential scope, in its signing name.
    pub service: String,
    /// Lower-case names of the signed headers, sorted.
    pub signed_headers: Vec<String>,
    /// The signature in hex.
    pub signature: String,
    /// When it was signed.
    pub time: Timestamp,
    /// Seconds that a presigned URL lives.
    pub expires: Option<u64>,
    /// The token of temporary credentials.
    pub session_token: Option<String>,
    /// The time as it was written, which the signature covers.
    time_text: String,
}

/// Why a signature is refused. `Display` is AWS's message for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature: `MissingAuthenticationToken`.
    #[error("Missing Authentication Token")]
    Missing,
    /// Part of the signature is missing or malformed: `IncompleteSignature`.
    #[error("{0}")]
    Incomplete(String),
    /// The credential scope does not fit: `SignatureDoesNotMatch`.
    #[error("{0}")]
    Scope(String),
    /// Signed too long ago: `SignatureDoesNotMatch` of query services, `InvalidSignatureException` of others, and
    /// `ExpiredToken`'s sibling `RequestExpired` for EC2.
    #[error("Signature expired: {signed} is now earlier than {earliest} ({now} - {minutes} min.)")]
    Expired {
        /// When it was signed.
        signed: String,
        /// The earliest time that is taken.
        earliest: String,
        /// Our time.
        now: String,
        /// The allowed difference.
        minutes: i64,
    },
    /// Signed in the future.
    #[error("Signature not yet current: {signed} is still later than {latest} ({now} + {minutes} min.)")]
    NotYetCurrent {
        /// When it was signed.
        signed: String,
        /// The latest time that is taken.
        latest: String,
        /// Our time.
        now: String,
        /// The allowed difference.
        minutes: i64,
    },
    /// The signature is not what the secret gives: `SignatureDoesNotMatch`.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details."
    )]
    DoesNotMatch {
        /// What the signature should cover, for the log.
        canonical_request: String,
        /// What is signed in the end, for the log.
        string_to_sign: String,
    },
    /// The body is not the one whose digest was signed: `XAmzContentSHA256Mismatch` of S3.
    #[error("The provided 'x-amz-content-sha256' header does not match what was computed.")]
    PayloadMismatch,
}

impl SignatureError {
    /// The error code that AWS's query services use.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationToken",
            Self::Incomplete(_) => "IncompleteSignature",
            Self::PayloadMismatch => "XAmzContentSHA256Mismatch",
            Self::Scope(_) | Self::Expired { .. } | Self::NotYetCurrent { .. } | Self::DoesNotMatch { .. } => {
                "SignatureDoesNotMatch"
            }
        }
    }
}

impl Presented {
    /// Reads the signature of a request, from the header or from the query.
    ///
    /// # Errors
    /// When there is none, or it lacks a part.
    pub fn read(request: &Request<'_>) -> Result<Self, SignatureError> {
        match header(request, "authorization") {
            Some(value) => Self::from_header(request, &value),
            None => Self::from_query(&decode_query(request.query)),
        }
    }

    fn from_header(request: &Request<'_>, value: &str) -> Result<Self, SignatureError> {
        let (algorithm, parameters) = value.split_once(' ').unwrap_or((value, ""));
        if algorithm != ALGORITHM {
            return Err(SignatureError::Incomplete(format!(
                "Unsupported algorithm in Authorization header: {algorithm}"
            )));
        }
        let find = |name: &str| {
            parameters
                .split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
                .map(str::to_owned)
        };
        let mut missing: Vec<String> = ["Credential", "Signature", "SignedHeaders"]
            .into_iter()
            .filter(|name| find(name).is_none())
            .map(|name| format!("Authorization header requires '{name}' parameter."))
            .collect();
        let time = header(request, "x-amz-date").or_else(|| header(request, "date"));
        if time.is_none() {
            missing.push(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".to_owned(),
            );
        }
        let (Some(credential), Some(signature), Some(signed), Some(time)) =
            (find("Credential"), find("Signature"), find("SignedHeaders"), time)
        else {
            return Err(SignatureError::Incomplete(format!(
                "{} Authorization={value}",
                missing.join(" ")
            )));
        };
        let token = header(request, "x-amz-security-token");
        Self::build(Place::Header, &credential, signature, &signed, time, None, token)
    }

    /// Reads the signature of a presigned URL from its decoded parameters.
    ///
    /// # Errors
    /// When there is none, or it lacks a part.
    pub fn from_query(query: &[(String, String)]) -> Result<Self, SignatureError> {
        let find = |name: &str| {
            query
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
        };
        let Some(algorithm) = find("X-Amz-Algorithm") else {
            return Err(SignatureError::Missing);
        };
        if algorithm != ALGORITHM {
            let message = format!("X-Amz-Algorithm only supports \"{ALGORITHM}\"");
            return Err(SignatureError::Incomplete(message));
        }
        let required = |name: &str| {
            find(name).ok_or_else(|| {
                SignatureError::Incomplete(format!("AWS query-string parameters must include '{name}'."))
            })
        };
        let (credential, signature) = (required("X-Amz-Credential")?, required("X-Amz-Signature")?);
        let (signed, time, expires) = (
            required("X-Amz-SignedHeaders")?,
            required("X-Amz-Date")?,
            required("X-Amz-Expires")?,
        );
        let expires = expires
            .parse()
            .ok()
            .filter(|seconds| *seconds <= MAXIMUM_EXPIRES)
            .ok_or_else(|| {
                SignatureError::Incomplete("X-Amz-Expires must be a number of seconds below a week".to_owned())
            })?;
        Self::build(
            Place::Query,
            &credential,
            signature,
            &signed,
            time,
            Some(expires),
            find("X-Amz-Security-Token"),
        )
    }

    fn build(
        place: Place,
        credential: &str,
        signature: String,
        signed_headers: &str,
        time_text: String,
        expires: Option<u64>,
        session_token: Option<String>,
    ) -> Result<Self, SignatureError> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key_id, scope_date, region, service, "aws4_request"] = parts.as_slice() else {
            let message = format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
            );
            return Err(SignatureError::Incomplete(message));
        };
        let time = parse_time(&time_text).ok_or_else(|| {
            SignatureError::Incomplete(format!("Date must be in ISO-8601 'basic format'. Got '{time_text}'."))
        })?;
        if !time_text.starts_with(scope_date) {
            let message = format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{scope_date}' != '{}'",
                time_text.get(..8).unwrap_or_default()
            );
            return Err(SignatureError::Scope(message));
        }
        let signed_headers: Vec<String> = signed_headers.split(';').map(str::to_lowercase).collect();
        if !signed_headers.iter().any(|name| name == "host") {
            return Err(SignatureError::Incomplete(
                "'Host' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
            ));
        }
        Ok(Self {
            place,
            access_key_id: (*access_key_id).to_owned(),
            scope_date: (*scope_date).to_owned(),
            region: (*region).to_owned(),
            service: (*service).to_owned(),
            signed_headers,
            signature,
            time,
            expires,
            session_token,
            time_text,
        })
    }

    /// Is the signature the one that `secret` gives, and is it current?
    ///
    /// # Errors
    /// When it is too old or too new, covers another body, or does not match.
    pub fn verify(&self, request: &Request<'_>, secret: &str, now: Timestamp) -> Result<(), SignatureError> {
        self.check_time(now)?;
        self.verify_signature(request, secret)
    }

    /// Is the signature the one that `secret` gives, whenever it was made?
    ///
    /// # Errors
    /// When it covers another body or does not match.
    pub fn verify_signature(&self, request: &Request<'_>, secret: &str) -> Result<(), SignatureError> {
        let declared = header(request, "x-amz-content-sha256");
        let payload = match declared.as_deref() {
            Some(text) if text == "UNSIGNED-PAYLOAD" || text.starts_with("STREAMING-") => text,
            Some(text) if text != request.payload_sha256 => return Err(SignatureError::PayloadMismatch),
            None if self.place == Place::Query && self.service == "s3" => "UNSIGNED-PAYLOAD",
            _ => request.payload_sha256,
        };
        let canonical_request = canonical::request(request, self, payload);
        let string_to_sign = format!(
            "{ALGORITHM}\n{}\n{}/{}/{}/aws4_request\n{}",
            self.time_text,
            self.scope_date,
            self.region,
            self.service,
            hex::encode(Sha256::digest(canonical_request.as_bytes()))
        );
        let key = self.signing_key(secret);
        let signature = hex::decode(&self.signature).unwrap_or_default();
        let matches = keyed(&key, string_to_sign.as_bytes()).verify_slice(&signature).is_ok();
        if matches {
            Ok(())
        } else {
            Err(SignatureError::DoesNotMatch {
                canonical_request,
                string_to_sign,
            })
        }
    }

    fn signing_key(&self, secret: &str) -> Vec<u8> {
        let start = format!("AWS4{secret}").into_bytes();
        [self.scope_date.as_str(), &self.region, &self.service, "aws4_request"]
            .iter()
            .fold(start, |key, part| {
                keyed(&key, part.as_bytes()).finalize().into_bytes().to_vec()
            })
    }

    fn check_time(&self, now: Timestamp) -> Result<(), SignatureError> {
        let life = match self.expires {
            Some(seconds) => SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)),
            None => MAXIMUM_SKEW,
        };
        let minutes = life.as_mins();
        if self.time + life < now {
            let earliest = format_time(now - life);
            return Err(SignatureError::Expired {
                signed: self.time_text.clone(),
                earliest,
                now: format_time(now),
                minutes,
            });
        }
        if self.time > now + MAXIMUM_SKEW {
            let (latest, minutes) = (format_time(now + MAXIMUM_SKEW), MAXIMUM_SKEW.as_mins());
            let (signed, now) = (self.time_text.clone(), format_time(now));
            return Err(SignatureError::NotYetCurrent {
                signed,
                latest,
                now,
                minutes,
            });
        }
        Ok(())
    }
}

/// SHA-256 of a body in hex.
#[must_use]
pub fn payload_sha256(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

fn keyed(key: &[u8], data: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac
}

/// The values of a header, joined as the canonical request joins them.
fn header(request: &Request<'_>, name: &str) -> Option<String> {
    let values: Vec<&str> = request
        .headers
        .iter()
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// `20250131T235959Z`.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// The time as AWS writes it in signatures and messages.
#[must_use]
pub fn format_time(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}
