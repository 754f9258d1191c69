//! IAM policies: documents, and whether they allow an action on a resource under the conditions of a request.
//!
//! Source: "Policy evaluation logic" and "IAM JSON policy elements reference" of the IAM User Guide. An explicit deny wins over
//! everything; otherwise every kind of policy that is present must allow.

mod check;
mod condition;
mod document;
mod pattern;
mod resource;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use document::{Document, Effect, MalformedPolicy, OneOrMany, Principals, Statement};
pub use pattern::like;

/// What a request says about itself, by condition key in lower case (`aws:requestedregion`).
pub type Facts = BTreeMap<String, Vec<String>>;

/// An action on a resource.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// For example `eks:DescribeCluster`.
    pub action: &'a str,
    /// The resource's ARN, or `*`.
    pub resource: &'a str,
    /// What conditions and variables may ask for.
    pub facts: &'a Facts,
}

/// Who asks, for documents that name principals (trust policies).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal<'a> {
    /// A user, role or session: its ARN, the ARN of its role if it is a session, and its account.
    Aws {
        /// The caller's own ARN.
        arn: &'a str,
        /// The role behind a session.
        role: Option<&'a str>,
        /// The account.
        account: &'a str,
    },
    /// A service such as `eks.amazonaws.com`.
    Service(&'a str),
    /// An identity provider's ARN.
    Federated(&'a str),
}

/// Every policy that has a say about a caller of this account.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// Those of the identity itself and of its groups.
    pub identity: Vec<Document>,
    /// The permissions boundary.
    pub boundary: Option<Document>,
    /// Those given when the session was made; `None` when there were none.
    pub session: Option<Vec<Document>>,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Allowed by every kind of policy.
    Allowed,
    /// A statement denies it; in which kind of policy.
    ExplicitDeny(&'static str),
    /// This kind of policy does not allow it.
    ImplicitDeny(&'static str),
}

const IDENTITY: &str = "identity-based policy";
const BOUNDARY: &str = "permissions boundary";
const SESSION: &str = "session policy";

impl Policies {
    /// May the identity do this?
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let boundary = self.boundary.as_ref().map(std::slice::from_ref);
        let kinds = [
            (IDENTITY, Some(self.identity.as_slice())),
            (BOUNDARY, boundary),
            (SESSION, self.session.as_deref()),
        ];
        let verdicts = kinds.map(|(kind, documents)| (kind, documents.map(|documents| verdict(documents, request))));
        if let Some((kind, _)) = verdicts.iter().find(|(_, found)| *found == Some(Some(Effect::Deny))) {
            return Decision::ExplicitDeny(kind);
        }
        match verdicts.iter().find(|(_, found)| *found == Some(None)) {
            Some((kind, _)) => Decision::ImplicitDeny(kind),
            None => Decision::Allowed,
        }
    }
}

/// What documents of one kind say together: a deny wins, `None` when no statement applies.
#[must_use]
pub fn verdict(documents: &[Document], request: &Request<'_>) -> Option<Effect> {
    let effects = documents
        .iter()
        .flat_map(|document| &document.statements)
        .filter(|statement| statement.covers(request))
        .map(|statement| statement.effect);
    strongest(effects)
}

/// What a trust policy says to a principal.
#[must_use]
pub fn trust(document: &Document, principal: Principal<'_>, request: &Request<'_>) -> Option<Effect> {
    let effects = document
        .statements
        .iter()
        .filter(|statement| statement.names(principal) && statement.covers_action(request))
        .map(|statement| statement.effect);
    strongest(effects)
}

fn strongest(effects: impl Iterator<Item = Effect>) -> Option<Effect> {
    effects.fold(None, |strongest, effect| match (strongest, effect) {
        (Some(Effect::Deny), _) | (_, Effect::Deny) => Some(Effect::Deny),
        _ => Some(Effect::Allow),
    })
}
