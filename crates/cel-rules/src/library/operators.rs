//! Operators.

use std::cmp::Ordering;

use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::functions::{Row, row};
use crate::library::time;
use crate::value::Value;

const ORDERED: &[&str] = &[
    "(bool, bool) bool",
    "(int, int) bool",
    "(int, uint) bool",
    "(int, double) bool",
    "(uint, uint) bool",
    "(uint, int) bool",
    "(uint, double) bool",
    "(double, double) bool",
    "(double, int) bool",
    "(double, uint) bool",
    "(string, string) bool",
    "(bytes, bytes) bool",
    "(timestamp, timestamp) bool",
    "(duration, duration) bool",
];
const NUMBERS: &[&str] = &["(int, int) int", "(uint, uint) uint", "(double, double) double"];

pub(super) const FUNCTIONS: &[Row] = &[
    row("_==_", &["(A, A) bool"], Cost::Compare, |args| match args {
        [a, b] => Ok(Value::Bool(a.equals(b))),
        _ => Err(EvalError::no_overload()),
    }),
    row("_!=_", &["(A, A) bool"], Cost::Compare, |args| match args {
        [a, b] => Ok(Value::Bool(!a.equals(b))),
        _ => Err(EvalError::no_overload()),
    }),
    row("_<_", ORDERED, Cost::Compare, |args| order(args, Ordering::is_lt)),
    row("_<=_", ORDERED, Cost::Compare, |args| order(args, Ordering::is_le)),
    row("_>_", ORDERED, Cost::Compare, |args| order(args, Ordering::is_gt)),
    row("_>=_", ORDERED, Cost::Compare, |args| order(args, Ordering::is_ge)),
    row("!_", &["(bool) bool"], Cost::Step, |args| match args {
        [Value::Bool(truth)] => Ok(Value::Bool(!truth)),
        _ => Err(EvalError::no_overload()),
    }),
    row(
        "-_",
        &["(int) int", "(double) double", "(duration) duration"],
        Cost::Step,
        |args| match args {
            [Value::Int(number)] => number.checked_neg().map(Value::Int).ok_or_else(integer_overflow),
            [Value::Double(number)] => Ok(Value::Double(-number)),
            [Value::Duration(nanos)] => nanos.checked_neg().map(Value::Duration).ok_or_else(integer_overflow),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "_+_",
        &[
            "(int, int) int",
            "(uint, uint) uint",
            "(double, double) double",
            "(string, string) string",
            "(bytes, bytes) bytes",
            "(list<A>, list<A>) list<A>",
            "(timestamp, duration) timestamp",
            "(duration, timestamp) timestamp",
            "(duration, duration) duration",
        ],
        Cost::All,
        plus,
    ),
    row(
        "_-_",
        &[
            "(int, int) int",
            "(uint, uint) uint",
            "(double, double) double",
            "(timestamp, timestamp) duration",
            "(timestamp, duration) timestamp",
            "(duration, duration) duration",
        ],
        Cost::Step,
        minus,
    ),
    row("_*_", NUMBERS, Cost::Step, |args| match args {
        [Value::Int(a), Value::Int(b)] => a.checked_mul(*b).map(Value::Int).ok_or_else(integer_overflow),
        [Value::Uint(a), Value::Uint(b)] => a.checked_mul(*b).map(Value::Uint).ok_or_else(unsigned_overflow),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a * b)),
        _ => Err(EvalError::no_overload()),
    }),
    row("_/_", NUMBERS, Cost::Step, |args| match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => Err(EvalError::new("division by zero")),
        [Value::Int(a), Value::Int(b)] => a.checked_div(*b).map(Value::Int).ok_or_else(integer_overflow),
        [Value::Uint(a), Value::Uint(b)] => Ok(Value::Uint(a / b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a / b)),
        _ => Err(EvalError::no_overload()),
    }),
    row(
        "_%_",
        &["(int, int) int", "(uint, uint) uint"],
        Cost::Step,
        |args| match args {
            [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => Err(EvalError::new("modulus by zero")),
            [Value::Int(a), Value::Int(b)] => a.checked_rem(*b).map(Value::Int).ok_or_else(integer_overflow),
            [Value::Uint(a), Value::Uint(b)] => Ok(Value::Uint(a % b)),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "@in",
        &["(A, list<A>) bool", "(A, map<A, B>) bool"],
        Cost::Step,
        |args| match args {
            [wanted, Value::List(list)] => Ok(Value::Bool(list.has(wanted))),
            [key, Value::Map(map)] => Ok(Value::Bool(map.get(key).is_some())),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "_[_]",
        &["(list<A>, int) A", "(map<A, B>, A) B"],
        Cost::Step,
        |args| match args {
            [Value::Optional(None), _] => Ok(Value::Optional(None)),
            [Value::Optional(Some(inner)), key] => Ok(Value::optional(at(inner, key)?)),
            [of, key] => at(of, key)?.ok_or_else(|| missing(of, key)),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "_[?_]",
        &["(list<A>, int) optional<A>", "(map<A, B>, A) optional<B>"],
        Cost::Step,
        |args| match args {
            [Value::Optional(None), _] => Ok(Value::Optional(None)),
            [Value::Optional(Some(inner)), key] => Ok(Value::optional(at(inner, key)?)),
            [of, key] => Ok(Value::optional(at(of, key)?)),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "size",
        &[
            "(string) int",
            "(bytes) int",
            "(list<A>) int",
            "(map<A, B>) int",
            "string.() int",
            "bytes.() int",
            "list<A>.() int",
            "map<A, B>.() int",
        ],
        Cost::Step,
        |args| {
            let size = match args {
                [Value::String(text)] => text.chars().count(),
                [Value::Bytes(bytes)] => bytes.len(),
                [Value::List(list)] => list.len(),
                [Value::Map(map)] => map.len(),
                _ => return Err(EvalError::no_overload()),
            };
            Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
        },
    ),
];

pub(super) fn integer_overflow() -> EvalError {
    EvalError::new("integer overflow")
}

fn unsigned_overflow() -> EvalError {
    EvalError::new("unsigned integer overflow")
}

fn order<'a>(args: &[Value<'a>], is: fn(Ordering) -> bool) -> Result<Value<'a>, EvalError> {
    match args {
        [a, b] => match a.compare(b) {
            Some(order) => Ok(Value::Bool(is(order))),
            None if matches!((a, b), (Value::Double(_), _) | (_, Value::Double(_))) => Ok(Value::Bool(false)),
            None => Err(EvalError::no_overload()),
        },
        _ => Err(EvalError::no_overload()),
    }
}

fn plus<'a>(args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::Int(a), Value::Int(b)] => a.checked_add(*b).map(Value::Int).ok_or_else(integer_overflow),
        [Value::Uint(a), Value::Uint(b)] => a.checked_add(*b).map(Value::Uint).ok_or_else(unsigned_overflow),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a + b)),
        [Value::String(a), Value::String(b)] => Ok(Value::text(format!("{}{}", &**a, &**b))),
        [Value::Bytes(a), Value::Bytes(b)] => Ok(Value::Bytes([&**a, &**b].concat().into())),
        [Value::List(a), Value::List(b)] => Ok(a.plus(b)),
        [Value::Duration(a), Value::Duration(b)] => a.checked_add(*b).map(Value::Duration).ok_or_else(integer_overflow),
        [Value::Timestamp(at), Value::Duration(span)] | [Value::Duration(span), Value::Timestamp(at)] => {
            time::later(*at, *span).map(Value::Timestamp)
        }
        _ => Err(EvalError::no_overload()),
    }
}

