//! Who asks: by client certificate, by bearer token, or nobody; and as whom, when the client impersonates.

use std::collections::BTreeMap;
use std::sync::Arc;

use access_rules::identity::{AUTHENTICATED, SERVICE_ACCOUNT_PREFIX};
use access_rules::{Attributes, ResourceAttributes, User};
use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use registry::{Registry, StatusError, Subject};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

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
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
const IMPERSONATE_EXTRA: &str = "impersonate-extra-";

/// Everything that can tell who asks.
pub(crate) struct Authentication {
    pub(crate) service_accounts: Arc<ServiceAccountTokens>,
    pub(crate) others: Vec<Arc<dyn TokenAuthenticator>>,
    pub(crate) anonymous: Anonymous,
}

impl Authentication {
    /// The user behind a request: of its certificate, else of its token, else the anonymous one.
    pub(crate) async fn user(
        &self,
        certificate: Option<&User>,
        headers: &HeaderMap,
        path: &str,
    ) -> Result<User, StatusError> {
        if let Some(user) = certificate {
            return Ok(user.clone());
        }
        match headers
            .get(AUTHORIZATION)
            .map(|value| value.to_str().unwrap_or_default())
        {
            Some(value) => self.bearer(value).await,
            None if self.anonymous == Anonymous::Everywhere || HEALTH_PATHS.contains(&path) => Ok(User::anonymous()),
            None => Err(StatusError::unauthorized()),
        }
    }

    async fn bearer(&self, header: &str) -> Result<User, StatusError> {
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => "",
        };
        if token.is_empty() {
            return Err(StatusError::unauthorized());
        }
        match self.service_accounts.authenticate(token).await {
            Ok(Some(user)) => return Ok(user),
            Ok(None) => {}
            Err(error) => return Err(refused(&error)),
        }
        for authenticator in &self.others {
            match authenticator.authenticate(token).await {
                Ok(Some(user)) => return Ok(with_authenticated(user)),
                Ok(None) => {}
                Err(error) => return Err(refused(&error)),
            }
        }
        Err(StatusError::unauthorized())
    }
}

/// The client learns only that it is not known; the reason is for whoever runs the server.
fn refused(error: &dyn std::error::Error) -> StatusError {
    tracing::info!(error = %supervision::error_chain(error), "bearer token refused");
    StatusError::unauthorized()
}

fn with_authenticated(mut user: User) -> User {
    if !user.in_group(AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    user
}

/// The user that a client certificate names: common name and organizations. The caller has verified its chain.
pub(crate) fn certificate_user(der: &[u8]) -> Option<User> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let name = certificate
        .subject()
        .iter_common_name()
        .next()?
        .as_str()
        .ok()?
        .to_owned();
    let groups: Vec<&str> = certificate
        .subject()
        .iter_organization()
        .filter_map(|organization| organization.as_str().ok())
        .collect();
    let mut user = User::authenticated(name, groups);
    let digest = hex::encode(Sha256::digest(der));
    user.extra
        .insert(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={digest}")]);
    Some(user)
}

/// The user that the `Impersonate-*` headers ask for, if any, once `user` is found to be allowed each part of it.
pub(crate) async fn impersonated(registry: &Registry, user: &User, headers: &HeaderMap) -> Result<User, StatusError> {
    let Some(wanted) = Impersonation::read(headers)? else {
        return Ok(user.clone());
    };
    for part in wanted.parts() {
        let attributes = Attributes {
            user,
            verb: "impersonate",
            resource: Some(part),
            path: "",
        };
        let decision = registry.authorize(&attributes).await;
        if !decision.is_allowed() {
            let subject = Subject::new(part.group, part.resource);
            let mut problem = attributes.refusal();
            if !decision.reason().is_empty() {
                problem = format!("{problem}: {}", decision.reason());
            }
            return Err(StatusError::forbidden(&subject, part.name, &problem));
        }
    }
    Ok(wanted.into_user())
}

/// What the headers ask for.
struct Impersonation {
    name: String,
    uid: Option<String>,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl Impersonation {
    fn read(headers: &HeaderMap) -> Result<Option<Self>, StatusError> {
        let all = |name: &'static str| -> Vec<String> {
            let values = headers.get_all(HeaderName::from_static(name)).iter();
            values
                .filter_map(|value| value.to_str().ok())
                .map(str::to_owned)
                .collect()
        };
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            if let Some(key) = name.as_str().strip_prefix(IMPERSONATE_EXTRA) {
                let key = percent_encoding::percent_decode_str(key)
                    .decode_utf8_lossy()
                    .into_owned();
                extra
                    .entry(key)
                    .or_default()
                    .extend(value.to_str().ok().map(str::to_owned));
            }
        }
        let (name, uid, groups) = (
            all("impersonate-user"),
            all("impersonate-uid"),
            all("impersonate-group"),
        );
        match name.into_iter().next().filter(|name| !name.is_empty()) {
            Some(name) => Ok(Some(Self {
                name,
                uid: uid.into_iter().next(),
                groups,
                extra,
            })),
            None if uid.is_empty() && groups.is_empty() && extra.is_empty() => Ok(None),
            None => Err(StatusError::internal(
                "requested impersonation without impersonating a user",
            )),
        }
    }

    fn service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')
    }

    /// One resource to be allowed for each part of the identity.
    fn parts(&self) -> Vec<ResourceAttributes<'_>> {
        let mut parts = Vec::new();
        match self.service_account() {
            Some((namespace, name)) => parts.push(ResourceAttributes {
                version: "v1",
                resource: "serviceaccounts",
                namespace,
                name,
                ..ResourceAttributes::default()
            }),
            None => parts.push(ResourceAttributes {
                resource: "users",
                name: &self.name,
                ..Default::default()
            }),
        }
        for name in &self.groups {
            parts.push(ResourceAttributes {
                resource: "groups",
                name,
                ..Default::default()
            });
        }
        let group = "authentication.k8s.io";
        if let Some(name) = &self.uid {
            parts.push(ResourceAttributes {
                group,
                version: "v1",
                resource: "uids",
                name,
                ..Default::default()
            });
        }
        for (key, values) in &self.extra {
            parts.extend(values.iter().map(|name| ResourceAttributes {
                group,
                version: "v1",
                resource: "userextras",
                subresource: key,
                name,
                ..Default::default()
            }));
        }
        parts
    }

    fn into_user(self) -> User {
        let mut user = match self.service_account() {
            Some((namespace, name)) if self.groups.is_empty() => User::service_account(namespace, name),
            _ if self.name == access_rules::identity::ANONYMOUS => User::anonymous(),
            _ => User::authenticated(self.name.clone(), self.groups.clone()),
        };
        user.uid = self.uid;
        user.extra = self.extra;
        user
    }
}
