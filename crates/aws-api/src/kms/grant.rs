//! Grants: recorded, shown and retired; the caller's own policies decide what a key may be used for.

use aws_types::time::Time;
use serde_json::{Value, json};

use super::{find, key_id, not_found, paged};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// `CreateGrant`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = context.region.random.hex(64);
    let token = context.region.random.hex(64);
    let decide = |state: &State| {
        let key = find(&context, state, input.required("KeyId"))?;
        let mut body = json!({
            "KeyId": key.body["Arn"], "GrantId": id, "GranteePrincipal": input.text("GranteePrincipal"), "GrantToken": token,
            "Operations": input.texts("Operations"), "CreationDate": Time(context.region.clock.now()),
            "IssuingAccount": format!("arn:aws:iam::{}:root", context.caller.account),
        });
        for member in ["RetiringPrincipal", "Name", "Constraints"] {
            if let Some(value) = input.get(member).filter(|value| !value.is_null()) {
                body[member] = value.clone();
            }
        }
        // The same name with the same content is the same grant.
        let same = catalogue::of_kind(state, ItemKind::Grant).find(|known| {
            input.text("Name").is_some()
                && ["KeyId", "GranteePrincipal", "Operations", "Name", "Constraints"]
                    .iter()
                    .all(|member| known.body[*member] == body[*member])
        });
        if let Some(known) = same {
            return Ok((
                json!({"GrantId": known.key, "GrantToken": known.body["GrantToken"]}),
                Vec::new(),
            ));
        }
        let grant = Item::new(ItemKind::Grant, id.clone(), body);
        Ok::<_, ApiError>((json!({"GrantId": id, "GrantToken": token}), vec![Change::put(grant)]))
    };
    context.region.ledger.change(decide).await
}

fn listed(context: &Context, input: &Value, fits: impl Fn(&Item) -> bool) -> Result<Value, ApiError> {
    let views = context.region.ledger.read(|state| {
        let all = catalogue::of_kind(state, ItemKind::Grant).filter(|grant| fits(grant));
        all.map(|grant| grant.without(&["GrantToken"])).collect()
    });
    paged(input, "Grants", views)
}

/// `ListGrants`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = context
        .region
        .ledger
        .read(|state| find(&context, state, input.required("KeyId")).map(|key| key.body["Arn"].clone()))?;
    listed(&context, &input, |grant| {
        grant.body["KeyId"] == arn
            && input.text("GrantId").is_none_or(|id| id == grant.key)
            && input
                .text("GranteePrincipal")
                .is_none_or(|who| grant.body.text("GranteePrincipal") == Some(who))
    })
}

/// `ListRetirableGrants`.
pub async fn list_retirable(context: Context, input: Value) -> Result<Value, ApiError> {
    let who = input.required("RetiringPrincipal");
    listed(&context, &input, |grant| {
        grant.body.text("RetiringPrincipal") == Some(who)
    })
}

/// `RevokeGrant`.
pub async fn revoke(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = input.required("GrantId");
    context
        .region
        .ledger
        .read(|state| key_id(&context, state, input.required("KeyId")).map(drop))?;
    let missing = || not_found(format!("Grant ID {id} not found"));
    catalogue::remove(&context, ItemKind::Grant, id, missing).await?;
    Ok(nothing())
}

/// `RetireGrant`: by id or token.
pub async fn retire(context: Context, input: Value) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let mut grants = catalogue::of_kind(state, ItemKind::Grant);
        let found = grants.find(|grant| {
            input.text("GrantId") == Some(grant.key.as_str())
                || (input.text("GrantToken").is_some() && input.text("GrantToken") == grant.body.text("GrantToken"))
        });
        let found = found.ok_or_else(|| not_found("Grant not found"))?;
        Ok::<_, ApiError>((nothing(), vec![found.removal()]))
    };
    context.region.ledger.change(decide).await
}
