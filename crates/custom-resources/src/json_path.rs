//! JSONPath as printer columns use it: fields, indices, slices, wildcards, filters and descent.

use kube_types::dynamic::{Map, Value};

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    All,
    /// This value and everything below it.
    Descend,
    Filter(Filter),
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Operand,
    comparison: Option<(Comparison, Operand)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Literal(Value),
    Path(JsonPath),
}

/// Longest first, so that `<=` is not read as `<`.
const COMPARISONS: &[(&str, Comparison)] = &[
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl JsonPath {
    /// Reads a path such as `.status.conditions[?(@.type=="Ready")].status`.
    ///
    /// # Errors
    /// Where it is no path.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text };
        let path = reader.path()?;
        if reader.rest.is_empty() {
            Ok(path)
        } else {
            Err(format!("unrecognized character in path: {:?}", reader.rest))
        }
    }

    /// All values that the path leads to.
    pub fn find<'v>(&self, root: &'v Map<String, Value>) -> Vec<&'v Value> {
        let mut steps = self.0.iter();
        let mut found: Vec<&Value> = match steps.next() {
            Some(Step::Field(name)) => root.get(name).into_iter().collect(),
            Some(Step::All) => root.values().collect(),
            Some(Step::Descend) => root.values().flat_map(everything).collect(),
            _ => Vec::new(),
        };
        for step in steps {
            found = found.into_iter().flat_map(|value| step.from(value)).collect();
        }
        found
    }

    fn in_value<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.from(value)).collect();
        }
        found
    }
}

impl Step {
    fn from<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match (self, value) {
            (Self::Field(name), value) => value.get(name).into_iter().collect(),
            (Self::Index(index), Value::Array(items)) => position(*index, items.len())
                .and_then(|index| items.get(index))
                .into_iter()
                .collect(),
            (Self::Slice(from, to), Value::Array(items)) => {
                let from = from.map_or(Some(0), |from| position(from, items.len())).unwrap_or(0);
                let to = to.map_or(Some(items.len()), |to| position(to, items.len()));
                let to = to.unwrap_or(0).min(items.len());
                items.get(from..to.max(from)).into_iter().flatten().collect()
            }
            (Self::All, Value::Array(items)) => items.iter().collect(),
            (Self::All, Value::Object(fields)) => fields.values().collect(),
            (Self::Descend, value) => everything(value),
            (Self::Filter(filter), Value::Array(items)) => items.iter().filter(|item| filter.keeps(item)).collect(),
            (Self::Filter(filter), Value::Object(fields)) => {
                fields.values().filter(|item| filter.keeps(item)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn position(index: i64, length: usize) -> Option<usize> {
    if index >= 0 {
        usize::try_from(index).ok()
    } else {
        length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    }
}

fn everything(value: &Value) -> Vec<&Value> {
    let mut found = vec![value];
    match value {
        Value::Array(items) => found.extend(items.iter().flat_map(everything)),
        Value::Object(fields) => found.extend(fields.values().flat_map(everything)),
        _ => {}
    }
    found
}

impl Filter {
    fn keeps(&self, item: &Value) -> bool {
        let left = self.left.value(item);
        let Some((comparison, right)) = &self.comparison else {
            return left.is_some();
        };
        let (Some(left), Some(right)) = (left, right.value(item)) else {
            return false;
        };
        let ordered = match (left, right) {
            (Value::String(left), Value::String(right)) => left.partial_cmp(right),
            (left, right) => left.as_f64().partial_cmp(&right.as_f64()),
        };
        match comparison {
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
            Comparison::Less => ordered.is_some_and(std::cmp::Ordering::is_lt),
            Comparison::LessOrEqual => ordered.is_some_and(std::cmp::Ordering::is_le),
            Comparison::Greater => ordered.is_some_and(std::cmp::Ordering::is_gt),
            Comparison::GreaterOrEqual => ordered.is_some_and(std::cmp::Ordering::is_ge),
        }
    }
}

impl Operand {
    fn value<'v>(&'v self, item: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Literal(value) => Some(value),
            Self::Path(path) => path.in_value(item).into_iter().next(),
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn eat(&mut self, text: &str) -> bool {
        let eaten = self.rest.strip_prefix(text);
        self.rest = eaten.unwrap_or(self.rest);
        eaten.is_some()
    }

    fn spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn path(&mut self) -> Result<JsonPath, String> {
        let mut steps = Vec::new();
        loop {
            if self.eat("..") {
                steps.push(Step::Descend);
                if self.rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                    steps.push(self.field()?);
                }
            } else if self.eat(".") {
                if self.eat("*") {
                    steps.push(Step::All);
                } else if !self.rest.is_empty() && !self.rest.starts_with('[') {
                    steps.push(self.field()?);
                }
            } else if self.eat("[") {
                self.bracket(&mut steps)?;
            } else {
                return Ok(JsonPath(steps));
            }
        }
    }

    /// A name; a backslash takes the next letter as it is.
    fn field(&mut self) -> Result<Step, String> {
        let mut name = String::new();
        let mut letters = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => name.extend(letters.next().map(|(_, escaped)| escaped)),
                '.' | '[' | ']' | ')' | ' ' | '=' | '!' | '<' | '>' | '{' | '}' | ',' => {
                    end = at;
                    break;
                }
                other => name.push(other),
            }
        }
        self.rest = &self.rest[end..];
        if name.is_empty() {
            return Err("empty field name".to_owned());
        }
        Ok(Step::Field(name))
    }

    fn bracket(&mut self, steps: &mut Vec<Step>) -> Result<(), String> {
        self.spaces();
        let step = if self.eat("?(") {
            let filter = self.filter()?;
            self.close(")")?;
            Step::Filter(filter)
        } else if self.eat("*") {
            Step::All
        } else if self.rest.starts_with(['\'', '"']) {
            Step::Field(self.quoted()?)
        } else {
            let from = self.number();
            if self.eat(":") {
                Step::Slice(from, self.number())
            } else {
                Step::Index(from.ok_or_else(|| format!("invalid array index {:?}", self.rest))?)
            }
        };
        self.close("]")?;
        steps.push(step);
        Ok(())
    }

    fn close(&mut self, bracket: &str) -> Result<(), String> {
        self.spaces();
        if self.eat(bracket) {
            Ok(())
        } else {
            Err(format!("expected {bracket:?} at {:?}", self.rest))
        }
    }

    fn number(&mut self) -> Option<i64> {
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_digit() && c != '-')
            .unwrap_or(self.rest.len());
        let number = self.rest[..end].parse().ok()?;
        self.rest = &self.rest[end..];
        Some(number)
    }

