//! What users have besides access keys and policies: passwords, devices, certificates, keys and credentials of other services.
//! Each is kept by the user's unique id, so that a new name of the user changes nothing.

use serde_json::Value;

use super::entity::{self, Entity};
use super::no_such;
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, nothing};
use crate::operations::Context;

/// Kinds of possessions, and IAM's word for what must go before their user can.
const KINDS: &[(ItemKind, &str)] = &[
    (ItemKind::LoginProfile, "must delete login profile first."),
    (ItemKind::MfaAssignment, "must delete MFA device first."),
    (ItemKind::SigningCertificate, "must delete signing certificates first."),
    (ItemKind::SshPublicKey, "must delete SSH public keys first."),
    (
        ItemKind::ServiceCredential,
        "must delete service specific credentials first.",
    ),
];

/// The user that a request names, or the caller.
///
/// # Errors
/// `NoSuchEntity`.
pub fn user<'a>(state: &'a State, context: &'a Context, input: &'a Value) -> Result<&'a Entity, ApiError> {
    let (kind, name) = entity::meant(context, input)?;
    entity::find(state, kind, name)
}

/// The key of a possession.
pub fn key(user: &Entity, id: &str) -> String {
    format!("{}/{id}", user.id)
}

/// A user's possessions of a kind.
pub fn of<'a>(state: &'a State, kind: ItemKind, user: &Entity) -> impl Iterator<Item = &'a Item> + Clone + use<'a> {
    catalogue::beginning(state, kind, &key(user, ""))
}

/// The user of a possession.
pub fn owner<'a>(state: &'a State, item: &Item) -> Option<&'a Entity> {
    let id = item.key.split('/').next().unwrap_or_default();
    state.entities.values().find(|entity| entity.id == id)
}

/// A possession as answers show it: with its user's present name.
pub fn view(user: &Entity, item: &Item, hidden: &[&str]) -> Value {
    let mut view = item.without(hidden);
    view["UserName"] = user.name.as_str().into();
    view
}

/// Refuses to delete a user who still has something.
///
/// # Errors
/// `DeleteConflict`.
pub fn require_none(state: &State, user: &Entity) -> Result<(), ApiError> {
    for (kind, what) in KINDS {
        if of(state, *kind, user).next().is_some() {
            return Err(super::conflict(&format!("Cannot delete entity, {what}")));
        }
    }
    Ok(())
}

/// Changes a possession of the user that a request names.
///
/// # Errors
/// When user or possession are not there, or what the change answers.
pub async fn edit<T>(
    context: &Context,
    input: &Value,
    kind: ItemKind,
    id: &str,
    missing: impl FnOnce(&Entity) -> String,
    change: impl FnOnce(&State, &Entity, &mut Item) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let decide = |state: &State| {
        let user = user(state, context, input)?;
        let known = catalogue::find(state, kind, &key(user, id));
        let mut item = known.cloned().ok_or_else(|| no_such(missing(user)))?;
        let answer = change(state, user, &mut item)?;
        Ok((answer, vec![item.put()]))
    };
    context.region.ledger.change(decide).await
}

/// Changes the status of a possession to the one that a request names.
///
/// # Errors
/// When user or possession are not there, or the status is none.
pub async fn edit_status(
    context: &Context,
    input: &Value,
    kind: ItemKind,
    id: &str,
    missing: impl FnOnce(&Entity) -> String,
) -> Result<Value, ApiError> {
    let status = status(input)?;
    edit(context, input, kind, id, missing, |_, _, item| {
        item.body["Status"] = status.into();
        Ok(nothing())
    })
    .await
}

/// A page of the possessions of the user that a request names, or the caller, as `member` of the answer and without what is
/// `hidden`. The account's administrator, who is no user of IAM's, has none.
///
/// # Errors
/// When the user is not there, or the page is none.
pub fn list(
    context: &Context,
    input: &Value,
    kind: ItemKind,
    member: &str,
    hidden: &[&str],
    is_wanted: impl Fn(&Item) -> bool,
) -> Result<Value, ApiError> {
    if entity::is_administrator(context, input) {
        return super::page(Vec::new(), member, input);
    }
    let views = context.region.ledger.read(|state| {
        let user = user(state, context, input)?;
        let own = of(state, kind, user).filter(|item| is_wanted(item));
        Ok::<_, ApiError>(own.map(|item| view(user, item, hidden)).collect())
    })?;
    super::page(views, member, input)
}

/// Takes a possession away from the user that a request names.
///
/// # Errors
/// When user or possession are not there.
pub async fn remove(
    context: &Context,
    input: &Value,
    kind: ItemKind,
    id: &str,
    missing: impl FnOnce(&Entity) -> String,
) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let user = user(state, context, input)?;
        let known = catalogue::find(state, kind, &key(user, id));
        let known = known.ok_or_else(|| no_such(missing(user)))?;
        Ok((nothing(), vec![known.removal()]))
    };
    context.region.ledger.change(decide).await
}

/// `Active` and `Inactive` are what a possession can be.
///
/// # Errors
/// `ValidationError` for another word.
fn status(input: &Value) -> Result<&str, ApiError> {
    match input.required("Status") {
        status @ ("Active" | "Inactive") => Ok(status),
        other => Err(ApiError::bad_request(
            "ValidationError",
            format!("Status {other} must be Active or Inactive"),
        )),
    }
}
