//! A pod's class of service. Source: `pkg/apis/core/helper/qos`.

use kube_types::quantity;

use super::CONTAINER_LISTS;
use crate::tree::{Node, at, items};

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub(super) fn class(spec: &Node) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for container in CONTAINER_LISTS.iter().flat_map(|list| items(spec, list)) {
        for resource in ["cpu", "memory"] {
            let amount = |kind: &str| {
                let text = at(container, &["resources", kind])?.get(resource)?.as_str()?;
                quantity::parse(text).ok().filter(|amount| !amount.is_zero())
            };
            let (request, limit) = (amount("requests"), amount("limits"));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
