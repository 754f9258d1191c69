//! Checking values against a schema, with upstream's words (`kube-openapi/pkg/validation`) and its ratcheting: what was
//! wrong before and has not changed is let through.

mod format;
mod number;

#[cfg(test)]
mod tests;

use kube_types::dynamic::{Map, Value};
use object_rules::field::{Error, Errors, Kind};

use crate::path::Path;
use crate::schema::{ListType, Schema};

/// What is wrong with a value; `old` is what it was before. Fields are named below `base`.
pub fn validate(schema: &Schema, value: &Value, old: Option<&Value>, base: &str, errors: &mut Errors) {
    let at = Place {
        schema,
        structure: Some(schema),
        value,
        old,
        path: &Path::root(""),
    };
    errors.extend(at.ratcheted(base).errors);
}

/// What was found, and how much of the schema was looked at: of several alternatives, the errors of that which fits
/// best are told.
#[derive(Default)]
struct Found {
    errors: Vec<Error>,
    weight: usize,
}

impl Found {
    fn merge(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.weight += other.weight;
    }
}

/// A value, what is said of it, and what it was.
#[derive(Clone, Copy)]
struct Place<'a> {
    schema: &'a Schema,
    /// The schema that tells how old and new values belong together; alternatives do not.
    structure: Option<&'a Schema>,
    value: &'a Value,
    old: Option<&'a Value>,
    path: &'a Path<'a>,
}

impl<'a> Place<'a> {
    fn ratcheted(&self, base: &str) -> Found {
        let mut found = self.check(base);
        if !found.errors.is_empty() && self.old == Some(self.value) {
            found.errors.clear();
        }
        found
    }

    fn check(&self, base: &str) -> Found {
        let mut report = Report::new(self, base);
        report.types();
        if !self.value.is_null() {
            report.junctors();
            match self.value {
                Value::String(text) => report.text(text),
                Value::Number(number) => number::check(&mut report, number),
                Value::Array(items) => report.list(items),
                Value::Object(object) => report.object(object),
                Value::Bool(_) | Value::Null => {}
            }
        }
        report.values();
        report.found
    }

    fn item(&self, index: usize, item: &'a Value) -> Option<&'a Value> {
        let structure = self.structure.filter(|s| s.list_type == ListType::Map)?;
        let keys = |value: &'a Value| structure.list_keys.iter().map(move |key| value.get(key));
        let old = self.old?.as_array()?;
        let same = |candidate: &&'a Value| keys(candidate).eq(keys(item));
        old.get(index).filter(same).or_else(|| old.iter().find(same))
    }

    fn field(&self, name: &str) -> Option<&'a Value> {
        let known = self.structure.is_some_and(|structure| !structure.atomic_map);
        if !known || (self.path.is_root() && matches!(name, "apiVersion" | "kind" | "metadata")) {
            return None;
        }
        self.old?.get(name)
    }
}

/// Collects what is found at one place.
struct Report<'p, 'a> {
    place: &'p Place<'a>,
    base: &'p str,
    found: Found,
}

impl<'p, 'a> Report<'p, 'a> {
    fn new(place: &'p Place<'a>, base: &'p str) -> Self {
        Self {
            place,
            base,
            found: Found::default(),
        }
    }

    fn push(&mut self, kind: Kind, name: &str, value: Option<Value>, detail: impl Into<String>) {
        let field = match (self.base, name) {
            (base, "") => base.to_owned(),
            ("", name) => name.to_owned(),
            (base, name) if name.starts_with('[') => format!("{base}{name}"),
            (base, name) => format!("{base}.{name}"),
        };
        let detail = detail.into();
        self.found.errors.push(Error {
            kind,
            field,
            value,
            detail,
        });
    }

    /// An error about the value itself, whose words begin with its name.
    fn invalid(&mut self, problem: impl std::fmt::Display) {
        let name = self.place.path.to_string();
        let detail = format!("{name} in body {problem}");
        self.push(Kind::Invalid, &name, Some(self.place.value.clone()), detail);
    }

