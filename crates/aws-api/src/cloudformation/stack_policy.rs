//! Stack policies: which resources of a stack an update may touch, and how. What no statement allows is denied.

use serde_json::Value;

use super::stack::Stack;
use crate::ec2::filter;
use crate::members::Members;

/// How an update touches a resource.
const MODIFY: &str = "Update:Modify";
/// Another one takes its place.
const REPLACE: &str = "Update:Replace";

/// A member that is a text or a list of texts.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn names(statement: &Value, member: &str, value: &str) -> Option<bool> {
    let patterns = texts(statement.get(member)?);
    Some(
        patterns
            .iter()
            .any(|pattern| *pattern == "*" || filter::matches(pattern, value)),
    )
}

/// Conditions of stack policies ask for the resource's type only.
fn holds(statement: &Value, kind: &str) -> bool {
    let conditions = statement
        .get("Condition")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    conditions.into_iter().all(|(_, members)| {
        texts(&members["ResourceType"])
            .iter()
            .any(|wanted| filter::matches(wanted, kind))
    })
}

fn fits(statement: &Value, logical: &str, kind: &str, action: &str) -> bool {
    let resource = format!("LogicalResourceId/{logical}");
    let by_action =
        names(statement, "Action", action).or_else(|| names(statement, "NotAction", action).map(|named| !named));
    let by_resource = names(statement, "Resource", &resource)
        .or_else(|| names(statement, "NotResource", &resource).map(|named| !named));
    by_action.unwrap_or(false) && by_resource.unwrap_or(false) && holds(statement, kind)
}

/// Refuses what the stack's policy does not let an update do with a resource that is there; its rollback may do everything.
///
/// # Errors
/// CloudFormation's sentence.
pub fn check(stack: &Stack, logical: &str, kind: &str, is_replaced: bool) -> Result<(), String> {
    let action = if is_replaced { REPLACE } else { MODIFY };
    let policy = stack.policy.as_ref().filter(|_| stack.status == "UPDATE_IN_PROGRESS");
    match policy.and_then(|policy| refusal(policy, logical, kind, action)) {
        Some(reason) => Err(reason),
        None => Ok(()),
    }
}

/// The reason for which a policy does not let an update touch a resource; `None` when it does.
fn refusal(policy: &str, logical: &str, kind: &str, action: &str) -> Option<String> {
    let document: Value = serde_json::from_str(policy).unwrap_or_default();
    let one = [document["Statement"].clone()];
    let statements = document["Statement"].as_array().map_or(&one[..], Vec::as_slice);
    let mut allowed = false;
    for (number, statement) in (1..).zip(statements) {
        if !fits(statement, logical, kind, action) {
            continue;
        }
        match statement.text("Effect") {
            Some("Deny") => {
                return Some(format!(
                    "Action denied by stack policy: Statement [#{number}] does not allow [{action}] for resource [{logical}]"
                ));
            }
            _ => allowed = true,
        }
    }
    let message = format!("Action denied by stack policy: No statement allows [{action}] for resource [{logical}]");
    (!allowed).then_some(message)
}

/// Whether a text is a policy.
pub fn is_policy(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|document| !document["Statement"].is_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_allowed_is_denied() {
        let policy = r#"{"Statement": [
            {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": "Update:Replace", "Principal": "*", "Resource": "LogicalResourceId/Queue"},
            {"Effect": "Deny", "Action": "Update:*", "Principal": "*", "Resource": "*",
             "Condition": {"StringEquals": {"ResourceType": ["AWS::KMS::*"]}}}]}"#;
        for (logical, kind, action, allowed) in [
            ("Queue", "AWS::SQS::Queue", MODIFY, true),
            ("Queue", "AWS::SQS::Queue", REPLACE, false),
            ("Key", "AWS::KMS::Key", MODIFY, false),
            ("Other", "AWS::SQS::Queue", REPLACE, true),
        ] {
            assert_eq!(
                refusal(policy, logical, kind, action).is_none(),
                allowed,
                "{logical} {action}"
            );
        }
        assert!(refusal(r#"{"Statement": []}"#, "Queue", "AWS::SQS::Queue", MODIFY).is_some());
    }
}
