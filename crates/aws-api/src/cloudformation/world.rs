//! What a template's functions see of the region: the stack's own resources and the exports of others.

use serde_json::Value;
use stack_planner::{Node, Resources};

use super::query;
use super::resource;
use super::stack::Stack;
use crate::ledger::State;

/// The region as one stack's template sees it.
pub struct World<'a> {
    /// The records.
    pub state: &'a State,
    /// The stack.
    pub stack: &'a Stack,
}

/// A value of an answer as a template's.
pub fn node(value: &Value) -> Node {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

impl Resources for World<'_> {
    fn reference(&self, name: &str) -> Option<Node> {
        let made = self.stack.resources.get(name)?;
        Some(Node::text(resource::reference(&made.kind, made.physical.as_deref()?)))
    }

    fn attribute(&self, name: &str, attribute: &str) -> Option<Node> {
        let made = self.stack.resources.get(name)?;
        let physical = made.physical.as_deref()?;
        resource::attribute(self.state, &made.kind, physical, attribute).map(|value| node(&value))
    }

    fn import(&self, name: &str) -> Option<String> {
        query::exports(self.state)
            .find(|(_, export, _)| *export == name)
            .map(|(_, _, value)| value.clone())
    }
}
