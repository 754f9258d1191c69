//! Rules of listeners.

use serde_json::{Value, json};

use super::{error, find, listener, paged, validation, view};
use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// The rules of a listener.
pub fn of<'a>(state: &'a State, listener: &str) -> impl Iterator<Item = &'a Item> + use<'a> {
    let listener = listener.to_owned();
    catalogue::of_kind(state, ItemKind::ListenerRule)
        .filter(move |rule| rule.body.text("_Listener") == Some(listener.as_str()))
}

fn new(listener: &str, id: &str, priority: &str, conditions: Value, actions: Value) -> Item {
    let key = format!("{}/{id}", listener.replacen(":listener/", ":listener-rule/", 1));
    let body = json!({
        "RuleArn": key, "Priority": priority, "Conditions": conditions, "Actions": actions, "IsDefault": priority == "default",
        "_Listener": listener,
    });
    Item::new(ItemKind::ListenerRule, key, body)
}

/// The rule that every listener has.
pub fn default(listener: &str, id: &str, actions: &Value) -> Item {
    new(listener, id, "default", json!([]), actions.clone())
}

/// The rules of network load balancers' listeners cannot be changed.
fn require_application(state: &State, arn: &str) -> Result<(), ApiError> {
    let owner = find(state, ItemKind::Listener, arn)?;
    let balancer = find(state, ItemKind::LoadBalancer, owner.body.required("LoadBalancerArn"))?;
    if balancer.body.text("Type") == Some("network") {
        let message = "Rules are unsupported for Network Load Balancer listeners";
        return Err(error("UnsupportedOperation", message));
    }
    Ok(())
}

/// `CreateRule`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("ListenerArn");
    let priority = input.number("Priority").unwrap_or(0);
    let id = context.region.random.hex(16);
    let decide = |state: &State| {
        require_application(state, arn)?;
        if of(state, arn).any(|rule| rule.body.text("Priority") == Some(priority.to_string().as_str())) {
            return Err(error(
                "PriorityInUse",
                format!("Priority '{priority}' is currently in use"),
            ));
        }
        let actions = listener::actions(state, input.list("Actions"))?;
        let made = new(
            arn,
            &id,
            &priority.to_string(),
            input["Conditions"].clone(),
            actions.into(),
        )
        .tagged(input.tags("Tags"));
        Ok::<_, ApiError>((json!({ "Rules": [view(&made)] }), vec![Change::put(made)]))
    };
    context.region.ledger.change(decide).await
}

/// `DescribeRules`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let arns = input.texts("RuleArns");
    let mut views: Vec<Value> = context.region.ledger.read(|state| match input.text("ListenerArn") {
        Some(arn) => {
            find(state, ItemKind::Listener, arn)?;
            Ok(of(state, arn).map(view).collect())
        }
        None if arns.is_empty() => Err(validation(
            "You must specify either listener rule ARNs or a listener ARN",
        )),
        None => arns
            .iter()
            .map(|arn| find(state, ItemKind::ListenerRule, arn).map(view))
            .collect::<Result<_, _>>(),
    })?;
    views.sort_by_key(|rule| rule.required("Priority").parse::<u32>().unwrap_or(u32::MAX));
    paged(&input, "Rules", views)
}

/// `ModifyRule`.
pub async fn modify(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("RuleArn");
    let decide = |state: &State| {
        let mut rule = find(state, ItemKind::ListenerRule, arn)?.clone();
        require_application(state, rule.body.required("_Listener"))?;
        if !input.list("Actions").is_empty() {
            rule.body["Actions"] = listener::actions(state, input.list("Actions"))?.into();
        }
        if !input.list("Conditions").is_empty() {
            rule.body["Conditions"] = input["Conditions"].clone();
        }
        Ok::<_, ApiError>((json!({ "Rules": [view(&rule)] }), vec![Change::put(rule)]))
    };
    context.region.ledger.change(decide).await
}

/// `DeleteRule`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("RuleArn");
    let decide = |state: &State| {
        let rule = find(state, ItemKind::ListenerRule, arn)?;
        if rule.body.flag("IsDefault") == Some(true) {
            return Err(error(
                "OperationNotPermitted",
                format!("Default rule '{arn}' cannot be deleted"),
            ));
        }
        Ok((nothing(), vec![rule.removal()]))
    };
    context.region.ledger.change(decide).await
}

/// `SetRulePriorities`.
pub async fn set_priorities(context: Context, input: Value) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let (mut changes, mut views) = (Vec::new(), Vec::new());
        for wanted in input.list("RulePriorities") {
            let mut rule = find(state, ItemKind::ListenerRule, wanted.required("RuleArn"))?.clone();
            if rule.body.flag("IsDefault") == Some(true) {
                return Err(error(
                    "OperationNotPermitted",
                    "The priority of the default rule cannot be changed",
                ));
            }
            rule.body["Priority"] = wanted.number("Priority").unwrap_or(0).to_string().into();
            views.push(view(&rule));
            changes.push(Change::put(rule));
        }
        Ok::<_, ApiError>((json!({ "Rules": views }), changes))
    };
    context.region.ledger.change(decide).await
}
