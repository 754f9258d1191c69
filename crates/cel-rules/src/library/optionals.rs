//! Values that may be absent.

use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::functions::{Row, row};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Row] = &[
    row("optional.of", &["(A) optional<A>"], Cost::Step, |args| match args {
        [value] => Ok(Value::optional(Some(value.clone()))),
        _ => Err(EvalError::no_overload()),
    }),
    row("optional.none", &["() optional<A>"], Cost::Step, |_| {
        Ok(Value::Optional(None))
    }),
    row(
        "optional.ofNonZeroValue",
        &["(A) optional<A>"],
        Cost::Step,
        |args| match args {
            [value] => Ok(Value::optional((!is_zero(value)).then(|| value.clone()))),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row("hasValue", &["optional<A>.() bool"], Cost::Step, |args| match args {
        [Value::Optional(inner)] => Ok(Value::Bool(inner.is_some())),
        _ => Err(EvalError::no_overload()),
    }),
    row("value", &["optional<A>.() A"], Cost::Step, |args| match args {
        [Value::Optional(Some(inner))] => Ok((**inner).clone()),
        [Value::Optional(None)] => Err(EvalError::new("optional.none() dereference")),
        _ => Err(EvalError::no_overload()),
    }),
    row(
        "or",
        &["optional<A>.(optional<A>) optional<A>"],
        Cost::Step,
        |args| match args {
            [Value::Optional(None), other] => Ok(other.clone()),
            [first @ Value::Optional(Some(_)), _] => Ok(first.clone()),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row("orValue", &["optional<A>.(A) A"], Cost::Step, |args| match args {
        [Value::Optional(None), other] => Ok(other.clone()),
        [Value::Optional(Some(inner)), _] => Ok((**inner).clone()),
        _ => Err(EvalError::no_overload()),
    }),
];

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Duration(0) => true,
        Value::Double(number) => *number == 0.0,
        Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) => value.size() == 0,
        Value::Optional(inner) => inner.is_none(),
        _ => false,
    }
}
