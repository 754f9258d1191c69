//! EventBridge: rules and their targets as they were asked for. Events of services come from nowhere here; those that are put
//! by hand reach the queues that rules name.

mod pattern;

use serde_json::{Value, json};

use crate::catalogue::{self, Item, ItemKind};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;
use crate::sqs;

const DEFAULT: &str = "default";

fn key(bus: &str, name: &str) -> String {
    format!("{bus}/{name}")
}

/// The name of a bus, which may be given as an ARN.
fn bus(input: &Value) -> &str {
    let given = input.text("EventBusName").unwrap_or(DEFAULT);
    given.split_once(":event-bus/").map_or(given, |(_, name)| name)
}

fn arn(context: &Context, bus: &str, name: &str) -> String {
    let path = if bus == DEFAULT {
        name.to_owned()
    } else {
        key(bus, name)
    };
    format!(
        "arn:aws:events:{}:{}:rule/{path}",
        context.region.name, context.caller.account
    )
}

fn not_found(name: &str, bus: &str) -> ApiError {
    let message = format!("Rule {name} does not exist on EventBus {bus}.");
    ApiError::bad_request("ResourceNotFoundException", message)
}

fn validation(message: impl Into<String>) -> ApiError {
    ApiError::bad_request("ValidationException", message)
}

fn find<'a>(state: &'a State, input: &Value, member: &str) -> Result<&'a Item, ApiError> {
    let (bus, name) = (bus(input), input.required(member));
    catalogue::find(state, ItemKind::EventRule, &key(bus, name)).ok_or_else(|| not_found(name, bus))
}

async fn edit<T>(
    context: &Context,
    input: &Value,
    member: &str,
    change: impl FnOnce(&mut Item) -> Result<T, ApiError>,
) -> Result<T, ApiError> {
    let (bus, name) = (bus(input), input.required(member));
    let missing = || not_found(name, bus);
    catalogue::edit(context, ItemKind::EventRule, &key(bus, name), missing, |_, rule| {
        change(rule)
    })
    .await
}

/// `PutRule`.
pub async fn put(context: Context, input: Value) -> Result<Value, ApiError> {
    let (bus, name) = (bus(&input), input.required("Name"));
    if bus != DEFAULT {
        let message = format!("Event bus {bus} does not exist.");
        return Err(ApiError::bad_request("ResourceNotFoundException", message));
    }
    let (pattern, schedule) = (input.text("EventPattern"), input.text("ScheduleExpression"));
    if pattern.is_none() && schedule.is_none() {
        return Err(validation(
            "Parameter(s) EventPattern or ScheduleExpression must be specified.",
        ));
    }
    if let Some(text) = pattern {
        pattern::read(text).map_err(|why| {
            ApiError::bad_request(
                "InvalidEventPatternException",
                format!("Event pattern is not valid. Reason: {why}"),
            )
        })?;
    }
    let arn = arn(&context, bus, name);
    let decide = |state: &State| {
        let known = catalogue::find(state, ItemKind::EventRule, &key(bus, name)).cloned();
        let targets = known
            .as_ref()
            .map_or_else(|| json!([]), |known| known.body["_Targets"].clone());
        let mut body = json!({
            "Name": name, "Arn": arn, "EventBusName": bus, "State": input.text("State").unwrap_or("ENABLED"), "_Targets": targets,
        });
        for member in ["EventPattern", "ScheduleExpression", "Description", "RoleArn"] {
            if let Some(text) = input.text(member) {
                body[member] = text.into();
            }
        }
        let mut tags = known.map(|known| known.tags).unwrap_or_default();
        tags.extend(input.tags("Tags"));
        let made = Item::new(ItemKind::EventRule, key(bus, name), body).tagged(tags);
        Ok::<_, ApiError>((json!({ "RuleArn": arn }), vec![Change::put(made)]))
    };
    context.region.ledger.change(decide).await
}

/// `DescribeRule`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let mut view = find(state, &input, "Name")?.without(&["_Targets"]);
        view["CreatedBy"] = context.caller.account.as_str().into();
        Ok(view)
    })
}

fn paged(input: &Value, member: &str, views: Vec<Value>) -> Result<Value, ApiError> {
    let wrong = || validation("The next token is not valid.");
    let (page, next) = catalogue::page(views, input.text("NextToken"), input.number("Limit"), 100, wrong)?;
    Ok(json!({member: page, "NextToken": next}))
}

