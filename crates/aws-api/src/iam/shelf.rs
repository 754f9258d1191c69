//! IAM's smaller resources: as those of other services (`catalogue`), but the account's and not a region's.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::{Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::operations::Context;

/// A resource of the account's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountItem(pub Item);

/// Those of a kind, in the order of their keys.
pub fn of_kind(state: &State, kind: ItemKind) -> impl Iterator<Item = &Item> {
    beginning(state, kind, "")
}

/// Those of a kind whose keys begin so.
pub fn beginning<'a>(
    state: &'a State,
    kind: ItemKind,
    prefix: &str,
) -> impl Iterator<Item = &'a Item> + Clone + use<'a> {
    let prefix = prefix.to_owned();
    state
        .account_items
        .range((kind, prefix.clone())..)
        .map(|(_, item)| &item.0)
        .take_while(move |item| item.kind == kind && item.key.starts_with(&prefix))
}

/// The one of that key.
pub fn find<'a>(state: &'a State, kind: ItemKind, key: &str) -> Option<&'a Item> {
    state.account_items.get(&(kind, key.to_owned())).map(|item| &item.0)
}

/// The change that writes one down.
pub fn put(item: Item) -> Change {
    Change::put(AccountItem(item))
}

/// The change that takes one away.
pub fn removal(item: &Item) -> Change {
    Change::remove::<AccountItem>((item.kind, item.key.clone()))
}

/// Writes one down, if the check lets it.
///
/// # Errors
/// What the check answers.
pub async fn create(
    context: &Context,
    item: Item,
    check: impl FnOnce(&State) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let decide = |state: &State| {
        check(state)?;
        Ok(((), vec![put(item)]))
    };
    context.region.ledger.change(decide).await
}

/// Changes one.
///
/// # Errors
/// `missing` when it is not there, or what the change answers.
pub async fn edit(
    context: &Context,
    kind: ItemKind,
    key: &str,
    missing: impl FnOnce() -> ApiError,
    change: impl FnOnce(&State, &mut Item) -> Result<Value, ApiError>,
) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let mut item = find(state, kind, key).ok_or_else(missing)?.clone();
        let answer = change(state, &mut item)?;
        Ok((answer, vec![put(item)]))
    };
    context.region.ledger.change(decide).await
}

/// Takes one away.
///
/// # Errors
/// `missing` when it is not there.
pub async fn remove(
    context: &Context,
    kind: ItemKind,
    key: &str,
    missing: impl FnOnce() -> ApiError,
) -> Result<(), ApiError> {
    let decide = |state: &State| {
        let gone = removal(find(state, kind, key).ok_or_else(missing)?);
        Ok(((), vec![gone]))
    };
    context.region.ledger.change(decide).await
}
