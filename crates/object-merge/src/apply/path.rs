//! One step of a path to a field, as field sets hold it and conflicts print it.

use std::cmp::Ordering;
use std::fmt;

use kube_types::dynamic::Value;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathElement {
    /// A field of a struct or the key of a map.
    Field(Box<str>),
    /// The element of a list whose key fields have these values; sorted by name.
    Key(Vec<(Box<str>, Literal)>),
    /// The element of a set.
    Value(Literal),
    /// The element of an ordinary list.
    Index(i64),
}

/// A path from the root of an object.
pub type Path = Vec<PathElement>;

/// A value that identifies something, in upstream's order of all values.
#[derive(Clone, Debug)]
pub struct Literal(pub Value);

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Literal {}

impl PartialOrd for Literal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Literal {
    fn cmp(&self, other: &Self) -> Ordering {
        order(&self.0, &other.0)
    }
}

/// Numbers by their amount before texts before booleans before lists before maps before null.
fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => {
                let amount = |n: &serde_json::Number| n.as_f64().unwrap_or_default();
                amount(a).total_cmp(&amount(b))
            }
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let differing = a.iter().zip(b).map(|(a, b)| order(a, b)).find(|order| order.is_ne());
            differing.unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Object(a), Value::Object(b)) => {
            let sorted = |map: &serde_json::Map<String, Value>| {
                let mut entries: Vec<(Box<str>, Literal)> = map
                    .iter()
                    .map(|(key, value)| (key.as_str().into(), Literal(value.clone())))
                    .collect();
                entries.sort();
                entries
            };
            sorted(a).cmp(&sorted(b))
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

/// Whether two values are the same; `1` and `1.0` are.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => order(left, right).is_eq(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

impl PathElement {
    /// A field by its name.
    #[must_use]
    pub fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    /// The form in `fieldsV1`: `f:name`, `k:{…}`, `v:…`, `i:0`.
    #[must_use]
    pub fn serialize(&self) -> String {
        match self {
            // Nearly all are fields, and every write of an object has hundreds: no formatting.
            Self::Field(name) => ["f:", name].concat(),
            Self::Key(fields) => {
                let entries: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{}:{}", Value::from(&**name), value.0))
                    .collect();
                format!("k:{{{}}}", entries.join(","))
            }
            Self::Value(value) => format!("v:{}", value.0),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// Reads what [`PathElement::serialize`] writes; `None` when it is nothing of that kind.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_at_checked(2)?;
        match kind {
            "f:" => Some(Self::Field(rest.into())),
            "v:" => serde_json::from_str(rest).ok().map(|value| Self::Value(Literal(value))),
            "k:" => {
                let read: serde_json::Map<String, Value> = serde_json::from_str(rest).ok()?;
                let mut fields: Vec<(Box<str>, Literal)> = read
                    .into_iter()
                    .map(|(name, value)| (name.into(), Literal(value)))
                    .collect();
                fields.sort_by(|a, b| a.0.cmp(&b.0));
                Some(Self::Key(fields))
            }
            "i:" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }
}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                let shown: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{name}={}", shown(&value.0)))
                    .collect();
                write!(f, "[{}]", shown.join(","))
            }
            Self::Value(value) => write!(f, "[={}]", shown(&value.0)),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A value as upstream's messages show it.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(",")),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| format!("{key}={}", shown(value)))
            .collect(),
        other => other.to_string(),
    }
}

/// A path as messages show it: `.spec.template.spec.containers[name="web"].image`.
#[must_use]
pub fn shown_path(path: &[PathElement]) -> String {
    path.iter().map(ToString::to_string).collect()
}
