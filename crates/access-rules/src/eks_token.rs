//! The bearer token of EKS: `k8s-aws-v1.` and a presigned GetCallerIdentity URL, bound to a cluster by a signed header.
//!
//! The rules are those of aws-iam-authenticator, except that any host is accepted: the region here signs for many.

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};

use crate::sigv4::{self, EMPTY_PAYLOAD_SHA256, Presented, SignatureError};

/// What every token starts with.
pub const PREFIX: &str = "k8s-aws-v1.";
/// A token lives this long after the time it was signed at, whatever its `X-Amz-Expires` says.
pub const LIFETIME: SignedDuration = SignedDuration::from_mins(15);
/// How far in the future the time may lie.
const FUTURE_SKEW: SignedDuration = SignedDuration::from_mins(5);
const MAXIMUM_LENGTH: usize = 4096;
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
const MAXIMUM_EXPIRES: u64 = 900;

/// The only parameters a token's URL may have, in lower case.
const PARAMETERS: &[&str] = &[
    "action",
    "version",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// A token that is well formed; who it stands for shows when the secret of its access key verifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EksToken {
    presented: Presented,
    host: String,
    path: String,
    query: String,
}

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EksTokenError {
    /// Not a token of this form at all; another authenticator may know it.
    #[error("token is missing expected \"{PREFIX}\" prefix")]
    NotOurs,
    /// The token breaks a rule of its form.
    #[error("input token was not properly formatted: {0}")]
    Format(String),
    /// The presigned URL lacks a part.
    #[error("read the presigned URL of the token")]
    Signature(#[source] SignatureError),
    /// Signed too long ago, or in the future.
    #[error("X-Amz-Date parameter is expired ({LIFETIME_MINUTES} minute expiration) {0}")]
    Expired(String),
    /// The signature is not that of the key, or was made for another cluster.
    #[error("the token's signature does not fit cluster {cluster:?} and its access key")]
    DoesNotMatch {
        /// The cluster it was checked for.
        cluster: String,
        /// What differs.
        #[source]
        source: SignatureError,
    },
}

const LIFETIME_MINUTES: i64 = 15;

impl EksToken {
    /// Reads a token and checks its form.
    ///
    /// # Errors
    /// [`EksTokenError::NotOurs`] without the prefix; the broken rule otherwise.
    pub fn parse(token: &str) -> Result<Self, EksTokenError> {
        let encoded = token.strip_prefix(PREFIX).ok_or(EksTokenError::NotOurs)?;
        let format = |problem: &str| EksTokenError::Format(problem.to_owned());
        if token.len() > MAXIMUM_LENGTH {
            return Err(format("token is too large"));
        }
        let decoded = URL_SAFE_NO_PAD
            .decode(encoded.trim_end_matches('='))
            .map_err(|error| EksTokenError::Format(error.to_string()))?;
        let url = String::from_utf8(decoded).map_err(|error| EksTokenError::Format(error.to_string()))?;
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"))
            .ok_or_else(|| format("unexpected scheme in pre-signed URL"))?;
        let (address, query) = rest
            .split_once('?')
            .ok_or_else(|| format("pre-signed URL has no query"))?;
        let (host, path) = match address.find('/') {
            Some(slash) => address.split_at(slash),
            None => (address, "/"),
        };
        if query.contains('#') || host.contains('@') || host.is_empty() {
            return Err(format("unexpected part in pre-signed URL"));
        }
        let pairs = sigv4::decode_query(query);
        check_parameters(&pairs)?;
        let presented = Presented::from_query(&pairs).map_err(EksTokenError::Signature)?;
        check_signed(&presented)?;
        Ok(Self {
            presented,
            host: signed_host(&url, host),
            path: path.to_owned(),
            query: query.to_owned(),
        })
    }

    /// The access key whose secret must verify the token.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.presented.access_key_id
    }

    /// The token of temporary credentials, which must be the one issued with the access key.
    #[must_use]
    pub fn session_token(&self) -> Option<&str> {
        self.presented.session_token.as_deref()
    }

    /// When the token ends.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.presented.time + LIFETIME
    }

    /// Was the token made for `cluster` with `secret`, and is it current?
    ///
    /// # Errors
    /// When it is too old, or was signed with another secret or for another cluster.
    pub fn verify(&self, cluster: &str, secret: &str, now: Timestamp) -> Result<(), EksTokenError> {
        if self.expires() < now || self.presented.time > now + FUTURE_SKEW {
            return Err(EksTokenError::Expired(self.presented.time.to_string()));
        }
        let headers = [
            ("host".to_owned(), self.host.clone()),
            (CLUSTER_HEADER.to_owned(), cluster.to_owned()),
        ];
        let request = sigv4::Request {
            method: "GET",
            path: &self.path,
            query: &self.query,
            headers: &headers,
            payload_sha256: EMPTY_PAYLOAD_SHA256,
        };
        self.presented
            .verify_signature(&request, secret)
            .map_err(|source| EksTokenError::DoesNotMatch {
                cluster: cluster.to_owned(),
                source,
            })
    }
}

fn check_parameters(pairs: &[(String, String)]) -> Result<(), EksTokenError> {
    let mut seen: Vec<String> = Vec::new();
    for (key, value) in pairs {
        let lower = key.to_lowercase();
        if !PARAMETERS.contains(&lower.as_str()) {
            return Err(EksTokenError::Format(format!(
                "non-whitelisted query parameter {key:?}"
            )));
        }
        if seen.contains(&lower) {
            return Err(EksTokenError::Format(format!(
                "query parameter with multiple values not supported: {key:?}"
            )));
        }
        let wanted = match lower.as_str() {
            "action" => Some("GetCallerIdentity"),
            "version" => Some("2011-06-15"),
            _ => None,
        };
        if wanted.is_some_and(|wanted| wanted != value) {
            return Err(EksTokenError::Format(format!(
                "unexpected {lower} parameter in pre-signed URL"
            )));
        }
        seen.push(lower);
    }
    if seen.iter().any(|key| key == "action") {
        Ok(())
    } else {
        Err(EksTokenError::Format("missing action".to_owned()))
    }
}

/// Only the host and the cluster can be reproduced here, so nothing else may have been signed.
fn check_signed(presented: &Presented) -> Result<(), EksTokenError> {
    let format = |problem: String| Err(EksTokenError::Format(problem));
    if !presented.signed_headers.iter().any(|name| name == CLUSTER_HEADER) {
        return format(format!(
            "client did not sign the {CLUSTER_HEADER} header in the pre-signed URL"
        ));
    }
    if let Some(other) = presented
        .signed_headers
        .iter()
        .find(|name| *name != CLUSTER_HEADER && *name != "host")
    {
        return format(format!("unexpected signed header {other:?}"));
    }
    if presented.expires.is_none_or(|seconds| seconds > MAXIMUM_EXPIRES) {
        return format("invalid X-Amz-Expires parameter in pre-signed URL".to_owned());
    }
    if presented.service != "sts" {
        return format(format!(
            "unexpected service {:?} in the credential scope",
            presented.service
        ));
    }
    Ok(())
}

/// Signers leave out the port that the scheme implies.
fn signed_host(url: &str, host: &str) -> String {
    let implied = if url.starts_with("https://") { ":443" } else { ":80" };
    host.strip_suffix(implied).unwrap_or(host).to_owned()
}
