//! A pod that names its node goes nowhere else.

use crate::plugin::{Check, ClusterChange, Filter, Rejection};
use crate::snapshot::{PodInfo, Snapshot};

/// `NodeName`
pub struct NodeName;

impl Filter for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn wakes_on(&self) -> &'static [ClusterChange] {
        &[ClusterChange::NodeAdded]
    }

    fn check<'a>(&self, pod: &'a PodInfo, _snapshot: &'a Snapshot) -> Option<Check<'a>> {
        let wanted = pod
            .pod
            .spec
            .as_ref()?
            .node_name
            .as_deref()
            .filter(|name| !name.is_empty())?;
        Some(Box::new(move |node| {
            if node.name() == wanted {
                return Ok(());
            }
            Err(Rejection::for_good(
                "NodeName",
                "node(s) didn't match the requested node name",
            ))
        }))
    }
}
