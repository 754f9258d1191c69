//! Objects with a schema: checks before, conversions while evaluating.

use std::sync::Arc;

use cel_rules::{BUDGET, Environment, Field, ListKind, ObjectType, Session, Type, Value};
use kube_types::dynamic::json;

fn schema() -> Type {
    let field = |json: &str, holds: Type| Field {
        json: json.to_owned(),
        holds,
    };
    let fields = [
        ("replicas", field("replicas", Type::Int)),
        ("started", field("started", Type::Timestamp)),
        ("grace", field("grace", Type::Duration)),
        ("ratio", field("ratio", Type::Double)),
        ("__namespace__", field("namespace", Type::String)),
        ("tags", field("tags", Type::List(Arc::new(Type::String), ListKind::Set))),
    ];
    Type::Object(Arc::new(ObjectType {
        name: "selfType1".to_owned(),
        fields: fields
            .into_iter()
            .map(|(name, field)| (name.to_owned(), field))
            .collect(),
    }))
}

#[test]
fn fields_are_checked_and_converted() {
    let schema = schema();
    let environment = Environment::new().with("self", schema.clone());
    let refused = environment.compile("self.replica > 1").unwrap_err().to_string();
    assert!(
        refused.starts_with("ERROR: <input>:1:5: undefined field 'replica'"),
        "{refused}"
    );
    let object = json!({
        "replicas": 2, "started": "2026-01-01T00:00:00Z", "grace": "30s", "ratio": 1, "namespace": "x",
        "tags": ["a", "b"], "unknown": 1
    });
    let mut session = Session::new(BUDGET);
    session.bind("self", Value::read(&object, &schema));
    for expression in [
        "self.replicas == 2",
        "self.started.getFullYear() == 2026",
        "self.grace < duration('1m')",
        "self.ratio == 1.0",
        "self.__namespace__ == 'x'",
        "self.tags == ['b', 'a']",
        "(self.tags + ['a', 'c']).size() == 3",
        "has(self.tags)",
    ] {
        let program = environment.compile(expression).unwrap();
        let found = session.evaluate(&program);
        assert_eq!(found.map(|value| value.as_bool()), Ok(Some(true)), "{expression}");
    }
}
