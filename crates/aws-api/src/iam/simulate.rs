//! The policy simulator: what IAM's rules would say.

use access_rules::iam_policy::{Decision, Document, Facts, Policies, Request};
use serde_json::{Value, json};

use super::no_such;
use crate::authorization;
use crate::error::ApiError;
use crate::members::Members;
use crate::operations::Context;

/// `SimulatePrincipalPolicy`.
pub async fn principal(context: Context, input: Value) -> Result<Value, ApiError> {
    let arn = input.required("PolicySourceArn");
    let mut policies = context.region.ledger.read(|state| {
        let entity = state.entities.values().find(|entity| entity.arn == arn);
        let entity = entity.ok_or_else(|| no_such(format!("The entity with ARN {arn} cannot be found.")))?;
        Ok::<_, ApiError>(authorization::policies_of(state, entity))
    })?;
    policies.identity.extend(documents(&input)?);
    evaluate(&policies, &input)
}

/// `SimulateCustomPolicy`.
pub async fn custom(_context: Context, input: Value) -> Result<Value, ApiError> {
    let policies = Policies {
        identity: documents(&input)?,
        ..Policies::default()
    };
    evaluate(&policies, &input)
}

fn documents(input: &Value) -> Result<Vec<Document>, ApiError> {
    let read =
        |text: &str| Document::identity(text).map_err(|error| ApiError::bad_request("InvalidInput", error.to_string()));
    input.texts("PolicyInputList").into_iter().map(read).collect()
}

fn evaluate(policies: &Policies, input: &Value) -> Result<Value, ApiError> {
    let mut facts = Facts::new();
    for entry in input.list("ContextEntries") {
        let values = entry.texts("ContextKeyValues").into_iter().map(str::to_owned).collect();
        facts.insert(entry.required("ContextKeyName").to_lowercase(), values);
    }
    let mut resources = input.texts("ResourceArns");
    if resources.is_empty() {
        resources.push("*");
    }
    let mut results = Vec::new();
    for action in input.texts("ActionNames") {
        for resource in &resources {
            let decision = policies.decide(&Request {
                action,
                resource,
                facts: &facts,
            });
            let name = match decision {
                Decision::Allowed => "allowed",
                Decision::ExplicitDeny(_) => "explicitDeny",
                Decision::ImplicitDeny(_) => "implicitDeny",
            };
            results.push(json!({
                "EvalActionName": action, "EvalResourceName": resource, "EvalDecision": name, "MatchedStatements": [],
                "MissingContextValues": [],
            }));
        }
    }
    super::page(results, "EvaluationResults", input)
}
