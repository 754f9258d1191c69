//! Quantities.

use std::cmp::Ordering;

use kube_types::quantity::{self, Amount};

use super::text;
use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::functions::{Row, row};
use crate::value::{Opaque, Value};

pub(super) const FUNCTIONS: &[Row] = &[
    row("quantity", &["(string) quantity"], Cost::First, |args| match args {
        [given] => parse(text(given)?).map(|amount| Value::Opaque(Opaque::Quantity(amount))),
        _ => Err(EvalError::no_overload()),
    }),
    row("isQuantity", &["(string) bool"], Cost::First, |args| match args {
        [given] => Ok(Value::Bool(quantity::parse(text(given)?).is_ok())),
        _ => Err(EvalError::no_overload()),
    }),
    row("isInteger", &["quantity.() bool"], Cost::Step, |args| match args {
        [Value::Opaque(Opaque::Quantity(amount))] => Ok(Value::Bool(amount.is_integer())),
        _ => Err(EvalError::no_overload()),
    }),
    row("asInteger", &["quantity.() int"], Cost::Step, |args| match args {
        [Value::Opaque(Opaque::Quantity(amount))] if amount.is_integer() => Ok(Value::Int(amount.value())),
        [Value::Opaque(Opaque::Quantity(_))] => Err(EvalError::new("cannot convert value to integer")),
        _ => Err(EvalError::no_overload()),
    }),
    row(
        "asApproximateFloat",
        &["quantity.() double"],
        Cost::Step,
        |args| match args {
            #[expect(clippy::cast_precision_loss, reason = "an approximation is asked for")]
            [Value::Opaque(Opaque::Quantity(amount))] => Ok(Value::Double(amount.milli() as f64 / 1000.0)),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row("sign", &["quantity.() int"], Cost::Step, |args| match args {
        [Value::Opaque(Opaque::Quantity(amount))] => Ok(Value::Int(i64::from(amount.sign()))),
        _ => Err(EvalError::no_overload()),
    }),
    row(
        "add",
        &["quantity.(quantity) quantity", "quantity.(int) quantity"],
        Cost::Step,
        |args| match args {
            [Value::Opaque(Opaque::Quantity(a)), b] => {
                let sum = *a + amount_of(b, a)?;
                Ok(Value::Opaque(Opaque::Quantity(sum)))
            }
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "sub",
        &["quantity.(quantity) quantity", "quantity.(int) quantity"],
        Cost::Step,
        |args| match args {
            [Value::Opaque(Opaque::Quantity(a)), b] => {
                let difference = *a - amount_of(b, a)?;
                Ok(Value::Opaque(Opaque::Quantity(difference)))
            }
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "isLessThan",
        &["quantity.(quantity) bool", "semver.(semver) bool"],
        Cost::Step,
        |args| order(args).map(|order| Value::Bool(order.is_lt())),
    ),
    row(
        "isGreaterThan",
        &["quantity.(quantity) bool", "semver.(semver) bool"],
        Cost::Step,
        |args| order(args).map(|order| Value::Bool(order.is_gt())),
    ),
    row(
        "compareTo",
        &["quantity.(quantity) int", "semver.(semver) int"],
        Cost::Step,
        |args| order(args).map(|order| Value::Int(order as i64)),
    ),
];

fn parse(given: &str) -> Result<Amount, EvalError> {
    quantity::parse(given).map_err(|error| EvalError::new(error.to_string()))
}

fn amount_of(value: &Value<'_>, like: &Amount) -> Result<Amount, EvalError> {
    match value {
        Value::Opaque(Opaque::Quantity(amount)) => Ok(*amount),
        Value::Int(number) => Ok(Amount::from_value(*number, like.format())),
        _ => Err(EvalError::no_overload()),
    }
}

fn order(args: &[Value<'_>]) -> Result<Ordering, EvalError> {
    match args {
        [Value::Opaque(Opaque::Quantity(a)), Value::Opaque(Opaque::Quantity(b))] => Ok(a.cmp(b)),
        [Value::Opaque(Opaque::Semver(a)), Value::Opaque(Opaque::Semver(b))] => Ok(a.cmp_precedence(b)),
        _ => Err(EvalError::no_overload()),
    }
}
