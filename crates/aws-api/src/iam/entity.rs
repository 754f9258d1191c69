//! What users, groups and roles have in common: a name, a path, policies, tags.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{conflict, date, exists, no_such};
use crate::caller::Principal;
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, tag_list};
use crate::operations::Context;

/// Which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EntityKind {
    /// A person or a program with keys of its own.
    User,
    /// Users that share policies.
    Group,
    /// What may be assumed.
    Role,
}

impl EntityKind {
    /// As ARNs and messages spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
            Self::Role => "Role",
        }
    }

    fn id_prefix(self) -> &'static str {
        match self {
            Self::User => "AIDA",
            Self::Group => "AGPA",
            Self::Role => "AROA",
        }
    }

    /// The member that names one, `RoleName`.
    pub fn member(self) -> String {
        format!("{}Name", self.title())
    }

    /// The kind that an input names, with the name.
    pub fn named(input: &Value) -> Option<(Self, &str)> {
        [Self::Role, Self::User, Self::Group]
            .into_iter()
            .find_map(|kind| Some((kind, input.text(&kind.member())?)))
    }
}

/// A user, group or role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Which kind.
    pub kind: EntityKind,
    /// Its name.
    pub name: String,
    /// `/` or `/…/`.
    pub path: String,
    /// Its unique id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Inline policies by name.
    pub inline: BTreeMap<String, String>,
    /// ARNs of attached managed policies.
    pub attached: BTreeSet<String>,
    /// The ARN of the permissions boundary.
    pub boundary: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Roles: who may assume it.
    pub trust: Option<String>,
    /// Roles: a sentence.
    pub description: Option<String>,
    /// Roles: the longest session, in seconds.
    pub max_session: i64,
    /// Users: its groups.
    pub groups: BTreeSet<String>,
}

impl Entity {
    /// A new one as a request asks for it.
    ///
    /// # Errors
    /// When its path or boundary cannot be.
    pub fn new(context: &Context, kind: EntityKind, input: &Value) -> Result<Self, ApiError> {
        let name = input.required(&kind.member()).to_owned();
        let path = input.text("Path").unwrap_or("/").to_owned();
        if !path.starts_with('/') || !path.ends_with('/') {
            let message = format!(
                "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters: {path}"
            );
            return Err(ApiError::bad_request("ValidationError", message));
        }
        Ok(Self {
            arn: format!("arn:aws:iam::{}:{}{path}{name}", context.caller.account, kind.name()),
            kind,
            name,
            path,
            id: super::unique_id(context, kind.id_prefix()),
            created_at: context.region.clock.now(),
            inline: BTreeMap::new(),
            attached: BTreeSet::new(),
            boundary: input.text("PermissionsBoundary").map(str::to_owned),
            tags: super::tag::given(input)?,
            trust: input.text("AssumeRolePolicyDocument").map(str::to_owned),
            description: input.text("Description").map(str::to_owned),
            max_session: input.number("MaxSessionDuration").unwrap_or(3600),
            groups: BTreeSet::new(),
        })
    }

    /// As answers show it.
    pub fn view(&self) -> Value {
        let title = self.kind.title();
        let mut view = json!({
            "Path": self.path, format!("{title}Name"): self.name, format!("{title}Id"): self.id, "Arn": self.arn,
            "CreateDate": date(self.created_at),
        });
        if self.kind == EntityKind::Role {
            view["AssumeRolePolicyDocument"] = encoded(self.trust.as_deref().unwrap_or_default()).into();
            view["MaxSessionDuration"] = self.max_session.into();
            view["Description"] = self.description.clone().into();
        }
        if self.kind != EntityKind::Group {
            if !self.tags.is_empty() {
                view["Tags"] = tag_list(&self.tags);
            }
            if let Some(boundary) = &self.boundary {
                view["PermissionsBoundary"] =
                    json!({"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": boundary});
            }
        }
        view
    }

    /// Refuses to delete what still has policies.
    ///
    /// # Errors
    /// `DeleteConflict`.
    pub fn require_bare(&self) -> Result<(), ApiError> {
        if !self.attached.is_empty() {
            return Err(conflict("Cannot delete entity, must detach all policies first."));
        }
        if !self.inline.is_empty() {
            return Err(conflict("Cannot delete entity, must delete policies first."));
        }
        Ok(())
    }
}

