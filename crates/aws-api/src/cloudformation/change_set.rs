//! Change sets: what an update would do, and doing it.

use std::collections::BTreeMap;

use aws_types::time::Time;
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stack_planner::diff::{self, Action};
use stack_planner::{Scope, Template};

use super::source;
use super::stack::{self, Stack};
use super::world::World;
use super::{engine, find, invalid, parameters, parse, pseudo, resource};
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing, tag_list};
use crate::operations::Context;

/// A change set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeSet {
    /// Its ARN.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `CREATE_COMPLETE` or `FAILED`.
    pub status: String,
    /// Why.
    pub reason: Option<String>,
    /// The request that it stands for.
    pub input: Value,
    /// A sentence.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// What would happen.
    pub changes: Vec<Planned>,
}

/// What would happen to a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// `Add`, `Modify`, `Replace` or `Remove`.
    pub action: String,
    /// Its physical id, if it is there.
    pub physical: Option<String>,
    /// Properties that differ.
    pub properties: Vec<String>,
}

const NOTHING: &str =
    "The submitted information didn't contain changes. Submit different information to create a change set.";

fn not_found(name: &str) -> ApiError {
    ApiError::new(
        "ChangeSetNotFound",
        StatusCode::NOT_FOUND,
        format!("ChangeSet [{name}] does not exist"),
    )
}

fn find_set<'a>(state: &'a State, input: &Value) -> Result<(&'a Stack, &'a ChangeSet), ApiError> {
    let name = input.required("ChangeSetName");
    let stack = match input.text("StackName") {
        Some(stack) => find(state, stack)?,
        None => state
            .stacks
            .values()
            .find(|stack| stack.change_sets.values().any(|set| set.id == name))
            .ok_or_else(|| not_found(name))?,
    };
    let set = stack
        .change_sets
        .values()
        .find(|set| set.name == name || set.id == name);
    Ok((stack, set.ok_or_else(|| not_found(name))?))
}

/// The template of a change set.
///
/// # Errors
/// When it is not there.
pub fn template_of(stack: &Stack, name: &str) -> Result<String, ApiError> {
    let set = stack
        .change_sets
        .values()
        .find(|set| set.name == name || set.id == name)
        .ok_or_else(|| not_found(name))?;
    Ok(set.input.text("TemplateBody").unwrap_or(&stack.template).to_owned())
}

/// What would happen to a stack: its resources as they are against a template's, evaluated as far as that can be done now.
fn planned(
    context: &Context,
    state: &State,
    stack: &Stack,
    template: &Template,
    values: &BTreeMap<String, String>,
) -> Result<Vec<diff::ResourceChange>, ApiError> {
    let (pseudo, world) = (pseudo(&context.region, stack), World { state, stack });
    let scope = Scope {
        template,
        parameters: values,
        pseudo: &pseudo,
        resources: &world,
    };
    let failed = |error: stack_planner::EvaluateError| invalid(error.to_string());
    let mut after = Vec::new();
    for wanted in &template.resources {
        if scope.is_there(wanted.condition.as_deref()).map_err(failed)? {
            // What depends on a resource that is not there yet differs from anything.
            let properties = scope
                .value(&wanted.properties)
                .unwrap_or_else(|_later| wanted.properties.clone());
            after.push((wanted.name.as_str(), wanted.kind.as_str(), properties));
        }
    }
    let after: Vec<diff::State<'_>> = after
        .iter()
        .map(|(name, kind, properties)| (*name, *kind, properties))
        .collect();
    let before: Vec<diff::State<'_>> = stack
        .resources
        .iter()
        .map(|(name, made)| (name.as_str(), made.kind.as_str(), &made.properties))
        .collect();
    Ok(diff::changes(&before, &after, resource::replaces))
}

/// `CreateChangeSet`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let input = source::resolved(&context, input)?;
    let (name, set_name) = (input.required("StackName"), input.required("ChangeSetName"));
    stack::check_name(set_name, "changeSetName")?;
    let (region, now) = (&context.region, context.region.clock.now());
    let creates = input.text("ChangeSetType") == Some("CREATE");
    let fresh = if creates {
        Some(stack::new(&context, &input, "REVIEW_IN_PROGRESS")?)
    } else {
        None
    };
    let uuid = region.random.uuid();
    let decide = |state: &State| {
        let mut stack = match (find(state, name), fresh) {
            (Ok(known), _) if !creates || known.status == "REVIEW_IN_PROGRESS" => known.clone(),
            (Ok(known), _) => {
                return Err(invalid(format!(
                    "Stack [{}] already exists and cannot be created again with the changeSet [{set_name}].",
                    known.name
                )));
            }
            (Err(_), Some(fresh)) => fresh,
            (Err(error), None) => return Err(error),
        };
        if stack.change_sets.contains_key(set_name) {
            let message =
                format!("ChangeSet {set_name} cannot be created due to a mismatch with existing attribute name");
            return Err(ApiError::bad_request("AlreadyExistsException", message));
        }
        let changes = wanted_changes(&context, state, &stack, &input, creates)?;
        let set = ChangeSet {
            id: format!(
                "arn:aws:cloudformation:{}:{}:changeSet/{set_name}/{uuid}",
                region.name, context.caller.account
            ),
            name: set_name.to_owned(),
            status: if changes.is_none() { "FAILED" } else { "CREATE_COMPLETE" }.to_owned(),
            reason: changes.is_none().then(|| NOTHING.to_owned()),
            description: input.text("Description").map(str::to_owned),
            created_at: now,
            changes: changes.unwrap_or_default(),
            input: input.clone(),
        };
        let answer = json!({"Id": set.id, "StackId": stack.id});
        stack.change_sets.insert(set_name.to_owned(), set);
        Ok((answer, vec![Change::put(stack)]))
    };
    region.ledger.change(decide).await
}

