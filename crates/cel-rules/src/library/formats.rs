//! Named formats: what Kubernetes' names, labels and times look like.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;

use super::{text, time};
use crate::cost::Cost;
use crate::evaluate::EvalError;
use crate::functions::{Row, row};
use crate::value::{Opaque, Value};

/// A format that text can be checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedFormat {
    /// A label of a DNS name.
    Dns1123Label,
    /// A DNS name.
    Dns1123Subdomain,
    /// A label that begins with a letter.
    Dns1035Label,
    /// A label key.
    QualifiedName,
    /// Start of a generated name.
    Dns1123LabelPrefix,
    /// Start of a generated name.
    Dns1123SubdomainPrefix,
    /// Start of a generated name.
    Dns1035LabelPrefix,
    /// A label value.
    LabelValue,
    /// A URI.
    Uri,
    /// A UUID.
    Uuid,
    /// Base64.
    Byte,
    /// A date.
    Date,
    /// A moment.
    Datetime,
}

use NamedFormat as F;

const NAMES: &[(&str, NamedFormat)] = &[
    ("dns1123Label", F::Dns1123Label),
    ("dns1123Subdomain", F::Dns1123Subdomain),
    ("dns1035Label", F::Dns1035Label),
    ("qualifiedName", F::QualifiedName),
    ("dns1123LabelPrefix", F::Dns1123LabelPrefix),
    ("dns1123SubdomainPrefix", F::Dns1123SubdomainPrefix),
    ("dns1035LabelPrefix", F::Dns1035LabelPrefix),
    ("labelValue", F::LabelValue),
    ("uri", F::Uri),
    ("uuid", F::Uuid),
    ("byte", F::Byte),
    ("date", F::Date),
    ("datetime", F::Datetime),
];

macro_rules! formats {
    ($($name:literal => $format:expr),* $(,)?) => {
        &[
            $(row(concat!("format.", $name), &["() format"], Cost::Step, |_| {
                Ok(Value::Opaque(Opaque::Format($format)))
            }),)*
            row("format.named", &["(string) optional<format>"], Cost::Step, |args| match args {
                [given] => {
                    let given = text(given)?;
                    let found = NAMES.iter().find(|(name, _)| *name == given);
                    Ok(Value::optional(found.map(|(_, format)| Value::Opaque(Opaque::Format(*format)))))
                }
                _ => Err(EvalError::no_overload()),
            }),
            row("validate", &["format.(string) optional<list<string>>"], Cost::Pattern, |args| match args {
                [Value::Opaque(Opaque::Format(format)), given] => {
                    let problems = format.problems(text(given)?);
                    let problems = problems.into_iter().map(Value::text).collect::<Vec<_>>();
                    Ok(Value::optional((!problems.is_empty()).then(|| Value::list(problems))))
                }
                _ => Err(EvalError::no_overload()),
            }),
        ]
    };
}

pub(super) const FUNCTIONS: &[Row] = formats! {
    "dns1123Label" => F::Dns1123Label,
    "dns1123Subdomain" => F::Dns1123Subdomain,
    "dns1035Label" => F::Dns1035Label,
    "qualifiedName" => F::QualifiedName,
    "dns1123LabelPrefix" => F::Dns1123LabelPrefix,
    "dns1123SubdomainPrefix" => F::Dns1123SubdomainPrefix,
    "dns1035LabelPrefix" => F::Dns1035LabelPrefix,
    "labelValue" => F::LabelValue,
    "uri" => F::Uri,
    "uuid" => F::Uuid,
    "byte" => F::Byte,
    "date" => F::Date,
    "datetime" => F::Datetime,
};

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                     validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
                         '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used \
                         for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
                          alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or \
                          'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
                           '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
                           'my_value',  or '12345', regex used for validation is \
                           '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                         with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for \
                         validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

static NAME_LABEL: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"));
static NAME_SUBDOMAIN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"));
static NAME_1035: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[a-z]([-a-z0-9]*[a-z0-9])?$"));
static NAME_VALUE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"));
static UUID: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns of this file are right")
}

impl NamedFormat {
    /// What is wrong with a text.
    fn problems(self, given: &str) -> Vec<String> {
        let prefix = given
            .strip_suffix('-')
            .map_or_else(|| given.to_owned(), |start| format!("{start}a"));
        match self {
            Self::Dns1123Label => named(given, &NAME_LABEL, LABEL, 63),
            Self::Dns1123LabelPrefix => named(&prefix, &NAME_LABEL, LABEL, 63),
            Self::Dns1123Subdomain => named(given, &NAME_SUBDOMAIN, SUBDOMAIN, 253),
            Self::Dns1123SubdomainPrefix => named(&prefix, &NAME_SUBDOMAIN, SUBDOMAIN, 253),
            Self::Dns1035Label => named(given, &NAME_1035, LABEL_1035, 63),
            Self::Dns1035LabelPrefix => named(&prefix, &NAME_1035, LABEL_1035, 63),
            Self::LabelValue => named(given, &NAME_VALUE, LABEL_VALUE, 63),
            Self::QualifiedName => qualified(given),
            Self::Uri => match url::Url::parse(given) {
                Ok(_) => Vec::new(),
                Err(error) => vec![format!("invalid URI: {error}")],
            },
            Self::Uuid => only(UUID.is_match(given), "does not match the UUID format"),
            Self::Byte => only(STANDARD.decode(given).is_ok(), "invalid base64"),
            Self::Date => only(given.parse::<jiff::civil::Date>().is_ok(), "invalid date"),
            Self::Datetime => only(time::parse_timestamp(given).is_some(), "invalid datetime"),
        }
    }
}

fn only(fits: bool, problem: &str) -> Vec<String> {
    if fits { Vec::new() } else { vec![problem.to_owned()] }
}

fn named(given: &str, pattern: &Regex, problem: &str, longest: usize) -> Vec<String> {
    let mut problems = Vec::new();
    if given.len() > longest {
        problems.push(format!("must be no more than {longest} characters"));
    }
    if !pattern.is_match(given) {
        problems.push(problem.to_owned());
    }
    problems
}

fn qualified(given: &str) -> Vec<String> {
    let (prefix, name) = match given.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, given),
    };
    let mut problems = Vec::new();
    if let Some(prefix) = prefix {
        let of_prefix = if prefix.is_empty() {
            vec!["must be non-empty".to_owned()]
        } else {
            named(prefix, &NAME_SUBDOMAIN, SUBDOMAIN, 253)
        };
        problems.extend(of_prefix.into_iter().map(|problem| format!("prefix part {problem}")));
    }
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        problems.push("name part must be no more than 63 characters".to_owned());
    }
    if name.is_empty() || !NAME_VALUE.is_match(name) {
        problems.push(QUALIFIED.to_owned());
    }
    problems
}
