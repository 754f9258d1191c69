//! Expressions that ask about access.

use cel_rules::{AccessCheck, Answer, Authorizer, BUDGET, Environment, Opaque, Session, Type, Value};

struct OnlySecrets;

impl Authorizer for OnlySecrets {
    fn answer(&self, check: &AccessCheck) -> Answer {
        Answer {
            allowed: check.resource == "secrets" && check.verb == "get" || check.path.as_deref() == Some("/healthz"),
            reason: format!("{:?}", check.service_account),
            error: None,
        }
    }

    fn request_resource(&self) -> Option<AccessCheck> {
        Some(AccessCheck {
            resource: "secrets".to_owned(),
            ..AccessCheck::default()
        })
    }
}

#[test]
fn the_authorizer_answers() {
    let environment = Environment::new().with("authorizer", Type::Opaque("kubernetes.authorization.Authorizer"));
    let mut session = Session::new(100 * BUDGET);
    session.bind("authorizer", Value::Opaque(Opaque::Authorizer(&OnlySecrets, None)));
    for (expression, wanted) in [
        (
            "authorizer.group('').resource('secrets').namespace('a').name('b').check('get').allowed()",
            true,
        ),
        ("authorizer.group('').resource('pods').check('get').allowed()", false),
        ("authorizer.path('/healthz').check('get').allowed()", true),
        ("authorizer.requestResource.check('get').allowed()", true),
        (
            "authorizer.serviceAccount('a', 'b').group('').resource('pods').check('get').reason().contains('b')",
            true,
        ),
    ] {
        let program = environment.compile(expression).unwrap();
        let found = session.evaluate(&program).map(|value| value.as_bool());
        assert_eq!(found, Ok(Some(wanted)), "{expression}");
    }
}
