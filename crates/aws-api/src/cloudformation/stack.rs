//! Stacks as the region remembers them, and the operations that make, change and remove them.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stack_planner::Node;

use super::source::{self, body};
use super::{engine, find, invalid, parameters, parse, stack_policy};
use crate::caller::Caller;
use crate::error::ApiError;
use crate::ledger::{Change, State};
use crate::members::{Members, nothing};
use crate::operations::Context;

/// A stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stack {
    /// Its ARN.
    pub id: String,
    /// Its name.
    pub name: String,
    /// For example `CREATE_IN_PROGRESS`.
    pub status: String,
    /// Why it is so.
    pub reason: Option<String>,
    /// The template as it was given.
    pub template: String,
    /// Values of the parameters.
    pub parameters: BTreeMap<String, String>,
    /// Tags, which its resources get too.
    pub tags: BTreeMap<String, String>,
    /// What the caller has acknowledged.
    pub capabilities: Vec<String>,
    /// Who asked, on whose behalf resources are made.
    pub caller: Caller,
    /// A role that the caller named; it is shown.
    pub role_arn: Option<String>,
    /// Whether failures leave everything as it is.
    pub disable_rollback: bool,
    /// Whether a failed creation removes the stack altogether.
    pub delete_on_failure: bool,
    /// Whether `DeleteStack` is refused.
    pub termination_protection: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last began to change.
    pub updated_at: Option<Timestamp>,
    /// When it was gone.
    pub deleted_at: Option<Timestamp>,
    /// Resources by name in the template.
    pub resources: BTreeMap<String, Made>,
    /// Resources that others have replaced and that must go: type, physical id, properties.
    pub garbage: Vec<(String, String, Node)>,
    /// Outputs: name, value, description, export.
    pub outputs: Vec<(String, String, Option<String>, Option<String>)>,
    /// What happened, oldest first.
    pub events: Vec<Event>,
    /// Change sets by name.
    pub change_sets: BTreeMap<String, super::change_set::ChangeSet>,
    /// Template, parameters and tags before an update, to which a failed one goes back.
    pub before: Option<Box<Before>>,
    /// The stack policy as it was given.
    pub policy: Option<String>,
    /// The caller's idempotency token.
    pub token: Option<String>,
    /// What the last detection of drift found.
    #[serde(default)]
    pub drift: Option<super::drift::Drift>,
    /// The id of the stack whose template names this one.
    #[serde(default)]
    pub parent: Option<String>,
    /// The id of the outermost of those.
    #[serde(default)]
    pub root: Option<String>,
    /// Resources that a continued rollback leaves as they are.
    #[serde(default)]
    pub skipped: BTreeSet<String>,
    /// Resources that a deletion leaves alone.
    #[serde(default)]
    pub retained: BTreeSet<String>,
    /// Whether a deletion leaves whatever it cannot delete.
    #[serde(default)]
    pub forced: bool,
}

/// The stacks that a nested one is in, by their ids.
pub struct Family {
    /// The one whose template names it.
    pub parent: String,
    /// The outermost.
    pub root: String,
}

/// Who asks for an update.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// A client, who is told when there is nothing to do.
    Asked,
    /// The parent, whose update takes every nested stack through one.
    Nested,
}

/// A stack's template, parameters and tags before an update.
pub type Before = (String, BTreeMap<String, String>, BTreeMap<String, String>);

/// A resource of a stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// Its type.
    pub kind: String,
    /// Its id in its own service; none before it is made.
    pub physical: Option<String>,
    /// For example `CREATE_COMPLETE`.
    pub status: String,
    /// Why it is so.
    pub reason: Option<String>,
    /// Its properties, evaluated.
    pub properties: Node,
    /// When its status last changed.
    pub at: Timestamp,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// The resource, or the stack itself.
    pub logical: String,
    /// Its physical id.
    pub physical: String,
    /// Its type.
    pub kind: String,
    /// Its status.
    pub status: String,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl Stack {
    /// Whether only its id finds it.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.status == "DELETE_COMPLETE"
    }

    /// Whether something is being done.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.status.ends_with("_IN_PROGRESS") && self.status != "REVIEW_IN_PROGRESS"
    }

    /// Sets the stack's own status and tells it as an event.
    pub fn set(&mut self, status: &str, reason: Option<String>, now: Timestamp) {
        status.clone_into(&mut self.status);
        self.reason.clone_from(&reason);
        let (name, id) = (self.name.clone(), self.id.clone());
        self.tell(&name, &id, "AWS::CloudFormation::Stack", status, reason, now);
    }

    /// Tells an event.
    pub fn tell(
        &mut self,
        logical: &str,
        physical: &str,
        kind: &str,
        status: &str,
        reason: Option<String>,
        now: Timestamp,
    ) {
        let id = format!("{logical}-{status}-{}-{}", now.as_nanosecond(), self.events.len());
        self.events.push(Event {
            id,
            logical: logical.to_owned(),
            physical: physical.to_owned(),
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason,
            at: now,
        });
    }

    /// Sets a resource's status and tells it as an event.
    pub fn set_resource(&mut self, logical: &str, status: &str, reason: Option<String>, now: Timestamp) {
        let Some(made) = self.resources.get_mut(logical) else {
            return;
        };
        status.clone_into(&mut made.status);
        made.reason.clone_from(&reason);
        made.at = now;
        let (kind, physical) = (made.kind.clone(), made.physical.clone().unwrap_or_default());
        self.tell(logical, &physical, &kind, status, reason, now);
    }
}

