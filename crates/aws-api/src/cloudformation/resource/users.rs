//! Users, groups and access keys of templates.

use serde_json::{Value, json};

use super::iam::{HeldBy, own_only, policies, user_tags, without_policies};
use super::{Updated, Wanted, is_gone, unsupported};
use crate::error::ApiError;
use crate::iam::entity::EntityKind;
use crate::ledger::State;
use crate::members::Members;

/// Types of this module.
pub const KINDS: &[&str] = &[
    "AWS::IAM::AccessKey",
    "AWS::IAM::Group",
    "AWS::IAM::User",
    "AWS::IAM::UserToGroupAddition",
];

/// Properties that are changed without making a new one.
pub fn keeps(kind: &str) -> &'static [&'static str] {
    match kind {
        "AWS::IAM::User" => &[
            "Path",
            "Groups",
            "LoginProfile",
            "ManagedPolicyArns",
            "Policies",
            "PermissionsBoundary",
            "Tags",
        ],
        "AWS::IAM::Group" => &["Path", "ManagedPolicyArns", "Policies"],
        "AWS::IAM::AccessKey" => &["Status"],
        _ => &["Users"],
    }
}

/// Makes one.
///
/// # Errors
/// What IAM answers.
pub async fn create(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let properties = wanted.properties;
    match wanted.kind {
        "AWS::IAM::User" => {
            let name = wanted.name("UserName", 64);
            let input = json!({
                "UserName": name, "Path": properties.text("Path"), "Tags": user_tags(wanted),
                "PermissionsBoundary": properties.text("PermissionsBoundary"),
            });
            own_only(wanted, wanted.call("iam", "CreateUser", input).await, "UserName")?;
            user(wanted, &name, &Value::Null).await?;
            Ok(name)
        }
        "AWS::IAM::Group" => {
            let name = wanted.name("GroupName", 128);
            let input = json!({"GroupName": name, "Path": properties.text("Path")});
            own_only(wanted, wanted.call("iam", "CreateGroup", input).await, "GroupName")?;
            policies(wanted, HeldBy::Group(&name), &Value::Null).await?;
            Ok(name)
        }
        "AWS::IAM::AccessKey" => {
            let user = properties.required("UserName");
            let answer = wanted
                .call("iam", "CreateAccessKey", json!({ "UserName": user }))
                .await?;
            let id = answer["AccessKey"].required("AccessKeyId").to_owned();
            set_status(wanted, &id).await?;
            Ok(id)
        }
        "AWS::IAM::UserToGroupAddition" => {
            members(wanted, &Value::Null).await?;
            Ok(wanted.generated_name(128))
        }
        kind => Err(unsupported(kind)),
    }
}

/// Changes one.
///
/// # Errors
/// What IAM answers.
pub async fn update(wanted: &Wanted<'_>, physical: &str, before: &Value) -> Result<Updated, ApiError> {
    let path = wanted.properties.text("Path").unwrap_or("/");
    match wanted.kind {
        "AWS::IAM::User" => {
            let input = json!({"UserName": physical, "NewPath": path});
            wanted.call("iam", "UpdateUser", input).await?;
            user(wanted, physical, before).await?;
        }
        "AWS::IAM::Group" => {
            let input = json!({"GroupName": physical, "NewPath": path});
            wanted.call("iam", "UpdateGroup", input).await?;
            policies(wanted, HeldBy::Group(physical), before).await?;
        }
        "AWS::IAM::AccessKey" => set_status(wanted, physical).await?,
        _ => members(wanted, before).await?,
    }
    Ok(Updated::Done)
}

/// Policies, groups and password of a user.
async fn user(wanted: &Wanted<'_>, name: &str, before: &Value) -> Result<(), ApiError> {
    policies(wanted, HeldBy::User(name), before).await?;
    let now = wanted.properties.texts("Groups");
    for group in &now {
        let input = json!({"GroupName": group, "UserName": name});
        wanted.call("iam", "AddUserToGroup", input).await?;
    }
    for group in before.texts("Groups").iter().filter(|group| !now.contains(group)) {
        leave(wanted, group, name).await?;
    }
    let wanted_login = wanted.properties.get("LoginProfile").filter(|login| login.is_object());
    match (wanted_login, before.get("LoginProfile").is_some_and(Value::is_object)) {
        (Some(login), had) => {
            let input = json!({
                "UserName": name, "Password": login.text("Password"),
                "PasswordResetRequired": login.flag("PasswordResetRequired"),
            });
            let verb = if had { "Update" } else { "Create" };
            wanted.call("iam", &format!("{verb}LoginProfile"), input).await?;
        }
        (None, true) => delete_login(wanted, name).await?,
        (None, false) => {}
    }
    Ok(())
}

