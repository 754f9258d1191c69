//! ID tokens of OpenID Connect: which ones are meant for the cluster, and whom they make of their bearer.
//!
//! Source: `apiserver/plugin/pkg/authenticator/token/oidc` of upstream with one client and claims by name; the signature is
//! the caller's to check. EKS hands its identity provider over in these same terms.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::identity::User;

/// Clocks may differ by this much, in seconds, before a token begins to hold. Source: go-oidc.
const LEEWAY: i64 = 300;
/// The prefix that stands for none.
const NO_PREFIX: &str = "-";

/// An issuer of ID tokens, and how its claims are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// URL of the issuer: https, without query; its discovery document is below it.
    pub issuer_url: String,
    /// The audience that tokens must name.
    pub client_id: String,
    /// The claim that names the user; `sub` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_claim: Option<String>,
    /// What stands before the name: `-` is nothing; when absent, the issuer and `#`, unless the claim is `email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_prefix: Option<String>,
    /// The claim that lists the user's groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// What stands before each group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_prefix: Option<String>,
    /// Claims that a token must have, with their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub required_claims: BTreeMap<String, String>,
    /// Authorities that the issuer's certificate is checked against, PEM; the host's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_pem: Option<String>,
}

/// A value in a token.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Claim {
    /// A text.
    Text(String),
    /// A truth.
    Flag(bool),
    /// A number.
    Number(f64),
    /// Several values.
    List(Vec<Claim>),
    /// Values by name.
    Map(BTreeMap<String, Claim>),
    /// Nothing.
    Nothing,
}

/// The payload of a token.
pub type Claims = BTreeMap<String, Claim>;

/// Why a token of the issuer does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// It is somebody else's, and another authenticator may know it.
    #[error("oidc: token was issued by {0:?}")]
    OtherIssuer(String),
    /// It is for somebody else.
    #[error("oidc: verify token: expected audience {wanted:?} got {held:?}")]
    Audience {
        /// The cluster's.
        wanted: String,
        /// The token's.
        held: Vec<String>,
    },
    /// Its time is over.
    #[error("oidc: verify token: token is expired (Token Expiry: {0})")]
    Expired(Timestamp),
    /// Its time has not come.
    #[error("oidc: verify token: current time before the nbf (not before) time")]
    NotYetValid,
    /// A claim that is needed is not there.
    #[error("oidc: parse {what} {claim:?}: claim not present")]
    Absent {
        /// What it is needed for.
        what: &'static str,
        /// Its name.
        claim: String,
    },
    /// A claim is of another type.
    #[error("oidc: parse {what} {claim:?}: not a text")]
    Type {
        /// What it is needed for.
        what: &'static str,
        /// Its name.
        claim: String,
    },
    /// The mail address that names the user is not known to be theirs.
    #[error("oidc: email not verified")]
    EmailNotVerified,
    /// A required claim has another value.
    #[error("oidc: required claim {claim} value does not match. Got = {got}, want = {want}")]
    Required {
        /// Its name.
        claim: String,
        /// The token's value.
        got: String,
        /// The value that it must have.
        want: String,
    },
    /// A time that is none.
    #[error("oidc: verify token: {0} is no time")]
    Time(&'static str),
}

impl Provider {
    /// The user of a token whose signature holds.
    ///
    /// # Errors
    /// Why the token does not hold.
    pub fn user(&self, claims: &Claims, now: Timestamp) -> Result<User, OidcError> {
        self.check(claims, now)?;
        let claim = self.username_claim.as_deref().unwrap_or("sub");
        let name = text(claims, "username claims", claim)?;
        if claim == "email"
            && claims
                .get("email_verified")
                .is_some_and(|flag| *flag != Claim::Flag(true))
        {
            return Err(OidcError::EmailNotVerified);
        }
        let groups = match &self.groups_claim {
            Some(claim) => self.groups(claims, claim)?,
            None => Vec::new(),
        };
        for (claim, want) in &self.required_claims {
            let got = text(claims, "required claim", claim)?;
            if got != want {
                return Err(OidcError::Required {
                    claim: claim.clone(),
                    got: got.to_owned(),
                    want: want.clone(),
                });
            }
        }
        Ok(User::authenticated(format!("{}{name}", self.prefix_of(claim)), groups))
    }

    fn check(&self, claims: &Claims, now: Timestamp) -> Result<(), OidcError> {
        let issuer = text(claims, "issuer", "iss")?;
        if issuer != self.issuer_url {
            return Err(OidcError::OtherIssuer(issuer.to_owned()));
        }
        let held = texts(claims, "audience", "aud")?;
        if !held.contains(&self.client_id) {
            let wanted = self.client_id.clone();
            return Err(OidcError::Audience { wanted, held });
        }
        let expires = time(claims, "exp")?.ok_or(OidcError::Time("exp"))?;
        if now >= expires {
            return Err(OidcError::Expired(expires));
        }
        match time(claims, "nbf")? {
            Some(begins) if now.as_second() + LEEWAY < begins.as_second() => Err(OidcError::NotYetValid),
            _ => Ok(()),
        }
    }

    fn groups(&self, claims: &Claims, claim: &str) -> Result<Vec<String>, OidcError> {
        if !claims.contains_key(claim) {
            return Ok(Vec::new());
        }
        let prefix = self.groups_prefix.as_deref().filter(|prefix| *prefix != NO_PREFIX);
        let groups = texts(claims, "groups claim", claim)?.into_iter();
        Ok(groups
            .map(|group| format!("{}{group}", prefix.unwrap_or_default()))
            .collect())
    }

    fn prefix_of(&self, claim: &str) -> String {
        match self.username_prefix.as_deref() {
            Some(NO_PREFIX) => String::new(),
            Some(prefix) if !prefix.is_empty() => prefix.to_owned(),
            _ if claim == "email" => String::new(),
            _ => format!("{}#", self.issuer_url),
        }
    }
}

fn text<'a>(claims: &'a Claims, what: &'static str, claim: &str) -> Result<&'a str, OidcError> {
    match claims.get(claim) {
        Some(Claim::Text(text)) => Ok(text),
        Some(_) => Err(OidcError::Type {
            what,
            claim: claim.to_owned(),
        }),
        None => Err(OidcError::Absent {
            what,
            claim: claim.to_owned(),
        }),
    }
}

/// One text, or a list of them.
fn texts(claims: &Claims, what: &'static str, claim: &str) -> Result<Vec<String>, OidcError> {
    let Some(Claim::List(items)) = claims.get(claim) else {
        return Ok(vec![text(claims, what, claim)?.to_owned()]);
    };
    let wrong = || OidcError::Type {
        what,
        claim: claim.to_owned(),
    };
    let each = items.iter().map(|item| match item {
        Claim::Text(text) => Ok(text.clone()),
        _ => Err(wrong()),
    });
    each.collect()
}

fn time(claims: &Claims, claim: &'static str) -> Result<Option<Timestamp>, OidcError> {
    match claims.get(claim) {
        None | Some(Claim::Nothing) => Ok(None),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "seconds beyond the range are refused below"
        )]
        Some(Claim::Number(seconds)) => {
            let at = Timestamp::from_second(*seconds as i64);
            at.map(Some).or(Err(OidcError::Time(claim)))
        }
        Some(_) => Err(OidcError::Time(claim)),
    }
}
