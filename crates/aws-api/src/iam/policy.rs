//! Managed policies and their versions: the account's own, and AWS's.

use std::collections::BTreeMap;

use access_rules::iam_policy::{Document, MalformedPolicy};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entity::{EntityKind, encoded};
use super::{aws_managed, conflict, date, exists, no_such};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

/// A managed policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub id: String,
    /// `/` or `/…/`.
    pub path: String,
    /// A sentence.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Documents by version number.
    pub versions: BTreeMap<u32, Version>,
    /// The version that counts.
    pub default: u32,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A version of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The document.
    pub document: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The most versions of a policy.
const MOST_VERSIONS: usize = 5;

/// Refuses what is no policy of an identity.
///
/// # Errors
/// `MalformedPolicyDocument`.
pub fn check(document: &str) -> Result<(), ApiError> {
    accepted(Document::identity(document))
}

/// Refuses what is no managed policy.
fn check_managed(document: &str) -> Result<(), ApiError> {
    accepted(Document::managed(document))
}

fn accepted(read: Result<Document, MalformedPolicy>) -> Result<(), ApiError> {
    read.map(drop)
        .map_err(|error| ApiError::bad_request("MalformedPolicyDocument", error.to_string()))
}

/// The policy of that ARN, of the account or of AWS.
///
/// # Errors
/// `NoSuchEntity`.
pub fn find(state: &State, arn: &str) -> Result<ManagedPolicy, ApiError> {
    let found = state.policies.get(arn).cloned().or_else(|| aws_managed::find(arn));
    found.ok_or_else(|| no_such(format!("Policy {arn} was not found.")))
}

/// The document that counts of a policy.
///
/// # Errors
/// `NoSuchEntity`.
pub fn document(state: &State, arn: &str) -> Result<String, ApiError> {
    let policy = find(state, arn)?;
    let version = policy.versions.get(&policy.default);
    version
        .map(|version| version.document.clone())
        .ok_or_else(|| version_not_found(arn, policy.default))
}

fn version_not_found(arn: &str, version: u32) -> ApiError {
    no_such(format!(
        "Policy {arn} version v{version} does not exist or is not attachable."
    ))
}

fn view(state: &State, policy: &ManagedPolicy) -> Value {
    let attached = state
        .entities
        .values()
        .filter(|entity| entity.attached.contains(&policy.arn))
        .count();
    let bounds = state
        .entities
        .values()
        .filter(|entity| entity.boundary.as_ref() == Some(&policy.arn))
        .count();
    json!({
        "PolicyName": policy.name, "PolicyId": policy.id, "Arn": policy.arn, "Path": policy.path,
        "DefaultVersionId": format!("v{}", policy.default), "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": bounds, "IsAttachable": true, "Description": policy.description,
        "CreateDate": date(policy.created_at), "UpdateDate": date(policy.updated_at), "Tags": tag_list(&policy.tags),
    })
}

/// `CreatePolicy`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let text = input.required("PolicyDocument").to_owned();
    check_managed(&text)?;
    let (name, path) = (input.required("PolicyName"), input.text("Path").unwrap_or("/"));
    let now = context.region.clock.now();
    let policy = ManagedPolicy {
        arn: format!("arn:aws:iam::{}:policy{path}{name}", context.caller.account),
        name: name.to_owned(),
        id: super::unique_id(&context, "ANPA"),
        path: path.to_owned(),
        description: input.text("Description").map(str::to_owned),
        created_at: now,
        updated_at: now,
        versions: [(
            1,
            Version {
                document: text,
                created_at: now,
            },
        )]
        .into(),
        default: 1,
        tags: super::tag::given(&input)?,
    };
    let made = context.region.ledger.change(|state| {
        if state.policies.contains_key(&policy.arn) {
            let message = format!("A policy called {name} already exists. Duplicate names are not allowed.");
            return Err(exists(message));
        }
        Ok((json!({ "Policy": view(state, &policy) }), vec![Change::put(policy)]))
    });
    made.await
}

