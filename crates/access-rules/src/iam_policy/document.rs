//! The JSON of a policy as values, and which requests a statement is about.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check::Draft;
use super::pattern::{filled, like, like_ignoring_case};
use super::{Principal, Request, condition};

/// A policy document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Document {
    /// `2012-10-17`, with which variables work, or `2008-10-17`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// A name without meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What is allowed and denied.
    #[serde(rename = "Statement", with = "statements")]
    pub statements: Vec<Statement>,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Statement {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Allow or Deny.
    pub effect: Effect,
    /// Who, in trust policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principals>,
    /// Everyone but these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_principal: Option<Principals>,
    /// What.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<OneOrMany>,
    /// Everything but this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_action: Option<OneOrMany>,
    /// On what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<OneOrMany>,
    /// On everything but this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_resource: Option<OneOrMany>,
    /// Operator, key, values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: BTreeMap<String, BTreeMap<String, OneOrMany>>,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are IAM's own")]
pub enum Effect {
    Allow,
    Deny,
}

/// A value or a list of values; numbers and booleans count as their text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(Scalar),
    /// Many.
    Many(Vec<Scalar>),
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// Text.
    Text(String),
    /// true or false.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// null, which stands for no value.
    Nothing(()),
}

/// Who a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Principals {
    /// `*`.
    Everyone(String),
    /// By type: `AWS`, `Service`, `Federated`, `CanonicalUser`.
    Typed(BTreeMap<String, OneOrMany>),
}

/// A text that is no policy. `Display` is for the message of `MalformedPolicyDocument`.
#[derive(Debug, thiserror::Error)]
pub enum MalformedPolicy {
    /// Not JSON of this form.
    #[error("Syntax errors in policy.")]
    Syntax(#[from] serde_json::Error),
    /// A statement lacks a part or has two that exclude each other.
    #[error("{0}")]
    Statement(String),
}

impl OneOrMany {
    /// The values as texts.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        let scalars = match self {
            Self::One(scalar) => std::slice::from_ref(scalar),
            Self::Many(scalars) => scalars,
        };
        scalars.iter().filter_map(|scalar| match scalar {
            Scalar::Text(text) => Some(text.clone()),
            Scalar::Bool(value) => Some(value.to_string()),
            Scalar::Number(value) => Some(value.to_string()),
            Scalar::Nothing(()) => None,
        })
    }
}

impl Document {
    /// Reads an identity's own policy: actions and resources, no principals.
    ///
    /// # Errors
    /// When it is not one.
    pub fn identity(text: &str) -> Result<Self, MalformedPolicy> {
        let draft = Draft::read(text)?;
        draft.require_identity()?;
        Ok(serde_json::from_str(text)?)
    }

    /// Reads a managed policy, which must have the newer version.
    ///
    /// # Errors
    /// When it is not one.
    pub fn managed(text: &str) -> Result<Self, MalformedPolicy> {
        Draft::read(text)?.require_version()?;
        Self::identity(text)
    }

    /// Reads a role's trust policy: principals and actions, no resources.
    ///
    /// # Errors
    /// When it is not one.
    pub fn trust(text: &str) -> Result<Self, MalformedPolicy> {
        let document = Self::read(text)?;
        for statement in &document.statements {
            if statement.resource.is_some() || statement.not_resource.is_some() {
                return Err(MalformedPolicy::Statement("Has prohibited field Resource".to_owned()));
            }
            let named = statement.action.iter().chain(&statement.not_action);
            let is_foreign = |action: &str| {
                let vendor = action.split_once(':').map(|(vendor, _)| vendor);
                vendor.is_some_and(|vendor| !vendor.eq_ignore_ascii_case("sts") && vendor != "*")
            };
            if named.flat_map(OneOrMany::texts).any(|action| is_foreign(&action)) {
                return Err(MalformedPolicy::Statement(
                    "AssumeRole policy may only specify STS AssumeRole actions.".to_owned(),
                ));
            }
            if statement.principal.is_none() && statement.not_principal.is_none() {
                return Err(MalformedPolicy::Statement(
                    "Missing required field Principal".to_owned(),
                ));
            }
        }
        Ok(document)
    }

    fn read(text: &str) -> Result<Self, MalformedPolicy> {
        Draft::read(text)?;
        let document: Self = serde_json::from_str(text)?;
        let mut statements = document.statements.iter();
        if statements.any(|statement| statement.action.is_some() == statement.not_action.is_some()) {
            return Err(MalformedPolicy::Statement(
                "Policy statement must contain actions.".to_owned(),
            ));
        }
        Ok(document)
    }
}

impl Statement {
    /// Whether the statement is about this action on this resource, and its conditions hold.
    pub(super) fn covers(&self, request: &Request<'_>) -> bool {
        let fits = |pattern: String| like(&filled(&pattern, request.facts), request.resource);
        let resource = match (&self.resource, &self.not_resource) {
            (Some(wanted), _) => wanted.texts().any(fits),
            (None, Some(others)) => !others.texts().any(fits),
            (None, None) => true,
        };
        resource && self.covers_action(request)
    }

    /// Whether the statement is about this action, and its conditions hold.
    pub(super) fn covers_action(&self, request: &Request<'_>) -> bool {
        let fits = |pattern: String| like_ignoring_case(&pattern, request.action);
        let action = match (&self.action, &self.not_action) {
            (Some(wanted), _) => wanted.texts().any(fits),
            (None, Some(others)) => !others.texts().any(fits),
            (None, None) => false,
        };
        action && condition::hold(&self.condition, request.facts)
    }

    /// Whether the statement is about this principal.
    pub(super) fn names(&self, principal: Principal<'_>) -> bool {
        match (&self.principal, &self.not_principal) {
            (Some(wanted), _) => wanted.include(principal),
            (None, Some(others)) => !others.include(principal),
            (None, None) => false,
        }
    }
}

impl Principals {
    fn include(&self, principal: Principal<'_>) -> bool {
        let of = |kind: &str| match self {
            Self::Everyone(text) => vec![text.clone()],
            Self::Typed(types) => types.get(kind).into_iter().flat_map(OneOrMany::texts).collect(),
        };
        match principal {
            Principal::Aws { arn, role, account } => of("AWS").iter().any(|named| {
                let root = format!(":iam::{account}:root");
                named == "*"
                    || named == arn
                    || Some(named.as_str()) == role
                    || named == account
                    || named.ends_with(&root)
            }),
            Principal::Service(name) => of("Service").iter().any(|named| named == "*" || named == name),
            Principal::Federated(arn) => of("Federated").iter().any(|named| named == "*" || named == arn),
        }
    }
}

/// A statement alone stands for a list of one.
mod statements {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Statement;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Many(Vec<Statement>),
        One(Box<Statement>),
    }

    pub fn serialize<S: Serializer>(statements: &[Statement], serializer: S) -> Result<S::Ok, S::Error> {
        statements.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Statement>, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::Many(statements) => statements,
            Form::One(statement) => vec![*statement],
        })
    }
}
