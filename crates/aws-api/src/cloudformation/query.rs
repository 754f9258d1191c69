//! What is told of stacks.

use aws_types::time::Time;
use serde_json::{Value, json};
use stack_planner::{Node, Template};

use super::resource::reference;
use super::stack::{Event, Made, Stack};
use super::{drift, find, invalid, parse, source};
use crate::error::ApiError;
use crate::ledger::State;
use crate::members::{Members, tag_list};
use crate::operations::Context;

fn view(stack: &Stack) -> Value {
    let template = Template::parse(&stack.template).unwrap_or_default();
    let shown = |name: &str, value: &str| {
        let hidden = template
            .parameters
            .iter()
            .any(|known| known.name == name && known.no_echo);
        json!({"ParameterKey": name, "ParameterValue": if hidden { "****" } else { value }})
    };
    let parameters: Vec<Value> = stack
        .parameters
        .iter()
        .map(|(name, value)| shown(name, value))
        .collect();
    let outputs: Vec<Value> = stack
        .outputs
        .iter()
        .map(|(name, value, description, export)| {
            json!({"OutputKey": name, "OutputValue": value, "Description": description, "ExportName": export})
        })
        .collect();
    json!({
        "StackId": stack.id, "StackName": stack.name, "StackStatus": stack.status, "StackStatusReason": stack.reason,
        "Description": template.description, "Parameters": parameters, "CreationTime": Time(stack.created_at),
        "LastUpdatedTime": stack.updated_at.map(Time), "DeletionTime": stack.deleted_at.map(Time), "Outputs": outputs,
        "DisableRollback": stack.disable_rollback, "NotificationARNs": [], "Capabilities": stack.capabilities,
        "Tags": tag_list(&stack.tags), "RoleARN": stack.role_arn,
        "EnableTerminationProtection": stack.termination_protection,
        "DriftInformation": drift::information(stack), "RollbackConfiguration": {}, "ParentId": stack.parent, "RootId": stack.root,
    })
}

/// One page: `NextToken` is where the next begins.
///
/// # Errors
/// When the token was not made here.
pub fn page(
    input: &Value,
    member: &str,
    views: impl IntoIterator<IntoIter: ExactSizeIterator<Item = Value>>,
) -> Result<Value, ApiError> {
    let views = views.into_iter();
    let token = input.text("NextToken").unwrap_or("0");
    let begin: usize = token
        .parse()
        .map_err(|_no_token| invalid("The specified NextToken is not valid"))?;
    let total = views.len();
    let page: Vec<Value> = views.skip(begin).take(100).collect();
    let end = begin + page.len();
    let mut answer = json!({ member: page });
    if end < total {
        answer["NextToken"] = end.to_string().into();
    }
    Ok(answer)
}

/// `DescribeStacks`.
pub async fn describe(context: Context, input: Value) -> Result<Value, ApiError> {
    let views = context.region.ledger.read(|state| match input.text("StackName") {
        Some(name) => find(state, name).map(|stack| vec![view(stack)]),
        None => Ok(state
            .stacks
            .values()
            .filter(|stack| !stack.is_gone())
            .map(view)
            .collect()),
    })?;
    page(&input, "Stacks", views)
}

/// `ListStacks`: also those that are gone.
pub async fn list(context: Context, input: Value) -> Result<Value, ApiError> {
    let wanted = input.texts("StackStatusFilter");
    context.region.ledger.read(|state| {
        let fitting = state.stacks.values().filter(|stack| wanted.is_empty() || wanted.contains(&stack.status.as_str()));
        let mut stacks: Vec<&Stack> = fitting.collect();
        stacks.sort_by_key(|stack| std::cmp::Reverse(stack.created_at));
        let summary = |stack: &&Stack| {
            json!({
                "StackId": stack.id, "StackName": stack.name, "StackStatus": stack.status, "StackStatusReason": stack.reason,
                "CreationTime": Time(stack.created_at), "LastUpdatedTime": stack.updated_at.map(Time),
                "DeletionTime": stack.deleted_at.map(Time), "DriftInformation": drift::information(stack),
                "ParentId": stack.parent, "RootId": stack.root,
            })
        };
        page(&input, "StackSummaries", stacks.iter().map(summary))
    })
}