/// A policy document as IAM's answers carry it: percent-encoded.
pub fn encoded(document: &str) -> String {
    utf8_percent_encode(document, NON_ALPHANUMERIC).to_string()
}

/// The entity of that kind and name.
///
/// # Errors
/// `NoSuchEntity`.
pub fn find<'a>(state: &'a State, kind: EntityKind, name: &str) -> Result<&'a Entity, ApiError> {
    let found = state.entities.get(&(kind, name.to_owned()));
    found.ok_or_else(|| no_such(format!("The {} with name {name} cannot be found.", kind.name())))
}

/// The entity that an input names, or the user who calls.
///
/// # Errors
/// `ValidationError` when nobody is named and the caller is no user.
pub fn meant<'a>(context: &'a Context, input: &'a Value) -> Result<(EntityKind, &'a str), ApiError> {
    if let Some(named) = EntityKind::named(input) {
        return Ok(named);
    }
    match &context.caller.principal {
        Principal::User(name) => Ok((EntityKind::User, name)),
        Principal::Administrator => Ok((EntityKind::User, &context.caller.name)),
        Principal::Role(_) | Principal::Anonymous => {
            let message = "Must specify userName when calling with non-User credentials";
            Err(ApiError::bad_request("ValidationError", message))
        }
    }
}

/// Whether the account's administrator asks about itself. It is not among IAM's users, as AWS's root is not.
pub fn is_administrator(context: &Context, input: &Value) -> bool {
    context.caller.principal == Principal::Administrator && EntityKind::named(input).is_none()
}

/// Makes an entity and answers it below its kind's name.
///
/// # Errors
/// `EntityAlreadyExists`.
pub async fn create(context: &Context, entity: Entity) -> Result<Value, ApiError> {
    let title = entity.kind.title();
    let answer = json!({ title: entity.view() });
    let made = context.region.ledger.change(|state| {
        if find(state, entity.kind, &entity.name).is_ok() {
            return Err(exists(format!("{title} with name {} already exists.", entity.name)));
        }
        if let Some(boundary) = &entity.boundary {
            super::policy::document(state, boundary)?;
        }
        Ok(((), vec![Change::put(entity)]))
    });
    made.await?;
    Ok(answer)
}

/// Changes the entity that an input names.
///
/// # Errors
/// When it is not there, or what the edit answers.
pub async fn edit<T>(
    context: &Context,
    input: &Value,
    change: impl FnOnce(&State, &mut Entity) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let (kind, name) = meant(context, input)?;
    let decide = |state: &State| {
        let before = find(state, kind, name)?;
        let mut entity = before.clone();
        let answer = change(state, &mut entity)?;
        let changes = if entity == *before {
            Vec::new()
        } else {
            vec![Change::put(entity)]
        };
        Ok((answer, changes))
    };
    context.region.ledger.change(decide).await
}

/// Reads the entity that an input names; users may leave their own name out.
///
/// # Errors
/// When it is not there.
pub fn look<T>(context: &Context, input: &Value, view: impl FnOnce(&State, &Entity) -> T) -> Result<T, ApiError> {
    let (kind, name) = meant(context, input)?;
    context
        .region
        .ledger
        .read(|state| Ok(view(state, find(state, kind, name)?)))
}

/// The entities of a kind below a path.
pub fn list(context: &Context, kind: EntityKind, input: &Value) -> Result<Value, ApiError> {
    let prefix = input.text("PathPrefix").unwrap_or("/");
    let items = context.region.ledger.read(|state| {
        let own = state
            .entities
            .values()
            .filter(|entity| entity.kind == kind && entity.path.starts_with(prefix));
        own.map(Entity::view)
            .map(|mut view| {
                // Lists leave out what is long.
                view["Tags"] = Value::Null;
                view["PermissionsBoundary"] = Value::Null;
                view
            })
            .collect()
    });
    super::page(items, &format!("{}s", kind.title()), input)
}
