//! ID tokens of OpenID Connect providers, whose keys are fetched from the issuer when they are first needed.

mod issuer;

use std::sync::Arc;

use access_rules::User;
use access_rules::oidc::{Claims, OidcError, Provider};
use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::Clock;
use futures::FutureExt;
use futures::future::BoxFuture;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;

use self::issuer::{Issuer, IssuerError};
use super::{AuthenticationError, TokenAuthenticator};

/// What tokens may be signed with (upstream's default of `--oidc-signing-algs`).
const ALGORITHM: Algorithm = Algorithm::RS256;

/// Why a token of a provider is refused.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("oidc: malformed jwt")]
    Malformed(#[source] jsonwebtoken::errors::Error),
    #[error("oidc: id token signed with unsupported algorithm, expected [RS256] got {0:?}")]
    Algorithm(Algorithm),
    #[error("find the issuer's keys")]
    Keys(#[from] IssuerError),
    #[error("oidc: failed to verify id token signature")]
    Signature,
    #[error(transparent)]
    Claims(#[from] OidcError),
}

/// The identity providers of a cluster, which may change while it runs.
pub struct IdentityProviders {
    clock: Arc<dyn Clock>,
    issuers: ArcSwap<Vec<Arc<Issuer>>>,
}

impl IdentityProviders {
    /// None yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            issuers: ArcSwap::default(),
        }
    }

    /// These are all from now on. The keys of a provider that stays are kept.
    pub fn set(&self, providers: Vec<Provider>) {
        let known = self.issuers.load_full();
        let issuers = providers.into_iter().map(|provider| {
            let same = known.iter().find(|issuer| issuer.provider == provider);
            same.cloned()
                .unwrap_or_else(|| Arc::new(Issuer::new(provider, self.clock.clone())))
        });
        self.issuers.store(Arc::new(issuers.collect()));
    }

    async fn check(&self, issuer: &Issuer, token: &str) -> Result<User, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(TokenError::Malformed)?;
        if header.alg != ALGORITHM {
            return Err(TokenError::Algorithm(header.alg));
        }
        // Times and audiences are checked by the provider's own rules, so that our clock and messages are used.
        let mut validation = Validation::new(ALGORITHM);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        for key in issuer.keys(header.kid.as_deref()).await? {
            let Ok(key) = DecodingKey::from_jwk(&key) else {
                continue;
            };
            if let Ok(data) = jsonwebtoken::decode::<Claims>(token, &key, &validation) {
                return Ok(issuer.provider.user(&data.claims, self.clock.now())?);
            }
        }
        Err(TokenError::Signature)
    }
}

impl TokenAuthenticator for IdentityProviders {
    fn authenticate(&self, token: &str) -> BoxFuture<'_, Result<Option<User>, AuthenticationError>> {
        let issuers = self.issuers.load_full();
        let named = issuer_of(token).filter(|_| !issuers.is_empty());
        let issuer = named.and_then(|name| {
            let found = issuers.iter().find(|issuer| issuer.provider.issuer_url == name);
            found.cloned()
        });
        let token = token.to_owned();
        async move {
            let Some(issuer) = issuer else { return Ok(None) };
            match self.check(&issuer, &token).await {
                Ok(user) => Ok(Some(user)),
                Err(error) => Err(AuthenticationError(Box::new(error))),
            }
        }
        .boxed()
    }
}

/// The issuer that a token names, before its signature is looked at.
fn issuer_of(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        iss: String,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    Some(serde_json::from_slice::<Named>(&payload).ok()?.iss)
}
