//! The account as a whole: its alias, sums, everything that is in it, and the report of credentials.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::entity::{Entity, EntityKind, encoded};
use super::{aws_managed, date, exists, no_such, policy, possession};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

/// The one key of what an account has once.
const ONE: &str = "account";

/// `CreateAccountAlias`: another takes the place of the one that was there.
pub async fn create_alias(context: Context, input: Value) -> Result<Value, ApiError> {
    let alias = input.required("AccountAlias");
    let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if !alias.chars().all(is_letter) || alias.starts_with('-') || alias.ends_with('-') || alias.contains("--") {
        let message = "The specified value for accountAlias is invalid. It must contain only lowercase alphanumeric characters and/or hyphens, and must not begin or end with a hyphen.";
        return Err(ApiError::bad_request("ValidationError", message));
    }
    let made = Item::new(ItemKind::AccountAlias, ONE, json!(alias));
    catalogue::create(&context, made, |state| {
        match catalogue::find(state, ItemKind::AccountAlias, ONE) {
            Some(known) if known.body == alias => Err(exists(format!("The account alias {alias} already exists."))),
            _ => Ok(()),
        }
    })
    .await?;
    Ok(nothing())
}

/// `DeleteAccountAlias`.
pub async fn delete_alias(context: Context, input: Value) -> Result<Value, ApiError> {
    let alias = input.required("AccountAlias");
    let decide = |state: &State| {
        let known = catalogue::find(state, ItemKind::AccountAlias, ONE).filter(|known| known.body == alias);
        let known = known.ok_or_else(|| no_such(format!("The Account Alias {alias} cannot be found.")))?;
        Ok((nothing(), vec![known.removal()]))
    };
    context.region.ledger.change(decide).await
}

/// `ListAccountAliases`.
pub async fn aliases(context: Context, _input: Value) -> Result<Value, ApiError> {
    let known: Vec<Value> = context.region.ledger.read(|state| {
        let all = catalogue::of_kind(state, ItemKind::AccountAlias);
        all.map(|item| item.body.clone()).collect()
    });
    Ok(json!({"AccountAliases": known, "IsTruncated": false}))
}

/// `GetAccountSummary`.
pub async fn summary(context: Context, _input: Value) -> Result<Value, ApiError> {
    let count = |state: &State| {
        let of = |kind: EntityKind| state.entities.values().filter(|entity| entity.kind == kind).count();
        let items = |kind: ItemKind| catalogue::of_kind(state, kind).count();
        let versions: usize = state.policies.values().map(|policy| policy.versions.len()).sum();
        json!({"SummaryMap": {
            "Users": of(EntityKind::User), "Groups": of(EntityKind::Group), "Roles": of(EntityKind::Role),
            "Policies": state.policies.len(), "InstanceProfiles": state.instance_profiles.len(),
            "Providers": state.oidc_providers.len() + items(ItemKind::SamlProvider),
            "MFADevices": items(ItemKind::MfaDevice), "MFADevicesInUse": items(ItemKind::MfaAssignment),
            "ServerCertificates": items(ItemKind::ServerCertificate), "PolicyVersionsInUse": versions,
            "AccountMFAEnabled": 0, "AccountAccessKeysPresent": 0, "AccountSigningCertificatesPresent": 0,
            "AccountPasswordPresent": 1, "GroupPolicySizeQuota": 5120, "InstanceProfilesQuota": 1000,
            "GroupsPerUserQuota": 10, "AttachedPoliciesPerUserQuota": 10, "PoliciesQuota": 1500, "AccessKeysPerUserQuota": 2,
            "AssumeRolePolicySizeQuota": 2048, "PolicyVersionsInUseQuota": 10000, "GlobalEndpointTokenVersion": 1,
            "VersionsPerPolicyQuota": 5, "AttachedPoliciesPerGroupQuota": 10, "PolicySizeQuota": 6144, "UsersQuota": 5000,
            "ServerCertificatesQuota": 20, "UserPolicySizeQuota": 2048, "RolesQuota": 1000, "SigningCertificatesPerUserQuota": 2,
            "RolePolicySizeQuota": 10240, "AttachedPoliciesPerRoleQuota": 10, "GroupsQuota": 300,
        }})
    };
    Ok(context.region.ledger.read(count))
}

fn attached(entity: &Entity) -> Value {
    let name = |arn: &String| arn.rsplit('/').next().unwrap_or_default().to_owned();
    let all = entity.attached.iter();
    all.map(|arn| json!({"PolicyName": name(arn), "PolicyArn": arn}))
        .collect()
}

