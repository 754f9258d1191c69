//! A fuzz target: expressions, from text to their value. Whatever is written, compiling and evaluating end.

use cel_rules::{BUDGET, Environment, Session, Type, Value};
use fuzz::Corpus;
use kube_types::dynamic::json;

const INPUTS: &[&[u8]] = &[
    b"object.all(x, x.name.startsWith('a') && size(x.list) <= 3 ? true : has(x.y))",
    b"[1, 2u, 3.5, 'a', b'\\x00', null, true].exists(i, type(i) == int) || {'a': 1}.a in [1]",
    b"quantity('1Gi').isGreaterThan(quantity('5M')) && semver('1.2.3').major() == 1",
    b"'a-b-c'.split('-').map(p, p.upperAscii()).join(',').matches('^[A-Z,]+$')",
    b"url('https://a.b:8/c?d=e').getHost() == ip('::1').isLoopback() ? '' : format.dns1123Label().validate('x').value()",
    b"duration('1h') + timestamp('2026-01-02T03:04:05Z') > timestamp(0) && -9223372036854775808 / -1 != 0",
    b"object.?a.orValue([]).transformList(i, v, i > 0, v).sum() == sets.contains([1], [2])",
];
const WORDS: &[&str] = &[
    "object",
    ".all(x, ",
    ".map(x, ",
    ".filter(x, ",
    ".exists_one(x, ",
    "has(",
    "size(",
    "int(",
    "uint(",
    "string(",
    "double(",
    "bytes(",
    "type(",
    "dyn(",
    "? ",
    " : ",
    " in ",
    "&&",
    "||",
    "==",
    ".?",
    "[?",
    ".orValue(",
    ".find('",
    ".findAll(",
    ".replace(",
    ".substring(",
    "quantity(",
    "ip(",
    "cidr(",
    "semver(",
    "%",
    "/ 0",
    "-9223372036854775808",
    "'''",
    "r\"",
    "\\u",
    "cel.bind(x, ",
];

#[test]
fn expressions_are_answered_and_end() {
    let corpus = Corpus {
        inputs: INPUTS,
        words: WORDS,
    };
    let environment = Environment::new().with("object", Type::Dyn).with("n", Type::Int);
    let object =
        json!([{"name": "a", "list": [1, 2], "y": {"z": null}}, {"name": "b", "list": [], "q": "1Gi", "f": 1.5}]);
    let number = json!(3);
    fuzz::run("CEL", corpus, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match environment.compile(&text) {
            Err(error) => error.to_string(),
            Ok(program) => {
                // Part of the budget: it is the same road, and ends sooner.
                let mut session = Session::new(BUDGET / 100);
                session.bind("object", Value::from_json(&object));
                session.bind("n", Value::from_json(&number));
                match session.evaluate(&program) {
                    Err(error) => error.to_string(),
                    Ok(value) => format!("{:?}", value.as_bool()),
                }
            }
        }
    });
}
