//! What must change to get from what is there to what a template says.

use crate::node::Node;

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is made.
    Add,
    /// It is changed where it is.
    Modify,
    /// Another takes its place.
    Replace,
    /// It goes.
    Remove,
}

/// The change of one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceChange {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// What happens.
    pub action: Action,
    /// Properties that differ.
    pub properties: Vec<String>,
}

/// A resource as it is or shall be: name, type, evaluated properties.
pub type State<'a> = (&'a str, &'a str, &'a Node);

/// The changes from `before` to `after`. `replaces` says whether a property of a type can only be had by a new resource.
pub fn changes(
    before: &[State<'_>],
    after: &[State<'_>],
    replaces: impl Fn(&str, &str) -> bool,
) -> Vec<ResourceChange> {
    let change = |name: &str, kind: &str, action, properties| ResourceChange {
        name: name.to_owned(),
        kind: kind.to_owned(),
        action,
        properties,
    };
    let mut changes = Vec::new();
    for (name, kind, wanted) in after {
        let Some((_, old_kind, there)) = before.iter().find(|(known, ..)| known == name) else {
            changes.push(change(name, kind, Action::Add, Vec::new()));
            continue;
        };
        let differing = differing(there, wanted);
        if old_kind != kind {
            changes.push(change(name, kind, Action::Replace, differing));
        } else if !differing.is_empty() {
            let replace = differing.iter().any(|property| replaces(kind, property));
            changes.push(change(
                name,
                kind,
                if replace { Action::Replace } else { Action::Modify },
                differing,
            ));
        }
    }
    let gone = before
        .iter()
        .filter(|(name, ..)| !after.iter().any(|(known, ..)| known == name));
    changes.extend(gone.map(|(name, kind, _)| change(name, kind, Action::Remove, Vec::new())));
    changes
}

/// Names of the members of two maps that are not the same.
#[must_use]
pub fn differing(before: &Node, after: &Node) -> Vec<String> {
    let mut names: Vec<&String> = before
        .entries()
        .iter()
        .chain(after.entries())
        .map(|(name, _)| name)
        .collect();
    names.sort();
    names.dedup();
    let differs = |name: &&&String| before.get(name) != after.get(name);
    names.iter().filter(differs).map(|name| (*name).clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_one_change() {
        let node = |text: &str| -> Node { serde_json::from_str(text).unwrap() };
        let (one, two) = (node(r#"{"A":1,"B":2}"#), node(r#"{"A":1,"B":3}"#));
        let before = [
            ("kept", "T", &one),
            ("changed", "T", &one),
            ("replaced", "U", &one),
            ("gone", "T", &one),
            ("other", "T", &one),
        ];
        let after = [
            ("kept", "T", &one),
            ("changed", "T", &two),
            ("replaced", "U", &two),
            ("new", "T", &one),
            ("other", "V", &one),
        ];
        let found: Vec<(String, Action)> = changes(&before, &after, |kind, property| kind == "U" && property == "B")
            .into_iter()
            .map(|change| (change.name, change.action))
            .collect();
        let wanted = [
            ("changed", Action::Modify),
            ("replaced", Action::Replace),
            ("new", Action::Add),
            ("other", Action::Replace),
            ("gone", Action::Remove),
        ];
        assert_eq!(found, wanted.map(|(name, action)| (name.to_owned(), action)));
    }
}
