//! Instance profiles: what carries a role into an instance.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entity::{self, Entity, EntityKind};
use super::{conflict, date, exists, no_such};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

/// An instance profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceProfile {
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
    /// The role in it: IAM allows one.
    pub role: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A profile as answers show it.
pub fn view(state: &State, profile: &InstanceProfile) -> Value {
    let role = profile
        .role
        .as_ref()
        .and_then(|name| entity::find(state, EntityKind::Role, name).ok());
    let mut view = json!({
        "Path": profile.path, "InstanceProfileName": profile.name, "InstanceProfileId": profile.id, "Arn": profile.arn,
        "CreateDate": date(profile.created_at), "Roles": role.into_iter().map(Entity::view).collect::<Vec<_>>(),
    });
    if !profile.tags.is_empty() {
        view["Tags"] = tag_list(&profile.tags);
    }
    view
}

fn find<'a>(state: &'a State, name: &str) -> Result<&'a InstanceProfile, ApiError> {
    let found = state.instance_profiles.get(name);
    found.ok_or_else(|| no_such(format!("Instance Profile {name} cannot be found.")))
}

/// `CreateInstanceProfile`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let (name, path) = (input.required("InstanceProfileName"), input.text("Path").unwrap_or("/"));
    let profile = InstanceProfile {
        name: name.to_owned(),
        path: path.to_owned(),
        id: super::unique_id(&context, "AIPA"),
        arn: format!("arn:aws:iam::{}:instance-profile{path}{name}", context.caller.account),
        created_at: context.region.clock.now(),
        role: None,
        tags: super::tag::given(&input)?,
    };
    let made = context.region.ledger.change(|state| {
        if find(state, name).is_ok() {
            return Err(exists(format!("Instance Profile {name} already exists.")));
        }
        Ok((
            json!({ "InstanceProfile": view(state, &profile) }),
            vec![Change::put(profile)],
        ))
    });
    made.await
}

/// `GetInstanceProfile`.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    let look = |state: &State| {
        Ok(json!({ "InstanceProfile": view(state, find(state, input.required("InstanceProfileName"))?) }))
    };
    context.region.ledger.read(look)
}

/// `ListInstanceProfiles`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let prefix = input.text("PathPrefix").unwrap_or("/");
    let items = context.region.ledger.read(|state| {
        let own = state
            .instance_profiles
            .values()
            .filter(|profile| profile.path.starts_with(prefix));
        own.map(|profile| view(state, profile)).collect()
    });
    super::page(items, "InstanceProfiles", &input)
}

/// `ListInstanceProfilesForRole`.
pub async fn of_role(context: Context, input: Value) -> Result<Value, ApiError> {
    let items = entity::look(&context, &input, |state, role| {
        let own = state
            .instance_profiles
            .values()
            .filter(|profile| profile.role.as_ref() == Some(&role.name));
        own.map(|profile| view(state, profile)).collect()
    })?;
    super::page(items, "InstanceProfiles", &input)
}

/// `DeleteInstanceProfile`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("InstanceProfileName");
    let change = context.region.ledger.change(|state| {
        if find(state, name)?.role.is_some() {
            return Err(conflict(
                "Cannot delete entity, must remove roles from instance profile first.",
            ));
        }
        Ok(((), vec![Change::remove::<InstanceProfile>(name.to_owned())]))
    });
    change.await?;
    Ok(nothing())
}

async fn edit(
    context: &Context,
    input: &Value,
    change: impl FnOnce(&State, &mut InstanceProfile) -> Result<(), ApiError>,
) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let mut profile = find(state, input.required("InstanceProfileName"))?.clone();
        change(state, &mut profile)?;
        Ok::<_, ApiError>(((), vec![Change::put(profile)]))
    };
    context.region.ledger.change(decide).await?;
    Ok(nothing())
}

/// `AddRoleToInstanceProfile`.
pub async fn add_role(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |state, profile| {
        let role = entity::find(state, EntityKind::Role, input.required("RoleName"))?;
        if profile.role.is_some() {
            let message = "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1";
            return Err(ApiError::new("LimitExceeded", StatusCode::CONFLICT, message));
        }
        profile.role = Some(role.name.clone());
        Ok(())
    })
    .await
}

/// `RemoveRoleFromInstanceProfile`.
pub async fn remove_role(context: Context, input: Value) -> Result<Value, ApiError> {
    let role = input.required("RoleName");
    edit(&context, &input, |_, profile| {
        if profile.role.as_deref() != Some(role) {
            return Err(no_such(format!("The role with name {role} cannot be found.")));
        }
        profile.role = None;
        Ok(())
    })
    .await
}

/// `TagInstanceProfile`.
pub async fn tag(context: Context, input: Value) -> Result<Value, ApiError> {
    let tags = super::tag::given(&input)?;
    edit(&context, &input, |_, profile| {
        profile.tags.extend(tags);
        Ok(())
    })
    .await
}

/// `UntagInstanceProfile`.
pub async fn untag(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |_, profile| {
        let keys = input.texts("TagKeys");
        profile.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(())
    })
    .await
}

/// `ListInstanceProfileTags`.
pub async fn list_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    let look = |state: &State| Ok::<_, ApiError>(tag_list(&find(state, input.required("InstanceProfileName"))?.tags));
    let tags = context.region.ledger.read(look)?;
    super::page(tags.as_array().cloned().unwrap_or_default(), "Tags", &input)
}
