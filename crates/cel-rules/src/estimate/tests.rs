//! What expressions over values of a known extent are taken to cost.

use std::sync::Arc;

use super::*;
use crate::program::Environment;
use crate::types::{Field, ObjectType};

fn text(size: u64) -> Extent {
    Extent {
        size,
        ..Extent::default()
    }
}

/// An object of a name of 100 characters, a list of 10 such names, a map of 5 numbers.
fn of_self() -> (Type, Extent) {
    let number = Extent {
        scalar: true,
        ..Extent::default()
    };
    let parts = [
        ("name", Type::String, text(100)),
        (
            "names",
            Type::list(Type::String),
            Extent {
                size: 10,
                inside: Inside::Items(Box::new(text(100))),
                scalar: false,
            },
        ),
        (
            "counts",
            Type::map(Type::Int),
            Extent {
                size: 5,
                inside: Inside::Values(Box::new(number.clone())),
                scalar: false,
            },
        ),
        ("size", Type::Int, number),
    ];
    let fields = parts.iter().map(|(name, of, _)| {
        let field = Field {
            json: (*name).to_owned(),
            holds: of.clone(),
        };
        ((*name).to_owned(), field)
    });
    let object = ObjectType {
        name: "object".to_owned(),
        fields: fields.collect(),
    };
    let extents = parts
        .iter()
        .map(|(name, _, extent)| ((*name).to_owned(), extent.clone()));
    let extent = Extent {
        inside: Inside::Fields(extents.collect()),
        ..Extent::default()
    };
    (Type::Object(Arc::new(object)), extent)
}

fn most(expression: &str) -> u64 {
    let (of, extent) = of_self();
    let program = Environment::new().with("self", of).compile(expression).unwrap();
    program.most(&|name| (name == "self").then_some(&extent))
}

#[test]
fn sizes_of_what_is_read_decide() {
    let cases = [
        ("true", 0),
        ("self.size > 3", 2),
        ("has(self.name)", 1),
        ("self.name == 'a'", 2 + 1),
        ("self.name.startsWith('abc')", 2 + 1),
        ("self.name.contains('abc')", 2 + 10),
        ("self.name.matches('^[a-z]{8}$')", 2 + 11 * 3),
        ("self.name in self.names", 2 + 2 + 10),
        ("self.names.all(n, n.size() > 1)", 2 + 1 + 10 * (3 + 1 + 1 + 1)),
        ("self.names.exists(n, n == 'a')", 2 + 1 + 10 * (4 + 1 + 1)),
        (
            "self.names.map(n, n.lowerAscii()).size() > 0",
            2 + 11 + 10 * (12 + 1 + 10) + 1 + 1,
        ),
        (
            "self.names.all(n, self.names.exists_one(m, m == n))",
            2 + 1 + 10 * (3 + 2 + 2 + 10 * (2 + 2 + 10)),
        ),
        (
            "self.counts.all(k, self.counts[k] > 0)",
            2 + 1 + 5 * (3 + 2 + 1 + 1 + 1),
        ),
        ("(self.name + self.name).size() < 300", 2 + 2 + 20 + 1 + 1),
        (
            "self.name.replace('.', '').size() > 1 && 'a' in self.counts",
            2 + 20 + 1 + 1 + 2 + 1,
        ),
    ];
    for (expression, wanted) in cases {
        let found = most(expression);
        assert!(
            found.abs_diff(wanted) <= wanted / 4 + 1,
            "{expression}: {found}, about {wanted} expected"
        );
    }
}

#[test]
fn what_has_no_bound_costs_without_bound() {
    let environment = Environment::new().with("self", Type::list(Type::String));
    let program = environment.compile("self.all(a, self.all(b, a == b))").unwrap();
    assert_eq!(program.most(&|_| None), u64::MAX);
}

#[test]
fn numbers_in_messages_have_a_length() {
    assert!(most("'size is ' + string(self.size)") < 20);
}