/// `GetPolicy`.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    let look = |state: &State| Ok(json!({ "Policy": view(state, &find(state, input.required("PolicyArn"))?) }));
    context.region.ledger.read(look)
}

/// `ListPolicies`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let scope = input.text("Scope").unwrap_or("All");
    let prefix = input.text("PathPrefix").unwrap_or("/");
    let only_attached = input.flag("OnlyAttached").unwrap_or(false);
    let items = context.region.ledger.read(|state| {
        let own = state.policies.values().filter(|_| scope != "AWS").cloned();
        let all = own.chain(aws_managed::all().filter(|_| scope != "Local"));
        all.filter(|policy| policy.path.starts_with(prefix))
            .map(|policy| view(state, &policy))
            .filter(|view| !only_attached || view.number("AttachmentCount") != Some(0))
            .map(|mut view| {
                // Lists leave tags and descriptions out.
                view["Tags"] = Value::Null;
                view["Description"] = Value::Null;
                view
            })
            .collect()
    });
    super::page(items, "Policies", &input)
}

async fn edit<T>(
    context: &Context,
    input: &Value,
    change: impl FnOnce(&State, &mut ManagedPolicy) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let arn = input.required("PolicyArn");
    let decide = |state: &State| {
        let mut policy = find(state, arn)?;
        if !state.policies.contains_key(arn) {
            let message = format!("Policy {arn} is managed by AWS and cannot be changed.");
            return Err(ApiError::new("AccessDenied", StatusCode::FORBIDDEN, message));
        }
        let answer = change(state, &mut policy)?;
        Ok((answer, vec![Change::put(policy)]))
    };
    context.region.ledger.change(decide).await
}

/// `DeletePolicy`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("PolicyArn");
    let change = context.region.ledger.change(|state| {
        let policy = state.policies.get(arn).ok_or_else(|| no_such(format!("Policy {arn} was not found.")))?;
        if state.entities.values().any(|entity| entity.attached.contains(arn) || entity.boundary.as_deref() == Some(arn)) {
            return Err(conflict("Cannot delete a policy attached to entities."));
        }
        if policy.versions.len() > 1 {
            return Err(conflict("This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy."));
        }
        Ok(((), vec![Change::remove::<ManagedPolicy>(arn.to_owned())]))
    });
    change.await?;
    Ok(nothing())
}

fn version_view(policy: &ManagedPolicy, number: u32, with_document: bool) -> Option<Value> {
    let version = policy.versions.get(&number)?;
    let mut view = json!({
        "VersionId": format!("v{number}"), "IsDefaultVersion": number == policy.default,
        "CreateDate": date(version.created_at),
    });
    if with_document {
        view["Document"] = encoded(&version.document).into();
    }
    Some(view)
}

/// A policy with all its versions.
pub fn detail(state: &State, policy: &ManagedPolicy) -> Value {
    let mut whole = view(state, policy);
    if let Some(members) = whole.as_object_mut() {
        members.remove("Tags");
        members.remove("Description");
    }
    let versions = policy.versions.keys().rev();
    whole["PolicyVersionList"] = versions
        .filter_map(|number| version_view(policy, *number, true))
        .collect();
    whole
}

/// `v3` as a number.
fn version_number(input: &Value) -> u32 {
    input.required("VersionId").trim_start_matches('v').parse().unwrap_or(0)
}

/// `CreatePolicyVersion`.
pub async fn create_version(context: Context, input: Value) -> Result<Value, ApiError> {
    let text = input.required("PolicyDocument").to_owned();
    check_managed(&text)?;
    let now = context.region.clock.now();
    edit(&context, &input, |_, policy| {
        if policy.versions.len() >= MOST_VERSIONS {
            let message = "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.";
            return Err(ApiError::new("LimitExceeded", StatusCode::CONFLICT, message));
        }
        let number = policy.versions.keys().last().copied().unwrap_or(0) + 1;
        policy.versions.insert(number, Version { document: text, created_at: now });
        if input.flag("SetAsDefault") == Some(true) {
            policy.default = number;
        }
        policy.updated_at = now;
        Ok(json!({ "PolicyVersion": version_view(policy, number, false) }))
    })
    .await
}