/// `DescribeStackEvents`: newest first.
pub async fn events(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("StackName");
    let views = context.region.ledger.read(|state| {
        let stack = find(state, name)?;
        let one = |event: &Event| {
            json!({
                "StackId": stack.id, "EventId": event.id, "StackName": stack.name, "LogicalResourceId": event.logical,
                "PhysicalResourceId": reference(&event.kind, &event.physical), "ResourceType": event.kind, "Timestamp": Time(event.at),
                "ResourceStatus": event.status, "ResourceStatusReason": event.reason,
            })
        };
        Ok::<_, ApiError>(stack.events.iter().rev().map(one).collect::<Vec<_>>())
    })?;
    page(&input, "StackEvents", views)
}

fn resource(stack: &Stack, name: &str, made: &Made, time: &str) -> Value {
    json!({
        "StackName": stack.name, "StackId": stack.id, "LogicalResourceId": name, "ResourceType": made.kind, time: Time(made.at), "ResourceStatus": made.status, "ResourceStatusReason": made.reason,
        "PhysicalResourceId": made.physical.as_ref().map(|physical| reference(&made.kind, physical)),
        "DriftInformation": drift::resource_information(stack, name),
    })
}

/// `DescribeStackResources`.
pub async fn resources(context: Context, input: Value) -> Result<Value, ApiError> {
    let logical = input.text("LogicalResourceId");
    context.region.ledger.read(|state| {
        let stack = match (input.text("StackName"), input.text("PhysicalResourceId")) {
            (Some(name), _) => find(state, name)?,
            (None, Some(id)) => state
                .stacks
                .values()
                .find(|stack| {
                    !stack.is_gone()
                        && stack
                            .resources
                            .values()
                            .filter_map(|made| Some(reference(&made.kind, made.physical.as_deref()?)))
                            .any(|physical| physical == id)
                })
                .ok_or_else(|| invalid(format!("Stack for {id} does not exist")))?,
            (None, None) => return Err(invalid("Either a stack name or a physical resource id must be given")),
        };
        let own = stack
            .resources
            .iter()
            .filter(|(name, _)| logical.is_none_or(|wanted| wanted == *name));
        let views: Vec<Value> = own
            .map(|(name, made)| resource(stack, name, made, "Timestamp"))
            .collect();
        Ok(json!({ "StackResources": views }))
    })
}

/// `DescribeStackResource`.
pub async fn one_resource(context: Context, input: Value) -> Result<Value, ApiError> {
    let (name, logical) = (input.required("StackName"), input.required("LogicalResourceId"));
    context.region.ledger.read(|state| {
        let stack = find(state, name)?;
        let made = stack.resources.get(logical);
        let made = made.ok_or_else(|| invalid(format!("Resource {logical} does not exist for stack {name}")))?;
        Ok(json!({ "StackResourceDetail": resource(stack, logical, made, "LastUpdatedTimestamp") }))
    })
}

/// `ListStackResources`.
pub async fn list_resources(context: Context, input: Value) -> Result<Value, ApiError> {
    let views = context.region.ledger.read(|state| {
        let stack = find(state, input.required("StackName"))?;
        let one = |(name, made): (&String, &Made)| {
            let mut view = resource(stack, name, made, "LastUpdatedTimestamp");
            if let Some(members) = view.as_object_mut() {
                members.remove("StackName");
                members.remove("StackId");
            }
            view
        };
        Ok::<_, ApiError>(stack.resources.iter().map(one).collect::<Vec<_>>())
    })?;
    page(&input, "StackResourceSummaries", views)
}

/// `GetTemplate`: as it was submitted.
pub async fn template(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("StackName");
    let body = context.region.ledger.read(|state| {
        let stack = find(state, name)?;
        match input.text("ChangeSetName") {
            Some(set) => super::change_set::template_of(stack, set),
            None => Ok(stack.template.clone()),
        }
    })?;
    Ok(json!({"TemplateBody": body, "StagesAvailable": ["Original", "Processed"]}))
}

fn capabilities(template: &Template) -> Value {
    match template.capability() {
        Some((name, kinds)) => json!({
            "Capabilities": [name],
            "CapabilitiesReason": format!("The following resource(s) require capabilities: [{}]", kinds.join(", ")),
        }),
        None => json!({"Capabilities": []}),
    }
}

/// `ValidateTemplate`.
pub async fn validate(context: Context, input: Value) -> Result<Value, ApiError> {
    let input = source::resolved(&context, input)?;
    let template = parse(source::body(&input)?)?;
    let parameters: Vec<Value> = template
        .parameters
        .iter()
        .map(|known| {
            json!({"ParameterKey": known.name, "DefaultValue": known.default, "NoEcho": known.no_echo, "Description": known.description})
        })
        .collect();
    let mut answer = capabilities(&template);
    answer["Parameters"] = parameters.into();
    answer["Description"] = template.description.into();
    Ok(answer)
}

