//! Kubernetes' functions on lists, and cel-go's.

use std::cmp::Ordering;

use super::{operators, text, whole};
use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::functions::{Row, row};
use crate::value::{List, Value};

pub(super) const FUNCTIONS: &[Row] = &[
    row("isSorted", &["list<A>.() bool"], Cost::Elements, |args| match args {
        [Value::List(list)] => {
            let items: Vec<Value<'_>> = list.iter().collect();
            let mut sorted = true;
            for pair in items.windows(2) {
                sorted &= pair[0].compare(&pair[1]).ok_or_else(EvalError::no_overload)? != Ordering::Greater;
            }
            Ok(Value::Bool(sorted))
        }
        _ => Err(EvalError::no_overload()),
    }),
    row("sum", &["list<A>.() A"], Cost::Elements, |args| match args {
        [Value::List(list)] => sum(list),
        _ => Err(EvalError::no_overload()),
    }),
    row("min", &["list<A>.() A"], Cost::Elements, |args| {
        extreme(args, "min", Ordering::Less)
    }),
    row("max", &["list<A>.() A"], Cost::Elements, |args| {
        extreme(args, "max", Ordering::Greater)
    }),
    row(
        "indexOf",
        &["list<A>.(A) int", "string.(string) int", "string.(string, int) int"],
        Cost::First,
        |args| match args {
            [Value::List(list), wanted] => Ok(position(list.iter().position(|item| item.equals(wanted)))),
            [Value::String(subject), part] => Ok(position(first_of(subject, text(part)?, 0))),
            [Value::String(subject), part, from] => {
                Ok(position(first_of(subject, text(part)?, offset(subject, from)?)))
            }
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "lastIndexOf",
        &["list<A>.(A) int", "string.(string) int", "string.(string, int) int"],
        Cost::First,
        |args| match args {
            [Value::List(list), wanted] => {
                let all: Vec<bool> = list.iter().map(|item| item.equals(wanted)).collect();
                Ok(position(all.iter().rposition(|found| *found)))
            }
            [Value::String(subject), part] => Ok(position(last_of(subject, text(part)?, usize::MAX))),
            [Value::String(subject), part, to] => Ok(position(last_of(subject, text(part)?, offset(subject, to)?))),
            _ => Err(EvalError::no_overload()),
        },
    ),
];

fn position<'a>(found: Option<usize>) -> Value<'a> {
    Value::Int(found.and_then(|index| i64::try_from(index).ok()).unwrap_or(-1))
}

fn offset(subject: &str, given: &Value<'_>) -> Result<usize, EvalError> {
    let given = whole(given)?;
    let index = usize::try_from(given)
        .ok()
        .filter(|index| *index <= subject.chars().count());
    index.ok_or_else(|| EvalError::new(format!("index out of range: {given}")))
}

/// Position, in characters, of the first occurrence from an offset on.
fn first_of(subject: &str, part: &str, from: usize) -> Option<usize> {
    let rest: String = subject.chars().skip(from).collect();
    rest.find(part).map(|bytes| from + rest[..bytes].chars().count())
}

/// Position, in characters, of the last occurrence that begins at or before an offset.
fn last_of(subject: &str, part: &str, to: usize) -> Option<usize> {
    let within: String = subject.chars().take(to.saturating_add(part.chars().count())).collect();
    within.rfind(part).map(|bytes| within[..bytes].chars().count())
}

fn sum<'a>(list: &List<'a>) -> Result<Value<'a>, EvalError> {
    let mut items = list.iter();
    let Some(mut total) = items.next() else {
        return Ok(Value::Int(0));
    };
    if !matches!(
        total,
        Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_)
    ) {
        return Err(EvalError::no_overload());
    }
    for item in items {
        total = match (&total, &item) {
            (Value::Int(a), Value::Int(b)) => a
                .checked_add(*b)
                .map(Value::Int)
                .ok_or_else(operators::integer_overflow)?,
            (Value::Uint(a), Value::Uint(b)) => a
                .checked_add(*b)
                .map(Value::Uint)
                .ok_or_else(operators::integer_overflow)?,
            (Value::Double(a), Value::Double(b)) => Value::Double(a + b),
            (Value::Duration(a), Value::Duration(b)) => a
                .checked_add(*b)
                .map(Value::Duration)
                .ok_or_else(operators::integer_overflow)?,
            _ => return Err(EvalError::no_overload()),
        };
    }
    Ok(total)
}

fn extreme<'a>(args: &[Value<'a>], name: &str, wanted: Ordering) -> Result<Value<'a>, EvalError> {
    let [Value::List(list)] = args else {
        return Err(EvalError::no_overload());
    };
    let mut items = list.iter();
    let mut best = items
        .next()
        .ok_or_else(|| EvalError::new(format!("{name} called on empty list")))?;
    for item in items {
        if item.compare(&best).ok_or_else(EvalError::no_overload)? == wanted {
            best = item;
        }
    }
    Ok(best)
}