/// `ListRules`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let prefix = key(bus(&input), input.text("NamePrefix").unwrap_or_default());
    let views = context.region.ledger.read(|state| {
        catalogue::beginning(state, ItemKind::EventRule, &prefix)
            .map(|rule| rule.without(&["_Targets"]))
            .collect()
    });
    paged(&input, "Rules", views)
}

/// `ListRuleNamesByTarget`.
pub async fn by_target(context: Context, input: Value) -> Result<Value, ApiError> {
    let target = input.required("TargetArn");
    let prefix = key(bus(&input), "");
    let views = context.region.ledger.read(|state| {
        let rules = catalogue::beginning(state, ItemKind::EventRule, &prefix);
        let fitting = rules.filter(|rule| {
            rule.body
                .list("_Targets")
                .iter()
                .any(|one| one.text("Arn") == Some(target))
        });
        fitting.map(|rule| rule.body["Name"].clone()).collect()
    });
    paged(&input, "RuleNames", views)
}

/// `DeleteRule`: one that is gone is success.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let Ok(rule) = find(state, &input, "Name") else {
            return Ok((nothing(), Vec::new()));
        };
        if !rule.body.list("_Targets").is_empty() {
            return Err(validation("Rule can't be deleted since it has targets."));
        }
        Ok((nothing(), vec![rule.removal()]))
    };
    context.region.ledger.change(decide).await
}

async fn switch(context: Context, input: Value, to: &'static str) -> Result<Value, ApiError> {
    edit(&context, &input, "Name", |rule| {
        rule.body["State"] = to.into();
        Ok(nothing())
    })
    .await
}

/// `EnableRule`.
pub async fn enable(context: Context, input: Value) -> Result<Value, ApiError> {
    switch(context, input, "ENABLED").await
}

/// `DisableRule`.
pub async fn disable(context: Context, input: Value) -> Result<Value, ApiError> {
    switch(context, input, "DISABLED").await
}

/// `PutTargets`.
pub async fn put_targets(context: Context, input: Value) -> Result<Value, ApiError> {
    edit(&context, &input, "Rule", |rule| {
        let new = input.list("Targets");
        let mut targets = rule.body.list("_Targets").to_vec();
        targets.retain(|known| !new.iter().any(|target| target["Id"] == known["Id"]));
        targets.extend(new.iter().cloned());
        if targets.len() > 5 {
            return Err(ApiError::bad_request(
                "LimitExceededException",
                "The requested resource exceeds the maximum number allowed.",
            ));
        }
        rule.body["_Targets"] = targets.into();
        Ok(json!({"FailedEntryCount": 0, "FailedEntries": []}))
    })
    .await
}

/// `RemoveTargets`.
pub async fn remove_targets(context: Context, input: Value) -> Result<Value, ApiError> {
    let ids = input.texts("Ids");
    edit(&context, &input, "Rule", |rule| {
        let mut targets = rule.body.list("_Targets").to_vec();
        targets.retain(|target| !ids.contains(&target.required("Id")));
        rule.body["_Targets"] = targets.into();
        Ok(json!({"FailedEntryCount": 0, "FailedEntries": []}))
    })
    .await
}

/// `ListTargetsByRule`.
pub async fn targets(context: Context, input: Value) -> Result<Value, ApiError> {
    let views = context
        .region
        .ledger
        .read(|state| Ok::<_, ApiError>(find(state, &input, "Rule")?.body.list("_Targets").to_vec()))?;
    paged(&input, "Targets", views)
}

/// `PutEvents`: queues get what rules send them; other targets are not served.
pub async fn put_events(context: Context, input: Value) -> Result<Value, ApiError> {
    let mut entries = Vec::new();
    for entry in input.list("Entries") {
        let id = context.region.random.uuid();
        let detail: Value = match serde_json::from_str(entry.text("Detail").unwrap_or("{}")) {
            Ok(detail) => detail,
            Err(error) => {
                entries.push(
                    json!({"ErrorCode": "MalformedDetail", "ErrorMessage": format!("Detail is malformed: {error}")}),
                );
                continue;
            }
        };
        let event = json!({
            "version": "0", "id": id, "detail-type": entry["DetailType"], "source": entry["Source"],
            "account": context.caller.account, "time": context.region.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": context.region.name, "resources": entry.texts("Resources"), "detail": detail,
        });
        deliver(&context, &event).await?;
        entries.push(json!({ "EventId": id }));
    }
    let failed = entries.iter().filter(|entry| entry.get("ErrorCode").is_some()).count();
    Ok(json!({"FailedEntryCount": failed, "Entries": entries}))
}

