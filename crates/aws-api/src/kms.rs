//! KMS: symmetric keys that really encrypt (AES-256-GCM), aliases, grants, policies. The material of a key is in the
//! region's store and leaves it in no answer.

mod cipher;
mod cluster;
pub mod grant;
pub mod usage;

use std::collections::BTreeMap;

use aws_types::time::Time;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

pub use cluster::{KeyError, state_of};

/// The member that holds a key's material, in base64.
const MATERIAL: &str = "Material";
/// Members of a key that no description shows.
const HIDDEN: &[&str] = &[MATERIAL, "Policy", "Rotation"];
/// Aliases that AWS makes for keys of its own when they are first used.
const AWS_ALIASES: &str = "alias/aws/";

fn not_found(text: impl Into<String>) -> ApiError {
    ApiError::bad_request("NotFoundException", text)
}

fn account_arn(context: &Context, rest: &str) -> String {
    format!("arn:aws:kms:{}:{}:{rest}", context.region.name, context.caller.account)
}

/// The id of the key that an id, ARN or alias means.
fn key_id(context: &Context, state: &State, given: &str) -> Result<String, ApiError> {
    let own = account_arn(context, "");
    let short = given.strip_prefix(&own).unwrap_or(given);
    if let Some(alias) = short.strip_prefix("alias/") {
        let name = format!("alias/{alias}");
        let known = catalogue::find(state, ItemKind::KeyAlias, &name);
        let target = known.and_then(|alias| alias.body.text("TargetKeyId"));
        return target
            .map(str::to_owned)
            .ok_or_else(|| not_found(format!("Alias {} is not found.", account_arn(context, &name))));
    }
    let id = short.strip_prefix("key/").unwrap_or(short);
    if catalogue::find(state, ItemKind::Key, id).is_some() {
        return Ok(id.to_owned());
    }
    Err(not_found(if given.starts_with("arn:") {
        format!("Key '{given}' does not exist")
    } else {
        format!("Key '{}' does not exist", account_arn(context, &format!("key/{id}")))
    }))
}

fn find<'a>(context: &Context, state: &'a State, given: &str) -> Result<&'a Item, ApiError> {
    let id = key_id(context, state, given)?;
    catalogue::find(state, ItemKind::Key, &id).ok_or_else(|| not_found(format!("Key '{id}' does not exist")))
}

/// A key that may be used.
fn usable<'a>(context: &Context, state: &'a State, given: &str) -> Result<&'a Item, ApiError> {
    enabled(find(context, state, given)?)
}

/// The same key, if its state lets it be used.
fn enabled(key: &Item) -> Result<&Item, ApiError> {
    match key.body.required("KeyState") {
        "Enabled" => Ok(key),
        "Disabled" => Err(ApiError::bad_request(
            "DisabledException",
            format!("{} is disabled.", key.body.required("Arn")),
        )),
        other => {
            let message = format!("{} is pending deletion.", key.body.required("Arn"));
            tracing::debug!(state = other, "a key is asked for that cannot be used");
            Err(ApiError::bad_request("KMSInvalidStateException", message))
        }
    }
}

fn description(key: &Item) -> Value {
    key.without(HIDDEN)
}

/// A new key.
fn new(context: &Context, input: &Value, manager: &str) -> Item {
    let id = context.region.random.uuid();
    let mut material = [0_u8; 32];
    context.region.random.bytes(&mut material);
    let arn = account_arn(context, &format!("key/{id}"));
    let policy = json!({"Version": "2012-10-17", "Id": "key-default-1", "Statement": [{
        "Sid": "Enable IAM User Permissions", "Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{}:root", context.caller.account)}, "Action": "kms:*", "Resource": "*",
    }]});
    let body = json!({
        "AWSAccountId": context.caller.account, "KeyId": id, "Arn": arn, "CreationDate": Time(context.region.clock.now()),
        "Enabled": true, "Description": input.text("Description").unwrap_or_default(), "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": "Enabled", "Origin": "AWS_KMS", "KeyManager": manager, "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT", "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": input.flag("MultiRegion").unwrap_or(false), MATERIAL: STANDARD.encode(material), "Rotation": false,
        "Policy": input.text("Policy").map_or_else(|| policy.to_string(), str::to_owned),
    });
    let pairs = input.list("Tags").iter();
    let tags: BTreeMap<String, String> = pairs
        .filter_map(|tag| Some((tag.text("TagKey")?.to_owned(), tag.required("TagValue").to_owned())))
        .collect();
    Item::new(ItemKind::Key, id, body).tagged(tags)
}

