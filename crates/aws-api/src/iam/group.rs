//! Groups and who is in them.

use serde_json::{Value, json};

use super::entity::{self, Entity, EntityKind};
use super::{conflict, exists};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// `CreateGroup`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let group = Entity::new(&context, EntityKind::Group, &input)?;
    entity::create(&context, group).await
}

fn members<'a>(state: &'a State, group: &'a str) -> impl Iterator<Item = &'a Entity> {
    state
        .entities
        .values()
        .filter(move |user| user.kind == EntityKind::User && user.groups.contains(group))
}

/// `GetGroup`: the group with its users.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    let (group, users) = entity::look(&context, &input, |state, group| {
        (group.view(), members(state, &group.name).map(Entity::view).collect())
    })?;
    let mut answer = super::page(users, "Users", &input)?;
    answer["Group"] = group;
    Ok(answer)
}

/// `ListGroups`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    entity::list(&context, EntityKind::Group, &input)
}

/// `UpdateGroup`: a new name or path.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("GroupName");
    let change = context.region.ledger.change(|state| {
        let before = entity::find(state, EntityKind::Group, name)?;
        let mut group = before.clone();
        let mut changes = Vec::new();
        if let Some(new) = input.text("NewGroupName").filter(|new| *new != name) {
            if entity::find(state, EntityKind::Group, new).is_ok() {
                return Err(exists(format!("Group with name {new} already exists.")));
            }
            group.name = new.to_owned();
            changes.extend(members(state, name).map(|user| {
                let mut user = user.clone();
                user.groups.remove(name);
                user.groups.insert(new.to_owned());
                Change::put(user)
            }));
        }
        group.path = input.text("NewPath").unwrap_or(&group.path).to_owned();
        group.arn = format!(
            "arn:aws:iam::{}:group{}{}",
            context.caller.account, group.path, group.name
        );
        changes.push(Change::remove::<Entity>((EntityKind::Group, name.to_owned())));
        changes.push(Change::put(group));
        Ok(((), changes))
    });
    change.await?;
    Ok(nothing())
}

/// `DeleteGroup`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("GroupName");
    let change = context.region.ledger.change(|state| {
        entity::find(state, EntityKind::Group, name)?.require_bare()?;
        if members(state, name).next().is_some() {
            return Err(conflict("Cannot delete entity, must remove users from group first."));
        }
        Ok(((), vec![Change::remove::<Entity>((EntityKind::Group, name.to_owned()))]))
    });
    change.await?;
    Ok(nothing())
}

/// `AddUserToGroup`.
pub async fn add_user(context: Context, input: Value) -> Result<Value, ApiError> {
    membership(&context, &input, |user, group| {
        user.groups.insert(group);
    })
    .await
}

/// `RemoveUserFromGroup`.
pub async fn remove_user(context: Context, input: Value) -> Result<Value, ApiError> {
    membership(&context, &input, |user, group| {
        user.groups.remove(&group);
    })
    .await
}

async fn membership(context: &Context, input: &Value, edit: fn(&mut Entity, String)) -> Result<Value, ApiError> {
    let group = input.required("GroupName");
    let user = json!({ "UserName": input.required("UserName") });
    entity::edit(context, &user, |state, user| {
        entity::find(state, EntityKind::Group, group)?;
        edit(user, group.to_owned());
        Ok(())
    })
    .await?;
    Ok(nothing())
}

/// `ListGroupsForUser`.
pub async fn of_user(context: Context, input: Value) -> Result<Value, ApiError> {
    let groups = entity::look(&context, &input, |state, user| {
        let groups = user
            .groups
            .iter()
            .filter_map(|name| entity::find(state, EntityKind::Group, name).ok());
        groups.map(Entity::view).collect()
    })?;
    super::page(groups, "Groups", &input)
}
