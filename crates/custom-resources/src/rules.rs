//! `x-kubernetes-validations`: rules in CEL, compiled with the definition and evaluated on every write.
//! Source: `apiserver/schema/cel/{compilation,validation}.go`.

mod cost;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use cel_rules::{
    BUDGET, Environment, EvalError, Field, ListKind, ObjectType, Program, Session, Type, Value as CelValue, field_name,
};
use kube_types::dynamic::{Value, json};
use object_rules::field::{Error, Errors, Kind};

use crate::path::Path;
use crate::schema::{Additional, ListType, Rule, Schema};

/// The rules of a schema and of those below it.
#[derive(Debug, Default)]
pub struct Rules {
    own: Vec<Compiled>,
    /// The type of the value; known only where a rule reads it.
    holds: Option<Type>,
    properties: BTreeMap<String, Rules>,
    items: Option<Box<Rules>>,
    additional: Option<Box<Rules>>,
}

#[derive(Debug)]
struct Compiled {
    rule: Rule,
    program: Program,
    message: Option<Program>,
    uses_old: bool,
}

/// Where a schema stands in its definition.
struct Place<'p> {
    path: String,
    /// The part of the schema in which old and new values cannot be told to belong together.
    uncorrelated: Option<&'p str>,
}

pub use cost::check as check_costs;

/// The rules of a whole schema, and what is wrong with them; `path` names the schema.
pub fn compile(schema: &Schema, path: &str) -> (Option<Rules>, Vec<Error>) {
    let mut problems = Vec::new();
    let place = Place {
        path: path.to_owned(),
        uncorrelated: None,
    };
    let rules = of(schema, true, &place, &mut problems);
    (rules, problems)
}

fn of(schema: &Schema, resource: bool, place: &Place<'_>, problems: &mut Vec<Error>) -> Option<Rules> {
    let mut rules = Rules::default();
    if !schema.rules.is_empty() {
        let holds = type_of(schema, resource);
        for (index, rule) in schema.rules.iter().enumerate() {
            rules.own.extend(one(rule, index, &holds, place, problems));
        }
        rules.holds = Some(holds);
    }
    let path = &place.path;
    let inside = |step: String, correlated: bool| Place {
        path: format!("{path}{step}"),
        uncorrelated: place.uncorrelated.or((!correlated).then_some(path.as_str())),
    };
    for (name, property) in &schema.properties {
        let below = inside(format!(".properties[{name}]"), !schema.atomic_map);
        if let Some(found) = of(property, property.embedded, &below, problems) {
            rules.properties.insert(name.clone(), found);
        }
    }
    if let Some(items) = &schema.items {
        let below = inside(".items".to_owned(), schema.list_type == ListType::Map);
        rules.items = of(items, items.embedded, &below, problems).map(Box::new);
    }
    if let Some(Additional::Schema(values)) = &schema.additional {
        let below = inside(".additionalProperties".to_owned(), !schema.atomic_map);
        rules.additional = of(values, values.embedded, &below, problems).map(Box::new);
    }
    let is_empty =
        rules.own.is_empty() && rules.properties.is_empty() && rules.items.is_none() && rules.additional.is_none();
    (!is_empty).then_some(rules)
}

fn one(rule: &Rule, index: usize, holds: &Type, place: &Place<'_>, problems: &mut Vec<Error>) -> Option<Compiled> {
    let path = format!("{}.x-kubernetes-validations[{index}]", place.path);
    let shown = || Some(json!({"rule": rule.rule}));
    let mut problem = |field: &str, value: Option<Value>, detail: String| {
        problems.push(Error {
            kind: Kind::Invalid,
            field: format!("{path}.{field}"),
            value,
            detail,
        });
    };
    let text = rule.rule.trim();
    if text.is_empty() {
        return None;
    }
    let alone = Environment::new().with("self", holds.clone());
    let old = if rule.optional_old_self == Some(true) {
        Type::optional(holds.clone())
    } else {
        holds.clone()
    };
    let environment = alone.clone().with("oldSelf", old);
    let program = match environment.compile(text) {
        Ok(program) => program,
        Err(error) => {
            problem("rule", shown(), format!("compilation failed: {error}"));
            return None;
        }
    };
    if !program.gives(&Type::Bool) {
        problem("rule", shown(), "cel expression must evaluate to a bool".to_owned());
        return None;
    }
    let uses_old = alone.compile(text).is_err();
    if let (true, Some(part)) = (uses_old, place.uncorrelated) {
        let detail = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {part}");
        problem("rule", Some(rule.rule.as_str().into()), detail);
    } else if let (false, Some(given)) = (uses_old, rule.optional_old_self) {
        let detail = "may not be set if oldSelf is not used in rule".to_owned();
        problem("optionalOldSelf", Some(given.into()), detail);
    }
    let message = match message(rule, &environment) {
        Ok(message) => message,
        Err(detail) => {
            problem("messageExpression", shown(), detail);
            None
        }
    };
    Some(Compiled {
        rule: rule.clone(),
        program,
        message,
        uses_old,
    })
}

