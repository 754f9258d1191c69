//! Identifiers as AWS spells them, checked once where they enter.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An identifier that does not have the form AWS gives to its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {kind}: {rule}")]
pub struct IdError {
    /// What was to be read, for example `instance id`.
    pub kind: &'static str,
    /// The offending text.
    pub value: String,
    /// The form that is required.
    pub rule: &'static str,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks the form and keeps the text.
            pub fn new(value: impl Into<String>) -> Result<Self, IdError> {
                let value = value.into();
                let check: fn(&str) -> bool = $check;
                if check(&value) { Ok(Self(value)) } else { Err(IdError { kind: $kind, value, rule: $rule }) }
            }

            /// The text as AWS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(value: &str) -> Result<Self, IdError> {
                Self::new(value)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

identifier!(
    /// A twelve-digit account number.
    AccountId,
    "account id",
    "twelve digits",
    |v| v.len() == 12 && v.bytes().all(|b| b.is_ascii_digit())
);
identifier!(
    /// A region such as `ap-northeast-2`.
    RegionName,
    "region name",
    "lower-case words joined by hyphens, ending in a number",
    is_region
);
identifier!(
    /// An availability zone such as `ap-northeast-2a`.
    ZoneName,
    "availability zone",
    "a region name followed by one letter",
    |v| v.chars().last().is_some_and(|c| c.is_ascii_lowercase()) && v.is_ascii() && is_region(&v[..v.len() - 1])
);
identifier!(
    /// A VPC: `vpc-` and 8 or 17 hexadecimal digits.
    VpcId,
    "VPC id",
    "\"vpc-\" followed by 8 or 17 hexadecimal digits",
    |v| is_resource(v, "vpc-")
);
identifier!(
    /// A subnet: `subnet-` and 8 or 17 hexadecimal digits.
    SubnetId,
    "subnet id",
    "\"subnet-\" followed by 8 or 17 hexadecimal digits",
    |v| is_resource(v, "subnet-")
);
identifier!(
    /// An instance: `i-` and 8 or 17 hexadecimal digits.
    InstanceId,
    "instance id",
    "\"i-\" followed by 8 or 17 hexadecimal digits",
    |v| is_resource(v, "i-")
);
identifier!(
    /// An elastic network interface: `eni-` and 8 or 17 hexadecimal digits.
    EniId,
    "network interface id",
    "\"eni-\" followed by 8 or 17 hexadecimal digits",
    |v| is_resource(v, "eni-")
);
identifier!(
    /// An EKS cluster's name; EKS's own pattern and length.
    ClusterName,
    "cluster name",
    "1 to 100 letters, digits, hyphens and underscores, beginning with a letter or digit",
    |v| v.len() <= 100 && is_eks_name(v)
);
identifier!(
    /// An EKS managed node group's name.
    NodegroupName,
    "node group name",
    "1 to 63 letters, digits, hyphens and underscores, beginning with a letter or digit",
    |v| v.len() <= 63 && is_eks_name(v)
);

fn is_region(value: &str) -> bool {
    let mut words = value.split('-').rev();
    let number = words.next().unwrap_or("");
    let rest: Vec<&str> = words.collect();
    !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && rest.len() >= 2
        && rest
            .iter()
            .all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase()))
}

fn is_resource(value: &str, prefix: &str) -> bool {
    value.strip_prefix(prefix).is_some_and(|hex| {
        matches!(hex.len(), 8 | 17) && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

fn is_eks_name(value: &str) -> bool {
    value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests;
