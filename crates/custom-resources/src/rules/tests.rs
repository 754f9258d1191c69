//! What `rules` promises, as tests.

use super::*;

fn schema(value: Value) -> Schema {
    value.as_object().map(Schema::parse).unwrap_or_default()
}

fn scaler() -> Schema {
    schema(json!({"type": "object", "properties": {"spec": {"type": "object",
        "x-kubernetes-validations": [
            {"rule": "self.min <= self.max", "messageExpression": "'min ' + string(self.min) + ' is above max'"},
            {"rule": "!has(self.mode) || self.mode == oldSelf.mode", "message": "mode is immutable",
                "fieldPath": ".mode", "reason": "FieldValueForbidden"}],
        "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}, "mode": {"type": "string"},
            "namespace": {"type": "string", "x-kubernetes-validations": [{"rule": "self.size() < 5"}]},
            "hosts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items":
                {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"},
                    "port": {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= oldSelf"}]}}}}}}}}))
}

fn broken(schema: &Schema, new: Value, old: Option<Value>) -> Vec<String> {
    let (rules, problems) = compile(schema, "schema");
    assert_eq!(problems, []);
    let mut errors = Errors::new();
    rules.unwrap().check(schema, &new, old.as_ref(), &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_broken_rule_is_told_in_its_words() {
    let schema = scaler();
    assert_eq!(
        broken(&schema, json!({"spec": {"min": 3, "max": 1, "mode": "a"}}), None),
        ["spec: Invalid value: min 3 is above max"],
        "a rule of a transition does not hold for a new object"
    );
    assert_eq!(
        broken(
            &schema,
            json!({"spec": {"min": 1, "max": 1, "mode": "b"}}),
            Some(json!({"spec": {"min": 1, "max": 1, "mode": "a"}}))
        ),
        ["spec.mode: Forbidden: mode is immutable"]
    );
    assert_eq!(
        broken(
            &schema,
            json!({"spec": {"min": 1, "max": 1, "namespace": "too long"}}),
            None
        ),
        [r#"spec.namespace: Invalid value: "too long": failed rule: self.size() < 5"#]
    );
}

#[test]
fn items_are_compared_with_those_of_the_same_key() {
    let schema = scaler();
    let old = json!({"spec": {"min": 1, "max": 1, "hosts": [{"name": "a", "port": 5}, {"name": "b", "port": 9}]}});
    let new = json!({"spec": {"min": 1, "max": 1, "hosts": [{"name": "b", "port": 8}, {"name": "c", "port": 1},
        {"name": "a", "port": 6}]}});
    assert_eq!(
        broken(&schema, new, Some(old)),
        ["spec.hosts[0].port: Invalid value: 8: failed rule: self >= oldSelf"]
    );
}

#[test]
fn what_was_broken_before_and_has_not_changed_is_let_through() {
    let schema = scaler();
    let old = json!({"spec": {"min": 3, "max": 1, "namespace": "too long"}});
    assert_eq!(broken(&schema, old.clone(), Some(old.clone())), [""; 0]);
    let mut new = old.clone();
    new["spec"]["max"] = 2.into();
    assert_eq!(
        broken(&schema, new, Some(old)),
        ["spec: Invalid value: min 3 is above max"],
        "the part that changed is checked, the part in it that did not is not"
    );
}

#[test]
fn what_cannot_be_compiled_is_told_with_its_place() {
    let found = |value: Value| -> Vec<String> {
        let problems = compile(&schema(value), "schema").1;
        problems.iter().map(ToString::to_string).collect()
    };
    let object = |rule: Value| json!({"type": "object", "x-kubernetes-validations": [rule], "properties": {"a": {"type": "integer"}}});
    let unknown = found(object(json!({"rule": "self.b > 1"})));
    assert!(
        unknown[0].contains("schema.x-kubernetes-validations[0].rule: Invalid value")
            && unknown[0].contains("undefined field 'b'"),
        "{unknown:?}"
    );
    let text = found(object(json!({"rule": "self.a"})));
    assert!(text[0].ends_with("cel expression must evaluate to a bool"), "{text:?}");
    let unused = found(object(json!({"rule": "self.a > 1", "optionalOldSelf": true})));
    assert!(
        unused[0].contains("may not be set if oldSelf is not used in rule"),
        "{unused:?}"
    );
    let items = json!({"type": "array", "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}});
    let uncorrelated = found(items);
    assert!(
        uncorrelated[0].ends_with("oldSelf cannot be used on the uncorrelatable portion of the schema within schema"),
        "{uncorrelated:?}"
    );
}

fn costs(schema: Value) -> Vec<String> {
    let schema = self::schema(schema);
    let (rules, problems) = compile(&schema, "schema");
    assert_eq!(problems, []);
    let found = check_costs(&schema, &rules.unwrap(), "schema");
    found.iter().map(ToString::to_string).collect()
}

const ADVICE: &str = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and \
                      strings are declared)";

#[test]
fn rules_that_may_cost_too_much_are_refused_in_upstreams_words() {
    let pairs = |limits: Value| {
        let mut list = json!({"type": "array", "items": {"type": "string"},
            "x-kubernetes-validations": [{"rule": "self.all(a, self.all(b, a == b))"}]});
        for (name, limit) in limits.as_object().unwrap() {
            let place = if name == "maxLength" {
                &mut list["items"]
            } else {
                &mut list
            };
            place[name] = limit.clone();
        }
        costs(json!({"type": "object", "properties": {"names": list}}))
    };
    let field = "schema.properties[names].x-kubernetes-validations[0].rule";
    let whole = "x-kubernetes-validations estimated rule & messageExpression cost total for entire OpenAPIv3 schema";
    let dear =
        "contributed to estimated rule & messageExpression cost total exceeding cost limit for entire OpenAPIv3 schema";
    let factor = "exceeds budget by factor of more than 100x";
    assert_eq!(
        pairs(json!({})),
        [
            format!("{field}: Forbidden: estimated rule cost {factor} {ADVICE}"),
            format!("{field}: Forbidden: {dear}"),
            format!("schema: Forbidden: {whole} {factor} {ADVICE}"),
        ]
    );
    assert_eq!(pairs(json!({"maxItems": 100, "maxLength": 100})), Vec::<String>::new());
    let some = pairs(json!({"maxItems": 1000, "maxLength": 100}));
    assert_eq!(some.len(), 1, "{some:?}");
    assert!(
        some[0].contains("estimated rule cost exceeds budget by factor of 4."),
        "{some:?}"
    );
}

#[test]
fn a_rule_inside_lists_counts_for_every_item() {
    let nested = |limit: Option<i64>| {
        let item = json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": 1000}},
            "x-kubernetes-validations": [{"rule": "self.name.matches('^[a-z]+$')"}]});
        let mut list = json!({"type": "array", "items": item});
        if let Some(limit) = limit {
            list["maxItems"] = limit.into();
        }
        costs(json!({"type": "object", "properties": {"list": list}})).len()
    };
    assert_eq!(nested(Some(100)), 0);
    assert!(nested(Some(1_000_000)) > 0);
    assert!(nested(None) > 0);
}

#[test]
fn usual_rules_without_limits_are_let_through() {
    let found = costs(json!({"type": "object", "properties": {"spec": {"type": "object",
        "x-kubernetes-validations": [
            {"rule": "self.min <= self.max", "messageExpression": "'min ' + string(self.min) + ' is above max'"},
            {"rule": "!has(self.mode) || self.mode == oldSelf.mode"},
            {"rule": "self.mode in ['a', 'b']"},
            {"rule": "self.hosts.all(h, h.port > 0)"}],
        "properties": {"min": {"type": "integer"}, "max": {"type": "integer"}, "mode": {"type": "string"},
            "hosts": {"type": "array", "items": {"type": "object", "properties": {"port": {"type": "integer"}}}}}}}}));
    assert_eq!(found, Vec::<String>::new());
}