/// `GetTemplateSummary`.
pub async fn summary(context: Context, input: Value) -> Result<Value, ApiError> {
    let text = match input.text("StackName") {
        Some(name) => context.region.ledger.read(|state| {
            let stack = find(state, name)?;
            if stack.status == "REVIEW_IN_PROGRESS" {
                let message = "GetTemplateSummary cannot be called on REVIEW_IN_PROGRESS stacks.";
                return Err(invalid(message));
            }
            Ok(stack.template.clone())
        })?,
        None => source::body(&source::resolved(&context, input)?)?.to_owned(),
    };
    let template = parse(&text)?;
    let parameters: Vec<Value> = template
        .parameters
        .iter()
        .map(|known| {
            json!({
                "ParameterKey": known.name, "DefaultValue": known.default, "ParameterType": known.kind, "NoEcho": known.no_echo,
                "Description": known.description, "ParameterConstraints": {"AllowedValues": known.allowed},
            })
        })
        .collect();
    let mut kinds: Vec<&str> = template
        .resources
        .iter()
        .map(|resource| resource.kind.as_str())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut answer = capabilities(&template);
    answer["Parameters"] = parameters.into();
    answer["ResourceTypes"] = json!(kinds);
    answer["Description"] = template.description.clone().into();
    answer["Version"] = "2010-09-09".into();
    Ok(answer)
}

/// Exports of stacks that are there: stack, name, value.
pub fn exports(state: &State) -> impl Iterator<Item = (&Stack, &String, &String)> {
    let there = state.stacks.values().filter(|stack| !stack.is_gone());
    there.flat_map(|stack| {
        stack
            .outputs
            .iter()
            .filter_map(move |(_, value, _, export)| Some((stack, export.as_ref()?, value)))
    })
}

/// `ListExports`.
pub async fn list_exports(context: Context, input: Value) -> Result<Value, ApiError> {
    let views = context.region.ledger.read(|state| {
        let one = |(stack, name, value): (&Stack, &String, &String)| json!({"ExportingStackId": stack.id, "Name": name, "Value": value});
        exports(state).map(one).collect::<Vec<_>>()
    });
    page(&input, "Exports", views)
}

/// Names of the exports that a stack's template imports by name.
pub fn imports(stack: &Stack, state: &State) -> Vec<String> {
    let template = Template::parse(&stack.template).unwrap_or_default();
    let mut found = Vec::new();
    for resource in &template.resources {
        collect(&resource.properties, stack, &mut found);
    }
    found.retain(|name| exports(state).any(|(_, export, _)| export == name));
    found
}

fn collect(node: &Node, stack: &Stack, found: &mut Vec<String>) {
    if let Some(("Fn::ImportValue", name)) = node.single() {
        let text = match name.single() {
            Some(("Fn::Sub", Node::Text(text))) => Some(text.replace("${AWS::StackName}", &stack.name)),
            _ => name.scalar(),
        };
        let filled = text.map(|text| {
            stack
                .parameters
                .iter()
                .fold(text, |text, (key, value)| text.replace(&format!("${{{key}}}"), value))
        });
        found.extend(filled);
    }
    node.items().iter().for_each(|item| collect(item, stack, found));
    node.entries()
        .iter()
        .for_each(|(_, value)| collect(value, stack, found));
}

/// `ListImports`.
pub async fn list_imports(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("ExportName").to_owned();
    let importers: Vec<String> = context.region.ledger.read(|state| {
        let there = state.stacks.values().filter(|stack| !stack.is_gone());
        there
            .filter(|stack| imports(stack, state).contains(&name))
            .map(|stack| stack.name.clone())
            .collect()
    });
    if importers.is_empty() {
        return Err(invalid(format!("Export '{name}' is not imported by any stack.")));
    }
    Ok(json!({ "Imports": importers }))
}

/// `GetStackPolicy`.
pub async fn policy(context: Context, input: Value) -> Result<Value, ApiError> {
    let look = |state: &State| find(state, input.required("StackName")).map(|stack| stack.policy.clone());
    Ok(json!({ "StackPolicyBody": context.region.ledger.read(look)? }))
}
