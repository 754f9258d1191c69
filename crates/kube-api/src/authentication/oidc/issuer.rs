//! The keys of one issuer: where its discovery document says they are, fetched again when a token names a key that is not
//! among them.

use std::sync::{Arc, Mutex as Lock, PoisonError};

use access_rules::oidc::Provider;
use clock::Clock;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::fetch::{FetchError, fetch};

/// The issuer is not asked more often than this, whatever tokens name.
const PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssuerError {
    #[error("ask the issuer {0}")]
    Fetch(String, #[source] FetchError),
    #[error("read the answer of {0}")]
    Read(String, #[source] serde_json::Error),
    #[error("oidc: issuer did not match the issuer returned by provider, expected {wanted:?} got {found:?}")]
    OtherIssuer { wanted: String, found: String },
    #[error("the issuer {0} was asked a moment ago")]
    Paused(String),
}

/// One provider and what is known of its keys.
pub(super) struct Issuer {
    pub(super) provider: Provider,
    clock: Arc<dyn Clock>,
    keys: Lock<Arc<Vec<Jwk>>>,
    /// Whoever holds this asks the issuer; when it was asked last.
    asked: Mutex<Option<Timestamp>>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    pub(super) fn new(provider: Provider, clock: Arc<dyn Clock>) -> Self {
        Self {
            provider,
            clock,
            keys: Lock::default(),
            asked: Mutex::default(),
        }
    }

    /// The keys that a token with this key id may be signed with.
    pub(super) async fn keys(&self, id: Option<&str>) -> Result<Vec<Jwk>, IssuerError> {
        let found = self.known(id);
        if !found.is_empty() {
            return Ok(found);
        }
        let mut asked = self.asked.lock().await;
        // Somebody else may have asked while this one waited.
        let found = self.known(id);
        if !found.is_empty() {
            return Ok(found);
        }
        let now = self.clock.now();
        if asked.is_some_and(|last| now.duration_since(last) < PAUSE) {
            return Err(IssuerError::Paused(self.provider.issuer_url.clone()));
        }
        *asked = Some(now);
        let keys = self.ask().await?;
        *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(self.known(id))
    }

    fn known(&self, id: Option<&str>) -> Vec<Jwk> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fits = |key: &&Jwk| id.is_none() || key.common.key_id.as_deref() == id;
        keys.iter().filter(fits).cloned().collect()
    }

    async fn ask(&self) -> Result<Vec<Jwk>, IssuerError> {
        let issuer = &self.provider.issuer_url;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let discovery: Discovery = self.get(&url).await?;
        if discovery.issuer != *issuer {
            return Err(IssuerError::OtherIssuer {
                wanted: issuer.clone(),
                found: discovery.issuer,
            });
        }
        Ok(self.get::<JwkSet>(&discovery.jwks_uri).await?.keys)
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, url: &str) -> Result<T, IssuerError> {
        let fetched = fetch(url, self.provider.authority_pem.as_deref()).await;
        let body = fetched.map_err(|source| IssuerError::Fetch(url.to_owned(), source))?;
        serde_json::from_slice(&body).map_err(|source| IssuerError::Read(url.to_owned(), source))
    }
}
