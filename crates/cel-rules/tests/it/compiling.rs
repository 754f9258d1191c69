//! What does not compile, in upstream's words.

use cel_rules::{Environment, Type};

fn error_of(expression: &str) -> String {
    let environment = Environment::new().with("object", Type::Dyn).with("name", Type::String);
    environment
        .compile(expression)
        .expect_err("it must not compile")
        .to_string()
}

#[test]
fn a_complaint_shows_its_place() {
    assert_eq!(
        error_of("object.x == 1 &&\n  oject.y == 2"),
        "ERROR: <input>:2:3: undeclared reference to 'oject' (in container '')\n |   oject.y == 2\n | ..^"
    );
}

#[test]
fn what_can_never_work_is_refused() {
    for (expression, problem) in [
        ("nothing()", "1:8: undeclared reference to 'nothing' (in container '')"),
        (
            "name + 1",
            "1:6: found no matching overload for '_+_' applied to '(string, int)'",
        ),
        (
            "name.startsWith(1)",
            "1:16: found no matching overload for 'startsWith' applied to 'string.(int)'",
        ),
        ("name.x", "1:5: type 'string' does not support field selection"),
        (
            "name && true",
            "1:6: found no matching overload for '_&&_' applied to '(string, bool)'",
        ),
        ("[1, 'a']", "1:5: expected type 'int' but found 'string'"),
        ("name.matches('(')", "1:14: invalid matches argument"),
        ("duration('x')", "1:10: invalid duration argument"),
        (
            "name.all(c, true)",
            "cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        ("object.all(1, true)", "argument must be a simple name"),
        ("has(object)", "invalid argument to has() macro"),
        ("Object{}", "undeclared reference to 'Object' (in container '')"),
        ("object.", "Syntax error"),
        ("1 +", "Syntax error"),
    ] {
        let found = error_of(expression);
        assert!(found.contains(problem), "{expression}: {found}");
    }
}

#[test]
fn an_escape_that_ends_too_early_is_refused() {
    for expression in [r#"b"\23"#, r#"'\x"#, r#"'\u12"#, r#"'\x+1'"#, r#"'\U0000'"#, r#"'\08'"#] {
        let found = error_of(expression);
        assert!(found.contains("unable to unescape string"), "{expression}: {found}");
    }
}

#[test]
fn the_type_of_the_result_is_known() {
    let environment = Environment::new().with("object", Type::Dyn);
    let gives = |expression: &str, wanted: &Type| environment.compile(expression).unwrap().gives(wanted);
    assert!(gives("object.x", &Type::Bool), "anything may be true");
    assert!(gives("object.x > 1", &Type::Bool));
    assert!(!gives("'a' + 'b'", &Type::Bool));
    assert!(gives("[1].map(x, string(x))", &Type::list(Type::String)));
}

#[test]
fn mutating_policies_make_objects() {
    let environment = Environment::new().with("object", Type::Dyn).making_objects();
    let program = environment
        .compile("Object{spec: Object.spec{replicas: 3, ?paused: optional.none()}}")
        .unwrap();
    let made = cel_rules::Session::new(1000).evaluate(&program).unwrap();
    assert_eq!(format!("{made:?}"), r#"{"spec":{"replicas":3}}"#);
}
