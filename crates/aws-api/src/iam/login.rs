//! Passwords of users for a console, and the account's rules for passwords. There is no console here: passwords are kept as
//! hashes, and `ChangePassword` compares with them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::possession::{self, user};
use super::{date, exists, no_such};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, nothing};
use crate::operations::Context;

/// The hash of the password is in no answer.
const HIDDEN: &[&str] = &["_Password"];
/// The one key of what an account has once.
const ONE: &str = "account";

fn missing(name: &str) -> String {
    format!("Login Profile for User {name} cannot be found.")
}

fn hash(user_id: &str, password: &str) -> String {
    STANDARD.encode(Sha256::digest(format!("{user_id}\n{password}")))
}

/// The account's rules for passwords; IAM's own where there are none.
fn policy(state: &State) -> Value {
    let own = catalogue::find(state, ItemKind::PasswordPolicy, ONE);
    own.map_or_else(
        || json!({"MinimumPasswordLength": 8, "_Default": true}),
        |item| item.body.clone(),
    )
}

/// Refuses a password that the account's rules do not allow.
fn check(state: &State, password: &str) -> Result<(), ApiError> {
    let rules = policy(state);
    let refuse = |what: &str| {
        let message = format!("Password does not conform to the account password policy. {what}");
        Err(ApiError::bad_request("PasswordPolicyViolation", message))
    };
    let least = rules.number("MinimumPasswordLength").unwrap_or(6);
    if password.chars().count() < usize::try_from(least).unwrap_or(6) {
        return refuse(&format!("Password should have a minimum length of {least}"));
    }
    let has = |fits: fn(&char) -> bool| password.chars().any(|letter| fits(&letter));
    let kinds = [
        (
            "RequireUppercaseCharacters",
            char::is_ascii_uppercase as fn(&char) -> bool,
            "uppercase letter",
        ),
        (
            "RequireLowercaseCharacters",
            char::is_ascii_lowercase,
            "lowercase letter",
        ),
        ("RequireNumbers", char::is_ascii_digit, "number"),
        ("RequireSymbols", char::is_ascii_punctuation, "symbol"),
    ];
    let is_default = rules.flag("_Default") == Some(true);
    let found = kinds.iter().filter(|(_, fits, _)| has(*fits)).count();
    if is_default && found < 3 {
        return refuse(
            "Password should have at least three of uppercase letters, lowercase letters, numbers and symbols",
        );
    }
    match kinds
        .iter()
        .find(|(rule, fits, _)| rules.flag(rule) == Some(true) && !has(*fits))
    {
        Some((_, _, what)) => refuse(&format!("Password should have at least one {what}")),
        None => Ok(()),
    }
}

/// `CreateLoginProfile`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    let decide = |state: &State| {
        let user = user(state, &context, &input)?;
        if possession::of(state, ItemKind::LoginProfile, user).next().is_some() {
            return Err(exists(format!("Login Profile for user {} already exists.", user.name)));
        }
        let password = input.required("Password");
        check(state, password)?;
        let reset = input.flag("PasswordResetRequired").unwrap_or(false);
        let body = json!({
            "CreateDate": date(now), "PasswordResetRequired": reset, "_Password": hash(&user.id, password),
        });
        let made = Item::new(ItemKind::LoginProfile, possession::key(user, ""), body);
        let answer = json!({ "LoginProfile": possession::view(user, &made, HIDDEN) });
        Ok((answer, vec![made.put()]))
    };
    context.region.ledger.change(decide).await
}

/// `GetLoginProfile`.
pub async fn get(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let user = user(state, &context, &input)?;
        let known = possession::of(state, ItemKind::LoginProfile, user).next();
        let known = known.ok_or_else(|| no_such(missing(&user.name)))?;
        Ok(json!({ "LoginProfile": possession::view(user, known, HIDDEN) }))
    })
}

/// `UpdateLoginProfile`.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let named = |user: &super::entity::Entity| missing(&user.name);
    possession::edit(
        &context,
        &input,
        ItemKind::LoginProfile,
        "",
        named,
        |state, user, profile| {
            if let Some(password) = input.text("Password") {
                check(state, password)?;
                profile.body["_Password"] = hash(&user.id, password).into();
            }
            if let Some(reset) = input.flag("PasswordResetRequired") {
                profile.body["PasswordResetRequired"] = reset.into();
            }
            Ok(nothing())
        },
    )
    .await
}

/// `DeleteLoginProfile`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let named = |user: &super::entity::Entity| missing(&user.name);
    possession::remove(&context, &input, ItemKind::LoginProfile, "", named).await
}

/// `ChangePassword`: of the caller.
pub async fn change(context: Context, input: Value) -> Result<Value, ApiError> {
    let own = json!({ "UserName": context.caller.name });
    let named = |user: &super::entity::Entity| missing(&user.name);
    possession::edit(
        &context,
        &own,
        ItemKind::LoginProfile,
        "",
        named,
        |state, user, profile| {
            if profile.body.required("_Password") != hash(&user.id, input.required("OldPassword")) {
                let message = "The old password was incorrect.";
                return Err(ApiError::new("InvalidUserType", StatusCode::BAD_REQUEST, message));
            }
            check(state, input.required("NewPassword"))?;
            profile.body["_Password"] = hash(&user.id, input.required("NewPassword")).into();
            profile.body["PasswordResetRequired"] = false.into();
            Ok(nothing())
        },
    )
    .await
}

/// `UpdateAccountPasswordPolicy`: what is left out gets IAM's default, not what it was.
pub async fn update_policy(context: Context, input: Value) -> Result<Value, ApiError> {
    let age = input.number("MaxPasswordAge").unwrap_or(0);
    let mut body = json!({
        "MinimumPasswordLength": input.number("MinimumPasswordLength").unwrap_or(6), "ExpirePasswords": age > 0,
    });
    for member in [
        "RequireSymbols",
        "RequireNumbers",
        "RequireUppercaseCharacters",
        "RequireLowercaseCharacters",
        "AllowUsersToChangePassword",
        "HardExpiry",
    ] {
        body[member] = input.flag(member).unwrap_or(false).into();
    }
    if age > 0 {
        body["MaxPasswordAge"] = age.into();
    }
    if let Some(count) = input.number("PasswordReusePrevention").filter(|count| *count > 0) {
        body["PasswordReusePrevention"] = count.into();
    }
    catalogue::create(&context, Item::new(ItemKind::PasswordPolicy, ONE, body), |_| Ok(())).await?;
    Ok(nothing())
}

/// `GetAccountPasswordPolicy`.
pub async fn get_policy(context: Context, _input: Value) -> Result<Value, ApiError> {
    let account = &context.caller.account;
    context.region.ledger.read(|state| {
        let known = catalogue::find(state, ItemKind::PasswordPolicy, ONE);
        let known = known.ok_or_else(|| {
            no_such(format!(
                "The Password Policy with domain name {account} cannot be found."
            ))
        })?;
        Ok(json!({ "PasswordPolicy": known.body }))
    })
}

/// `DeleteAccountPasswordPolicy`.
pub async fn delete_policy(context: Context, _input: Value) -> Result<Value, ApiError> {
    let missing = || no_such("The account policy with name PasswordPolicy cannot be found.".to_owned());
    catalogue::remove(&context, ItemKind::PasswordPolicy, ONE, missing).await?;
    Ok(nothing())
}
