//! Who asks: by front proxy, by client certificate, by bearer token, or nobody.

mod certificates;
mod impersonation;
mod oidc;
mod request_header;
mod websocket;

use std::sync::Arc;

use access_rules::User;
use access_rules::identity::AUTHENTICATED;
use clock::Clock;
use futures::future::BoxFuture;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use registry::StatusError;

pub use certificates::PeerCertificate;
pub(crate) use certificates::{Authorities, any_certificate};
pub(crate) use impersonation::impersonated;
pub use oidc::IdentityProviders;
pub use request_header::RequestHeader;
pub(crate) use websocket::take_token;

use crate::tokens::ServiceAccountTokens;

/// Why a token is refused although it is of the authenticator's form.
#[derive(Debug, thiserror::Error)]
#[error("authenticate bearer token")]
pub struct AuthenticationError(#[from] pub Box<dyn std::error::Error + Send + Sync>);

/// Knows tokens of one form, such as those of EKS.
pub trait TokenAuthenticator: Send + Sync {
    /// The user of a token; `None` when the token is of another form.
    fn authenticate(&self, token: &str) -> BoxFuture<'_, Result<Option<User>, AuthenticationError>>;
}

/// Which paths a request without credentials may reach at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// Everything, as far as roles allow: EKS before 1.32.
    Everywhere,
    /// Health checks and the version only, else 401: EKS since 1.32.
    HealthOnly,
}

const HEALTH_PATHS: &[&str] = &["/healthz", "/livez", "/readyz", "/version"];

/// Everything that can tell who asks.
pub(crate) struct Authentication {
    pub(crate) service_accounts: Arc<ServiceAccountTokens>,
    pub(crate) others: Vec<Arc<dyn TokenAuthenticator>>,
    pub(crate) request_header: Option<RequestHeader>,
    pub(crate) anonymous: Anonymous,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Authentication {
    /// The user behind a request. What one way of telling refuses, another may know; only whoever sent no credentials at
    /// all is anonymous.
    pub(crate) async fn user(
        &self,
        certificate: Option<&PeerCertificate>,
        websocket_token: Option<&str>,
        headers: &HeaderMap,
        path: &str,
    ) -> Result<User, StatusError> {
        let mut refused = false;
        if let Some(certificate) = certificate {
            let now = self.clock.now();
            let proxied = self.request_header.as_ref().zip(certificate.front_proxy(now));
            if let Some(user) = proxied.and_then(|(names, proxy)| names.user(proxy, headers)) {
                return Ok(with_authenticated(user));
            }
            match certificate.user(now) {
                Ok(user) => return Ok(user.clone()),
                Err(problem) => {
                    tracing::info!(problem, "client certificate refused");
                    refused = true;
                }
            }
        }
        let header = headers
            .get(AUTHORIZATION)
            .map(|value| value.to_str().unwrap_or_default());
        match (header, websocket_token) {
            (Some(header), _) => self.token(bearer(header)).await,
            (None, Some(token)) => self.token(token).await,
            (None, None) if refused => Err(StatusError::unauthorized()),
            (None, None) if self.anonymous == Anonymous::Everywhere || HEALTH_PATHS.contains(&path) => {
                Ok(User::anonymous())
            }
            (None, None) => Err(StatusError::unauthorized()),
        }
    }

    async fn token(&self, token: &str) -> Result<User, StatusError> {
        if token.is_empty() {
            return Err(StatusError::unauthorized());
        }
        match self.service_accounts.authenticate(token).await {
            Ok(Some(user)) => return Ok(user),
            Ok(None) => {}
            Err(error) => return Err(unauthorized(&error)),
        }
        let mut problem = None;
        for authenticator in &self.others {
            match authenticator.authenticate(token).await {
                Ok(Some(user)) => return Ok(with_authenticated(user)),
                Ok(None) => {}
                Err(error) => problem = Some(error),
            }
        }
        Err(problem.map_or_else(StatusError::unauthorized, |error| unauthorized(&error)))
    }
}

/// The token of a header; empty when it is of another scheme.
fn bearer(header: &str) -> &str {
    match header.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    }
}

/// The client learns only that it is not known; the reason is for whoever runs the server.
fn unauthorized(error: &dyn std::error::Error) -> StatusError {
    tracing::info!(error = %supervision::error_chain(error), "bearer token refused");
    StatusError::unauthorized()
}

pub(crate) fn with_authenticated(mut user: User) -> User {
    if !user.in_group(AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}
