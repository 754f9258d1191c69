//! What expressions over untyped objects give.

use cel_rules::{BUDGET, Environment, Session, Type, Value};
use kube_types::dynamic::json;

/// The value of an expression over one object, or the error, as text.
fn value_of(expression: &str) -> String {
    let object = json!({
        "metadata": {"name": "web", "labels": {"app": "web", "tier": "front"}},
        "spec": {
            "replicas": 3, "ratio": 0.5, "paused": false, "none": null,
            "containers": [
                {"name": "a", "image": "nginx:1.27", "cpu": "250m"},
                {"name": "b", "image": "redis", "cpu": "1"}
            ]
        }
    });
    let environment = Environment::new()
        .with("object", Type::Dyn)
        .with("oldObject", Type::Dyn);
    let program = match environment.compile(expression) {
        Ok(program) => program,
        Err(error) => return format!("does not compile: {error}"),
    };
    let mut session = Session::new(BUDGET);
    session.bind("object", Value::from_json(&object));
    session.bind("oldObject", Value::Null);
    match session.evaluate(&program) {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("error: {error}"),
    }
}

fn check(table: &[(&str, &str)]) {
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|(expression, wanted)| {
            let found = value_of(expression);
            (found != *wanted).then(|| format!("{expression}\n  gives {found}\n  not   {wanted}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_standard_library_answers() {
    check(&[
        ("1 + 2 * 3", "7"),
        ("-7 / 2", "-3"),
        ("7 % 4 == 3 && 2u + 3u == 5u", "true"),
        ("1 / 0", "error: division by zero"),
        ("9223372036854775807 + 1", "error: integer overflow"),
        ("'a' + 'b'", "\"ab\""),
        ("[1, 2] + [3]", "[1,2,3]"),
        ("dyn(1) == 1.0", "true"),
        ("1 < 1.5 && 2u > 1", "true"),
        ("object.spec.replicas > 2", "true"),
        ("object.spec.replicas >= 2.5", "true"),
        ("object.spec.ratio", "0.5"),
        ("oldObject == null", "true"),
        ("object.spec.missing", "error: no such key: missing"),
        ("object.spec.containers[5]", "error: index out of bounds: 5"),
        ("object.metadata.labels['none']", "error: no such key: none"),
        ("has(object.spec.missing) || object.spec.replicas == 3", "true"),
        ("object.spec.missing == 1 || true", "true"),
        ("false && object.spec.missing == 1", "false"),
        ("object.spec.missing == 1 && true", "error: no such key: missing"),
        ("object.spec.paused ? 'yes' : 'no'", "\"no\""),
        ("'app' in object.metadata.labels && 3 in [1, 3]", "true"),
        ("size(object.metadata.labels) + 'héllo'.size()", "7"),
        (
            "type(object.spec) == map && type(1) == int && type('') == string",
            "true",
        ),
        ("int('42') + int(3.9) + int(7u)", "52"),
        ("double('1.5') + double(2)", "3.5"),
        ("string(12) + string(true) + string(1.5)", "\"12true1.5\""),
        ("bytes('abc') == b'abc'", "true"),
        ("'nginx:1.27'.matches('^[a-z]+:[0-9.]+$')", "true"),
        (
            "object.metadata.name.startsWith('w') && 'web'.endsWith('b') && 'web'.contains('e')",
            "true",
        ),
        (
            "duration('90m') == duration('1h30m') && duration('1.5s') > duration('1s')",
            "true",
        ),
        (
            "timestamp('2026-01-02T03:04:05Z') + duration('1h')",
            "\"2026-01-02T04:04:05Z\"",
        ),
        ("timestamp('2026-01-02T03:04:05Z').getFullYear()", "2026"),
        ("timestamp('2026-01-02T03:04:05Z').getHours('+02:00')", "5"),
        ("duration('3700s').getHours()", "1"),
    ]);
}

#[test]
fn macros_loop_over_lists_and_maps() {
    check(&[
        ("object.spec.containers.all(c, c.image.contains(':'))", "false"),
        ("object.spec.containers.exists(c, c.name == 'b')", "true"),
        ("object.spec.containers.exists_one(c, c.name == 'b')", "true"),
        ("object.spec.containers.map(c, c.name)", "[\"a\",\"b\"]"),
        ("object.spec.containers.map(c, c.name != 'a', c.image)", "[\"redis\"]"),
        ("object.spec.containers.filter(c, !c.image.contains(':')).size()", "1"),
        ("object.metadata.labels.all(k, object.metadata.labels[k] != '')", "true"),
        ("[[1, 2], [3]].all(l, l.all(x, x > 0))", "true"),
        ("[1, 2].exists(x, x / 0 == 1 || x == 2)", "true"),
        ("[1, 0].all(x, 1 / x == 1)", "error: division by zero"),
        ("[1, 2, 3].all(i, v, i < v)", "true"),
        (
            "object.metadata.labels.exists(k, v, k == 'tier' && v == 'front')",
            "true",
        ),
        ("[10, 20].transformList(i, v, i + v)", "[10,21]"),
        ("[10, 20].transformList(i, v, i > 0, v)", "[20]"),
        ("{'a': 1}.transformMap(k, v, v + 1)", "{\"a\":2}"),
        ("{'a': 'x'}.transformMapEntry(k, v, {v: k})", "{\"x\":\"a\"}"),
        ("cel.bind(n, object.spec.replicas, n * n)", "9"),
        ("[3, 1, 2].sortBy(x, -x)", "[3,2,1]"),
    ]);
}

#[test]
fn optional_values_may_be_absent() {
    check(&[
        ("object.spec.?missing.orValue(5)", "5"),
        ("object.?spec.?replicas.value()", "3"),
        ("object.?spec.missing.deeper.hasValue()", "false"),
        ("object.metadata.labels[?'none'].orValue('')", "\"\""),
        ("[1, 2][?7].hasValue()", "false"),
        ("[1, ?optional.none(), ?optional.of(3)]", "[1,3]"),
        ("{?'a': optional.none(), 'b': 2}", "{\"b\":2}"),
        ("object.spec.?replicas.optMap(r, r + 1).value()", "4"),
        ("optional.ofNonZeroValue('').hasValue()", "false"),
        ("optional.none().or(optional.of(2)).value()", "2"),
        ("optional.none().value()", "error: optional.none() dereference"),
    ]);
}

#[test]
fn kubernetes_libraries_answer() {
    check(&[
        ("quantity('1Gi').isGreaterThan(quantity('500Mi'))", "true"),
        (
            "quantity(object.spec.containers[0].cpu).add(quantity('750m')) == quantity('1')",
            "true",
        ),
        ("quantity('1500m').asApproximateFloat()", "1.5"),
        ("isQuantity('10 apples')", "false"),
        ("quantity('50k').compareTo(quantity('50k'))", "0"),
        ("url('https://a.example:8443/x?y=1&y=2').getHostname()", "\"a.example\""),
        (
            "url('https://a.example:8443/x?y=1&y=2').getHost()",
            "\"a.example:8443\"",
        ),
        ("url('https://a.example/x?y=1&y=2').getQuery()['y']", "[\"1\",\"2\"]"),
        ("isURL('no url')", "false"),
        (
            "url('/path').getEscapedPath() == '/path' && url('/path').getHost() == ''",
            "true",
        ),
        ("ip('10.0.0.1').family() == 4 && ip('::1').isLoopback()", "true"),
        ("isIP('010.0.0.1')", "false"),
        (
            "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))",
            "true",
        ),
        ("string(cidr('10.1.2.3/8').masked())", "\"10.0.0.0/8\""),
        ("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", "true"),
        (
            "'a1b22'.find('[0-9]+') + string('a1b22'.findAll('[0-9]+').size())",
            "\"12\"",
        ),
        ("[1, 3, 2].isSorted()", "false"),
        (
            "[1, 3, 2].sum() == 6 && [1, 3, 2].max() == 3 && [1, 3].min() == 1",
            "true",
        ),
        ("[1, 3, 2].indexOf(2) == 2 && 'hello'.lastIndexOf('l') == 3", "true"),
        (
            "sets.contains([1, 2, 3], [2]) && sets.equivalent([1, 2], [2, 1, 1]) && !sets.intersects([1], [2])",
            "true",
        ),
        (
            "semver('1.2.3').isLessThan(semver('1.10.0')) && isSemver('v1.2', true)",
            "true",
        ),
        ("format.dns1123Label().validate('Not_OK').hasValue()", "true"),
        ("format.named('labelValue').value().validate('ok').hasValue()", "false"),
        (
            "'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'",
            "true",
        ),
        (
            "'hello'.substring(1, 3) + 'x y'.replace(' ', '_') + 'AB'.lowerAscii()",
            "\"elx_yab\"",
        ),
        ("'%s has %d (%.2f%%)'.format(['web', 3, 1.5])", "\"web has 3 (1.50%)\""),
        ("jsonpatch.escapeKey('a/b~c')", "\"a~1b~0c\""),
    ]);
}