async fn delete_login(wanted: &Wanted<'_>, user: &str) -> Result<(), ApiError> {
    let gone = wanted
        .call("iam", "DeleteLoginProfile", json!({ "UserName": user }))
        .await;
    forgiven(gone)
}

async fn leave(wanted: &Wanted<'_>, group: &str, user: &str) -> Result<(), ApiError> {
    let input = json!({"GroupName": group, "UserName": user});
    forgiven(wanted.call("iam", "RemoveUserFromGroup", input).await)
}

/// What is gone already needs no removal.
fn forgiven(result: Result<Value, ApiError>) -> Result<(), ApiError> {
    match result {
        Err(error) if is_gone(&error.code) => Ok(()),
        other => other.map(drop),
    }
}

async fn set_status(wanted: &Wanted<'_>, id: &str) -> Result<(), ApiError> {
    let status = wanted.properties.text("Status").unwrap_or("Active");
    let input = json!({"UserName": wanted.properties.text("UserName"), "AccessKeyId": id, "Status": status});
    wanted.call("iam", "UpdateAccessKey", input).await.map(drop)
}

/// The users that a template adds to a group, and no longer those of before.
async fn members(wanted: &Wanted<'_>, before: &Value) -> Result<(), ApiError> {
    let group = wanted.properties.required("GroupName");
    let now = wanted.properties.texts("Users");
    for user in &now {
        let input = json!({"GroupName": group, "UserName": user});
        wanted.call("iam", "AddUserToGroup", input).await?;
    }
    for user in before.texts("Users").iter().filter(|user| !now.contains(user)) {
        leave(wanted, group, user).await?;
    }
    Ok(())
}

/// Removes one.
///
/// # Errors
/// What IAM answers.
pub async fn delete(wanted: &Wanted<'_>, physical: &str) -> Result<(), ApiError> {
    let properties = wanted.properties;
    match wanted.kind {
        "AWS::IAM::User" => {
            without_policies(wanted, HeldBy::User(physical)).await?;
            for group in properties.texts("Groups") {
                leave(wanted, group, physical).await?;
            }
            if properties.get("LoginProfile").is_some_and(Value::is_object) {
                delete_login(wanted, physical).await?;
            }
            wanted
                .call("iam", "DeleteUser", json!({ "UserName": physical }))
                .await?;
        }
        "AWS::IAM::Group" => {
            without_policies(wanted, HeldBy::Group(physical)).await?;
            wanted
                .call("iam", "DeleteGroup", json!({ "GroupName": physical }))
                .await?;
        }
        "AWS::IAM::AccessKey" => {
            let input = json!({"UserName": properties.text("UserName"), "AccessKeyId": physical});
            wanted.call("iam", "DeleteAccessKey", input).await?;
        }
        _ => {
            for user in properties.texts("Users") {
                leave(wanted, properties.required("GroupName"), user).await?;
            }
        }
    }
    Ok(())
}

/// What `Fn::GetAtt` gives.
pub fn attribute(state: &State, kind: &str, physical: &str, name: &str) -> Option<Value> {
    let arn = |kind: EntityKind| {
        let found = state.entities.get(&(kind, physical.to_owned()));
        found.map(|entity| json!(entity.arn))
    };
    match (kind, name) {
        ("AWS::IAM::User", "Arn") => arn(EntityKind::User),
        ("AWS::IAM::Group", "Arn") => arn(EntityKind::Group),
        ("AWS::IAM::AccessKey", "SecretAccessKey") => state.access_keys.get(physical).map(|key| json!(key.secret)),
        _ => None,
    }
}
