//! The structures have no member that the published model lacks.

use super::*;
use crate::shapes;

/// serde's `camelCase` of a field.
fn wire(field: &str) -> String {
    let mut words = field.trim_start_matches("r#").split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(1);
        name + &head.to_uppercase() + tail
    })
}

#[test]
fn every_member_is_in_the_model() {
    let model = shapes::service("eks").unwrap();
    let mut missing = Vec::new();
    for (name, fields) in declared() {
        let name = if name == "Oidc" { "OIDC" } else { name };
        let shape = model
            .find_shape(name)
            .unwrap_or_else(|| panic!("the model has no {name}"));
        for field in fields {
            let wire = wire(field);
            if !shape.members.0.iter().any(|(member, _)| **member == *wire) {
                missing.push(format!("{name}.{wire}"));
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}
