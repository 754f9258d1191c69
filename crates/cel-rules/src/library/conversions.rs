//! Conversions between types.

use super::time;
use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::functions::{Row, row};
use crate::value::{Opaque, Value};

pub(super) const FUNCTIONS: &[Row] = &[
    row("dyn", &["(A) dyn"], Cost::Step, |args| {
        args.first().cloned().ok_or_else(EvalError::no_overload)
    }),
    row("type", &["(A) type"], Cost::Step, |args| match args {
        [value] => Ok(Value::Type(value.type_name().to_owned().into())),
        _ => Err(EvalError::no_overload()),
    }),
    row(
        "bool",
        &["(bool) bool", "(string) bool"],
        Cost::First,
        |args| match args {
            [Value::Bool(truth)] => Ok(Value::Bool(*truth)),
            [Value::String(text)] => match &**text {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
                _ => Err(EvalError::new("type conversion error from 'string' to 'bool'")),
            },
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "int",
        &[
            "(int) int",
            "(uint) int",
            "(double) int",
            "(string) int",
            "(timestamp) int",
            "(duration) int",
        ],
        Cost::First,
        to_int,
    ),
    row(
        "uint",
        &["(uint) uint", "(int) uint", "(double) uint", "(string) uint"],
        Cost::First,
        to_uint,
    ),
    row(
        "double",
        &["(double) double", "(int) double", "(uint) double", "(string) double"],
        Cost::First,
        to_double,
    ),
    row(
        "string",
        &[
            "(string) string",
            "(bool) string",
            "(int) string",
            "(uint) string",
            "(double) string",
            "(bytes) string",
            "(timestamp) string",
            "(duration) string",
            "(ip) string",
            "(cidr) string",
        ],
        Cost::First,
        to_string,
    ),
    row(
        "bytes",
        &["(bytes) bytes", "(string) bytes"],
        Cost::First,
        |args| match args {
            [Value::Bytes(bytes)] => Ok(Value::Bytes(bytes.clone())),
            [Value::String(text)] => Ok(Value::Bytes(text.as_bytes().into())),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "duration",
        &["(duration) duration", "(string) duration"],
        Cost::First,
        |args| match args {
            [Value::Duration(nanos)] => Ok(Value::Duration(*nanos)),
            [Value::String(text)] => time::parse_duration(text)
                .map(Value::Duration)
                .ok_or_else(|| EvalError::new(format!("time: invalid duration \"{}\"", &**text))),
            _ => Err(EvalError::no_overload()),
        },
    ),
    row(
        "timestamp",
        &["(timestamp) timestamp", "(string) timestamp", "(int) timestamp"],
        Cost::First,
        |args| match args {
            [Value::Timestamp(stamp)] => Ok(Value::Timestamp(*stamp)),
            [Value::Int(seconds)] => jiff::Timestamp::from_second(*seconds)
                .map(Value::Timestamp)
                .map_err(|error| EvalError::new(format!("timestamp overflow: {error}"))),
            [Value::String(text)] => time::parse_timestamp(text)
                .map(Value::Timestamp)
                .ok_or_else(|| EvalError::new(format!("parsing time \"{}\" as RFC 3339: cannot parse it", &**text))),
            _ => Err(EvalError::no_overload()),
        },
    ),
];

fn range() -> EvalError {
    EvalError::new("range error")
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn to_int<'a>(args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::Int(number)] => Ok(Value::Int(*number)),
        [Value::Uint(number)] => i64::try_from(*number).map(Value::Int).or(Err(range())),
        [Value::Double(number)] if number.abs() < 9.2e18 => Ok(Value::Int(*number as i64)),
        [Value::Double(_)] => Err(range()),
        [Value::String(text)] => text
            .parse()
            .map(Value::Int)
            .map_err(|error| EvalError::new(format!("type conversion error from 'string' to 'int': {error}"))),
        [Value::Timestamp(stamp)] => Ok(Value::Int(stamp.as_second())),
        [Value::Duration(nanos)] => Ok(Value::Int(*nanos)),
        _ => Err(EvalError::no_overload()),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked before"
)]
fn to_uint<'a>(args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::Uint(number)] => Ok(Value::Uint(*number)),
        [Value::Int(number)] => u64::try_from(*number).map(Value::Uint).or(Err(range())),
        [Value::Double(number)] if (0.0..1.8e19).contains(number) => Ok(Value::Uint(*number as u64)),
        [Value::Double(_)] => Err(range()),
        [Value::String(text)] => text
            .parse()
            .map(Value::Uint)
            .map_err(|error| EvalError::new(format!("type conversion error from 'string' to 'uint': {error}"))),
        _ => Err(EvalError::no_overload()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a double is asked for")]
fn to_double<'a>(args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::Double(number)] => Ok(Value::Double(*number)),
        [Value::Int(number)] => Ok(Value::Double(*number as f64)),
        [Value::Uint(number)] => Ok(Value::Double(*number as f64)),
        [Value::String(text)] => text
            .parse()
            .map(Value::Double)
            .map_err(|error| EvalError::new(format!("type conversion error from 'string' to 'double': {error}"))),
        _ => Err(EvalError::no_overload()),
    }
}

fn to_string<'a>(args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    match args {
        [value] => show(value).map(Value::text).ok_or_else(EvalError::no_overload),
        _ => Err(EvalError::no_overload()),
    }
}

/// The text that `string(x)` gives.
pub(super) fn show(value: &Value<'_>) -> Option<String> {
    Some(match value {
        Value::String(text) => text.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Double(number) => number.to_string(),
        Value::Bytes(bytes) => String::from_utf8(bytes.to_vec()).ok()?,
        Value::Timestamp(stamp) => stamp.to_string(),
        Value::Duration(nanos) => time::show_duration(*nanos),
        Value::Opaque(Opaque::Ip(ip)) => ip.to_string(),
        Value::Opaque(Opaque::Cidr(block)) => block.to_string(),
        _ => return None,
    })
}
