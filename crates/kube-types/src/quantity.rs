//! Resource quantities: parsed exactly, compared and added exactly, written in upstream's canonical form.
//!
//! Source of the rules: apimachinery `pkg/api/resource`. Precision ends at one billionth (rounded away from zero) and
//! magnitude at 2^63-1 (capped), as upstream.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

#[cfg(test)]
mod tests;

const NANOS: i128 = 1_000_000_000;
const LARGEST: i128 = i64::MAX as i128 * NANOS;

/// Which family of suffixes a quantity was written with, and is written with again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// Powers of 1000: `m`, none, `k`, `M`, …
    #[default]
    DecimalSi,
    /// Powers of 1024: `Ki`, `Mi`, …
    BinarySi,
    /// `e3`, `E6`, …
    DecimalExponent,
}

/// An exact amount of something and the family of suffixes it was written with.
///
/// Equality and order look at the amount only.
#[derive(Clone, Copy, Debug, Default)]
pub struct Amount {
    nanos: i128,
    format: Format,
}

/// Why a text is not a quantity. Worded as upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text does not have a number and a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    /// The letters after the number are no suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// The number is not one.
    #[error("unable to parse numeric part of quantity")]
    Number,
}

/// Parses a quantity's text.
///
/// # Errors
/// When the text is not a quantity; see [`QuantityError`].
pub fn parse(text: &str) -> Result<Amount, QuantityError> {
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        Some(_) => (false, text),
        None => return Err(QuantityError::Form),
    };
    let number_end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(number_end);
    if number.is_empty() {
        return Err(QuantityError::Form);
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err(QuantityError::Number);
    }
    let (scale, format) = parse_suffix(suffix)?;
    let magnitude = magnitude(whole, fraction, scale);
    let format = if format == Format::BinarySi && magnitude < NANOS {
        Format::DecimalSi
    } else {
        format
    };
    Ok(Amount {
        nanos: if negative { -magnitude } else { magnitude },
        format,
    })
}

/// What one unit of a suffix is worth.
#[derive(Clone, Copy)]
enum Scale {
    Ten(i32),
    Two(u32),
}

fn parse_suffix(suffix: &str) -> Result<(Scale, Format), QuantityError> {
    let decimal = |power| Ok((Scale::Ten(power), Format::DecimalSi));
    let binary = |power| Ok((Scale::Two(power), Format::BinarySi));
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E']).ok_or_else(|| suffix_form(suffix))?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(suffix_form(suffix));
            }
            let magnitude = digits
                .bytes()
                .fold(0i32, |n, b| n.saturating_mul(10).saturating_add(i32::from(b - b'0')));
            let power = if exponent.starts_with('-') {
                -magnitude
            } else {
                magnitude
            };
            Ok((Scale::Ten(power), Format::DecimalExponent))
        }
    }
}

/// Upstream tells apart letters that may stand in a suffix from those that may not.
fn suffix_form(suffix: &str) -> QuantityError {
    let letters = suffix.trim_end_matches(|c: char| c.is_ascii_digit());
    let letters = letters.strip_suffix(['+', '-']).unwrap_or(letters);
    if letters.bytes().all(|b| b"eEinumkKMGTP".contains(&b)) {
        QuantityError::Suffix
    } else {
        QuantityError::Form
    }
}

/// The number in billionths: rounded up when finer, capped when larger.
fn magnitude(whole: &str, fraction: &str, scale: Scale) -> i128 {
    let digits = whole.bytes().chain(fraction.bytes());
    let fraction_length = i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let mut mantissa: i128 = 0;
    let mut dropped = 0i32;
    let mut inexact = false;
    for digit in digits {
        match mantissa
            .checked_mul(10)
            .and_then(|m| m.checked_add(i128::from(digit - b'0')))
        {
            // Room is left for the largest binary factor and the billionths.
            Some(next) if dropped == 0 && next < i128::MAX / 10_000 => mantissa = next,
            _ => {
                dropped = dropped.saturating_add(1);
                inexact |= digit != b'0';
            }
        }
    }
    let (mut power, factor) = match scale {
        Scale::Ten(power) => (power, 1i128),
        Scale::Two(bits) => (0, 1i128 << bits),
    };
    power = power
        .saturating_sub(fraction_length)
        .saturating_add(dropped)
        .saturating_add(9);
    if mantissa == 0 {
        return 0;
    }
    if factor > 1 {
        return binary_magnitude(mantissa, factor, power, inexact);
    }
    shift_decimal(mantissa, power, inexact)
}

fn binary_magnitude(mantissa: i128, factor: i128, power: i32, inexact: bool) -> i128 {
    // Integers of the size that people write fit; what does not fit is beyond the cap or below the precision.
    match mantissa.checked_mul(factor) {
        Some(product) => shift_decimal(product, power, inexact),
        None => {
            let (quotient, remainder) = (mantissa / NANOS, mantissa % NANOS);
            match quotient.checked_mul(factor) {
                Some(product) => shift_decimal(product, power.saturating_add(9), inexact || remainder != 0),
                None => LARGEST,
            }
        }
    }
}

