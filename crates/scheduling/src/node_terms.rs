//! Node selector terms: which nodes an affinity means.

use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod};

use crate::snapshot::NodeInfo;

/// Does the node match any term? A selector without terms matches nothing.
pub fn matches(selector: &NodeSelector, node: &NodeInfo) -> bool {
    selector.node_selector_terms.iter().any(|term| matches_term(term, node))
}

/// Does the node match all expressions of the term? An empty term matches nothing.
pub fn matches_term(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let field = |key: &str| (key == "metadata.name").then(|| node.name());
    expressions
        .iter()
        .all(|expression| holds(expression, node.label(&expression.key)))
        && fields
            .iter()
            .all(|expression| holds(expression, field(&expression.key)))
}

/// Does the node match the pod's `nodeSelector` and the affinity it requires?
pub fn pod_allows(pod: &Pod, node: &NodeInfo) -> bool {
    let Some(spec) = &pod.spec else { return true };
    let selected = spec
        .node_selector
        .iter()
        .flatten()
        .all(|(key, value)| node.label(key) == Some(value));
    let affinity = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    selected && required.is_none_or(|required| matches(required, node))
}

fn holds(expression: &NodeSelectorRequirement, actual: Option<&str>) -> bool {
    let values = expression.values.as_deref().unwrap_or_default();
    let listed = |actual: &str| values.iter().any(|value| value == actual);
    match expression.operator.as_str() {
        "In" => actual.is_some_and(listed),
        "NotIn" => !actual.is_some_and(listed),
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => compared(actual, values).is_some_and(|(actual, wanted)| actual > wanted),
        "Lt" => compared(actual, values).is_some_and(|(actual, wanted)| actual < wanted),
        _ => false,
    }
}

fn compared(actual: Option<&str>, values: &[String]) -> Option<(i64, i64)> {
    Some((actual?.parse().ok()?, values.first()?.parse().ok()?))
}
