//! Roles and policies.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Updated, Wanted, is_gone, unsupported};
use crate::error::ApiError;
use crate::iam::entity::EntityKind;
use crate::ledger::State;
use crate::members::Members;

/// A document: templates write it as a map, or as text.
fn document(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn fine(result: Result<Value, ApiError>, code: &str) -> Result<(), ApiError> {
    match result {
        Err(error) if error.code == code => Ok(()),
        other => other.map(drop),
    }
}

/// Makes one.
///
/// # Errors
/// What IAM answers.
pub async fn create(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let properties = wanted.properties;
    match wanted.kind {
        "AWS::IAM::Role" => {
            let name = wanted.name("RoleName", 64);
            let input = json!({
                "RoleName": name, "Path": properties.text("Path"), "Description": properties.text("Description"),
                "AssumeRolePolicyDocument": document(&properties["AssumeRolePolicyDocument"]),
                "MaxSessionDuration": properties.number("MaxSessionDuration"),
                "PermissionsBoundary": properties.text("PermissionsBoundary"), "Tags": user_tags(wanted),
            });
            own_only(wanted, wanted.call("iam", "CreateRole", input).await, "RoleName")?;
            policies(wanted, HeldBy::Role(&name), &Value::Null).await?;
            Ok(name)
        }
        "AWS::IAM::Policy" => {
            inline(wanted, "Put").await?;
            Ok(wanted.generated_name(64))
        }
        "AWS::IAM::ManagedPolicy" => {
            let name = wanted.name("ManagedPolicyName", 128);
            let path = properties.text("Path").unwrap_or("/");
            let input = json!({
                "PolicyName": name, "Path": path, "PolicyDocument": document(&properties["PolicyDocument"]),
                "Description": properties.text("Description"),
            });
            own_only(
                wanted,
                wanted.call("iam", "CreatePolicy", input).await,
                "ManagedPolicyName",
            )?;
            let arn = format!("arn:aws:iam::{}:policy{path}{name}", wanted.context.caller.account);
            attach(wanted, &arn, "Attach").await?;
            Ok(arn)
        }
        "AWS::IAM::InstanceProfile" => profile(wanted).await,
        "AWS::IAM::OIDCProvider" => {
            let input = json!({
                "Url": properties.text("Url"), "ClientIDList": properties.get("ClientIdList"),
                "ThumbprintList": properties.get("ThumbprintList"),
            });
            let answer = wanted.call("iam", "CreateOpenIDConnectProvider", input).await?;
            Ok(answer.required("OpenIDConnectProviderArn").to_owned())
        }
        kind => Err(unsupported(kind)),
    }
}

async fn profile(wanted: &Wanted<'_>) -> Result<String, ApiError> {
    let properties = wanted.properties;
    let name = wanted.name("InstanceProfileName", 128);
    let input = json!({"InstanceProfileName": name, "Path": properties.text("Path")});
    own_only(
        wanted,
        wanted.call("iam", "CreateInstanceProfile", input).await,
        "InstanceProfileName",
    )?;
    for role in properties.texts("Roles") {
        let input = json!({"InstanceProfileName": name, "RoleName": role});
        fine(
            wanted.call("iam", "AddRoleToInstanceProfile", input).await,
            "LimitExceeded",
        )?;
    }
    Ok(name)
}

/// A generated name is only ever this stack's, so one that is taken was made before the process was killed; a name of the
/// template's own may be anybody's.
pub(super) fn own_only(wanted: &Wanted<'_>, result: Result<Value, ApiError>, member: &str) -> Result<(), ApiError> {
    match result {
        Err(error) if error.code == "EntityAlreadyExists" && wanted.properties.text(member).is_none() => Ok(()),
        other => other.map(drop),
    }
}

/// IAM takes no tags of AWS's own.
pub(super) fn user_tags(wanted: &Wanted<'_>) -> Vec<Value> {
    let mut tags = wanted.tags.clone();
    tags.extend(wanted.properties.tags("Tags"));
    tags.into_iter()
        .map(|(key, value)| json!({"Key": key, "Value": value}))
        .collect()
}

/// Who holds policies.
#[derive(Clone, Copy)]
pub(super) enum HeldBy<'a> {
    /// The role of that name.
    Role(&'a str),
    /// The user of that name.
    User(&'a str),
    /// The group of that name.
    Group(&'a str),
}

impl HeldBy<'_> {
    /// `Role`, `User` or `Group`, as operations are called.
    fn kind(self) -> &'static str {
        match self {
            Self::Role(_) => "Role",
            Self::User(_) => "User",
            Self::Group(_) => "Group",
        }
    }

    /// An input that names it, with more members.
    fn input(self, more: Value) -> Value {
        let (Self::Role(name) | Self::User(name) | Self::Group(name)) = self;
        let mut input = more;
        input[format!("{}Name", self.kind())] = name.into();
        input
    }
}

/// Managed and inline policies of a role, user or group: those of the template, and no longer those of before.
pub(super) async fn policies(wanted: &Wanted<'_>, of: HeldBy<'_>, before: &Value) -> Result<(), ApiError> {
    let kind = of.kind();
    let set = |properties: &Value| -> BTreeSet<String> {
        let arns = properties.texts("ManagedPolicyArns").into_iter();
        arns.map(str::to_owned).collect()
    };
    let (now, then) = (set(wanted.properties), set(before));
    for arn in &now {
        let input = of.input(json!({ "PolicyArn": arn }));
        wanted.call("iam", &format!("Attach{kind}Policy"), input).await?;
    }
    for arn in then.difference(&now) {
        let input = of.input(json!({ "PolicyArn": arn }));
        let called = wanted.call("iam", &format!("Detach{kind}Policy"), input).await;
        fine(called, "NoSuchEntity")?;
    }
    let names = |properties: &Value| -> BTreeSet<String> {
        let policies = properties.list("Policies").iter();
        policies
            .filter_map(|policy| policy.text("PolicyName").map(str::to_owned))
            .collect()
    };
    for policy in wanted.properties.list("Policies") {
        let input = of.input(json!({
            "PolicyName": policy.text("PolicyName"), "PolicyDocument": document(&policy["PolicyDocument"]),
        }));
        wanted.call("iam", &format!("Put{kind}Policy"), input).await?;
    }
    for name in names(before).difference(&names(wanted.properties)) {
        let input = of.input(json!({ "PolicyName": name }));
        let called = wanted.call("iam", &format!("Delete{kind}Policy"), input).await;
        fine(called, "NoSuchEntity")?;
    }
    Ok(())
}

/// Takes every policy from a role, user or group.
pub(super) async fn without_policies(wanted: &Wanted<'_>, of: HeldBy<'_>) -> Result<(), ApiError> {
    let kind = of.kind();
    let listed = format!("ListAttached{kind}Policies");
    let attached = wanted.call("iam", &listed, of.input(json!({}))).await?;
    for policy in attached.list("AttachedPolicies") {
        let input = of.input(json!({ "PolicyArn": policy.text("PolicyArn") }));
        wanted.call("iam", &format!("Detach{kind}Policy"), input).await?;
    }
    let listed = format!("List{kind}Policies");
    let inline = wanted.call("iam", &listed, of.input(json!({}))).await?;
    for name in inline.texts("PolicyNames") {
        let input = of.input(json!({ "PolicyName": name }));
        wanted.call("iam", &format!("Delete{kind}Policy"), input).await?;
    }
    Ok(())
}

const HOLDERS: &[(&str, &str)] = &[("Roles", "Role"), ("Users", "User"), ("Groups", "Group")];

/// Puts an inline policy into those that the template names, or takes it out.
async fn inline(wanted: &Wanted<'_>, verb: &str) -> Result<(), ApiError> {
    for (member, kind) in HOLDERS {
        for name in wanted.properties.texts(member) {
            let mut input = json!({format!("{kind}Name"): name, "PolicyName": wanted.properties.text("PolicyName")});
            if verb == "Put" {
                input["PolicyDocument"] = document(&wanted.properties["PolicyDocument"]).into();
            }
            let called = wanted.call("iam", &format!("{verb}{kind}Policy"), input).await;
            fine(called, if verb == "Put" { "" } else { "NoSuchEntity" })?;
        }
    }
    Ok(())
}

/// Attaches a managed policy to those that the template names, or detaches it.
async fn attach(wanted: &Wanted<'_>, arn: &str, verb: &str) -> Result<(), ApiError> {
    for (member, kind) in HOLDERS {
        for name in wanted.properties.texts(member) {
            let input = json!({format!("{kind}Name"): name, "PolicyArn": arn});
            let called = wanted.call("iam", &format!("{verb}{kind}Policy"), input).await;
            fine(called, if verb == "Attach" { "" } else { "NoSuchEntity" })?;
        }
    }
    Ok(())
}

/// Changes one.
///
/// # Errors
/// What IAM answers.
pub async fn update(wanted: &Wanted<'_>, physical: &str, before: &Value) -> Result<Updated, ApiError> {
    match wanted.kind {
        "AWS::IAM::Role" => {
            let trust = json!({"RoleName": physical, "PolicyDocument": document(&wanted.properties["AssumeRolePolicyDocument"])});
            wanted.call("iam", "UpdateAssumeRolePolicy", trust).await?;
            let input = json!({
                "RoleName": physical, "Description": wanted.properties.text("Description").unwrap_or_default(),
                "MaxSessionDuration": wanted.properties.number("MaxSessionDuration").unwrap_or(3600),
            });
            wanted.call("iam", "UpdateRole", input).await?;
            policies(wanted, HeldBy::Role(physical), before).await?;
        }
        "AWS::IAM::Policy" => inline(wanted, "Put").await?,
        "AWS::IAM::ManagedPolicy" => {
            let input = json!({"PolicyArn": physical, "PolicyDocument": document(&wanted.properties["PolicyDocument"]), "SetAsDefault": true});
            wanted.call("iam", "CreatePolicyVersion", input).await?;
            attach(wanted, physical, "Attach").await?;
        }
        "AWS::IAM::OIDCProvider" => {
            let input = json!({"OpenIDConnectProviderArn": physical, "ThumbprintList": wanted.properties.get("ThumbprintList")});
            wanted
                .call("iam", "UpdateOpenIDConnectProviderThumbprint", input)
                .await?;
        }
        _ => return Ok(Updated::Replace),
    }
    Ok(Updated::Done)
}

/// Removes one.
///
/// # Errors
/// What IAM answers.
pub async fn delete(wanted: &Wanted<'_>, physical: &str) -> Result<(), ApiError> {
    match wanted.kind {
        "AWS::IAM::Role" => delete_role(wanted, physical).await?,
        "AWS::IAM::Policy" => inline(wanted, "Delete").await?,
        "AWS::IAM::ManagedPolicy" => delete_managed(wanted, physical).await?,
        "AWS::IAM::InstanceProfile" => {
            for role in wanted.properties.texts("Roles") {
                let removed = wanted
                    .call(
                        "iam",
                        "RemoveRoleFromInstanceProfile",
                        json!({"InstanceProfileName": physical, "RoleName": role}),
                    )
                    .await;
                if let Err(error) = removed
                    && !is_gone(&error.code)
                {
                    return Err(error);
                }
            }
            wanted
                .call(
                    "iam",
                    "DeleteInstanceProfile",
                    json!({ "InstanceProfileName": physical }),
                )
                .await?;
        }
        "AWS::IAM::OIDCProvider" => {
            wanted
                .call(
                    "iam",
                    "DeleteOpenIDConnectProvider",
                    json!({ "OpenIDConnectProviderArn": physical }),
                )
                .await?;
        }
        kind => return Err(unsupported(kind)),
    }
    Ok(())
}

async fn delete_role(wanted: &Wanted<'_>, physical: &str) -> Result<(), ApiError> {
    without_policies(wanted, HeldBy::Role(physical)).await?;
    wanted
        .call("iam", "DeleteRole", json!({ "RoleName": physical }))
        .await?;
    Ok(())
}

async fn delete_managed(wanted: &Wanted<'_>, physical: &str) -> Result<(), ApiError> {
    attach(wanted, physical, "Detach").await?;
    let versions = wanted
        .call("iam", "ListPolicyVersions", json!({ "PolicyArn": physical }))
        .await?;
    for version in versions
        .list("Versions")
        .iter()
        .filter(|version| version.flag("IsDefaultVersion") == Some(false))
    {
        let input = json!({"PolicyArn": physical, "VersionId": version.text("VersionId")});
        wanted.call("iam", "DeletePolicyVersion", input).await?;
    }
    wanted
        .call("iam", "DeletePolicy", json!({ "PolicyArn": physical }))
        .await?;
    Ok(())
}

/// What `Fn::GetAtt` gives.
pub fn attribute(state: &State, kind: &str, physical: &str, name: &str) -> Option<Value> {
    match (kind, name) {
        ("AWS::IAM::Role", "Arn") => state
            .entities
            .get(&(EntityKind::Role, physical.to_owned()))
            .map(|role| json!(role.arn)),
        ("AWS::IAM::Role", "RoleId") => state
            .entities
            .get(&(EntityKind::Role, physical.to_owned()))
            .map(|role| json!(role.id)),
        ("AWS::IAM::InstanceProfile", "Arn") => state.instance_profiles.get(physical).map(|profile| json!(profile.arn)),
        ("AWS::IAM::ManagedPolicy", "PolicyArn") | ("AWS::IAM::OIDCProvider", "Arn") => Some(json!(physical)),
        _ => None,
    }
}