/// A user, group or role with everything about it.
fn detail(state: &State, entity: &Entity) -> Value {
    let mut view = entity.view();
    let inline: Value = entity
        .inline
        .iter()
        .map(|(name, document)| json!({"PolicyName": name, "PolicyDocument": encoded(document)}))
        .collect();
    view["AttachedManagedPolicies"] = attached(entity);
    match entity.kind {
        EntityKind::Group => view["GroupPolicyList"] = inline,
        EntityKind::User => {
            view["UserPolicyList"] = inline;
            view["GroupList"] = json!(entity.groups);
            view["Tags"] = tag_list(&entity.tags);
        }
        EntityKind::Role => {
            view["RolePolicyList"] = inline;
            view["Tags"] = tag_list(&entity.tags);
            view["RoleLastUsed"] = json!({});
            let profiles = state.instance_profiles.values();
            let own = profiles.filter(|profile| profile.role.as_ref() == Some(&entity.name));
            view["InstanceProfileList"] = own.map(|profile| super::profile::view(state, profile)).collect();
            if let Some(members) = view.as_object_mut() {
                members.remove("Description");
                members.remove("MaxSessionDuration");
            }
        }
    }
    view
}

/// `GetAccountAuthorizationDetails`, all in one page.
pub async fn details(context: Context, input: Value) -> Result<Value, ApiError> {
    let wanted = input.texts("Filter");
    let has = |kind: &str| wanted.is_empty() || wanted.contains(&kind);
    Ok(context.region.ledger.read(|state| {
        let of = |kind: EntityKind, name: &str| -> Vec<Value> {
            let all = state
                .entities
                .values()
                .filter(|entity| has(name) && entity.kind == kind);
            all.map(|entity| detail(state, entity)).collect()
        };
        let own = state.policies.values().filter(|_| has("LocalManagedPolicy")).cloned();
        let aws = aws_managed::all().filter(|_| has("AWSManagedPolicy"));
        let policies: Vec<Value> = own.chain(aws).map(|known| policy::detail(state, &known)).collect();
        json!({
            "UserDetailList": of(EntityKind::User, "User"), "GroupDetailList": of(EntityKind::Group, "Group"),
            "RoleDetailList": of(EntityKind::Role, "Role"), "Policies": policies, "IsTruncated": false,
        })
    }))
}

const HEADER: &str = "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated";

fn moment(value: &Value) -> String {
    let seconds = value.as_f64().unwrap_or(0.0);
    written(Timestamp::from_millisecond((seconds * 1000.0) as i64).unwrap_or_default())
}

fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// A user's line. When keys and passwords were used is not recorded.
fn line(state: &State, user: &Entity) -> String {
    let mut fields = vec![user.name.clone(), user.arn.clone(), written(user.created_at)];
    let profile = possession::of(state, ItemKind::LoginProfile, user).next();
    let has_device = possession::of(state, ItemKind::MfaAssignment, user).next().is_some();
    fields.push(profile.is_some().to_string());
    match profile {
        Some(profile) => fields.extend([
            "no_information".to_owned(),
            moment(&profile.body["CreateDate"]),
            "N/A".to_owned(),
        ]),
        None => fields.extend(["N/A", "N/A", "N/A"].map(str::to_owned)),
    }
    fields.push(has_device.to_string());
    let mut keys: Vec<_> = state.access_keys.values().filter(|key| key.user == user.name).collect();
    keys.sort_by_key(|key| key.created_at);
    for place in 0..2 {
        let key = keys.get(place);
        fields.push(key.is_some_and(|key| key.active).to_string());
        fields.push(key.map_or_else(|| "N/A".to_owned(), |key| written(key.created_at)));
        fields.extend(["N/A", "N/A", "N/A"].map(str::to_owned));
    }
    let mut certificates: Vec<_> = possession::of(state, ItemKind::SigningCertificate, user).collect();
    certificates.sort_by_key(|item| moment(&item.body["UploadDate"]));
    for place in 0..2 {
        let known = certificates.get(place);
        fields.push(
            known
                .is_some_and(|item| item.body.text("Status") == Some("Active"))
                .to_string(),
        );
        fields.push(known.map_or_else(|| "N/A".to_owned(), |item| moment(&item.body["UploadDate"])));
    }
    fields.join(",")
}

/// `GenerateCredentialReport`: the first call begins one, the next finds it made.
pub async fn generate_report(context: Context, _input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    let decide = |state: &State| {
        let is_begun = catalogue::find(state, ItemKind::CredentialReport, ONE).is_some();
        let users = state.entities.values().filter(|entity| entity.kind == EntityKind::User);
        let lines: Vec<String> = std::iter::once(HEADER.to_owned())
            .chain(users.map(|user| line(state, user)))
            .collect();
        let body = json!({"Content": STANDARD.encode(lines.join("\n")), "ReportFormat": "text/csv", "GeneratedTime": date(now)});
        let made = Item::new(ItemKind::CredentialReport, ONE, body);
        let answer = if is_begun {
            json!({ "State": "COMPLETE" })
        } else {
            json!({"State": "STARTED", "Description": "No report exists. Starting a new report generation task"})
        };
        Ok((answer, vec![made.put()]))
    };
    context.region.ledger.change(decide).await
}

/// `GetCredentialReport`.
pub async fn report(context: Context, _input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let known = catalogue::find(state, ItemKind::CredentialReport, ONE);
        known.map(|item| item.body.clone()).ok_or_else(|| {
            ApiError::new(
                "ReportNotPresent",
                StatusCode::GONE,
                "No report exists. Use GenerateCredentialReport.",
            )
        })
    })
}
