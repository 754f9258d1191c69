//! The fields that a ClusterConfig may have, their types, and which of them have an effect here.
//!
//! `schema.txt` lists eksctl's v1alpha5 types: a type name on its own line, below it its fields: `!` required, `+` honoured.
//! Types are `string`, `integer`, `number`, `boolean`, `document` (anything), `=a|b` (one of), `[T]`, `map<T>`, or a type's
//! name. A field without `+` is accepted and named in a warning; one that is not listed is an error.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::node::{Key, Located, Node};
use super::{Problem, Warning};

struct Field {
    kind: &'static str,
    required: bool,
    honoured: bool,
}

type Fields = BTreeMap<&'static str, Field>;

fn types() -> &'static BTreeMap<&'static str, Fields> {
    static TYPES: OnceLock<BTreeMap<&'static str, Fields>> = OnceLock::new();
    TYPES.get_or_init(|| {
        let mut types: BTreeMap<&str, Fields> = BTreeMap::new();
        let mut current = "";
        for line in include_str!("schema.txt").lines() {
            let Some(field) = line.strip_prefix("  ") else {
                current = line;
                continue;
            };
            let (name, kind) = field
                .split_once(' ')
                .expect("a field line is a name and a type (tested)");
            let honoured = name.ends_with('+');
            let name = name.trim_end_matches('+');
            let field = Field {
                kind,
                required: name.ends_with('!'),
                honoured,
            };
            types
                .entry(current)
                .or_default()
                .insert(name.trim_end_matches('!'), field);
        }
        types
    })
}

/// What a document's check found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What is wrong, in the document's order.
    pub problems: Vec<Problem>,
    /// What has no effect yet.
    pub warnings: Vec<Warning>,
}

/// Checks a whole document.
pub fn check(document: &Located) -> Findings {
    let mut findings = Findings::default();
    findings.value("ClusterConfig", "", document);
    findings
}

impl Findings {
    fn problem(&mut self, line: u64, path: &str, message: String) {
        self.problems.push(Problem {
            line: (line > 0).then_some(line),
            path: path.to_owned(),
            message,
        });
    }

    fn value(&mut self, kind: &'static str, path: &str, value: &Located) {
        if let Some(values) = kind.strip_prefix('=') {
            return self.one_of(values, path, value);
        }
        if let Some(element) = kind.strip_prefix('[') {
            return self.list(element.trim_end_matches(']'), path, value);
        }
        if let Some(element) = kind.strip_prefix("map<") {
            return self.map(element.trim_end_matches('>'), path, value);
        }
        let wanted = match (kind, &value.node) {
            ("document", _)
            | ("string", Node::Text(_))
            | ("integer", Node::Integer(_))
            | ("number", Node::Integer(_) | Node::Number(_))
            | ("boolean", Node::Boolean(_)) => return,
            ("string", Node::Integer(_) | Node::Number(_) | Node::Boolean(_)) => "a string (put it in quotes)",
            ("string", _) => "a string",
            ("integer", _) => "a whole number",
            ("number", _) => "a number",
            ("boolean", _) => "true or false",
            _ => return self.structure(kind, path, value),
        };
        self.problem(value.line, path, format!("must be {wanted}, is {}", value.node.kind()));
    }

    fn one_of(&mut self, values: &'static str, path: &str, value: &Located) {
        let found = match &value.node {
            Node::Text(text) if values.split('|').any(|allowed| allowed == text) => return,
            other => other.kind(),
        };
        let allowed = values.replace('|', ", ");
        self.problem(value.line, path, format!("must be one of {allowed}, is {found}"));
    }

