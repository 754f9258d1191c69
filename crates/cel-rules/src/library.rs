//! Functions, one file a library; [`ALL`] lists the libraries.

mod authorization;
mod conversions;
pub(crate) mod formats;
mod lists;
pub(crate) mod network;
mod operators;
mod optionals;
mod quantities;
mod sets;
mod strings;
mod strings_format;
pub(crate) mod time;
mod versions;

use crate::evaluate::EvalError;
use crate::functions::Row;
use crate::value::Value;

/// Every library.
pub(crate) const ALL: &[&[Row]] = &[
    operators::FUNCTIONS,
    conversions::FUNCTIONS,
    strings::FUNCTIONS,
    strings_format::FUNCTIONS,
    time::FUNCTIONS,
    lists::FUNCTIONS,
    sets::FUNCTIONS,
    optionals::FUNCTIONS,
    network::FUNCTIONS,
    quantities::FUNCTIONS,
    versions::FUNCTIONS,
    formats::FUNCTIONS,
    authorization::FUNCTIONS,
];

/// The text that an argument is.
fn text<'v>(value: &'v Value<'_>) -> Result<&'v str, EvalError> {
    value.as_str().ok_or_else(EvalError::no_overload)
}

/// The whole number that an argument is.
fn whole(value: &Value<'_>) -> Result<i64, EvalError> {
    match value {
        Value::Int(number) => Ok(*number),
        _ => Err(EvalError::no_overload()),
    }
}