/// Refuses templates that make identities when the caller has not said that they may.
pub fn check_capabilities(template: &stack_planner::Template, given: &[String]) -> Result<(), ApiError> {
    let Some((needed, _)) = template.capability() else {
        return Ok(());
    };
    let enough = given
        .iter()
        .any(|own| own == needed || (own == "CAPABILITY_NAMED_IAM" && needed == "CAPABILITY_IAM"));
    if enough {
        return Ok(());
    }
    let message = format!("Requires capabilities : [{needed}]");
    Err(ApiError::new(
        "InsufficientCapabilitiesException",
        StatusCode::BAD_REQUEST,
        message,
    ))
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

/// Refuses what is no name of a stack or change set.
///
/// # Errors
/// The sentence about the member that has it.
pub fn check_name(name: &str, member: &str) -> Result<(), ApiError> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    if name.starts_with(|letter: char| letter.is_ascii_alphabetic()) && name.chars().all(is_part) {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value '{name}' at '{member}' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
    )))
}

/// A stack as a request asks for it.
///
/// # Errors
/// When template, parameters or capabilities are not acceptable.
pub fn new(context: &Context, input: &Value, status: &str) -> Result<Stack, ApiError> {
    let text = body(input)?;
    let template = parse(text)?;
    let capabilities = owned(input.texts("Capabilities"));
    let values = template
        .values(&parameters(input, None))
        .map_err(|error| invalid(error.to_string()))?;
    let region = &context.region;
    let (name, now) = (input.required("StackName"), region.clock.now());
    check_name(name, "stackName")?;
    Ok(Stack {
        id: format!(
            "arn:aws:cloudformation:{}:{}:stack/{name}/{}",
            region.name,
            context.caller.account,
            region.random.uuid()
        ),
        name: name.to_owned(),
        status: status.to_owned(),
        reason: None,
        template: text.to_owned(),
        parameters: values,
        tags: input.tags("Tags"),
        capabilities,
        caller: context.caller.clone(),
        role_arn: input.text("RoleARN").map(str::to_owned),
        disable_rollback: input.flag("DisableRollback").unwrap_or(false)
            || input.text("OnFailure") == Some("DO_NOTHING"),
        delete_on_failure: input.text("OnFailure") == Some("DELETE"),
        termination_protection: input.flag("EnableTerminationProtection").unwrap_or(false),
        created_at: now,
        updated_at: None,
        deleted_at: None,
        resources: BTreeMap::new(),
        garbage: Vec::new(),
        outputs: Vec::new(),
        events: Vec::new(),
        change_sets: BTreeMap::new(),
        before: None,
        policy: input.text("StackPolicyBody").map(str::to_owned),
        token: input.text("ClientRequestToken").map(str::to_owned),
        drift: None,
        parent: None,
        root: None,
        skipped: BTreeSet::new(),
        retained: BTreeSet::new(),
        forced: false,
    })
}

/// `CreateStack`.
pub async fn create(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = begin(&context, input, None).await?;
    Ok(json!({ "StackId": id }))
}

/// Begins to make a stack and answers its id.
///
/// # Errors
/// What `CreateStack` answers.
pub async fn begin(context: &Context, input: Value, family: Option<Family>) -> Result<String, ApiError> {
    let input = source::resolved(context, input)?;
    let mut stack = new(context, &input, "CREATE_IN_PROGRESS")?;
    if let Some(Family { parent, root }) = family {
        (stack.parent, stack.root) = (Some(parent), Some(root));
    }
    check_capabilities(&parse(&stack.template)?, &stack.capabilities)?;
    let now = context.region.clock.now();
    stack.set("CREATE_IN_PROGRESS", Some("User Initiated".to_owned()), now);
    let decide = |state: &State| {
        if let Ok(known) = find(state, &stack.name) {
            if stack.token.is_some() && known.token == stack.token {
                return Ok((known.id.clone(), Vec::new()));
            }
            let message = format!("Stack [{}] already exists", stack.name);
            return Err(ApiError::bad_request("AlreadyExistsException", message));
        }
        Ok((stack.id.clone(), vec![Change::put(stack)]))
    };
    let id = context.region.ledger.change(decide).await?;
    engine::drive(&context.region, &id);
    Ok(id)
}