/// Sends an event to the queues of all rules that it fits.
///
/// # Errors
/// When a queue cannot be written to.
pub async fn deliver(context: &Context, event: &Value) -> Result<(), ApiError> {
    let queues: Vec<String> = context.region.ledger.read(|state| {
        let rules = catalogue::beginning(state, ItemKind::EventRule, &key(DEFAULT, ""));
        let fitting = rules
            .filter(|rule| rule.body.text("State") == Some("ENABLED"))
            .filter(|rule| {
                let pattern = rule.body.text("EventPattern").and_then(|text| pattern::read(text).ok());
                pattern.is_some_and(|pattern| pattern::fits(&pattern, event))
            });
        let targets = fitting.flat_map(|rule| rule.body.list("_Targets"));
        let queues = targets.filter_map(|target| {
            target
                .text("Arn")?
                .split(':')
                .nth(5)
                .filter(|_| target.required("Arn").contains(":sqs:"))
        });
        queues.map(str::to_owned).collect()
    });
    for queue in queues {
        let message = json!({"QueueUrl": queue, "MessageBody": event.to_string()});
        match sqs::message::send(context.clone(), message).await {
            // A target that is gone is passed over, as EventBridge does when it has tried long enough.
            Err(error) if error.code == "QueueDoesNotExist" => tracing::debug!(queue, "the queue of a rule is gone"),
            other => drop(other?),
        }
    }
    Ok(())
}

/// `ListEventBuses`.
pub async fn buses(context: Context, input: Value) -> Result<Value, ApiError> {
    paged(&input, "EventBuses", vec![default_bus(&context)])
}

fn default_bus(context: &Context) -> Value {
    let arn = format!(
        "arn:aws:events:{}:{}:event-bus/{DEFAULT}",
        context.region.name, context.caller.account
    );
    json!({"Name": DEFAULT, "Arn": arn})
}

/// `DescribeEventBus`.
pub async fn describe_bus(context: Context, input: Value) -> Result<Value, ApiError> {
    match input.text("Name").unwrap_or(DEFAULT) {
        DEFAULT => Ok(default_bus(&context)),
        other => Err(ApiError::bad_request(
            "ResourceNotFoundException",
            format!("Event bus {other} does not exist."),
        )),
    }
}

/// The rule that an ARN means.
fn tagged<'a>(state: &'a State, arn: &str) -> Result<&'a Item, ApiError> {
    let mut rules = catalogue::of_kind(state, ItemKind::EventRule);
    let found = rules.find(|rule| rule.body.text("Arn") == Some(arn));
    found.ok_or_else(|| {
        ApiError::bad_request(
            "ResourceNotFoundException",
            format!("Rule {arn} does not exist on EventBus {DEFAULT}."),
        )
    })
}

async fn change_tags(context: &Context, input: &Value, change: impl FnOnce(&mut Item)) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let mut rule = tagged(state, input.required("ResourceARN"))?.clone();
        change(&mut rule);
        Ok::<_, ApiError>((nothing(), vec![Change::put(rule)]))
    };
    context.region.ledger.change(decide).await
}

/// `TagResource`.
pub async fn tag(context: Context, input: Value) -> Result<Value, ApiError> {
    change_tags(&context, &input, |rule| rule.tags.extend(input.tags("Tags"))).await
}

/// `UntagResource`.
pub async fn untag(context: Context, input: Value) -> Result<Value, ApiError> {
    let keys = input.texts("TagKeys");
    change_tags(&context, &input, |rule| {
        rule.tags.retain(|key, _| !keys.contains(&key.as_str()))
    })
    .await
}

/// `ListTagsForResource`.
pub async fn list_tags(context: Context, input: Value) -> Result<Value, ApiError> {
    context
        .region
        .ledger
        .read(|state| Ok(json!({ "Tags": tag_list(&tagged(state, input.required("ResourceARN"))?.tags) })))
}