    fn wrong_type(&mut self, wanted: &str, shown: &Value) {
        let name = self.place.path.to_string();
        let detail = format!("{name} in body must be of type {wanted}: {shown}");
        self.push(Kind::TypeInvalid, &name, Some(shown.clone()), detail);
    }

    fn types(&mut self) {
        let schema = self.place.schema;
        let wanted: &[&str] = if schema.int_or_string {
            &["integer", "string"]
        } else if schema.of.is_empty() {
            return;
        } else {
            &[&schema.of]
        };
        self.found.weight += 1;
        let value = self.place.value;
        let wants = |name: &str| wanted.contains(&name);
        let numeric = wants("integer") || wants("number");
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::Number(number) if number.is_i64() => "integer",
            Value::Number(_) => "number",
        };
        let has_format = !schema.format.is_empty() && format::is_supported(&schema.format, &schema.of);
        let fits = wants(is)
            || (value.is_null() && schema.nullable)
            || (is == "integer" && wants("number"))
            || (is == "number" && wants("integer") && value.as_f64().is_some_and(|number| number.fract() == 0.0))
            // Upstream leaves texts and lists to the format.
            || (has_format && !numeric && matches!(is, "string" | "array"));
        if !fits {
            self.wrong_type(&wanted.join(","), &Value::from(is));
        }
    }

    fn junctors(&mut self) {
        let checks = &self.place.schema.checks;
        let name = self.place.path.to_string();
        let alternatives = |list: &'a [Schema]| -> Vec<Found> {
            list.iter()
                .map(|schema| Place { schema, ..*self.place }.check(self.base))
                .collect()
        };
        let (any, one, all) = (
            alternatives(&checks.any_of),
            alternatives(&checks.one_of),
            alternatives(&checks.all_of),
        );
        let sound = |list: &[Found]| list.iter().filter(|found| found.errors.is_empty()).count();
        if !any.is_empty() && sound(&any) == 0 {
            let problem = format!("\"{name}\" must validate at least one schema (anyOf)");
            self.push(Kind::Invalid, "", Some("".into()), problem);
            self.best(any);
        }
        match sound(&one) {
            _ if one.is_empty() => {}
            1 => {}
            0 => {
                let problem = format!("\"{name}\" must validate one and only one schema (oneOf). Found none valid");
                self.push(Kind::Invalid, "", Some("".into()), problem);
                self.best(one);
            }
            many => {
                let problem = format!(
                    "\"{name}\" must validate one and only one schema (oneOf). Found {many} valid alternatives"
                );
                self.push(Kind::Invalid, "", Some("".into()), problem);
            }
        }
        let valid = sound(&all);
        if valid != all.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            all.into_iter().for_each(|found| self.found.merge(found));
            let problem = format!("\"{name}\" must validate all the schemas (allOf){none}");
            self.push(Kind::Invalid, "", Some("".into()), problem);
        }
        if let Some(schema) = &checks.not
            && (Place { schema, ..*self.place }).check(self.base).errors.is_empty()
        {
            let problem = format!("\"{name}\" must not validate the schema (not)");
            self.push(Kind::Invalid, "", Some("".into()), problem);
        }
        self.found.weight += 1;
    }

    fn best(&mut self, alternatives: Vec<Found>) {
        let mut best: Option<Found> = None;
        for found in alternatives {
            if best.as_ref().is_none_or(|best| found.weight > best.weight) {
                best = Some(found);
            }
        }
        best.into_iter().for_each(|found| self.found.merge(found));
    }

    fn text(&mut self, text: &str) {
        let schema = self.place.schema;
        let checks = &schema.checks;
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        if let Some(limit) = checks.max_length.filter(|limit| length > *limit) {
            let name = self.place.path.to_string();
            let detail = format!("may not be more than {limit} bytes");
            self.push(Kind::TooLong, &name, None, detail);
        }
        if let Some(limit) = checks.min_length.filter(|limit| length < *limit) {
            self.invalid(format_args!("should be at least {limit} chars long"));
        }
        if let Some(pattern) = checks.pattern.as_ref().filter(|pattern| !pattern.matches(text)) {
            self.invalid(format_args!("should match '{}'", pattern.text()));
        }
        let checked = format::is_supported(&schema.format, "string") && matches!(&*schema.of, "" | "string");
        if checked && !format::fits(&schema.format, text) {
            self.wrong_type(&schema.format, self.place.value);
        }
        self.found.weight += 1;
    }

    fn list(&mut self, items: &'a [Value]) {
        let place = self.place;
        let checks = &place.schema.checks;
        if let Some(schema) = place.schema.items.as_deref() {
            for (index, value) in items.iter().enumerate() {
                let below = Place {
                    schema,
                    structure: place.structure.and_then(|structure| structure.items.as_deref()),
                    value,
                    old: place.item(index, value),
                    path: &place.path.index(index),
                };
                self.found.merge(below.ratcheted(self.base));
            }
        }
        let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
        if let Some(limit) = checks.min_items.filter(|limit| count < *limit) {
            self.invalid(format_args!("should have at least {limit} items"));
        }
        if let Some(limit) = checks.max_items.filter(|limit| count > *limit) {
            self.too_many(count, limit);
        }
        let repeated = || {
            items
                .iter()
                .enumerate()
                .any(|(index, item)| items[..index].contains(item))
        };
        if checks.unique_items && repeated() {
            self.invalid("shouldn't contain duplicates");
        }
        self.found.weight += 1;
    }

    fn too_many(&mut self, count: i64, limit: i64) {
        let name = self.place.path.to_string();
        let detail = format!("must have at most {limit} items");
        self.push(Kind::TooMany, &name, Some(count.into()), detail);
    }

    fn object(&mut self, object: &'a Map<String, Value>) {
        let place = self.place;
        let checks = &place.schema.checks;
        let count = i64::try_from(object.len()).unwrap_or(i64::MAX);
        if let Some(limit) = checks.min_properties.filter(|limit| count < *limit) {
            self.invalid(format_args!("should have at least {limit} properties"));
        }
        if let Some(limit) = checks.max_properties.filter(|limit| count > *limit) {
            self.too_many(count, limit);
        }
        let closed = place.schema.additional == Some(crate::schema::Additional::Any(false));
        for (name, value) in object {
            let Some(schema) = place.schema.field(name) else {
                if closed {
                    let at = place.path.to_string();
                    let detail = format!("{at}.{name} in body is a forbidden property");
                    self.push(Kind::Invalid, &at, Some("".into()), detail);
                }
                continue;
            };
            let below = Place {
                schema,
                structure: place.structure.and_then(|structure| structure.field(name)),
                value,
                old: place.field(name),
                path: &place.path.field(name),
            };
            self.found.merge(below.ratcheted(self.base));
        }
        for name in &checks.required {
            if !object.contains_key(name) {
                let missing = place.path.field(name).to_string();
                self.push(Kind::Required, &missing, None, "");
            }
        }
        self.found.weight += 1;
    }

    fn values(&mut self) {
        let values = &self.place.schema.checks.values;
        if values.is_empty() || values.iter().any(|value| same(value, self.place.value)) {
            return;
        }
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let listed: Vec<String> = values.iter().map(|value| format!("\"{}\"", shown(value))).collect();
        let name = self.place.path.to_string();
        let detail = format!("supported values: {}", listed.join(", "));
        self.push(Kind::NotSupported, &name, Some(self.place.value.clone()), detail);
    }
}

/// Whether two values are the same, `1` and `1.0` included.
fn same(left: &Value, right: &Value) -> bool {
    left == right || matches!((left.as_f64(), right.as_f64()), (Some(left), Some(right)) if left == right)
}
