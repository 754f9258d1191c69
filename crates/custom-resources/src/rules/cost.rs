//! What rules may cost at most, from how large the values of their schema can be; too dear ones are refused when the
//! definition is made. Source: `apiserver/pkg/cel/common/schemas.go`, `apiserver/validation/{validation,cel_validation}.go`.

use std::collections::BTreeMap;

use cel_rules::{Extent, Inside, field_name};
use kube_types::dynamic::Value;
use object_rules::field::{Error, Kind};

use super::{Compiled, Rules};
use crate::schema::{Additional, Schema};

/// What one expression may cost for all values that it is evaluated on.
const EXPRESSION_LIMIT: u64 = 10_000_000;
/// What all expressions of a schema may cost.
const SCHEMA_LIMIT: u64 = 100_000_000;
/// The longest request.
const LONGEST: u64 = 3 * 1024 * 1024;
/// Of a request, without the braces around it.
const INSIDE: u64 = LONGEST - 2;
/// The longest duration and moment, and a date, in quotation marks.
const LONGEST_TIME: u64 = 32;
const DATE: u64 = 12;
/// How many of the dearest expressions are named when all together cost too much.
const NAMED: usize = 4;

/// A schema's values: how large they can be, and the fewest characters of one as JSON.
struct Measure {
    extent: Extent,
    least: u64,
}

/// What is known of the expressions of a schema.
#[derive(Default)]
struct Bill {
    total: u64,
    entries: Vec<(String, u64)>,
    problems: Vec<Error>,
}

/// The rules that may cost too much; `path` names the schema.
pub fn check(schema: &Schema, rules: &Rules, path: &str) -> Vec<Error> {
    let mut bill = Bill::default();
    bill.node(schema, rules, path, true, Some(1));
    if bill.total > SCHEMA_LIMIT {
        bill.entries.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
        bill.entries.truncate(NAMED);
        let detail = "contributed to estimated rule & messageExpression cost total exceeding cost limit for entire OpenAPIv3 schema";
        let dear = bill
            .entries
            .iter()
            .map(|(field, _)| forbidden(field.clone(), detail.to_owned()));
        bill.problems.extend(dear.collect::<Vec<Error>>());
        let what = "x-kubernetes-validations estimated rule & messageExpression cost total for entire OpenAPIv3 schema";
        let detail = exceeds(what, bill.total, SCHEMA_LIMIT);
        bill.problems.push(forbidden(path.to_owned(), detail));
    }
    bill.problems
}

fn forbidden(field: String, detail: String) -> Error {
    Error {
        kind: Kind::Forbidden,
        field,
        value: None,
        detail,
    }
}