/// `GetPolicyVersion`.
pub async fn get_version(context: Context, input: Value) -> Result<Value, ApiError> {
    let (arn, number) = (input.required("PolicyArn"), version_number(&input));
    let policy = context.region.ledger.read(|state| find(state, arn))?;
    let view = version_view(&policy, number, true).ok_or_else(|| version_not_found(arn, number))?;
    Ok(json!({ "PolicyVersion": view }))
}

/// `ListPolicyVersions`.
pub async fn list_versions(context: Context, input: Value) -> Result<Value, ApiError> {
    let policy = context
        .region
        .ledger
        .read(|state| find(state, input.required("PolicyArn")))?;
    let newest_first = policy.versions.keys().rev();
    let views = newest_first
        .filter_map(|number| version_view(&policy, *number, false))
        .collect();
    super::page(views, "Versions", &input)
}

/// `SetDefaultPolicyVersion`.
pub async fn set_default(context: Context, input: Value) -> Result<Value, ApiError> {
    let number = version_number(&input);
    edit(&context, &input, |_, policy| {
        if !policy.versions.contains_key(&number) {
            return Err(version_not_found(&policy.arn, number));
        }
        policy.default = number;
        Ok(nothing())
    })
    .await
}

/// `DeletePolicyVersion`.
pub async fn delete_version(context: Context, input: Value) -> Result<Value, ApiError> {
    let number = version_number(&input);
    edit(&context, &input, |_, policy| {
        if policy.default == number {
            return Err(conflict("Cannot delete the default version of a policy."));
        }
        policy
            .versions
            .remove(&number)
            .ok_or_else(|| version_not_found(&policy.arn, number))?;
        Ok(nothing())
    })
    .await
}

/// `TagPolicy`.
pub async fn tag(context: Context, input: Value) -> Result<Value, ApiError> {
    let tags = super::tag::given(&input)?;
    edit(&context, &input, |_, policy| {
        policy.tags.extend(tags);
        Ok(nothing())
    })
    .await
}

/// `UntagPolicy`.
pub async fn untag(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |_, policy| {
        let keys = input.texts("TagKeys");
        policy.tags.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(nothing())
    })
    .await
}

/// `ListPolicyTags`.
pub async fn list_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    let policy = context
        .region
        .ledger
        .read(|state| find(state, input.required("PolicyArn")))?;
    let tags = tag_list(&policy.tags);
    super::page(tags.as_array().cloned().unwrap_or_default(), "Tags", &input)
}

/// `ListEntitiesForPolicy`.
pub async fn entities(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("PolicyArn");
    context.region.ledger.read(|state| {
        find(state, arn)?;
        let filter = input.text("EntityFilter");
        let of = |kind: EntityKind| -> Value {
            let is_other = |filter: &str| {
                matches!(filter, "Role" | "User" | "Group") && kind.member() != format!("{filter}Name")
            };
            if filter.is_some_and(is_other) {
                return json!([]);
            }
            let title = kind.member().trim_end_matches("Name").to_owned();
            let own = state.entities.values().filter(|entity| entity.kind == kind && entity.attached.contains(arn));
            own.map(|entity| json!({ format!("{title}Name"): entity.name, format!("{title}Id"): entity.id })).collect()
        };
        Ok(json!({
            "PolicyGroups": of(EntityKind::Group), "PolicyUsers": of(EntityKind::User), "PolicyRoles": of(EntityKind::Role),
            "IsTruncated": false,
        }))
    })
}
