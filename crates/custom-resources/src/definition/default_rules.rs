//! Defaults must be what their own schema accepts. Source: `apiserver/schema/defaulting/validation.go`.

use kube_types::dynamic::Value;
use object_rules::field::{Errors, Kind};

use crate::schema::Schema;
use crate::{embedded, prune, validate};

/// Collects what is wrong with the defaults of a schema and of those below it.
pub(super) fn validate(schema: &Schema, path: &str, errors: &mut Errors) {
    below(schema, path, errors);
}

fn below(schema: &Schema, path: &str, errors: &mut Errors) {
    if let Some(default) = &schema.default {
        one(schema, default, &format!("{path}.default"), errors);
    }
    if let Some(items) = &schema.items {
        below(items, &format!("{path}.items"), errors);
    }
    for (name, property) in &schema.properties {
        below(property, &format!("{path}.properties[{name}]"), errors);
    }
}

fn one(schema: &Schema, default: &Value, path: &str, errors: &mut Errors) {
    if !prune::is_pruned(default, schema) {
        errors.push(
            Kind::Invalid,
            path,
            Some(default.clone()),
            "must not have unknown fields",
        );
    }
    let before = errors.iter().count();
    if let Value::Object(object) = default {
        let mut found = Errors::new();
        embedded::validate(object, schema, &mut found);
        errors.extend(found.into_iter().map(|mut error| {
            error.field = format!("{path}.{}", error.field);
            error
        }));
    }
    if errors.iter().count() == before {
        validate::validate(schema, default, None, path, errors);
    }
}
