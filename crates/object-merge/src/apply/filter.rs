//! Which fields can be owned by those who write through an endpoint.
//!
//! What a strategy takes back (status, when the object itself is written) is owned by nobody who sends it.

use super::path::PathElement;
use super::set::{Node, Set};

/// A step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This field.
    Field(&'static str),
    /// Anything: every element of a list, every key of a map.
    Any,
}

/// Which fields of a set remain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All of them.
    All,
    /// All but these and what is below them.
    Except(Set),
    /// Those on the way to one of these, and what is below them.
    Only(Vec<Vec<Step>>),
}

impl Filter {
    /// All but some fields.
    #[must_use]
    pub fn except(fields: &[&[&str]]) -> Self {
        if fields.is_empty() {
            Self::All
        } else {
            Self::Except(Set::of_fields(fields))
        }
    }

    /// What remains of a set.
    #[must_use]
    pub fn apply(&self, set: Set) -> Set {
        match self {
            Self::All => set,
            Self::Except(gone) => set.without_all_below(gone),
            Self::Only(patterns) => {
                let patterns: Vec<&[Step]> = patterns.iter().map(Vec::as_slice).collect();
                only(&set, &patterns)
            }
        }
    }
}

fn only(set: &Set, patterns: &[&[Step]]) -> Set {
    let nodes = set.nodes().filter_map(|(element, node)| {
        let matching: Vec<&[Step]> = patterns
            .iter()
            .filter_map(|pattern| {
                let (first, rest) = pattern.split_first()?;
                matches(first, element).then_some(rest)
            })
            .collect();
        if matching.is_empty() {
            return None;
        }
        let whole = matching.iter().any(|rest| rest.is_empty());
        let below = if whole {
            node.below.clone()
        } else {
            only(&node.below, &matching)
        };
        let kept = Node {
            member: node.member,
            below,
        };
        Some((element.clone(), kept))
    });
    Set::from_nodes(nodes.collect())
}

fn matches(step: &Step, element: &PathElement) -> bool {
    match (step, element) {
        (Step::Any, _) => true,
        (Step::Field(wanted), PathElement::Field(name)) => **name == **wanted,
        (Step::Field(_), _) => false,
    }
}
