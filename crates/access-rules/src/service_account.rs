//! What a service-account token claims, when it holds, and whom it makes of its bearer.
//!
//! Source: `pkg/serviceaccount/claims.go` of upstream; the signature and the bound objects are the caller's to check.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::identity::{SERVICE_ACCOUNT_PREFIX, User};

/// Clocks may differ by this much, in seconds.
const LEEWAY: i64 = 10;
/// The shortest life that may be asked for, in seconds.
pub const MINIMUM_EXPIRATION: i64 = 600;
/// The longest life that may be asked for, in seconds.
pub const MAXIMUM_EXPIRATION: i64 = 1 << 32;
/// A token of an object that is being deleted holds this many seconds longer, so that the pod can end in order.
pub const DELETION_GRACE: i64 = 60;

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
const NODE_UID: &str = "authentication.kubernetes.io/node-uid";
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// The payload of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Whom the token is for.
    pub aud: Vec<String>,
    /// When it ends, in seconds since the epoch.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Who issued it: the cluster's OIDC issuer.
    pub iss: String,
    /// An id of its own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// Whom and what it stands for.
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: Kubernetes,
    /// When it begins to hold.
    pub nbf: i64,
    /// `system:serviceaccount:<namespace>:<name>`.
    pub sub: String,
}

/// The private claims.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kubernetes {
    /// Namespace of the service account and of the bound object.
    pub namespace: String,
    /// Node of the bound pod, or the bound node itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Reference>,
    /// The bound pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Reference>,
    /// The bound secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Reference>,
    /// The service account.
    pub serviceaccount: Reference,
}

/// An object by name and uid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Name.
    pub name: String,
    /// Uid.
    #[serde(default)]
    pub uid: String,
}

/// Why a token does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// Somebody else's token; another authenticator may know it.
    #[error("token was issued by {0:?}")]
    OtherIssuer(String),
    /// Its time is over.
    #[error("service account token has expired")]
    Expired,
    /// Its time has not come.
    #[error("service account token is not valid yet")]
    NotYetValid,
    /// It is for somebody else.
    #[error("token audiences {held:?} is invalid for the target audiences {wanted:?}")]
    Audience {
        /// The token's audiences.
        held: Vec<String>,
        /// Those it should have one of.
        wanted: Vec<String>,
    },
    /// Subject and private claims contradict each other.
    #[error("subject {0:?} does not fit the private claims")]
    Subject(String),
}

impl Claims {
    /// Checks issuer, time, subject and audience; answers the audiences that both sides name.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check(&self, issuer: &str, audiences: &[String], now: Timestamp) -> Result<Vec<String>, ClaimsError> {
        if self.iss != issuer {
            return Err(ClaimsError::OtherIssuer(self.iss.clone()));
        }
        let now = now.as_second();
        if now > self.exp + LEEWAY {
            return Err(ClaimsError::Expired);
        }
        if now < self.nbf - LEEWAY {
            return Err(ClaimsError::NotYetValid);
        }
        let account = &self.kubernetes.serviceaccount.name;
        if self.sub != format!("{SERVICE_ACCOUNT_PREFIX}{}:{account}", self.kubernetes.namespace) {
            return Err(ClaimsError::Subject(self.sub.clone()));
        }
        let common: Vec<String> = self.aud.iter().filter(|one| audiences.contains(one)).cloned().collect();
        if common.is_empty() {
            return Err(ClaimsError::Audience {
                held: self.aud.clone(),
                wanted: audiences.to_vec(),
            });
        }
        Ok(common)
    }

    /// The identity of the bearer.
    #[must_use]
    pub fn user(&self) -> User {
        let claims = &self.kubernetes;
        let mut user = User::service_account(&claims.namespace, &claims.serviceaccount.name);
        user.uid = Some(claims.serviceaccount.uid.clone());
        let mut extra = BTreeMap::new();
        if !self.jti.is_empty() {
            extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("JTI={}", self.jti)]);
        }
        for (reference, name, uid) in [(&claims.pod, POD_NAME, POD_UID), (&claims.node, NODE_NAME, NODE_UID)] {
            if let Some(reference) = reference {
                extra.insert(name.to_owned(), vec![reference.name.clone()]);
                if !reference.uid.is_empty() {
                    extra.insert(uid.to_owned(), vec![reference.uid.clone()]);
                }
            }
        }
        user.extra = extra;
        user
    }
}