fn message(rule: &Rule, environment: &Environment) -> Result<Option<Program>, String> {
    match rule.message_expression.trim() {
        "" => Ok(None),
        text => match environment.compile(text) {
            Ok(program) if program.gives(&Type::String) => Ok(Some(program)),
            Ok(_) => Err("messageExpression must evaluate to a string".to_owned()),
            Err(error) => Err(format!("messageExpression compilation failed: {error}")),
        },
    }
}

/// How expressions see values of a schema; `resource` says that it is a whole object's.
pub(crate) fn type_of(schema: &Schema, resource: bool) -> Type {
    if schema.int_or_string {
        return Type::Dyn;
    }
    match (&*schema.of, &*schema.format) {
        ("object", _) => object_type(schema, resource),
        ("array", _) => {
            let items = schema
                .items
                .as_ref()
                .map_or(Type::Dyn, |items| type_of(items, items.embedded));
            let kind = match schema.list_type {
                ListType::Atomic => ListKind::Atomic,
                ListType::Set => ListKind::Set,
                ListType::Map => ListKind::Keyed(schema.list_keys.clone()),
            };
            Type::List(Arc::new(items), kind)
        }
        ("string", "byte") => Type::Bytes,
        ("string", "duration") => Type::Duration,
        ("string", "date" | "date-time") => Type::Timestamp,
        ("string", _) => Type::String,
        ("boolean", _) => Type::Bool,
        ("integer", _) => Type::Int,
        ("number", _) => Type::Double,
        _ => Type::Dyn,
    }
}

fn object_type(schema: &Schema, resource: bool) -> Type {
    if let Some(Additional::Schema(values)) = &schema.additional {
        return Type::map(type_of(values, values.embedded));
    }
    let mut fields = BTreeMap::new();
    let mut add = |name: &str, holds: Type| {
        if let Some(escaped) = field_name(name) {
            let json = name.to_owned();
            fields.insert(escaped, Field { json, holds });
        }
    };
    for (name, property) in &schema.properties {
        add(name, type_of(property, property.embedded));
    }
    if resource {
        let names = ["name", "generateName"].map(|name| {
            let (json, holds) = (name.to_owned(), Type::String);
            (name.to_owned(), Field { json, holds })
        });
        let metadata = ObjectType {
            name: "object".to_owned(),
            fields: BTreeMap::from(names),
        };
        add("apiVersion", Type::String);
        add("kind", Type::String);
        add("metadata", Type::Object(Arc::new(metadata)));
    }
    if fields.is_empty() && schema.preserve_unknown {
        return Type::Dyn;
    }
    Type::Object(Arc::new(ObjectType {
        name: "object".to_owned(),
        fields,
    }))
}

/// What an object's rules may still cost, and whether they are at an end.
struct Run<'e> {
    budget: u64,
    stopped: bool,
    errors: &'e mut Errors,
}

/// What is known of a value's former state.
#[derive(Clone, Copy)]
struct Before<'v> {
    /// The former value, where it is told by place or key.
    value: Option<&'v Value>,
    /// Whether values here can be told to belong together.
    correlated: bool,
    /// The nearest part around it that can be is as it was.
    unchanged: bool,
}

impl Rules {
    /// Collects which rules an object breaks. What broke a rule before and has not changed is let through.
    pub fn check(&self, schema: &Schema, new: &Value, old: Option<&Value>, errors: &mut Errors) {
        let mut run = Run {
            budget: BUDGET,
            stopped: false,
            errors,
        };
        let before = Before {
            value: old,
            correlated: old.is_some(),
            unchanged: false,
        };
        self.node(schema, new, before, &Path::root(""), &mut run);
    }