fn exceeds(what: &str, cost: u64, limit: u64) -> String {
    let times = cost as f64 / limit as f64;
    let factor = if times > 100.0 {
        "more than 100x".to_owned()
    } else if times < 1.5 {
        format!("{times:.6}x")
    } else {
        format!("{times:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}

impl Bill {
    /// `times` is how many values of the schema there can be, unless a list or map around it has no limit.
    fn node(&mut self, schema: &Schema, rules: &Rules, path: &str, resource: bool, times: Option<u64>) {
        if !rules.own.is_empty() {
            let Measure { extent, least } = measure(schema, resource);
            let times = times.unwrap_or(LONGEST / (least + 1));
            for (index, compiled) in rules.own.iter().enumerate() {
                self.expressions(
                    compiled,
                    &extent,
                    times,
                    &format!("{path}.x-kubernetes-validations[{index}]"),
                );
            }
        }
        let inside = |limit: Option<i64>| {
            times
                .zip(limit)
                .map(|(times, limit)| times.saturating_mul(positive(limit)))
        };
        for (name, property) in &schema.properties {
            if let Some(rules) = rules.properties.get(name) {
                let path = format!("{path}.properties[{name}]");
                self.node(property, rules, &path, property.embedded, times);
            }
        }
        if let (Some(items), Some(rules)) = (&schema.items, &rules.items) {
            let times = inside(schema.checks.max_items);
            self.node(items, rules, &format!("{path}.items"), items.embedded, times);
        }
        if let (Some(Additional::Schema(values)), Some(rules)) = (&schema.additional, &rules.additional) {
            let times = inside(schema.checks.max_properties);
            let path = format!("{path}.additionalProperties");
            self.node(values, rules, &path, values.embedded, times);
        }
    }

    fn expressions(&mut self, compiled: &Compiled, extent: &Extent, times: u64, path: &str) {
        let known = |name: &str| matches!(name, "self" | "oldSelf").then_some(extent);
        let message = compiled.message.as_ref();
        let programs = [
            ("rule", "estimated rule cost", Some(&compiled.program)),
            ("messageExpression", "estimated messageExpression cost", message),
        ];
        for (field, what, program) in programs {
            let Some(program) = program else { continue };
            let cost = program.most(&known).saturating_mul(times);
            let field = format!("{path}.{field}");
            if cost > EXPRESSION_LIMIT {
                let detail = exceeds(what, cost, EXPRESSION_LIMIT);
                self.problems.push(forbidden(field.clone(), detail));
            }
            self.total = self.total.saturating_add(cost);
            self.entries.push((field, cost));
        }
    }
}

fn positive(limit: i64) -> u64 {
    u64::try_from(limit).unwrap_or(0)
}

fn plain(size: u64, least: u64) -> Measure {
    let extent = Extent {
        size,
        ..Extent::default()
    };
    Measure { extent, least }
}

fn scalar(least: u64) -> Measure {
    let extent = Extent {
        scalar: true,
        ..Extent::default()
    };
    Measure { extent, least }
}

/// A text's limits: characters may take four bytes.
fn text(schema: &Schema, otherwise: u64) -> u64 {
    let longest = schema
        .checks
        .values
        .iter()
        .filter_map(Value::as_str)
        .map(str::len)
        .max();
    match (schema.checks.max_length, longest) {
        (Some(limit), _) => positive(limit).saturating_mul(4),
        (None, Some(longest)) => longest as u64,
        (None, None) => otherwise,
    }
}

fn measure(schema: &Schema, resource: bool) -> Measure {
    if schema.int_or_string {
        return plain(INSIDE, 1);
    }
    match (&*schema.of, &*schema.format) {
        ("object", _) => object(schema, resource),
        ("array", _) => {
            let Some(items) = &schema.items else {
                return plain(INSIDE, 2);
            };
            let inside = measure(items, items.embedded);
            let limit = schema.checks.max_items.map(positive);
            let extent = Extent {
                size: limit.unwrap_or(INSIDE / (inside.least + 1)),
                scalar: false,
                inside: Inside::Items(Box::new(inside.extent)),
            };
            Measure { extent, least: 2 }
        }
        ("string", "duration") => Measure {
            extent: Extent {
                size: text(schema, LONGEST_TIME),
                scalar: true,
                ..Extent::default()
            },
            least: 3,
        },
        ("string", "date") => scalar(DATE),
        ("string", "date-time") => scalar(21),
        ("string", _) => plain(text(schema, INSIDE), 2),
        ("boolean", _) => scalar(4),
        ("integer" | "number", _) => scalar(1),
        _ => plain(0, 1),
    }
}

fn object(schema: &Schema, resource: bool) -> Measure {
    if let Some(Additional::Schema(values)) = &schema.additional {
        let inside = measure(values, values.embedded);
        let limit = schema.checks.max_properties.map(positive);
        let extent = Extent {
            // Two quotation marks, a colon, a comma and the shortest keys.
            size: limit.unwrap_or(INSIDE / (inside.least + 6)),
            scalar: false,
            inside: Inside::Values(Box::new(inside.extent)),
        };
        return Measure { extent, least: 2 };
    }
    let mut least = 2;
    let mut fields = BTreeMap::new();
    for (name, property) in &schema.properties {
        let inside = measure(property, property.embedded);
        if schema.checks.required.contains(name) && property.default.is_none() {
            least += name.len() as u64 + inside.least + 4;
        }
        fields.extend(field_name(name).map(|escaped| (escaped, inside.extent)));
    }
    if resource {
        let any = || plain(INSIDE, 2).extent;
        let names = ["name", "generateName"].map(|name| (name.to_owned(), any()));
        let metadata = Extent {
            inside: Inside::Fields(names.into()),
            ..Extent::default()
        };
        for (name, extent) in [("apiVersion", any()), ("kind", any()), ("metadata", metadata)] {
            fields.insert(name.to_owned(), extent);
        }
    }
    let extent = Extent {
        inside: Inside::Fields(fields),
        ..Extent::default()
    };
    Measure { extent, least }
}
