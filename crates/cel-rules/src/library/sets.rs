//! Lists as sets.

use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::functions::{Row, row};
use crate::value::{List, Value};

const SIGNATURE: &[&str] = &["(list<A>, list<A>) bool"];

pub(super) const FUNCTIONS: &[Row] = &[
    row("sets.contains", SIGNATURE, Cost::Pairs, |args| decide(args, contains)),
    row("sets.equivalent", SIGNATURE, Cost::Pairs, |args| {
        decide(args, |a, b| contains(a, b) && contains(b, a))
    }),
    row("sets.intersects", SIGNATURE, Cost::Pairs, |args| {
        decide(args, |a, b| b.iter().any(|item| a.has(&item)))
    }),
];

fn contains(a: &List<'_>, b: &List<'_>) -> bool {
    b.iter().all(|item| a.has(&item))
}

fn decide<'a>(args: &[Value<'a>], rule: impl Fn(&List<'a>, &List<'a>) -> bool) -> Result<Value<'a>, EvalError> {
    match args {
        [Value::List(a), Value::List(b)] => Ok(Value::Bool(rule(a, b))),
        _ => Err(EvalError::no_overload()),
    }
}