fn minus<'a>(args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::Int(a), Value::Int(b)] => a.checked_sub(*b).map(Value::Int).ok_or_else(integer_overflow),
        [Value::Uint(a), Value::Uint(b)] => a.checked_sub(*b).map(Value::Uint).ok_or_else(unsigned_overflow),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a - b)),
        [Value::Duration(a), Value::Duration(b)] => a.checked_sub(*b).map(Value::Duration).ok_or_else(integer_overflow),
        [Value::Timestamp(a), Value::Timestamp(b)] => time::between(*a, *b).map(Value::Duration),
        [Value::Timestamp(at), Value::Duration(span)] => {
            let back = span.checked_neg().ok_or_else(integer_overflow)?;
            time::later(*at, back).map(Value::Timestamp)
        }
        _ => Err(EvalError::no_overload()),
    }
}

fn at<'a>(of: &Value<'a>, key: &Value<'a>) -> Result<Option<Value<'a>>, EvalError> {
    match of {
        Value::List(list) => Ok(position(key)?.and_then(|index| list.get(index))),
        Value::Map(map) => Ok(map.get(key)),
        _ => Err(EvalError::no_overload()),
    }
}

fn position(key: &Value<'_>) -> Result<Option<usize>, EvalError> {
    let index = match key {
        Value::Int(index) => usize::try_from(*index).ok(),
        Value::Uint(index) => usize::try_from(*index).ok(),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be whole and small"
        )]
        Value::Double(index) if index.fract() == 0.0 && (0.0..1e15).contains(index) => Some(*index as usize),
        _ => return Err(EvalError::no_overload()),
    };
    Ok(index)
}

fn missing(of: &Value<'_>, key: &Value<'_>) -> EvalError {
    match (of, key) {
        (Value::List(_), key) => EvalError::new(format!("index out of bounds: {key:?}")),
        (_, Value::String(name)) => EvalError::no_key(&**name),
        (_, key) => EvalError::no_key(format!("{key:?}")),
    }
}