/// `CreateKey`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let spec = input
        .text("KeySpec")
        .or(input.text("CustomerMasterKeySpec"))
        .unwrap_or("SYMMETRIC_DEFAULT");
    let usage = input.text("KeyUsage").unwrap_or("ENCRYPT_DECRYPT");
    if spec != "SYMMETRIC_DEFAULT" || usage != "ENCRYPT_DECRYPT" {
        let message =
            format!("Keys of spec {spec} for {usage} are not available in this region; symmetric encryption keys are");
        return Err(ApiError::bad_request("UnsupportedOperationException", message));
    }
    let key = new(&context, &input, "CUSTOMER");
    let answer = json!({ "KeyMetadata": description(&key) });
    catalogue::create(&context, key, |_| Ok(())).await?;
    Ok(answer)
}

/// `DescribeKey`. An alias of AWS's own gets its key when it is first asked for.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let given = input.required("KeyId");
    ensure_aws_key(&context, given).await?;
    context
        .region
        .ledger
        .read(|state| Ok(json!({ "KeyMetadata": description(find(&context, state, given)?) })))
}

async fn ensure_aws_key(context: &Context, given: &str) -> Result<(), ApiError> {
    let Some(start) = given.find(AWS_ALIASES) else {
        return Ok(());
    };
    let name = &given[start..];
    let decide = |state: &State| {
        if catalogue::find(state, ItemKind::KeyAlias, name).is_some() {
            return Ok(((), Vec::new()));
        }
        let key = new(
            context,
            &json!({"Description": format!("Default key that protects {}", &name[AWS_ALIASES.len()..])}),
            "AWS",
        );
        let alias = alias(context, name, &key.key);
        Ok::<_, ApiError>(((), vec![Change::put(key), Change::put(alias)]))
    };
    context.region.ledger.change(decide).await
}

fn alias(context: &Context, name: &str, target: &str) -> Item {
    let now = Time(context.region.clock.now());
    let body = json!({
        "AliasName": name, "AliasArn": account_arn(context, name), "TargetKeyId": target, "CreationDate": now,
        "LastUpdatedDate": now,
    });
    Item::new(ItemKind::KeyAlias, name, body)
}

/// One page as KMS writes it.
fn paged(input: &Value, member: &str, views: Vec<Value>) -> Result<Value, ApiError> {
    let wrong = || ApiError::bad_request("InvalidMarkerException", "The marker is not valid.");
    let (page, next) = catalogue::page(views, input.text("Marker"), input.number("Limit"), 100, wrong)?;
    let mut answer = json!({member: page, "Truncated": next.is_some()});
    if let Some(next) = next {
        answer["NextMarker"] = next.into();
    }
    Ok(answer)
}

/// `ListKeys`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let views = context.region.ledger.read(|state| {
        let keys = catalogue::of_kind(state, ItemKind::Key);
        keys.map(|key| json!({"KeyId": key.key, "KeyArn": key.body["Arn"]}))
            .collect()
    });
    paged(&input, "Keys", views)
}

/// `ListAliases`.
pub async fn list_aliases(context: Context, input: Value) -> Result<Value, ApiError> {
    let views = context.region.ledger.read(|state| {
        let of = input
            .text("KeyId")
            .map(|given| key_id(&context, state, given))
            .transpose()?;
        let all = catalogue::of_kind(state, ItemKind::KeyAlias);
        let fitting = all.filter(|alias| of.is_none() || alias.body.text("TargetKeyId") == of.as_deref());
        Ok::<_, ApiError>(fitting.map(|alias| alias.without(&[])).collect())
    })?;
    paged(&input, "Aliases", views)
}

