//! Semantic versions. Their comparison shares its names with quantities, which have the rows.

use std::sync::Arc;

use semver::Version;

use super::text;
use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::functions::{Row, row};
use crate::value::{Opaque, Value};

pub(super) const FUNCTIONS: &[Row] = &[
    row(
        "semver",
        &["(string) semver", "(string, bool) semver"],
        Cost::First,
        |args| parse(args).map(|version| Value::Opaque(Opaque::Semver(Arc::new(version)))),
    ),
    row(
        "isSemver",
        &["(string) bool", "(string, bool) bool"],
        Cost::First,
        |args| {
            text(args.first().ok_or_else(EvalError::no_overload)?)?;
            Ok(Value::Bool(parse(args).is_ok()))
        },
    ),
    row("major", &["semver.() int"], Cost::Step, |args| {
        part(args, |version| version.major)
    }),
    row("minor", &["semver.() int"], Cost::Step, |args| {
        part(args, |version| version.minor)
    }),
    row("patch", &["semver.() int"], Cost::Step, |args| {
        part(args, |version| version.patch)
    }),
];

fn parse(args: &[Value<'_>]) -> Result<Version, EvalError> {
    let (given, normalize) = match args {
        [given] => (text(given)?, false),
        [given, Value::Bool(normalize)] => (text(given)?, *normalize),
        _ => return Err(EvalError::no_overload()),
    };
    let normal = if normalize { normalized(given) } else { given.to_owned() };
    Version::parse(&normal).map_err(|error| EvalError::new(format!("{error}")))
}

/// Without a leading `v` and leading zeros, with all three numbers.
fn normalized(given: &str) -> String {
    let given = given.strip_prefix('v').unwrap_or(given);
    let end = given.find(['-', '+']).unwrap_or(given.len());
    let (numbers, rest) = given.split_at(end);
    let mut parts: Vec<&str> = numbers.split('.').collect();
    while parts.len() < 3 {
        parts.push("0");
    }
    let trimmed = parts.iter().map(|part| match part.trim_start_matches('0') {
        "" if !part.is_empty() => "0",
        trimmed => trimmed,
    });
    format!("{}{rest}", trimmed.collect::<Vec<_>>().join("."))
}

fn part<'a>(args: &[Value<'a>], of: impl Fn(&Version) -> u64) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::Opaque(Opaque::Semver(version))] => Ok(Value::Int(i64::try_from(of(version)).unwrap_or(i64::MAX))),
        _ => Err(EvalError::no_overload()),
    }
}
