//! Questions to the authorizer.

use std::sync::Arc;

use super::text;
use crate::authorizer::AccessCheck;
use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::functions::{Row, row};
use crate::value::{Opaque, Value};

pub(super) const FUNCTIONS: &[Row] = &[
    row(
        "serviceAccount",
        &["authorizer.(string, string) authorizer"],
        Cost::Step,
        |args| match args {
            [Value::Opaque(Opaque::Authorizer(authorizer, _)), namespace, name] => {
                let account = (text(namespace)?.to_owned(), text(name)?.to_owned());
                Ok(Value::Opaque(Opaque::Authorizer(*authorizer, Some(Arc::new(account)))))
            }
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "path",
        &["authorizer.(string) path_check"],
        Cost::Step,
        |args| match args {
            [Value::Opaque(Opaque::Authorizer(authorizer, account)), path] => {
                let check = AccessCheck {
                    path: Some(text(path)?.to_owned()),
                    service_account: account.as_deref().cloned(),
                    ..AccessCheck::default()
                };
                Ok(Value::Opaque(Opaque::PathCheck(*authorizer, Arc::new(check))))
            }
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "group",
        &["authorizer.(string) group_check"],
        Cost::Step,
        |args| match args {
            [Value::Opaque(Opaque::Authorizer(authorizer, account)), group] => {
                let check = AccessCheck {
                    group: text(group)?.to_owned(),
                    service_account: account.as_deref().cloned(),
                    ..AccessCheck::default()
                };
                Ok(Value::Opaque(Opaque::GroupCheck(*authorizer, Arc::new(check))))
            }
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "resource",
        &["group_check.(string) resource_check"],
        Cost::Step,
        |args| match args {
            [Value::Opaque(Opaque::GroupCheck(authorizer, check)), resource] => {
                let check = AccessCheck {
                    resource: text(resource)?.to_owned(),
                    ..(**check).clone()
                };
                Ok(Value::Opaque(Opaque::ResourceCheck(*authorizer, Arc::new(check))))
            }
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "subresource",
        &["resource_check.(string) resource_check"],
        Cost::Step,
        |args| set(args, |check, given| check.subresource = given),
    ),
    row(
        "namespace",
        &["resource_check.(string) resource_check"],
        Cost::Step,
        |args| set(args, |check, given| check.namespace = given),
    ),
    row(
        "name",
        &["resource_check.(string) resource_check"],
        Cost::Step,
        |args| set(args, |check, given| check.name = given),
    ),
    row(
        "fieldSelector",
        &["resource_check.(string) resource_check"],
        Cost::Step,
        |args| set(args, |check, given| check.field_selector = given),
    ),
    row(
        "labelSelector",
        &["resource_check.(string) resource_check"],
        Cost::Step,
        |args| set(args, |check, given| check.label_selector = given),
    ),
    row(
        "check",
        &["path_check.(string) decision", "resource_check.(string) decision"],
        Cost::Access,
        |args| match args {
            [
                Value::Opaque(Opaque::PathCheck(authorizer, check) | Opaque::ResourceCheck(authorizer, check)),
                verb,
            ] => {
                let check = AccessCheck {
                    verb: text(verb)?.to_owned(),
                    ..(**check).clone()
                };
                Ok(Value::Opaque(Opaque::Decision(Arc::new(authorizer.answer(&check)))))
            }
            _ => Err(EvalError::no_overload()),
        },
    ),
    row("allowed", &["decision.() bool"], Cost::Step, |args| match args {
        [Value::Opaque(Opaque::Decision(answer))] => Ok(Value::Bool(answer.allowed)),
        _ => Err(EvalError::no_overload()),
    }),
    row("reason", &["decision.() string"], Cost::Step, |args| match args {
        [Value::Opaque(Opaque::Decision(answer))] => Ok(Value::text(answer.reason.as_str())),
        _ => Err(EvalError::no_overload()),
    }),
    row("errored", &["decision.() bool"], Cost::Step, |args| match args {
        [Value::Opaque(Opaque::Decision(answer))] => Ok(Value::Bool(answer.error.is_some())),
        _ => Err(EvalError::no_overload()),
    }),
    row("error", &["decision.() string"], Cost::Step, |args| match args {
        [Value::Opaque(Opaque::Decision(answer))] => Ok(Value::text(answer.error.clone().unwrap_or_default())),
        _ => Err(EvalError::no_overload()),
    }),
];

fn set<'a>(args: &[Value<'a>], change: impl Fn(&mut AccessCheck, String)) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::Opaque(Opaque::ResourceCheck(authorizer, check)), given] => {
            let mut check = (**check).clone();
            change(&mut check, text(given)?.to_owned());
            Ok(Value::Opaque(Opaque::ResourceCheck(*authorizer, Arc::new(check))))
        }
        _ => Err(EvalError::no_overload()),
    }
}
