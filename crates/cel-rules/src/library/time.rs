//! Moments and spans of time.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use super::text;
use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::functions::{Row, row};
use crate::value::Value;

const OF_BOTH: &[&str] = &["timestamp.() int", "timestamp.(string) int", "duration.() int"];
const OF_MOMENT: &[&str] = &["timestamp.() int", "timestamp.(string) int"];

pub(super) const FUNCTIONS: &[Row] = &[
    row("getFullYear", OF_MOMENT, Cost::Step, |args| {
        part(args, |at| i64::from(at.year()))
    }),
    row("getMonth", OF_MOMENT, Cost::Step, |args| {
        part(args, |at| i64::from(at.month()) - 1)
    }),
    row("getDayOfYear", OF_MOMENT, Cost::Step, |args| {
        part(args, |at| i64::from(at.day_of_year()) - 1)
    }),
    row("getDayOfMonth", OF_MOMENT, Cost::Step, |args| {
        part(args, |at| i64::from(at.day()) - 1)
    }),
    row("getDate", OF_MOMENT, Cost::Step, |args| {
        part(args, |at| i64::from(at.day()))
    }),
    row("getDayOfWeek", OF_MOMENT, Cost::Step, |args| {
        part(args, |at| i64::from(at.weekday().to_sunday_zero_offset()))
    }),
    row("getHours", OF_BOTH, Cost::Step, |args| match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / (3600 * SECOND))),
        _ => part(args, |at| i64::from(at.hour())),
    }),
    row("getMinutes", OF_BOTH, Cost::Step, |args| match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / (60 * SECOND))),
        _ => part(args, |at| i64::from(at.minute())),
    }),
    row("getSeconds", OF_BOTH, Cost::Step, |args| match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / SECOND)),
        _ => part(args, |at| i64::from(at.second())),
    }),
    row("getMilliseconds", OF_BOTH, Cost::Step, |args| match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / 1_000_000)),
        _ => part(args, |at| i64::from(at.millisecond())),
    }),
];

const SECOND: i64 = 1_000_000_000;

fn part<'a>(args: &[Value<'a>], of: impl Fn(&Zoned) -> i64) -> Result<Value<'a>, EvalError> {
    let (stamp, zone) = match args {
        [Value::Timestamp(stamp)] => (stamp, TimeZone::UTC),
        [Value::Timestamp(stamp), zone] => (stamp, time_zone(text(zone)?)?),
        _ => return Err(EvalError::no_overload()),
    };
    Ok(Value::Int(of(&stamp.to_zoned(zone))))
}

/// A zone's name, or an offset as `+01:00`.
fn time_zone(name: &str) -> Result<TimeZone, EvalError> {
    let unknown = || EvalError::new(format!("unknown time zone {name}"));
    let (sign, rest) = match name.split_at_checked(1) {
        Some(("-", rest)) => (-1, rest),
        Some(("+", rest)) => (1, rest),
        _ => (1, name),
    };
    match rest.split_once(':') {
        Some((hours, minutes)) => {
            let hours: i32 = hours.parse().or(Err(unknown()))?;
            let minutes: i32 = minutes.parse().or(Err(unknown()))?;
            let offset = jiff::tz::Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).or(Err(unknown()))?;
            Ok(TimeZone::fixed(offset))
        }
        None => TimeZone::get(name).or(Err(unknown())),
    }
}

/// A moment some nanoseconds later.
pub(super) fn later(at: Timestamp, nanos: i64) -> Result<Timestamp, EvalError> {
    at.checked_add(SignedDuration::from_nanos(nanos))
        .map_err(|error| EvalError::new(format!("timestamp overflow: {error}")))
}

/// Nanoseconds from `b` to `a`.
pub(super) fn between(a: Timestamp, b: Timestamp) -> Result<i64, EvalError> {
    let nanos = a.as_nanosecond() - b.as_nanosecond();
    i64::try_from(nanos).or(Err(EvalError::new("duration overflow")))
}

/// Reads RFC 3339.
pub(crate) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Reads a span as Go writes it (`1h30m`, `-1.5s`, `300ms`), in nanoseconds.
pub fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: f64 = 0.0;
    let mut whole: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let scale: i64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            _ => return None,
        };
        match number.split_once('.') {
            None => whole += number.parse::<i128>().ok()? * i128::from(scale),
            Some((before, fraction)) if before.len() + fraction.len() > 0 => {
                let before = if before.is_empty() { "0" } else { before };
                whole += before.parse::<i128>().ok()? * i128::from(scale);
                #[expect(clippy::cast_precision_loss, reason = "a fraction of a unit")]
                let scale = scale as f64;
                total += format!("0.{fraction}").parse::<f64>().ok()? * scale;
            }
            Some(_) => return None,
        }
        rest = after;
    }
    #[expect(clippy::cast_possible_truncation, reason = "less than some units")]
    let sum = whole + total as i128;
    i64::try_from(if negative { -sum } else { sum }).ok()
}

/// Writes a span as CEL's `string(duration)` does: seconds with their fraction.
pub(crate) fn show_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let (seconds, rest) = (nanos / SECOND.unsigned_abs(), nanos % SECOND.unsigned_abs());
    if rest == 0 {
        return format!("{sign}{seconds}s");
    }
    let fraction = format!("{rest:09}");
    format!("{sign}{seconds}.{}s", fraction.trim_end_matches('0'))
}
