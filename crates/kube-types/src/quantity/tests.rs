//! What `quantity` promises, as tests.

use super::*;

#[test]
fn quantities_are_written_in_canonical_form() {
    for (text, expected) in [
        ("0", "0"),
        ("0m", "0"),
        ("1000m", "1"),
        ("100m", "100m"),
        ("0.1", "100m"),
        (".5", "500m"),
        ("1.", "1"),
        ("1.5", "1500m"),
        ("1.5Gi", "1536Mi"),
        ("1024Mi", "1Gi"),
        ("1000Mi", "1000Mi"),
        ("100Ki", "100Ki"),
        ("0.5Ki", "512"),
        ("1Ki", "1Ki"),
        ("0.0001Ki", "102400u"),
        ("1000k", "1M"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("12e-3", "12e-3"),
        ("1e2", "100"),
        ("100e1", "1e3"),
        ("1500", "1500"),
        ("2000", "2k"),
        ("-1.5", "-1500m"),
        ("+3", "3"),
        ("0.0000000001", "1n"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775807"),
        ("100E", "9223372036854775807"),
        ("7Ei", "7Ei"),
        ("1e400000000000", "9223372036854775807e0"),
    ] {
        let shown = parse(text).unwrap().to_string();
        assert_eq!(shown, expected.trim_end_matches("e0"), "{text}");
    }
}

#[test]
fn what_is_no_quantity_is_refused_with_upstreams_words() {
    for (text, expected) in [
        ("", QuantityError::Form),
        ("abc", QuantityError::Form),
        ("1 Gi", QuantityError::Form),
        ("1GB", QuantityError::Form),
        ("1mm", QuantityError::Suffix),
        ("1ki", QuantityError::Suffix),
        ("1e", QuantityError::Suffix),
        ("1.2.3", QuantityError::Number),
        (".", QuantityError::Number),
        ("-", QuantityError::Form),
    ] {
        assert_eq!(parse(text).unwrap_err(), expected, "{text:?}");
    }
}

#[test]
fn values_round_away_from_zero() {
    for (text, value, milli) in [
        ("1", 1, 1000),
        ("100m", 1, 100),
        ("1500m", 2, 1500),
        ("-1500m", -2, -1500),
        ("1u", 1, 1),
        ("1Gi", 1 << 30, (1i64 << 30) * 1000),
    ] {
        let amount = parse(text).unwrap();
        assert_eq!((amount.value(), amount.milli()), (value, milli), "{text}");
    }
}

#[test]
fn sums_are_exact_and_keep_the_first_suffix_family() {
    let sum = parse("1Gi").unwrap() + parse("512Mi").unwrap();
    assert_eq!(sum.to_string(), "1536Mi");
    assert_eq!((Amount::ZERO + parse("1Gi").unwrap()).to_string(), "1Gi");
    assert_eq!((parse("1").unwrap() - parse("100m").unwrap()).to_string(), "900m");
    assert!(parse("0.5").unwrap() < parse("501m").unwrap());
    assert_eq!(parse("1Ki").unwrap(), parse("1024").unwrap());
}