fn shift_decimal(mantissa: i128, power: i32, inexact: bool) -> i128 {
    if power >= 0 {
        let mut value = mantissa;
        for _ in 0..power {
            match value.checked_mul(10) {
                Some(next) if next <= LARGEST => value = next,
                _ => return LARGEST,
            }
        }
        return (value + i128::from(inexact)).min(LARGEST);
    }
    let mut value = mantissa;
    let mut lost = inexact;
    for _ in power..0 {
        lost |= value % 10 != 0;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    (value + i128::from(lost)).min(LARGEST)
}

impl Amount {
    /// Nothing, written as `0`.
    pub const ZERO: Self = Self {
        nanos: 0,
        format: Format::DecimalSi,
    };

    /// A whole number of units.
    pub fn from_value(value: i64, format: Format) -> Self {
        Self {
            nanos: i128::from(value) * NANOS,
            format,
        }
    }

    /// A number of thousandths.
    pub fn from_milli(milli: i64, format: Format) -> Self {
        Self {
            nanos: i128::from(milli) * (NANOS / 1000),
            format,
        }
    }

    /// Units, rounded away from zero as upstream's `Value()`.
    pub fn value(&self) -> i64 {
        round_away(self.nanos, NANOS)
    }

    /// Thousandths, rounded away from zero as upstream's `MilliValue()`.
    pub fn milli(&self) -> i64 {
        round_away(self.nanos, NANOS / 1000)
    }

    /// The family of suffixes this amount is written with.
    pub fn format(&self) -> Format {
        self.format
    }

    /// True for an amount of nothing.
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i32 {
        match self.nanos.cmp(&0) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }

    /// True when the amount is a whole number of units.
    pub fn is_integer(&self) -> bool {
        self.nanos % NANOS == 0
    }

    /// The API type, in canonical form.
    pub fn to_quantity(&self) -> Quantity {
        Quantity(self.to_string())
    }
}

fn round_away(nanos: i128, unit: i128) -> i64 {
    let quotient = nanos / unit;
    let rounded = if nanos % unit == 0 {
        quotient
    } else {
        quotient + nanos.signum()
    };
    i64::try_from(rounded).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
}

impl TryFrom<&Quantity> for Amount {
    type Error = QuantityError;

    fn try_from(quantity: &Quantity) -> Result<Self, QuantityError> {
        parse(&quantity.0)
    }
}

impl std::str::FromStr for Amount {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let small = self.nanos.abs() < 1024 * NANOS;
        match self.format {
            Format::BinarySi if !small && self.is_integer() => self.fmt_binary(f),
            Format::DecimalExponent => {
                let (mantissa, exponent) = self.decimal();
                if exponent == 0 {
                    write!(f, "{mantissa}")
                } else {
                    write!(f, "{mantissa}e{exponent}")
                }
            }
            Format::BinarySi | Format::DecimalSi => {
                let (mantissa, exponent) = self.decimal();
                let suffix = match exponent {
                    -9 => "n",
                    -6 => "u",
                    -3 => "m",
                    0 => "",
                    3 => "k",
                    6 => "M",
                    9 => "G",
                    12 => "T",
                    15 => "P",
                    _ => "E",
                };
                write!(f, "{mantissa}{suffix}")
            }
        }
    }
}

impl Amount {
    fn fmt_binary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.nanos / NANOS;
        let mut power = 0;
        while value % 1024 == 0 && power < 6 {
            value /= 1024;
            power += 1;
        }
        write!(f, "{value}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power])
    }

    /// Mantissa and the largest exponent, a multiple of three, that loses nothing.
    fn decimal(&self) -> (i128, i32) {
        let (mut mantissa, mut exponent) = (self.nanos, -9);
        while mantissa % 1000 == 0 && exponent < 18 {
            mantissa /= 1000;
            exponent += 3;
        }
        (mantissa, exponent)
    }
}

impl PartialEq for Amount {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Amount {}

impl PartialOrd for Amount {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Amount {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

/// A sum keeps the suffixes of its first part; nothing takes those of the other, as upstream.
fn combine(left: Amount, right: Amount, nanos: i128) -> Amount {
    let format = if left.nanos == 0 { right.format } else { left.format };
    Amount {
        nanos: nanos.clamp(-LARGEST, LARGEST),
        format,
    }
}

impl Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        combine(self, other, self.nanos + other.nanos)
    }
}

impl Sub for Amount {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        combine(self, other, self.nanos - other.nanos)
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Amount {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Neg for Amount {
    type Output = Self;
    fn neg(self) -> Self {
        Self {
            nanos: -self.nanos,
            format: self.format,
        }
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::ZERO, Add::add)
    }
}