fn check_alias(name: &str) -> Result<(), ApiError> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "/_-".contains(letter);
    if !name.starts_with("alias/") || name.len() == "alias/".len() {
        return Err(ApiError::bad_request(
            "ValidationException",
            "Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html",
        ));
    }
    if name.starts_with(AWS_ALIASES) {
        return Err(ApiError::bad_request("NotAuthorizedException", ""));
    }
    if !name.chars().all(allowed) {
        return Err(ApiError::bad_request(
            "InvalidAliasNameException",
            "Alias contains invalid characters for an alias.",
        ));
    }
    Ok(())
}

/// `CreateAlias`.
pub async fn create_alias(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("AliasName");
    check_alias(name)?;
    let decide = |state: &State| {
        let target = key_id(&context, state, input.required("TargetKeyId"))?;
        if catalogue::find(state, ItemKind::KeyAlias, name).is_some() {
            let message = format!("An alias with the name {} already exists", account_arn(&context, name));
            return Err(ApiError::bad_request("AlreadyExistsException", message));
        }
        Ok::<_, ApiError>((nothing(), vec![Change::put(alias(&context, name, &target))]))
    };
    context.region.ledger.change(decide).await
}

/// `UpdateAlias`.
pub async fn update_alias(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("AliasName");
    let missing = || not_found(format!("Alias {} is not found.", account_arn(&context, name)));
    catalogue::edit(&context, ItemKind::KeyAlias, name, missing, |state, alias| {
        alias.body["TargetKeyId"] = key_id(&context, state, input.required("TargetKeyId"))?.into();
        Ok(nothing())
    })
    .await
}

/// `DeleteAlias`.
pub async fn delete_alias(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("AliasName");
    let missing = || not_found(format!("Alias {} is not found.", account_arn(&context, name)));
    catalogue::remove(&context, ItemKind::KeyAlias, name, missing).await?;
    Ok(nothing())
}

async fn edit<T>(
    context: &Context,
    input: &Value,
    change: impl FnOnce(&mut Item) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let given = input.required("KeyId");
    let id = context.region.ledger.read(|state| key_id(context, state, given))?;
    catalogue::edit(
        context,
        ItemKind::Key,
        &id,
        || not_found(format!("Key '{given}' does not exist")),
        |_, key| change(key),
    )
    .await
}

fn set_enabled(key: &mut Item, enabled: bool) -> Result<Value, ApiError> {
    if key.body.text("KeyState") == Some("PendingDeletion") {
        let message = format!("{} is pending deletion.", key.body.required("Arn"));
        return Err(ApiError::bad_request("KMSInvalidStateException", message));
    }
    key.body["Enabled"] = enabled.into();
    key.body["KeyState"] = if enabled { "Enabled" } else { "Disabled" }.into();
    Ok(nothing())
}

/// `EnableKey`.
pub async fn enable(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |key| set_enabled(key, true)).await
}

/// `DisableKey`.
pub async fn disable(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |key| set_enabled(key, false)).await
}

/// `UpdateKeyDescription`.
pub async fn update_description(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |key| {
        key.body["Description"] = input.required("Description").into();
        Ok(nothing())
    })
    .await
}

/// `ScheduleKeyDeletion`: the key cannot be used any more; its material goes when nobody can change their mind any more.
pub async fn schedule_deletion(context: Context, input: Value) -> Result<Value, ApiError> {
    let days = input.number("PendingWindowInDays").unwrap_or(30);
    if !(7..=30).contains(&days) {
        return Err(ApiError::bad_request(
            "ValidationException",
            "PendingWindowInDays must be between 7 and 30",
        ));
    }
    let now = context.region.clock.now();
    let at = Time(now.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(now));
    edit(&context, &input, |key| {
        if key.body.text("KeyState") == Some("PendingDeletion") {
            let message = format!("{} is pending deletion.", key.body.required("Arn"));
            return Err(ApiError::bad_request("KMSInvalidStateException", message));
        }
        key.body["Enabled"] = false.into();
        key.body["KeyState"] = "PendingDeletion".into();
        key.body["DeletionDate"] = serde_json::to_value(at).map_err(ApiError::internal)?;
        Ok(json!({"KeyId": key.body["Arn"], "DeletionDate": at, "KeyState": "PendingDeletion", "PendingWindowInDays": days}))
    })
    .await
}

