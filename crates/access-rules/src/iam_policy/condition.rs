//! Conditions: operators over the facts of a request.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;

use super::Facts;
use super::document::OneOrMany;
use super::pattern::{filled, like, like_arn};

type Test = fn(wanted: &str, actual: &str) -> bool;

/// An operator: its test of one value against one, and whether it asks for the opposite.
const OPERATORS: &[(&str, Test, bool)] = &[
    ("StringEquals", |wanted, actual| wanted == actual, false),
    ("StringNotEquals", |wanted, actual| wanted == actual, true),
    (
        "StringEqualsIgnoreCase",
        |wanted, actual| wanted.eq_ignore_ascii_case(actual),
        false,
    ),
    (
        "StringNotEqualsIgnoreCase",
        |wanted, actual| wanted.eq_ignore_ascii_case(actual),
        true,
    ),
    ("StringLike", like, false),
    ("StringNotLike", like, true),
    (
        "NumericEquals",
        |wanted, actual| numbers(wanted, actual, |w, a| a == w),
        false,
    ),
    (
        "NumericNotEquals",
        |wanted, actual| numbers(wanted, actual, |w, a| a == w),
        true,
    ),
    (
        "NumericLessThan",
        |wanted, actual| numbers(wanted, actual, |w, a| a < w),
        false,
    ),
    (
        "NumericLessThanEquals",
        |wanted, actual| numbers(wanted, actual, |w, a| a <= w),
        false,
    ),
    (
        "NumericGreaterThan",
        |wanted, actual| numbers(wanted, actual, |w, a| a > w),
        false,
    ),
    (
        "NumericGreaterThanEquals",
        |wanted, actual| numbers(wanted, actual, |w, a| a >= w),
        false,
    ),
    (
        "DateEquals",
        |wanted, actual| dates(wanted, actual, |w, a| a == w),
        false,
    ),
    (
        "DateNotEquals",
        |wanted, actual| dates(wanted, actual, |w, a| a == w),
        true,
    ),
    (
        "DateLessThan",
        |wanted, actual| dates(wanted, actual, |w, a| a < w),
        false,
    ),
    (
        "DateLessThanEquals",
        |wanted, actual| dates(wanted, actual, |w, a| a <= w),
        false,
    ),
    (
        "DateGreaterThan",
        |wanted, actual| dates(wanted, actual, |w, a| a > w),
        false,
    ),
    (
        "DateGreaterThanEquals",
        |wanted, actual| dates(wanted, actual, |w, a| a >= w),
        false,
    ),
    ("Bool", |wanted, actual| wanted.eq_ignore_ascii_case(actual), false),
    ("BinaryEquals", |wanted, actual| wanted == actual, false),
    ("IpAddress", in_block, false),
    ("NotIpAddress", in_block, true),
    ("ArnEquals", like_arn, false),
    ("ArnLike", like_arn, false),
    ("ArnNotEquals", like_arn, true),
    ("ArnNotLike", like_arn, true),
];

/// How several values of one key count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    /// The key has one value.
    Single,
    /// Every value must fit; none at all is fine.
    All,
    /// One value must fit.
    Any,
}

/// An operator's parts: how sets count, its name, whether a missing key is fine.
fn parts(operator: &str) -> (Set, &str, bool) {
    let (set, rest) = match operator.split_once(':') {
        Some(("ForAllValues", rest)) => (Set::All, rest),
        Some(("ForAnyValue", rest)) => (Set::Any, rest),
        _ => (Set::Single, operator),
    };
    match rest.strip_suffix("IfExists") {
        Some(name) => (set, name, true),
        None => (set, rest, false),
    }
}

/// Whether there is such an operator.
pub(super) fn is_known(operator: &str) -> bool {
    let (_, name, _) = parts(operator);
    name == "Null" || OPERATORS.iter().any(|(known, ..)| *known == name)
}

/// Whether an operator compares dates.
pub(super) fn is_of_dates(operator: &str) -> bool {
    parts(operator).1.starts_with("Date")
}

/// Whether all conditions hold.
pub(super) fn hold(conditions: &BTreeMap<String, BTreeMap<String, OneOrMany>>, facts: &Facts) -> bool {
    conditions
        .iter()
        .all(|(operator, keys)| keys.iter().all(|(key, wanted)| holds(operator, key, wanted, facts)))
}

fn holds(operator: &str, key: &str, wanted: &OneOrMany, facts: &Facts) -> bool {
    let (set, name, if_exists) = parts(operator);
    let actual = facts.get(&key.to_lowercase()).map(Vec::as_slice).unwrap_or_default();
    if name == "Null" {
        let missing = actual.is_empty().to_string();
        return wanted.texts().any(|wanted| wanted.eq_ignore_ascii_case(&missing));
    }
    let Some((_, test, negated)) = OPERATORS.iter().find(|(known, ..)| *known == name) else {
        return false;
    };
    if actual.is_empty() {
        // What is not there is not equal to anything, and for ForAllValues nothing fails.
        return if_exists || *negated || set == Set::All;
    }
    let wanted: Vec<String> = wanted.texts().map(|text| filled(&text, facts)).collect();
    let fits = |value: &String| wanted.iter().any(|wanted| test(wanted, value)) != *negated;
    match set {
        Set::All => actual.iter().all(fits),
        Set::Any | Set::Single => actual.iter().any(fits),
    }
}

fn numbers(wanted: &str, actual: &str, compare: fn(f64, f64) -> bool) -> bool {
    matches!((wanted.parse(), actual.parse()), (Ok(wanted), Ok(actual)) if compare(wanted, actual))
}

fn dates(wanted: &str, actual: &str, compare: fn(Timestamp, Timestamp) -> bool) -> bool {
    matches!((moment(wanted), moment(actual)), (Some(wanted), Some(actual)) if compare(wanted, actual))
}

/// An RFC 3339 time, a day, or seconds since 1970.
fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse() {
        return Timestamp::from_second(seconds).ok();
    }
    let day = || format!("{text}T00:00:00Z").parse().ok();
    text.parse().ok().or_else(day)
}

fn in_block(block: &str, address: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let (base, length) = block.split_once('/').unwrap_or((block, ""));
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let Ok(base) = base.parse::<IpAddr>() else { return false };
    if base.is_ipv4() != address.is_ipv4() {
        return false;
    }
    let ((base, most), (address, _)) = (bits(base), bits(address));
    let length = length.parse().unwrap_or(most).min(most);
    length == 0 || (base ^ address) >> (128 - length) == 0
}
