//! Equality and order.

use std::cmp::Ordering;

use super::{Opaque, Value};

impl Value<'_> {
    /// CEL's equality: numbers by value, whatever their type; values of different types are different.
    pub fn equals(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::String(a), Value::String(b)) => **a == **b,
            (Self::Bytes(a), Value::Bytes(b)) => a == b,
            (Self::List(a), Value::List(b)) => a.equals(b),
            (Self::Map(a), Value::Map(b)) => a.equals(b),
            (Self::Type(a), Value::Type(b)) => **a == **b,
            (Self::Optional(a), Value::Optional(b)) => match (a, b) {
                (None, None) => true,
                (Some(a), Some(b)) => a.equals(b),
                _ => false,
            },
            (Self::Opaque(a), Value::Opaque(b)) => a.equals(b),
            (a, b) => a.compare(b) == Some(Ordering::Equal),
        }
    }

    /// Order of what has one.
    pub fn compare(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Self::String(a), Value::String(b)) => Some((**a).cmp(&**b)),
            (Self::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
            (a, b) => compare_numbers(a, b),
        }
    }
}

fn compare_numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => double(a)?.partial_cmp(&double(b)?),
    }
}

fn whole(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(number) => Some(i128::from(*number)),
        Value::Uint(number) => Some(i128::from(*number)),
        _ => None,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "comparison across kinds of numbers is by double, as upstream's"
)]
fn double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        Value::Double(number) => Some(*number),
        _ => None,
    }
}

impl Opaque<'_> {
    fn equals(&self, other: &Opaque<'_>) -> bool {
        match (self, other) {
            (Self::Url(a), Opaque::Url(b)) => a == b,
            (Self::Ip(a), Opaque::Ip(b)) => a == b,
            (Self::Cidr(a), Opaque::Cidr(b)) => a == b,
            (Self::Quantity(a), Opaque::Quantity(b)) => a.cmp(b) == Ordering::Equal,
            (Self::Semver(a), Opaque::Semver(b)) => a.cmp_precedence(b) == Ordering::Equal,
            (Self::Format(a), Opaque::Format(b)) => a == b,
            (Self::Decision(a), Opaque::Decision(b)) => a == b,
            _ => false,
        }
    }
}
