//! Bounds and steps of numbers.

use serde_json::Number;

use super::Report;

/// Checks a number.
pub(super) fn check(report: &mut Report<'_, '_>, number: &Number) {
    let schema = report.place.schema;
    range(report, number);
    let value = number.as_f64().unwrap_or(f64::NAN);
    // Whole numbers are compared with whole limits, as upstream does.
    let whole = number.is_i64();
    let limit = |limit: f64| if whole { limit.trunc() } else { limit };
    let shown = |limit: f64| {
        if whole {
            format!("{}", limit.trunc())
        } else {
            go_float(limit)
        }
    };
    if let Some(step) = schema.checks.multiple_of.map(limit) {
        let off = (value / step).fract() != 0.0;
        if step > 0.0 && off {
            report.invalid(format_args!("should be a multiple of {}", shown(step)));
        }
    }
    if let Some((most, exclusive)) = schema.checks.maximum.map(|(most, exclusive)| (limit(most), exclusive)) {
        if exclusive && value >= most {
            report.invalid(format_args!("should be less than {}", shown(most)));
        } else if !exclusive && value > most {
            report.invalid(format_args!("should be less than or equal to {}", shown(most)));
        }
    }
    if let Some((least, exclusive)) = schema
        .checks
        .minimum
        .map(|(least, exclusive)| (limit(least), exclusive))
    {
        if exclusive && value <= least {
            report.invalid(format_args!("should be greater than {}", shown(least)));
        } else if !exclusive && value < least {
            report.invalid(format_args!("should be greater than or equal to {}", shown(least)));
        }
    }
    report.found.weight += 1;
}

/// `int32` and `int64` bound whole numbers, `float` others.
fn range(report: &mut Report<'_, '_>, number: &Number) {
    let schema = report.place.schema;
    if schema.int_or_string {
        return;
    }
    let fits = match (&*schema.of, &*schema.format) {
        ("integer", "int32") => number
            .as_f64()
            .is_some_and(|value| (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&value)),
        ("integer", "int64") => number.is_i64() || number.as_f64().is_some_and(|value| value.abs() < 9.2e18),
        ("number", "float") => number.as_f64().is_some_and(|value| value.abs() <= f64::from(f32::MAX)),
        _ => true,
    };
    if !fits {
        let name = report.place.path.to_string();
        let (of, format) = (&schema.of, &schema.format);
        let detail = format!("Checked value must be of type {of} with format {format} in {name}");
        report.push(object_rules::field::Kind::Invalid, "", Some("".into()), detail);
    }
}

/// A number as Go prints it: with an exponent from a million upwards and below a ten-thousandth.
fn go_float(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = value.abs().log10().floor();
    let plain = value.to_string();
    let digits = plain.trim_start_matches('-').trim_end_matches('0').len();
    if (-4.0..21.0).contains(&exponent) && (exponent < 6.0 || exponent < f64::from(u32::try_from(digits).unwrap_or(0)))
    {
        return plain;
    }
    let scientific = format!("{value:e}");
    let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}
