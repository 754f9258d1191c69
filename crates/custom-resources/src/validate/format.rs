//! Formats of texts, by the names that `go-openapi/strfmt` registers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use object_rules::names;
use regex::Regex;

/// Formats of texts; a dash in a name means nothing.
const SUPPORTED: &[&str] = &[
    "bsonobjectid",
    "uri",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "cidr",
    "mac",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "isbn",
    "isbn10",
    "isbn13",
    "creditcard",
    "ssn",
    "hexcolor",
    "rgbcolor",
    "byte",
    "password",
    "date",
    "duration",
    "datetime",
    "k8sshortname",
    "k8slongname",
];

/// Whether a format means something for values of a type; others are ignored.
pub fn is_supported(format: &str, of: &str) -> bool {
    match of {
        "" | "string" => SUPPORTED.contains(&format.replace('-', "").as_str()),
        "integer" => matches!(format, "int32" | "int64"),
        "number" => matches!(format, "float" | "double"),
        _ => false,
    }
}

/// Whether a text has a supported format.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format.replace('-', "").as_str() {
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => cidr(text),
        "uri" => uri(text),
        "email" => email(text),
        "hostname" => hostname(text),
        "byte" => base64(text),
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
        "datetime" => datetime(text),
        "duration" => duration(text),
        "isbn" => isbn10(text) || isbn13(text),
        "isbn10" => isbn10(text),
        "isbn13" => isbn13(text),
        "creditcard" => creditcard(text),
        "k8sshortname" => names::dns_label(text).is_empty(),
        "k8slongname" => names::dns_subdomain(text).is_empty(),
        other => expression(other).is_none_or(|regex| regex.is_match(text)),
    }
}

/// Formats that an expression describes.
const EXPRESSIONS: &[(&str, &str)] = &[
    ("bsonobjectid", r"^[0-9a-fA-F]{24}$"),
    (
        "mac",
        r"^(?:[0-9a-fA-F]{2}[:-]){5}(?:(?:[0-9a-fA-F]{2}[:-]){2})?[0-9a-fA-F]{2}$|^(?:[0-9a-fA-F]{4}\.){2,3}[0-9a-fA-F]{4}$",
    ),
    (
        "uuid",
        r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$",
    ),
    (
        "uuid3",
        r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$",
    ),
    (
        "uuid4",
        r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$",
    ),
    (
        "uuid5",
        r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$",
    ),
    ("ssn", r"^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$"),
    ("hexcolor", r"^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
    (
        "rgbcolor",
        r"^rgb\(\s*(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])\s*,\s*(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])\s*,\s*(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])\s*\)$",
    ),
];

fn expression(format: &str) -> Option<&'static Regex> {
    static COMPILED: OnceLock<Vec<(&str, Regex)>> = OnceLock::new();
    let compiled = COMPILED.get_or_init(|| {
        let regex = |text: &str| Regex::new(text).expect("the expressions above are sound");
        EXPRESSIONS.iter().map(|(name, text)| (*name, regex(text))).collect()
    });
    compiled
        .iter()
        .find(|(name, _)| *name == format)
        .map(|(_, regex)| regex)
}

fn cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_no_address) => return false,
    };
    length.bytes().all(|byte| byte.is_ascii_digit()) && length.parse::<u32>().is_ok_and(|length| length <= most)
}

/// What Go's `url.ParseRequestURI` reads: an absolute URI or an absolute path.
fn uri(text: &str) -> bool {
    let printable = !text.is_empty() && text.chars().all(|c| !c.is_ascii_control() && c != ' ');
    let scheme = text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && rest.starts_with('/')
    });
    printable && (text.starts_with('/') || scheme)
}

/// What Go's `mail.ParseAddress` reads: an address, alone or in angle brackets after a name.
fn email(text: &str) -> bool {
    let address = match (text.rfind('<'), text.strip_suffix('>')) {
        (Some(start), Some(inner)) => &inner[start + 1..],
        _ => text.trim(),
    };
    let Some((local, domain)) = address.rsplit_once('@') else {
        return false;
    };
    let atom = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii())
    };
    let quoted = local.len() > 1 && local.starts_with('"') && local.ends_with('"');
    (quoted || local.split('.').all(atom)) && domain.split('.').all(atom)
}

fn hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.chars().count())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    let whole = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 255 && whole.split('.').all(label)
}

fn base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    let letters = body.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b));
    letters && padding <= 2 && text.len().is_multiple_of(4)
}

/// RFC 3339, and the forms without zone that strfmt reads too.
fn datetime(text: &str) -> bool {
    text.len() >= 19
        && (text.parse::<jiff::Timestamp>().is_ok() || text.parse::<jiff::civil::DateTime>().is_ok())
        && text.as_bytes().get(10).is_some_and(|b| matches!(b, b'T' | b't' | b' '))
}

/// Units of durations: Go's, and words.
const UNITS: &[&str] = &[
    "ns",
    "us",
    "µs",
    "μs",
    "ms",
    "s",
    "m",
    "h",
    "d",
    "w",
    "nano",
    "nanos",
    "nanosecond",
    "nanoseconds",
    "micro",
    "micros",
    "microsecond",
    "microseconds",
    "milli",
    "millis",
    "millisecond",
    "milliseconds",
    "second",
    "seconds",
    "sec",
    "secs",
    "minute",
    "minutes",
    "min",
    "mins",
    "hour",
    "hours",
    "hr",
    "hrs",
    "day",
    "days",
    "week",
    "weeks",
    "wk",
    "wks",
];

/// Go's durations (`1h30m`), and numbers with a unit (`2 weeks`).
fn duration(text: &str) -> bool {
    let mut rest = text.trim().trim_start_matches(['-', '+']);
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        if digits == 0 {
            return false;
        }
        let after = rest[digits..].trim_start();
        let end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        if !UNITS.contains(&after[..end].to_lowercase().as_str()) {
            return false;
        }
        rest = after[end..].trim_start();
        parts += 1;
    }
    parts > 0
}

fn digits(text: &str) -> Vec<u32> {
    text.chars().filter_map(|c| c.to_digit(10)).collect()
}

fn isbn10(text: &str) -> bool {
    let bare: Vec<char> = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    let value = |(at, letter): (usize, &char)| match letter.to_digit(10) {
        Some(digit) => Some(digit * u32::try_from(10 - at).unwrap_or(0)),
        None if at == 9 && *letter == 'X' => Some(10),
        None => None,
    };
    bare.len() == 10
        && bare
            .iter()
            .enumerate()
            .map(value)
            .sum::<Option<u32>>()
            .is_some_and(|sum| sum.is_multiple_of(11))
}

fn isbn13(text: &str) -> bool {
    let bare: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
    let sum: u32 = digits(&bare)
        .iter()
        .enumerate()
        .map(|(at, digit)| digit * if at % 2 == 0 { 1 } else { 3 })
        .sum();
    bare.len() == 13 && digits(&bare).len() == 13 && sum.is_multiple_of(10)
}

/// Thirteen to sixteen digits whose check digit is right.
fn creditcard(text: &str) -> bool {
    let digits = digits(text);
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => *digit,
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    (13..=16).contains(&digits.len()) && sum.is_multiple_of(10)
}