    fn list(&mut self, element: &'static str, path: &str, value: &Located) {
        match &value.node {
            Node::Null => {}
            Node::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(element, &format!("{path}[{index}]"), item);
                }
            }
            other => self.problem(value.line, path, format!("must be a list, is {}", other.kind())),
        }
    }

    fn map(&mut self, element: &'static str, path: &str, value: &Located) {
        match &value.node {
            Node::Null => {}
            Node::Map(entries) => {
                for (key, item) in entries {
                    self.value(element, &join(path, &key.name), item);
                }
            }
            other => self.problem(value.line, path, format!("must be a mapping, is {}", other.kind())),
        }
    }

    fn structure(&mut self, kind: &str, path: &str, value: &Located) {
        let Some(fields) = types().get(kind) else {
            return self.problem(value.line, path, format!("has a type {kind} that the table lacks"));
        };
        let entries: &[(Key, Located)] = match &value.node {
            Node::Map(entries) => entries,
            Node::Null if path.is_empty() => &[],
            // An empty mapping written as nothing (`vpc:`) is what YAML makes of it: absent.
            Node::Null => return,
            other => return self.problem(value.line, path, format!("must be a mapping, is {}", other.kind())),
        };
        for (key, item) in entries {
            let path = join(path, &key.name);
            match fields.get(key.name.as_str()) {
                None => self.problem(key.line, &path, unknown(&key.name, fields)),
                Some(field) => {
                    let problems = self.problems.len();
                    let warnings = self.warnings.len();
                    self.value(field.kind, &path, item);
                    if !field.honoured {
                        // The parts of a field without effect are checked, but one warning says it all.
                        self.warnings.truncate(warnings);
                        if self.problems.len() == problems {
                            self.warnings.push(Warning::without_effect(path));
                        }
                    }
                }
            }
        }
        for (name, field) in fields {
            let given = entries
                .iter()
                .any(|(key, item)| key.name == *name && item.node != Node::Null);
            if field.required && !given {
                self.problem(value.line, &join(path, name), "must be set".to_owned());
            }
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn unknown(name: &str, fields: &Fields) -> String {
    let near = fields
        .keys()
        .filter(|known| distance(name, known) <= 2)
        .min_by_key(|known| distance(name, known));
    match near {
        Some(known) => format!("unknown field; did you mean {known:?}?"),
        None => "unknown field".to_owned(),
    }
}

/// How many letters differ (Levenshtein), letter case left aside.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, letter) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, other) in right.iter().enumerate() {
            let substitute = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = substitute.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

/// The same as a JSON Schema (draft 7), for editors.
pub fn json_schema() -> String {
    let definitions: Vec<String> = types()
        .iter()
        .map(|(name, fields)| format!("    {name:?}: {}", definition(fields)))
        .collect();
    format!(
        "{{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n  \"$ref\": \"#/definitions/ClusterConfig\",\n  \"definitions\": {{\n{}\n  }}\n}}",
        definitions.join(",\n")
    )
}

fn definition(fields: &Fields) -> String {
    let properties: Vec<String> = fields
        .iter()
        .map(|(name, field)| format!("{name:?}: {}", json_type(field.kind)))
        .collect();
    let required: Vec<String> = fields
        .iter()
        .filter(|(_, field)| field.required)
        .map(|(name, _)| format!("{name:?}"))
        .collect();
    let required = if required.is_empty() {
        String::new()
    } else {
        format!(", \"required\": [{}]", required.join(", "))
    };
    format!(
        "{{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {{{}}}{required}}}",
        properties.join(", ")
    )
}

fn json_type(kind: &str) -> String {
    if let Some(values) = kind.strip_prefix('=') {
        let values: Vec<String> = values.split('|').map(|value| format!("{value:?}")).collect();
        return format!("{{\"enum\": [{}]}}", values.join(", "));
    }
    if let Some(element) = kind.strip_prefix('[') {
        let element = json_type(element.trim_end_matches(']'));
        return format!("{{\"type\": \"array\", \"items\": {element}}}");
    }
    if let Some(element) = kind.strip_prefix("map<") {
        let element = json_type(element.trim_end_matches('>'));
        return format!("{{\"type\": \"object\", \"additionalProperties\": {element}}}");
    }
    match kind {
        "string" | "integer" | "number" | "boolean" => format!("{{\"type\": {kind:?}}}"),
        "document" => "{}".to_owned(),
        named => format!("{{\"$ref\": \"#/definitions/{named}\"}}"),
    }
}

#[cfg(test)]
pub(super) fn undefined_types() -> Vec<&'static str> {
    let scalars = ["string", "integer", "number", "boolean", "document"];
    let element = |kind: &'static str| {
        kind.trim_start_matches('[')
            .trim_end_matches(']')
            .trim_start_matches("map<")
            .trim_end_matches('>')
    };
    let named = types()
        .values()
        .flat_map(BTreeMap::values)
        .map(|field| element(field.kind));
    named
        .filter(|kind| !kind.starts_with('=') && !scalars.contains(kind) && !types().contains_key(kind))
        .collect()
}
