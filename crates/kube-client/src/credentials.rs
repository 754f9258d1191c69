//! Who a client says it is.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;

use crate::ClientError;

/// How long a token that was read from a file is used before the file is read again, as client-go does. Projected
/// tokens are renewed long before they end.
const TOKEN_FILE_PERIOD: Duration = Duration::from_secs(60);

/// Who a client says it is.
#[derive(Clone)]
pub enum Credentials {
    /// Nobody: the API server sees `system:anonymous`.
    Anonymous,
    /// A certificate and its key, both PEM.
    ClientCertificate {
        /// The certificate, and any intermediate ones after it.
        certificate: String,
        /// The private key: PKCS#8, PKCS#1 or SEC1.
        key: String,
    },
    /// A bearer token.
    Token(String),
    /// A file that holds a bearer token and may be replaced at any time, as a projected service-account token.
    TokenFile(PathBuf),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::ClientCertificate { .. } => f.write_str("ClientCertificate"),
            Self::Token(_) => f.write_str("Token"),
            Self::TokenFile(path) => f.debug_tuple("TokenFile").field(path).finish(),
        }
    }
}

/// Gives the `Authorization` header of a request.
#[derive(Clone)]
pub(crate) enum Authorization {
    None,
    Fixed(HeaderValue),
    File(Arc<TokenFile>),
}

/// A token file and what it last held.
pub(crate) struct TokenFile {
    path: PathBuf,
    last: Mutex<Option<(Instant, HeaderValue)>>,
}

impl Authorization {
    pub(crate) fn new(credentials: &Credentials) -> Result<Self, ClientError> {
        match credentials {
            Credentials::Anonymous | Credentials::ClientCertificate { .. } => Ok(Self::None),
            Credentials::Token(token) => bearer(token).map(Self::Fixed),
            Credentials::TokenFile(path) => {
                let file = TokenFile {
                    path: path.clone(),
                    last: Mutex::default(),
                };
                // A client that could never work is refused now rather than at its first request.
                file.header(Instant::now())?;
                Ok(Self::File(Arc::new(file)))
            }
        }
    }

    pub(crate) fn header(&self) -> Result<Option<HeaderValue>, ClientError> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(header) => Ok(Some(header.clone())),
            Self::File(file) => file.header(Instant::now()).map(Some),
        }
    }
}

impl TokenFile {
    fn header(&self, now: Instant) -> Result<HeaderValue, ClientError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, header)) = &*last
            && now.duration_since(*read) < TOKEN_FILE_PERIOD
        {
            return Ok(header.clone());
        }
        let read = std::fs::read_to_string(&self.path)
            .map_err(|source| ClientError::TokenFile {
                path: self.path.clone(),
                source,
            })
            .and_then(|token| bearer(&token));
        match (read, &mut *last) {
            (Ok(header), last) => {
                *last = Some((now, header.clone()));
                Ok(header)
            }
            // The file may be away for a moment while it is replaced: the old token is still the best answer.
            (Err(error), Some((_, header))) => {
                tracing::warn!(error = %supervision::error_chain(&error), "using the last token read");
                Ok(header.clone())
            }
            (Err(error), None) => Err(error),
        }
    }
}

fn bearer(token: &str) -> Result<HeaderValue, ClientError> {
    let mut header =
        HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|source| ClientError::Token { source })?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_is_read_again_after_its_period_and_survives_its_absence() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let file = TokenFile {
            path: path.clone(),
            last: Mutex::default(),
        };
        let start = Instant::now();
        assert_eq!(file.header(start).unwrap(), "Bearer first");
        std::fs::write(&path, "second").unwrap();
        assert_eq!(file.header(start + Duration::from_secs(59)).unwrap(), "Bearer first");
        assert_eq!(file.header(start + Duration::from_secs(60)).unwrap(), "Bearer second");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.header(start + Duration::from_secs(200)).unwrap(), "Bearer second");
    }

    #[test]
    fn a_token_that_cannot_be_used_is_refused_at_once() {
        let missing = Authorization::new(&Credentials::TokenFile("/nonexistent/token".into()))
            .err()
            .unwrap();
        assert_eq!(missing.to_string(), "cannot read token file /nonexistent/token");
        let broken = Authorization::new(&Credentials::Token("a\nb".to_owned()))
            .err()
            .unwrap();
        assert_eq!(broken.to_string(), "the token cannot be sent in a header");
    }

    #[test]
    fn secrets_are_not_printed() {
        let token = Credentials::Token("secret".to_owned());
        let certificate = Credentials::ClientCertificate {
            certificate: "secret".into(),
            key: "secret".into(),
        };
        assert_eq!(format!("{token:?} {certificate:?}"), "Token ClientCertificate");
    }
}