/// Makes the stack's template, parameters and tags those of a request, and begins the change.
///
/// # Errors
/// When nothing would change, or the stack is in no state for it.
pub fn begin_update(stack: &mut Stack, input: &Value, who: Update, now: Timestamp) -> Result<(), ApiError> {
    let settled = stack.status.ends_with("_COMPLETE")
        && !stack.is_gone()
        && !matches!(&*stack.status, "ROLLBACK_COMPLETE" | "DELETE_FAILED");
    if !settled {
        return Err(invalid(format!(
            "Stack:{} is in {} state and can not be updated.",
            stack.id, stack.status
        )));
    }
    let text = if input.flag("UsePreviousTemplate") == Some(true) {
        stack.template.clone()
    } else {
        body(input)?.to_owned()
    };
    let template = parse(&text)?;
    let given = owned(input.texts("Capabilities"));
    check_capabilities(&template, &given)?;
    let values = template
        .values(&parameters(input, Some(&stack.parameters)))
        .map_err(|error| invalid(error.to_string()))?;
    let tags = if input.get("Tags").is_some() {
        input.tags("Tags")
    } else {
        stack.tags.clone()
    };
    if who == Update::Asked && text == stack.template && values == stack.parameters && tags == stack.tags {
        return Err(invalid("No updates are to be performed."));
    }
    stack.before = Some(Box::new((
        stack.template.clone(),
        stack.parameters.clone(),
        stack.tags.clone(),
    )));
    stack.template = text;
    stack.parameters = values;
    stack.tags = tags;
    stack.capabilities = given;
    stack.updated_at = Some(now);
    stack.set("UPDATE_IN_PROGRESS", Some("User Initiated".to_owned()), now);
    Ok(())
}

pub(super) async fn edit<T>(
    context: &Context,
    name: &str,
    change: impl FnOnce(&State, &mut Stack) -> Result<T, ApiError>,
) -> Result<(String, T), ApiError> {
    let decide = |state: &State| {
        let before = find(state, name)?;
        let mut stack = before.clone();
        let answer = change(state, &mut stack)?;
        let id = stack.id.clone();
        let changes = if stack == *before {
            Vec::new()
        } else {
            vec![Change::put(stack)]
        };
        Ok(((id, answer), changes))
    };
    context.region.ledger.change(decide).await
}

/// `UpdateStack`.
pub async fn update(context: Context, input: Value) -> Result<Value, ApiError> {
    let id = change(&context, input, Update::Asked).await?;
    Ok(json!({ "StackId": id }))
}

/// Begins an update and answers the stack's id.
///
/// # Errors
/// What `UpdateStack` answers.
pub async fn change(context: &Context, input: Value, who: Update) -> Result<String, ApiError> {
    let input = source::resolved(context, input)?;
    let now = context.region.clock.now();
    let (id, ()) = edit(context, input.required("StackName"), |_, stack| {
        stack.caller = context.caller.clone();
        begin_update(stack, &input, who, now)
    })
    .await?;
    engine::drive(&context.region, &id);
    Ok(id)
}

/// `UpdateTerminationProtection`.
pub async fn protect(context: Context, input: Value) -> Result<Value, ApiError> {
    let (id, ()) = edit(&context, input.required("StackName"), |_, stack| {
        stack.termination_protection = input.flag("EnableTerminationProtection").unwrap_or(false);
        Ok(())
    })
    .await?;
    Ok(json!({ "StackId": id }))
}

/// `SetStackPolicy`.
pub async fn set_policy(context: Context, input: Value) -> Result<Value, ApiError> {
    let policy = input.text("StackPolicyBody");
    if policy.is_some() && input.text("StackPolicyURL").is_some() {
        return Err(invalid("You cannot specify both StackPolicyURL and StackPolicyBody"));
    }
    if policy.is_some_and(|text| !stack_policy::is_policy(text)) {
        return Err(invalid("Error validating stack policy: Invalid stack policy"));
    }
    edit(&context, input.required("StackName"), |_, stack| {
        stack.policy = policy.map(str::to_owned);
        Ok(())
    })
    .await?;
    Ok(nothing())
}