/// `CancelKeyDeletion`.
pub async fn cancel_deletion(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |key| {
        if key.body.text("KeyState") != Some("PendingDeletion") {
            let message = format!("{} is not pending deletion.", key.body.required("Arn"));
            return Err(ApiError::bad_request("KMSInvalidStateException", message));
        }
        key.body["KeyState"] = "Disabled".into();
        if let Some(members) = key.body.as_object_mut() {
            members.remove("DeletionDate");
        }
        Ok(json!({ "KeyId": key.body["Arn"] }))
    })
    .await
}

/// `EnableKeyRotation`: recorded.
pub async fn enable_rotation(context: Context, input: Value) -> Result<Value, ApiError> {
    let days = input.number("RotationPeriodInDays").unwrap_or(365);
    edit(&context, &input, |key| {
        key.body["Rotation"] = days.into();
        Ok(nothing())
    })
    .await
}

/// `DisableKeyRotation`.
pub async fn disable_rotation(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |key| {
        key.body["Rotation"] = false.into();
        Ok(nothing())
    })
    .await
}

/// `GetKeyRotationStatus`.
pub async fn rotation(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let key = find(&context, state, input.required("KeyId"))?;
        let days = key.body.number("Rotation");
        Ok(json!({"KeyId": key.body["Arn"], "KeyRotationEnabled": days.is_some(), "RotationPeriodInDays": days}))
    })
}

/// `GetKeyPolicy`.
pub async fn policy(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let key = find(&context, state, input.required("KeyId"))?;
        match input.text("PolicyName").unwrap_or("default") {
            "default" => Ok(json!({"Policy": key.body["Policy"], "PolicyName": "default"})),
            _ => Err(not_found("No such policy exists")),
        }
    })
}

/// `PutKeyPolicy`: recorded; the caller's own policies decide.
pub async fn put_policy(context: Context, input: Value) -> Result<Value, ApiError> {
    let text = input.required("Policy");
    if serde_json::from_str::<Value>(text).is_err() {
        return Err(ApiError::bad_request(
            "MalformedPolicyDocumentException",
            "Policy contains a statement that cannot be read",
        ));
    }
    edit(&context, &input, |key| {
        key.body["Policy"] = text.into();
        Ok(nothing())
    })
    .await
}

/// `ListKeyPolicies`.
pub async fn list_policies(context: Context, input: Value) -> Result<Value, ApiError> {
    context
        .region
        .ledger
        .read(|state| find(&context, state, input.required("KeyId")).map(drop))?;
    Ok(json!({"PolicyNames": ["default"], "Truncated": false}))
}

/// `TagResource`.
pub async fn tag(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |key| {
        for tag in input.list("Tags") {
            key.tags
                .insert(tag.required("TagKey").to_owned(), tag.required("TagValue").to_owned());
        }
        Ok(nothing())
    })
    .await
}

/// `UntagResource`.
pub async fn untag(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, |key| {
        input
            .texts("TagKeys")
            .into_iter()
            .for_each(|name| drop(key.tags.remove(name)));
        Ok(nothing())
    })
    .await
}

/// `ListResourceTags`.
pub async fn list_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let key = find(&context, state, input.required("KeyId"))?;
        let tags: Vec<Value> = key
            .tags
            .iter()
            .map(|(key, value)| json!({"TagKey": key, "TagValue": value}))
            .collect();
        Ok(json!({"Tags": tags, "Truncated": false}))
    })
}
