//! Which resource waits for which.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::Node;
use crate::template::{Template, TemplateError};

/// Names that a value refers to: `Ref`, `Fn::GetAtt` and the variables of `Fn::Sub`.
#[must_use]
pub fn references(node: &Node) -> Vec<String> {
    let mut found = Vec::new();
    collect(node, &mut found);
    found
}

fn collect(node: &Node, found: &mut Vec<String>) {
    match node.single() {
        Some(("Ref", Node::Text(name))) => found.push(name.clone()),
        Some(("Fn::GetAtt", Node::Text(dotted))) => found.extend(dotted.split('.').next().map(str::to_owned)),
        Some(("Fn::GetAtt", Node::List(items))) => {
            found.extend(items.first().and_then(Node::as_text).map(str::to_owned))
        }
        Some(("Fn::Sub", Node::Text(text))) => found.extend(variables(text).into_iter().map(|name| base(&name))),
        Some(("Fn::Sub", Node::List(items))) => {
            let own: Vec<&str> = items
                .get(1)
                .map(Node::entries)
                .unwrap_or_default()
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            let text = items.first().and_then(Node::as_text).unwrap_or_default();
            found.extend(
                variables(text)
                    .into_iter()
                    .filter(|name| !own.contains(&name.as_str()))
                    .map(|name| base(&name)),
            );
            items
                .iter()
                .skip(1)
                .flat_map(Node::entries)
                .for_each(|(_, value)| collect(value, found));
        }
        _ => {
            node.items().iter().for_each(|item| collect(item, found));
            node.entries().iter().for_each(|(_, value)| collect(value, found));
        }
    }
}

fn base(name: &str) -> String {
    name.split('.').next().unwrap_or_default().to_owned()
}

/// The variables of a text of `Fn::Sub`; `${!literal}` is none.
#[must_use]
pub fn variables(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("${") {
        let Some(length) = rest[begin..].find('}') else { break };
        let name = rest[begin + 2..begin + length].trim();
        if !name.starts_with('!') {
            names.push(name.to_owned());
        }
        rest = &rest[begin + length + 1..];
    }
    names
}

/// For each resource, the resources that must be there before it.
#[must_use]
pub fn dependencies(template: &Template) -> BTreeMap<String, BTreeSet<String>> {
    let known = |name: &String| template.resource(name).is_some();
    let of = |resource: &crate::template::Resource| {
        let named = references(&resource.properties)
            .into_iter()
            .chain(resource.depends_on.iter().cloned());
        (resource.name.clone(), named.filter(known).collect())
    };
    template.resources.iter().map(of).collect()
}

/// Resources in an order in which each comes after what it needs.
///
/// # Errors
/// When resources wait for each other.
pub fn order(template: &Template) -> Result<Vec<String>, TemplateError> {
    let mut waiting = dependencies(template);
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready: Vec<String> = template
            .resources
            .iter()
            .map(|resource| &resource.name)
            .filter(|name| {
                waiting
                    .get(*name)
                    .is_some_and(|needs| needs.iter().all(|need| need != *name && !waiting.contains_key(need)))
            })
            .cloned()
            .collect();
        if ready.is_empty() {
            return Err(TemplateError::Circular(waiting.into_keys().collect()));
        }
        for name in ready {
            waiting.remove(&name);
            ordered.push(name);
        }
    }
    Ok(ordered)
}
