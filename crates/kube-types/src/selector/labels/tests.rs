//! What `labels` promises, as tests.

use super::*;

fn labels(text: &str) -> BTreeMap<String, String> {
    text.split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

#[test]
fn selectors_match_as_upstream() {
    for (selector, matching, other) in [
        ("a=b", "a=b,c=d", "a=c"),
        ("a==b", "a=b", ""),
        ("a!=b", "", "a=b"),
        ("a", "a=x", "b=a"),
        ("!a", "b=a", "a="),
        ("a in (b, c)", "a=c", "a=d"),
        ("a notin (b,c)", "d=e", "a=b"),
        ("a=,b", "a=,b=1", "a=1,b=1"),
        ("n>3", "n=4", "n=3"),
        ("n<3", "n=2", "n=x"),
        ("x in (,a)", "x=", "x=b"),
    ] {
        let compiled = LabelSelector::parse(selector).unwrap();
        assert!(compiled.matches(&labels(matching)), "{selector} selects {matching}");
        assert!(!compiled.matches(&labels(other)), "{selector} leaves {other}");
    }
    assert!(LabelSelector::parse("").unwrap().is_everything());
    assert!(!LabelSelector::nothing().matches(&labels("a=b")));
}

#[test]
fn what_does_not_parse_is_named() {
    for (selector, message) in [
        (
            "a b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        (
            "a=b,",
            "unable to parse requirement: found '', expected: identifier after ','",
        ),
        ("a in b", "unable to parse requirement: found 'b', expected: '('"),
        (
            "=a",
            "unable to parse requirement: found '=', expected: '!', identifier, or 'end of string'",
        ),
        ("a>x", "for 'Gt', 'Lt' operators, the value must be an integer"),
    ] {
        assert_eq!(
            LabelSelector::parse(selector).unwrap_err().to_string(),
            message,
            "{selector}"
        );
    }
}

#[test]
fn typed_selectors_compile() {
    let typed = meta::LabelSelector {
        match_labels: Some(labels("a=b")),
        match_expressions: Some(vec![meta::LabelSelectorRequirement {
            key: "c".into(),
            operator: "NotIn".into(),
            values: Some(vec!["x".into()]),
        }]),
    };
    let selector = LabelSelector::from_typed(&typed).unwrap();
    assert!(selector.matches(&labels("a=b")));
    assert!(!selector.matches(&labels("a=b,c=x")));
    assert_eq!(selector.to_string(), "a=b,c!=x");
    assert!(!LabelSelector::from_optional(None).unwrap().matches(&labels("a=b")));
}