    fn node<'v>(&self, schema: &Schema, value: &Value, before: Before<'v>, path: &Path<'_>, run: &mut Run<'_>) {
        if value.is_null() || run.stopped {
            return;
        }
        let unchanged = if before.correlated {
            before.value == Some(value)
        } else {
            before.unchanged
        };
        self.own(schema, value, before.value, unchanged, path, run);
        let inside = |old: Option<&'v Value>, correlated: bool| Before {
            value: old.filter(|_| correlated),
            correlated: correlated && old.is_some(),
            unchanged,
        };
        match value {
            Value::Array(items) => {
                let (Some(rules), Some(inner)) = (&self.items, &schema.items) else {
                    return;
                };
                for (index, item) in items.iter().enumerate() {
                    let old = former(schema, item, before.value);
                    let inside = inside(old, before.correlated && schema.list_type == ListType::Map);
                    rules.node(inner, item, inside, &path.index(index), run);
                }
            }
            Value::Object(fields) => {
                for (name, field) in fields {
                    let rules = self.properties.get(name).or(self.additional.as_deref());
                    let (Some(rules), Some(inner)) = (rules, schema.field(name)) else {
                        continue;
                    };
                    let old = before.value.and_then(|old| old.get(name));
                    let inside = inside(old, before.correlated && !schema.atomic_map);
                    rules.node(inner, field, inside, &path.field(name), run);
                }
            }
            _ => {}
        }
    }

    fn own(
        &self,
        schema: &Schema,
        value: &Value,
        old: Option<&Value>,
        unchanged: bool,
        path: &Path<'_>,
        run: &mut Run<'_>,
    ) {
        let Some(holds) = &self.holds else { return };
        let old = old.filter(|old| !old.is_null());
        let mut session = Session::new(run.budget);
        session.bind("self", CelValue::read(value, holds));
        for compiled in &self.own {
            let rule = &compiled.rule;
            let optional = rule.optional_old_self == Some(true);
            if compiled.uses_old && old.is_none() && !optional {
                // Rules of a transition hold only where there is one.
                continue;
            }
            let read = old.map(|old| CelValue::read(old, holds));
            match (optional, read) {
                (true, read) => session.bind("oldSelf", CelValue::optional(read)),
                (false, Some(read)) => session.bind("oldSelf", read),
                (false, None) => {}
            }
            let outcome = session.evaluate(&compiled.program);
            let truth = outcome.map(|outcome| outcome.as_bool() == Some(true));
            let mut invalid = |detail: String| {
                let shown = Some(Value::from(&*schema.of));
                run.errors.push(Kind::Invalid, path.to_string(), shown, detail);
            };
            match truth {
                Ok(true) => {}
                Ok(false) if unchanged && !compiled.uses_old => {}
                Ok(false) => {
                    let detail = compiled.words(&session);
                    run.errors.extend([compiled.failure(value, path, detail)]);
                }
                Err(EvalError::CostLimit) => {
                    invalid(if session.spent() >= run.budget {
                        "validation failed due to running out of cost budget, no further validation rules will be run"
                            .to_owned()
                    } else {
                        let what = rule.shown();
                        format!(
                            "'operation cancelled: actual cost limit exceeded': no further validation rules will be run due \
                             to call cost exceeds limit for rule: {what}"
                        )
                    });
                    run.stopped = true;
                    break;
                }
                Err(error) => {
                    let (error, what) = (error.to_string(), rule.shown());
                    invalid(if error.starts_with("no such overload") {
                        format!(
                            "'{error}': call arguments did not match a supported operator, function or macro signature for \
                             rule: {what}"
                        )
                    } else {
                        format!("{error} evaluating rule: {what}")
                    });
                }
            }
        }
        run.budget = run.budget.saturating_sub(session.spent());
    }
}

/// The former state of an item of a list whose items have keys.
fn former<'v>(schema: &Schema, item: &Value, old: Option<&'v Value>) -> Option<&'v Value> {
    let key =
        |value: &Value| -> Vec<Option<Value>> { schema.list_keys.iter().map(|key| value.get(key).cloned()).collect() };
    let wanted = key(item);
    old?.as_array()?.iter().find(|candidate| key(candidate) == wanted)
}

impl Rule {
    fn shown(&self) -> &str {
        if self.message.is_empty() {
            self.rule.trim()
        } else {
            self.message.trim()
        }
    }
}

impl Compiled {
    /// What to say of a broken rule.
    fn words(&self, session: &Session<'_>) -> String {
        let told = self
            .message
            .as_ref()
            .and_then(|program| match session.evaluate(program) {
                Ok(value) => value.as_str().map(str::trim).map(str::to_owned),
                // The plain message says it then.
                Err(EvalError::CostLimit | EvalError::Failed(_)) => None,
            });
        match told.filter(|told| !told.is_empty() && !told.contains(['\n', '\r'])) {
            Some(told) => told,
            None if self.rule.message.is_empty() => format!("failed rule: {}", self.rule.shown()),
            None => self.rule.shown().to_owned(),
        }
    }

    fn failure(&self, value: &Value, path: &Path<'_>, detail: String) -> Error {
        let below = self.rule.field_path.trim();
        let field = format!("{path}{below}");
        let kind = match self.rule.reason.as_str() {
            "FieldValueForbidden" => Kind::Forbidden,
            "FieldValueRequired" => Kind::Required,
            "FieldValueDuplicate" => Kind::Duplicate,
            _ => Kind::Invalid,
        };
        let shown = matches!(kind, Kind::Duplicate | Kind::Invalid) && !value.is_array() && !value.is_object();
        Error {
            kind,
            field: field.trim_start_matches('.').to_owned(),
            value: shown.then(|| value.clone()),
            detail,
        }
    }
}
