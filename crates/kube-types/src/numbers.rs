//! Numbers as upstream's decoder of untyped objects reads them and its encoder writes them: whole ones in 64 bits where they fit,
//! whatever they looked like (`1.0`, `1e3`), others as the nearest float.
//!
//! Sources: `convertNumber` with `PreserveInts` in sigs.k8s.io/json, and Go's encoder, which writes a whole float without a point; so
//! what was a float on the way in is a whole number once it was stored. Floats of 1.8446744073709552e19 and more are written here with
//! an exponent, where Go does so from 1e21 on: the same number in other digits.

use serde_json::Number;

use crate::dynamic::Value;

/// Go writes floats below this without an exponent.
const WITH_EXPONENT: f64 = 1e21;

/// Brings every number of a value into the form in which upstream stores it.
pub fn settle(value: &mut Value) {
    match value {
        Value::Number(number) => settle_number(number),
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Object(map) => map.values_mut().for_each(settle),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Brings a number into the form in which upstream stores it.
pub fn settle_number(number: &mut Number) {
    if number.is_i64() {
        return;
    }
    if let Some(float) = number.as_f64().and_then(of_float) {
        *number = float;
    }
}

/// The number that upstream stores for a float; `None` when it is none.
pub fn of_float(float: f64) -> Option<Number> {
    if float.fract() == 0.0 && float.abs() < WITH_EXPONENT {
        // The shortest digits that are this float and no other, filled up with zeros: Go's and Rust's agree.
        let digits = float.to_string();
        let whole = digits.parse::<i64>().map(Number::from);
        if let Ok(number) = whole.or_else(|_too_large| digits.parse::<u64>().map(Number::from)) {
            return Some(number);
        }
    }
    Number::from_f64(float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_written_as_upstream_does() {
        let cases = [
            ("1", "1"),
            ("1.0", "1"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("1e3", "1000"),
            ("1.5e1", "15"),
            ("1.25", "1.25"),
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("9223372036854775808", "9223372036854776000"),
            ("18446744073709550000", "18446744073709550000"),
            ("9007199254740993", "9007199254740993"),
            ("9007199254740993.0", "9007199254740992"),
        ];
        for (read, written) in cases {
            let mut value: Value = serde_json::from_str(&format!(r#"{{"a":[{read}]}}"#)).unwrap();
            settle(&mut value);
            assert_eq!(value.to_string(), format!(r#"{{"a":[{written}]}}"#), "{read}");
        }
    }

    #[test]
    fn floats_are_read_exactly() {
        for text in [
            "0.3",
            "7.2057594037927933e16",
            "0.000013000000000000002",
            "1.7976931348623157e308",
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            let exact: f64 = text.parse().unwrap();
            assert_eq!(value.as_f64().unwrap().to_bits(), exact.to_bits(), "{text}");
        }
    }
}
