//! Fuzz targets: schemas as anybody may write them, and objects of them. Whatever they are, reading, pruning, defaulting and
//! validating end, and what is in form stays so.

use fuzz::Corpus;
use kube_types::dynamic::{Object, Value};
use object_rules::field::Errors;

use crate::schema::Schema;
use crate::{default, embedded, prune, rules, validate};

const SCHEMAS: &[&[u8]] = &[
    br#"{"type": "object", "properties": {"spec": {"type": "object", "required": ["a"], "default": {}, "properties": {"a": {"type": "string", "default": "x", "pattern": "^[a-z]+$", "maxLength": 9}, "n": {"type": "integer", "minimum": 1, "maximum": 5, "nullable": true}}}}} {"spec": {"a": "y", "b": 1, "n": null}}"#,
    br#"{"type": "object", "additionalProperties": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"x-kubernetes-int-or-string": true}}}}} {"a": [{"k": "1", "v": 2, "z": 3}], "b": []}"#,
    br#"{"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"o": {"type": "object", "x-kubernetes-embedded-resource": true}}, "anyOf": [{"required": ["o"]}, {"not": {"required": ["p"]}}]} {"o": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}, "p": 1.5}"#,
    br#"{"type": "object", "properties": {"s": {"type": "array", "maxItems": 5, "items": {"type": "string", "enum": ["a", "b"], "format": "date-time"}, "x-kubernetes-validations": [{"rule": "self.all(a, size(a) > 0)", "messageExpression": "'no ' + string(self.size())"}]}}} {"s": ["a", ""]}"#,
];

const WORDS: &[&str] = &[
    "\"default\":",
    "\"properties\":",
    "\"items\":",
    "\"additionalProperties\":",
    "\"nullable\": true",
    "\"x-kubernetes-preserve-unknown-fields\": true",
    "\"x-kubernetes-int-or-string\": true",
    "\"maxLength\":",
    "\"multipleOf\": 0",
    "\"pattern\": \"(((\"",
    "\"rule\":",
    "-9223372036854775808",
    "1e308",
    "null",
    "{}",
    "[]",
];

fn two(bytes: &[u8]) -> Option<(Value, Value)> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    Some((values.next()?.ok()?, values.next()?.ok()?))
}

#[test]
fn objects_of_any_schema_are_brought_into_form_once() {
    let corpus = Corpus {
        inputs: SCHEMAS,
        words: WORDS,
    };
    fuzz::run("custom resources", corpus, |bytes| {
        let Some((Value::Object(schema), Value::Object(object))) = two(bytes) else {
            return "no schema and object".to_owned();
        };
        let schema = Schema::parse(&schema);
        let mut object = Object(object);
        if let Err(error) = embedded::coerce(&mut object.0, &schema) {
            return error;
        }
        prune::prune(&mut object.0, &schema);
        default::fill(&mut object.0, &schema);
        let settled = object.clone();
        default::fill(&mut object.0, &schema);
        assert_eq!(object, settled, "defaults are filled once");
        let mut errors = Errors::new();
        let value = Value::Object(object.0.clone());
        validate::validate(&schema, &value, Some(&value), "", &mut errors);
        let (compiled, problems) = rules::compile(&schema, "");
        let costs = compiled
            .as_ref()
            .map_or(0, |rules| rules::check_costs(&schema, rules, "").len());
        if let Some(rules) = compiled {
            rules.check(&schema, &value, Some(&value), &mut errors);
        }
        let first = errors.iter().next().map(ToString::to_string).unwrap_or_default();
        format!("{} {costs} {first}", problems.len())
    });
}
