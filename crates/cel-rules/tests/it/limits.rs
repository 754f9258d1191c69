//! Every evaluation ends.

use cel_rules::{BUDGET, Environment, EvalError, Session, Type, Value};
use kube_types::dynamic::json;

#[test]
fn an_expression_stops_at_its_cost() {
    let environment = Environment::new().with("object", Type::Dyn);
    let many = json!((0..300).collect::<Vec<_>>());
    let program = environment
        .compile("object.all(a, object.all(b, object.all(c, a + b + c >= 0)))")
        .unwrap();
    let mut session = Session::new(BUDGET);
    session.bind("object", Value::from_json(&many));
    assert_eq!(session.evaluate(&program).map(|_| ()), Err(EvalError::CostLimit));
}

#[test]
fn expressions_share_a_budget() {
    let program = Environment::new().compile("1 + 1 == 2").unwrap();
    let session = Session::new(5);
    assert!(session.evaluate(&program).is_ok());
    assert!(session.evaluate(&program).is_ok());
    assert_eq!(session.evaluate(&program).map(|_| ()), Err(EvalError::CostLimit));
}

#[test]
fn composed_variables_are_evaluated_once_and_only_when_read() {
    let base = Environment::new().with("object", Type::Dyn);
    let first = base.compile("object.n * 2").unwrap();
    let never = base.compile("object.missing").unwrap();
    let environment = base.with("variables", Type::map(Type::Dyn));
    let second = environment.compile("variables.first + 1").unwrap();
    let composed = [
        ("first".to_owned(), first),
        ("never".to_owned(), never),
        ("second".to_owned(), second),
    ];
    let object = json!({"n": 20});
    let mut session = Session::new(BUDGET);
    session.bind("object", Value::from_json(&object));
    session.compose(&composed);
    let program = environment.compile("variables.first + variables.second == 81").unwrap();
    assert_eq!(session.evaluate(&program).unwrap().as_bool(), Some(true));
    let failing = environment.compile("variables.never == 1").unwrap();
    assert_eq!(
        session.evaluate(&failing).unwrap_err().to_string(),
        "composited variable \"never\" fails to evaluate: no such key: missing"
    );
}

#[test]
fn no_expression_is_too_deep_for_the_stack() {
    let environment = Environment::new();
    let session = Session::new(BUDGET);
    for count in [60, 240, 5_000] {
        for expression in [
            format!("{}1{}", "(".repeat(count), ")".repeat(count)),
            format!("{}1{}", "[".repeat(count), "]".repeat(count)),
            format!("{}1", "true ? 1 : ".repeat(count)),
            format!("{}1", "- ".repeat(count)),
            vec!["1"; count].join(" + "),
            vec!["true"; count].join(" && "),
            format!("{{}}.{}", vec!["a"; count].join(".")),
        ] {
            match environment.compile(&expression) {
                Ok(program) => drop(session.evaluate(&program)),
                Err(error) => assert!(
                    error.to_string().contains("expression recursion limit exceeded"),
                    "{error}"
                ),
            }
        }
    }
    let long = format!("'{}' == ''", "x".repeat(100_001));
    assert!(
        environment
            .compile(&long)
            .unwrap_err()
            .to_string()
            .contains("exceeds limit")
    );
}