/// What a request would change; `None` when it is nothing at all.
fn wanted_changes(
    context: &Context,
    state: &State,
    stack: &Stack,
    input: &Value,
    creates: bool,
) -> Result<Option<Vec<Planned>>, ApiError> {
    let text = match input.flag("UsePreviousTemplate") {
        Some(true) => stack.template.as_str(),
        _ => source::body(input)?,
    };
    let template = parse(text)?;
    let given: Vec<String> = input.texts("Capabilities").into_iter().map(str::to_owned).collect();
    stack::check_capabilities(&template, &given)?;
    let values = template
        .values(&parameters(input, Some(&stack.parameters)))
        .map_err(|error| invalid(error.to_string()))?;
    let changes = planned(context, state, stack, &template, &values)?;
    let same_tags = input.get("Tags").is_none() || input.tags("Tags") == stack.tags;
    let same_outputs = Template::parse(&stack.template).is_ok_and(|before| before.outputs == template.outputs);
    if changes.is_empty() && same_tags && same_outputs && !creates {
        return Ok(None);
    }
    let shown = |change: diff::ResourceChange| Planned {
        action: match change.action {
            Action::Add => "Add",
            Action::Modify => "Modify",
            Action::Replace => "Replace",
            Action::Remove => "Remove",
        }
        .to_owned(),
        physical: stack
            .resources
            .get(&change.name)
            .and_then(|made| Some(resource::reference(&made.kind, made.physical.as_deref()?))),
        name: change.name,
        kind: change.kind,
        properties: change.properties,
    };
    Ok(Some(changes.into_iter().map(shown).collect()))
}

fn execution(set: &ChangeSet) -> &'static str {
    if set.status == "CREATE_COMPLETE" {
        "AVAILABLE"
    } else {
        "UNAVAILABLE"
    }
}

/// `DescribeChangeSet`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let (stack, set) = find_set(state, &input)?;
        let change = |change: &Planned| {
            let Planned {
                name,
                kind,
                action,
                physical,
                properties,
            } = change;
            let details: Vec<Value> = properties
                .iter()
                .map(|property| json!({"Target": {"Attribute": "Properties", "Name": property}, "Evaluation": "Static", "ChangeSource": "DirectModification"}))
                .collect();
            let (action, replacement) = match &**action {
                "Replace" => ("Modify", Some("True")),
                "Modify" => ("Modify", Some("False")),
                other => (other, None),
            };
            json!({"Type": "Resource", "ResourceChange": {
                "Action": action, "LogicalResourceId": name, "PhysicalResourceId": physical, "ResourceType": kind,
                "Replacement": replacement, "Scope": if details.is_empty() { json!([]) } else { json!(["Properties"]) },
                "Details": details,
            }})
        };
        let changes: Vec<Value> = set.changes.iter().map(change).collect();
        Ok(json!({
            "ChangeSetName": set.name, "ChangeSetId": set.id, "StackId": stack.id, "StackName": stack.name,
            "Description": set.description, "CreationTime": Time(set.created_at), "ExecutionStatus": execution(set),
            "Status": set.status, "StatusReason": set.reason, "Changes": changes, "NotificationARNs": [],
            "Capabilities": set.input.list("Capabilities"), "Tags": tag_list(&set.input.tags("Tags")),
        }))
    })
}

/// `ListChangeSets`.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    context.region.ledger.read(|state| {
        let stack = find(state, input.required("StackName"))?;
        let one = |set: &ChangeSet| {
            json!({
                "StackId": stack.id, "StackName": stack.name, "ChangeSetId": set.id, "ChangeSetName": set.name,
                "ExecutionStatus": execution(set), "Status": set.status, "StatusReason": set.reason,
                "CreationTime": Time(set.created_at), "Description": set.description,
            })
        };
        Ok(json!({ "Summaries": stack.change_sets.values().map(one).collect::<Vec<_>>() }))
    })
}

/// `ExecuteChangeSet`: the change sets of the stack are used up by it.
pub async fn execute(context: Context, input: Value) -> Result<Value, ApiError> {
    let now = context.region.clock.now();
    let decide = |state: &State| {
        let (stack, set) = find_set(state, &input)?;
        if execution(set) != "AVAILABLE" {
            let message = format!(
                "ChangeSet [{}] cannot be executed in its current status of [{}]",
                set.id, set.status
            );
            return Err(ApiError::bad_request("InvalidChangeSetStatus", message));
        }
        let (mut after, asked) = (stack.clone(), set.input.clone());
        after.change_sets = BTreeMap::new();
        after.caller = context.caller.clone();
        if after.status == "REVIEW_IN_PROGRESS" {
            after.set("CREATE_IN_PROGRESS", Some("User Initiated".to_owned()), now);
        } else {
            stack::begin_update(&mut after, &asked, stack::Update::Asked, now)?;
        }
        Ok((after.id.clone(), vec![Change::put(after)]))
    };
    let id = context.region.ledger.change(decide).await?;
    engine::drive(&context.region, &id);
    Ok(nothing())
}

/// `DeleteChangeSet`.
pub async fn delete(context: Context, input: Value) -> Result<Value, ApiError> {
    let decide = |state: &State| {
        let (stack, set) = find_set(state, &input)?;
        let mut after = stack.clone();
        after.change_sets.remove(&set.name);
        Ok::<_, ApiError>(((), vec![Change::put(after)]))
    };
    context.region.ledger.change(decide).await?;
    Ok(nothing())
}
