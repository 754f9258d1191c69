//! Numbers that may be written as percentages, resolved as upstream does.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Why a value is neither a number nor a percentage.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScaleError {
    /// A string that is not digits followed by a percent sign.
    #[error("invalid value for IntOrString: invalid type: string is not a percentage: {0:?}")]
    NotAPercentage(String),
}

/// Whether a fraction of a whole goes up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Towards the larger number, as `maxSurge`.
    Up,
    /// Towards the smaller number, as `maxUnavailable`.
    Down,
}

/// The number meant by a value, given the total that percentages are of.
///
/// Source of the rule: `GetScaledValueFromIntOrPercent` of apimachinery.
///
/// # Errors
/// When the value is a string that is not a percentage.
pub fn scaled(value: &IntOrString, total: i32, rounding: Rounding) -> Result<i32, ScaleError> {
    match value {
        IntOrString::Int(number) => Ok(*number),
        IntOrString::String(text) => {
            let percent = percentage(text).ok_or_else(|| ScaleError::NotAPercentage(text.clone()))?;
            let product = i64::from(percent) * i64::from(total);
            let result = match rounding {
                Rounding::Up => product.div_euclid(100) + i64::from(product.rem_euclid(100) != 0),
                Rounding::Down => product.div_euclid(100),
            };
            Ok(i32::try_from(result).unwrap_or(i32::MAX))
        }
    }
}

/// Digits before a percent sign, or nothing when the text has another form.
pub fn percentage(text: &str) -> Option<i32> {
    let digits = text.strip_suffix('%')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_in_the_direction_asked_for() {
        let text = |s: &str| IntOrString::String(s.to_owned());
        for (value, total, rounding, expected) in [
            (IntOrString::Int(3), 10, Rounding::Up, Ok(3)),
            (text("25%"), 10, Rounding::Up, Ok(3)),
            (text("25%"), 10, Rounding::Down, Ok(2)),
            (text("0%"), 10, Rounding::Up, Ok(0)),
            (text("100%"), 3, Rounding::Down, Ok(3)),
            (text("3"), 10, Rounding::Up, Err(ScaleError::NotAPercentage("3".into()))),
            (
                text("-1%"),
                10,
                Rounding::Up,
                Err(ScaleError::NotAPercentage("-1%".into())),
            ),
        ] {
            assert_eq!(scaled(&value, total, rounding), expected, "{value:?} of {total}");
        }
    }
}
