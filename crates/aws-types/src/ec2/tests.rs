//! The structures have no member that the published model lacks.

use super::*;
use crate::shapes;

/// serde's `PascalCase` of a field.
fn wire(field: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    field.split('_').map(capital).collect()
}

#[test]
fn every_member_is_in_the_model() {
    let model = shapes::service("ec2").unwrap();
    let mut missing = Vec::new();
    for (name, fields) in declared() {
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
