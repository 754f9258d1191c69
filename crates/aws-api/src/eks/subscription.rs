//! EKS Anywhere subscriptions: kept with their terms. Nobody pays for one and none comes with a licence.

use aws_types::time::Time;
use cluster_lifecycle::Refusal;
use cluster_lifecycle::refusal::RefusalKind;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use super::{check_tags, tag_map};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::Members;
use crate::operations::Context;
use crate::page;

/// Months for which one can be had.
const TERMS: &[i64] = &[12, 36];
/// Remembered, and in no answer.
const HIDDEN: &[&str] = &["_Name", "_ClientRequestToken"];

fn missing(id: &str) -> Refusal {
    let message = format!("No subscription found for id: {id}.");
    Refusal::new(RefusalKind::ResourceNotFound, message)
}

/// When a subscription that began then ends: one that renews itself goes on from term to term.
fn expiry(effective: Timestamp, months: i64, renews: bool, now: Timestamp) -> Result<Timestamp, ApiError> {
    let begin = effective.to_zoned(TimeZone::UTC);
    let mut terms = 1;
    loop {
        let end = begin.checked_add((terms * months).months());
        let end = end.map_err(ApiError::internal)?.timestamp();
        if !renews || end > now {
            return Ok(end);
        }
        terms += 1;
    }
}

fn is_over(view: &Value) -> bool {
    view.text("status") == Some("EXPIRED")
}

fn view(item: &Item, now: Timestamp) -> Result<Value, ApiError> {
    let mut view = item.without(HIDDEN);
    let effective: Time = serde_json::from_value(view["effectiveDate"].clone()).map_err(ApiError::internal)?;
    let months = view["term"].number("duration").unwrap_or_default();
    let renews = view.flag("autoRenew").unwrap_or_default();
    let end = expiry(effective.0, months, renews, now)?;
    view["expirationDate"] = json!(Time(end));
    view["status"] = if end > now { "ACTIVE" } else { "EXPIRED" }.into();
    view["tags"] = json!(item.tags);
    Ok(view)
}

fn check(input: &Value) -> Result<(), Refusal> {
    let term = &input["term"];
    let duration = term.number("duration").unwrap_or_default();
    if !TERMS.contains(&duration) || term.text("unit") != Some("MONTHS") {
        let message = "The term of a subscription is 12 or 36 MONTHS";
        return Err(Refusal::invalid_parameter(message));
    }
    match input.number("licenseQuantity") {
        Some(quantity) if !(1..=100).contains(&quantity) => {
            Err(Refusal::invalid_parameter("licenseQuantity must be between 1 and 100"))
        }
        _ => Ok(check_tags(&tag_map(input))?),
    }
}

/// `CreateEksAnywhereSubscription`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    check(&input)?;
    let (region, name, token) = (
        &context.region,
        input.required("name"),
        input.text("clientRequestToken"),
    );
    let (id, now) = (region.random.uuid(), region.clock.now());
    let body = json!({
        "id": id, "createdAt": Time(now), "effectiveDate": Time(now), "term": input["term"],
        "arn": format!("arn:aws:eks:{}:{}:eks-anywhere-subscription/{id}", region.name, context.caller.account),
        "licenseQuantity": input.number("licenseQuantity").unwrap_or(1), "licenseArns": [], "licenses": [],
        "licenseType": input.text("licenseType").unwrap_or("Cluster"), "autoRenew": input.flag("autoRenew").unwrap_or(true),
        "_Name": name, "_ClientRequestToken": token,
    });
    let made = Item::new(ItemKind::AnywhereSubscription, id.as_str(), body).tagged(tag_map(&input));
    let decide = |state: &State| {
        let mut all = catalogue::of_kind(state, ItemKind::AnywhereSubscription);
        if let Some(known) = all.find(|item| item.body.text("_Name") == Some(name)) {
            if token.is_some() && known.body.text("_ClientRequestToken") == token {
                return Ok((view(known, now)?, Vec::new()));
            }
            let message = format!("Subscription already exists with name: {name}");
            return Err(Refusal::invalid_parameter(message).into());
        }
        Ok::<_, ApiError>((view(&made, now)?, vec![Change::put(made)]))
    };
    let subscription = region.ledger.change(decide).await?;
    Ok(json!({ "subscription": subscription }))
}

/// `DescribeEksAnywhereSubscription`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let (id, now) = (input.required("id"), context.region.clock.now());
    context.region.ledger.read(|state| {
        let known = catalogue::find(state, ItemKind::AnywhereSubscription, id).ok_or_else(|| missing(id))?;
        Ok(json!({ "subscription": view(known, now)? }))
    })
}

/// `ListEksAnywhereSubscriptions`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let (wanted, now) = (input.texts("includeStatus"), context.region.clock.now());
    let all = context.region.ledger.read(|state| {
        let all = catalogue::of_kind(state, ItemKind::AnywhereSubscription);
        all.map(|item| view(item, now))
            .collect::<Result<Vec<Value>, ApiError>>()
    })?;
    let fits = |view: &&Value| wanted.is_empty() || wanted.contains(&view.required("status"));
    let ids = all.iter().filter(fits).map(|view| view.required("id").to_owned());
    let (ids, next) = page::names(ids.collect(), input.number("maxResults"), input.text("nextToken"))?;
    let shown = all.iter().filter(|view| ids.iter().any(|id| id == view.required("id")));
    let mut answer = json!({ "subscriptions": shown.collect::<Vec<_>>() });
    if let Some(next) = next {
        answer["nextToken"] = next.into();
    }
    Ok(answer)
}

/// `UpdateEksAnywhereSubscription`: whether it renews itself is all that can change.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let (id, now) = (input.required("id"), context.region.clock.now());
    let change = |_: &State, item: &mut Item| {
        if is_over(&view(item, now)?) {
            let message = format!("Subscription {id} is expired and cannot be updated");
            return Err(Refusal::invalid_request(message).into());
        }
        item.body["autoRenew"] = input.flag("autoRenew").unwrap_or_default().into();
        view(item, now)
    };
    let missing = || missing(id).into();
    let edited = catalogue::edit(&context, ItemKind::AnywhereSubscription, id, missing, change);
    Ok(json!({ "subscription": edited.await? }))
}

/// `DeleteEksAnywhereSubscription`: only one that is over can be deleted.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let (id, now) = (input.required("id"), context.region.clock.now());
    let decide = |state: &State| {
        let known = catalogue::find(state, ItemKind::AnywhereSubscription, id).ok_or_else(|| missing(id))?;
        let shown = view(known, now)?;
        if !is_over(&shown) {
            let message = format!("Subscription {id} is active and cannot be deleted before it expires");
            return Err(Refusal::invalid_request(message).into());
        }
        Ok::<_, ApiError>((json!({ "subscription": shown }), vec![known.removal()]))
    };
    context.region.ledger.change(decide).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_ends_with_its_term_unless_it_renews_itself() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let (begin, later) = (time("2024-02-29T12:00:00Z"), time("2026-11-30T00:00:00Z"));
        let end = |renews, now| expiry(begin, 12, renews, now).unwrap();
        assert_eq!(end(false, begin), time("2025-02-28T12:00:00Z"));
        assert_eq!(end(false, later), time("2025-02-28T12:00:00Z"));
        assert_eq!(end(true, later), time("2027-02-28T12:00:00Z"));
    }
}