    fn quoted(&mut self) -> Result<String, String> {
        let quote = self.rest.chars().next().unwrap_or('"');
        let mut text = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => text.extend(letters.next().map(|(_, escaped)| escaped)),
                _ if letter == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                other => text.push(other),
            }
        }
        Err("unterminated quoted string".to_owned())
    }

    fn filter(&mut self) -> Result<Filter, String> {
        let left = self.operand()?;
        self.spaces();
        let found = COMPARISONS.iter().find(|(text, _)| self.rest.starts_with(text));
        let Some((text, comparison)) = found else {
            return Ok(Filter { left, comparison: None });
        };
        self.eat(text);
        let right = self.operand()?;
        Ok(Filter {
            left,
            comparison: Some((*comparison, right)),
        })
    }

    fn operand(&mut self) -> Result<Operand, String> {
        self.spaces();
        if self.eat("@") {
            return Ok(Operand::Path(self.path()?));
        }
        if self.rest.starts_with(['\'', '"']) {
            return Ok(Operand::Literal(self.quoted()?.into()));
        }
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || matches!(c, ')' | '=' | '!' | '<' | '>'))
            .unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        let literal = serde_json::from_str(word).map_err(|error| format!("unrecognized operand {word:?}: {error}"))?;
        self.rest = &self.rest[end..];
        Ok(Operand::Literal(literal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube_types::dynamic::json;

    #[test]
    fn paths_lead_where_kubectls_lead() {
        let Value::Object(object) = json!({
            "metadata": {"labels": {"a.b/c": "x"}, "annotations": {"q": "y"}},
            "spec": {"list": [1, 2, 3], "hosts": [{"name": "a", "port": 80}, {"name": "b", "port": 443}]},
            "status": {"conditions": [{"type": "Synced", "status": "False"}, {"type": "Ready", "status": "True"}]},
        }) else {
            return;
        };
        for (path, expected) in [
            (".spec.list[1]", json!([2])),
            (".spec.list[-1]", json!([3])),
            (".spec.list[0:2]", json!([1, 2])),
            (".spec.hosts[*].name", json!(["a", "b"])),
            (".status.conditions[?(@.type==\"Ready\")].status", json!(["True"])),
            (".status.conditions[?(@.type=='Ready')].status", json!(["True"])),
            (".spec.hosts[?(@.port > 100)].name", json!(["b"])),
            (".metadata.labels['a.b/c']", json!(["x"])),
            (".metadata.labels.a\\.b/c", json!(["x"])),
            (".metadata.annotations[\"q\"]", json!(["y"])),
            (".spec..port", json!([80, 443])),
            (".absent.field", json!([])),
        ] {
            let found = JsonPath::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            let found: Vec<Value> = found.find(&object).into_iter().cloned().collect();
            assert_eq!(Value::Array(found), expected, "{path}");
        }
        assert!(JsonPath::parse(".a[").is_err());
        assert!(JsonPath::parse(".a[?(@.b==)]").is_err());
    }
}
